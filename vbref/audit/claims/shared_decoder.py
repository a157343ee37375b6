"""The decoder of `worlds_decoder`: its expected error and its bound, each in two ways. No claims."""

import math

import numpy as np

from vbref.audit import oracles, worlds
from vbref.audit.worlds_decoder import sine_decoder

DECODER = "sine decoders (K = 1 or 2 latent, D = 1 to 3 observed dimensions, σ in (0.5, 1.5))"


def error_by_characteristic(w):
    """From E sin u = e^(−v/2) sin m and E sin² u = (1 − e^(−2v) cos 2m)/2, u = z·frequency ~ N(m, v)."""
    m, factor = w.mean @ w.frequency, w.root.T @ w.frequency
    v, r = (factor * factor).sum(0), w.x - w.offset
    sine, square = np.exp(-v / 2) * np.sin(m), (1 - np.exp(-2 * v) * np.cos(2 * m)) / 2
    return (r**2 - 2 * r * w.amplitude * sine + w.amplitude**2 * square).sum()


def error_by_feature(w):
    """One trapezoid rule a feature, over the law of its own u = z·frequency."""
    t = np.linspace(-9.0, 9.0, 301)
    mass = np.exp(-t * t / 2) * (t[1] - t[0]) / np.sqrt(2 * np.pi)
    total = 0.0
    for x, amplitude, direction, offset in zip(w.x, w.amplitude, w.frequency.T, w.offset, strict=True):
        spread = np.sqrt(np.sum(np.square(direction @ w.root)))
        total = total + mass @ (x - offset - amplitude * np.sin(direction @ w.mean + spread * t)) ** 2
    return total


def expectation(w, function):
    """E_{z ~ q}[function(z)] on a tensor Gauss–Hermite grid: the ∫ of the formulas; z is (points, K)."""
    return oracles.gaussian_mean(function, w.mean, w.cov, nodes=22)


def noise_expectation(w, function):
    """E_{ε ~ N(0, I)}[function(ε)] likewise."""
    k = len(w.mean)
    return oracles.gaussian_mean(function, np.zeros(k), np.eye(k), nodes=22)


def square_norm(vectors):
    """|v|² over the last axis."""
    return (vectors**2).sum(-1)


# -- two ways to the whole bound, for a diagonal root: error and KL, each by its own pair of routes --


def elbo_by_algebra(w):
    """The bound from the error's characteristic function and the KL's eigenvalues."""
    error = error_by_characteristic(w) / w.noise_scale**2
    log_lik = -0.5 * (error + len(w.x) * math.log(2 * math.pi * w.noise_scale**2))
    pair = worlds.GaussianPair(w.mean, w.cov, np.zeros_like(w.mean), np.eye(len(w.mean)))
    return log_lik - oracles.gaussian_kl_by_eigenvalues(pair)


def elbo_by_quadrature(w):
    """The bound from the error feature by feature and the KL by quadrature."""
    k = len(w.mean)
    log_lik = -error_by_feature(w) / (2 * w.noise_scale**2)
    log_lik -= len(w.x) * (math.log(w.noise_scale) + math.log(2 * math.pi) / 2)
    pair = worlds.GaussianPair(w.mean, w.cov, np.zeros(k), np.eye(k))
    return log_lik - oracles.gaussian_kl_by_quadrature(pair)


# -- instances with a diagonal encoder, and the constant of the Gaussian likelihood --


def diagonal(rng):
    """A sine decoder whose encoder has a diagonal covariance."""
    return sine_decoder(rng, diagonal=True)


def other_with_same_noise(w, rng):
    """Everything redrawn but σ and the two dimensions."""
    fresh = {name: rng.normal(size=getattr(w, name).shape) for name in ("x", "mean", "offset", "frequency")}
    return w.moved(**fresh)


def log_normaliser(w):
    """½D log 2πσ² of the Gaussian likelihood."""
    return len(w.x) / 2 * math.log(2 * math.pi * w.noise_scale**2)
