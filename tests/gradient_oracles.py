"""Two settings in which an estimator's expectation and the derivative of its bound are computed exactly.

Finite: z in {0, 1, 2} with softmax logits, all K-tuples enumerated. Gaussian: a scalar linear-Gaussian model,
the expectation over K noises by the trapezoid rule, which is exponentially accurate on these integrands. The
bound's own derivative is by complex step through sums over z in which φ enters by the densities alone: no
score, no path.
"""

import itertools

import numpy as np

from vbref import gradients

LOGITS = np.array([0.4, -0.3, 0.9])
JOINT = np.array([0.05, 0.3, 0.12])


def complex_step(function, point):
    steps = 1e-30j * np.eye(len(point))
    return np.array([function(point + step).imag / 1e-30 for step in steps])


# Finite


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def tuples(k):
    return np.array(list(itertools.product(range(3), repeat=k))).T


def finite_iwae(logits, k):
    q, z = softmax(logits), tuples(k)
    return np.sum(q[z].prod(axis=0) * np.log((JOINT / q)[z].mean(axis=0)))


def finite_draws(k):
    """Probability (T,), log_w (K, T), score (K, T, 3) of every K-tuple."""
    q, z = softmax(LOGITS), tuples(k)
    return q[z].prod(axis=0), np.log(JOINT / q)[z], (np.eye(3) - q)[z]


def finite_expectation(estimator, k):
    probability, log_w, score = finite_draws(k)
    return probability @ estimator(log_w, score)


def check_finite(estimator, k, target):
    want = complex_step(lambda logits: finite_iwae(logits, target), LOGITS)
    np.testing.assert_allclose(finite_expectation(estimator, k), want, rtol=1e-12, atol=1e-14)


# Gaussian: p(z) = N(0, 1), p(x | z) = N(az + c, s²), q = N(μ, σ²), φ = (μ, log σ)

X, A, C, S = 1.3, 0.8, 0.2, 0.9
PHI = np.array([0.1, -0.2])


def log_normal(value, loc, log_scale):
    return -0.5 * ((value - loc) / np.exp(log_scale)) ** 2 - log_scale - 0.5 * np.log(2 * np.pi)


def log_weight(z, phi):
    return log_normal(z, 0, 0) + log_normal(X, A * z + C, np.log(S)) - log_normal(z, *phi)


def trapezoid(k, nodes=60, reach=8.5):
    """Every K-tuple of nodes (K, T), and the product of their spacings."""
    line = np.linspace(-reach, reach, nodes)
    grid = np.stack(np.meshgrid(*[line] * k, indexing="ij")).reshape(k, -1)
    return grid, (line[1] - line[0]) ** k


def gaussian_iwae(phi, k):
    z, cell = trapezoid(k)
    density = np.exp(log_normal(z, *phi).sum(axis=0))
    return cell * np.sum(density * np.log(np.exp(log_weight(z, phi)).mean(axis=0)))


def gaussian_draws(noise, phi=PHI):
    """log_w (K, T), path and score (K, T, 2) at z = μ + σε."""
    scale = np.exp(phi[1])
    z = phi[0] + scale * noise
    slope = -z + A * (X - A * z - C) / S**2 + noise / scale
    path = slope[..., None] * np.stack([np.ones_like(noise), scale * noise], axis=-1)
    score = np.stack([noise / scale, noise**2 - 1], axis=-1)
    return log_weight(z, phi), path, score


def gaussian_moments(estimator, k, phi=PHI):
    noise, cell = trapezoid(k)
    probability = cell * np.exp(log_normal(noise, 0, 0).sum(axis=0))
    estimate = estimator(*gaussian_draws(noise, phi))
    mean = probability @ estimate
    return mean, probability @ (estimate - mean) ** 2


def posterior():
    precision = 1 + A**2 / S**2
    return np.array([A * (X - C) / S**2 / precision, -0.5 * np.log(precision)])


def check_gaussian(estimator, k, target):
    want = complex_step(lambda phi: gaussian_iwae(phi, target), PHI)
    np.testing.assert_allclose(gaussian_moments(estimator, k)[0], want, rtol=1e-12)


# Estimators as functions of (log_w, score) or (log_w, path, score)


def by_score(baseline):
    return lambda log_w, score: gradients.score_function(log_w, score, baseline=baseline)


def by_vimco(control):
    return lambda log_w, score: gradients.vimco(log_w, score, control=control)


def stl(log_w, path, score):
    return gradients.sticking_the_landing(path)


def plain(log_w, path, score):
    return gradients.pathwise(path, score)


def dreg(log_w, path, score):
    return gradients.doubly_reparameterised(log_w, path)
