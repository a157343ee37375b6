"""Instances: small models in which every symbol of the notes has a number.

A world is data. What may be asked of it is what the symbols mean (a table entry, a density at a node, an
integral as a weighted sum); anything that could be wrong belongs to a claim or to an oracle.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class World:
    """One observation x of a latent-variable model, on nodes z: p(z), p(x|z), q(z|x) and dz, each of shape
    (Z,).

    Finite tables have dz = 1. `integral` is the notes' ∫ · dz, over the last axis.
    """

    prior: Array
    likelihood: Array
    q: Array
    dz: Array

    @property
    def joint(self) -> Array:
        return self.likelihood * self.prior

    def integral(self, values: Array) -> Any:
        return (values * self.dz).sum(-1)

    def with_q(self, q: Array) -> "World":
        return replace(self, q=q)


@dataclass(frozen=True)
class GaussianWorld(World):
    """z ~ N(0, prior_scale²), x|z ~ N(slope·z + offset, noise_scale²), q = N(loc, scale²), on a uniform grid
    of z.

    The trapezoid rule on it is exact to rounding: the integrands are analytic and die out at both ends.
    """

    z: Array
    x: float
    prior_scale: float
    slope: float
    offset: float
    noise_scale: float
    loc: float
    scale: float


@dataclass(frozen=True)
class Table:
    """A finite model over all x: prior (Z,), likelihood (Z, X), rows p(·|z), encoder (X, Z), rows q(·|x)."""

    prior: Array
    likelihood: Array
    encoder: Array

    def at(self, x: int) -> World:
        return World(self.prior, self.likelihood[:, x], self.encoder[x], np.ones(len(self.prior)))


@dataclass(frozen=True)
class Logits:
    """Unconstrained parameters of a Table: θ = (prior, likelihood), φ = encoder. Complex steps pass."""

    prior: Array
    likelihood: Array
    encoder: Array

    def table(self) -> Table:
        return Table(softmax(self.prior), softmax(self.likelihood), softmax(self.encoder))

    def moved(self, **changed: Array) -> "Logits":
        return replace(self, **changed)


@dataclass(frozen=True)
class GaussianPair:
    """p = N(mean_1, cov_1) and q = N(mean_2, cov_2) in d dimensions."""

    mean_1: Array
    cov_1: Array
    mean_2: Array
    cov_2: Array

    @property
    def d(self) -> int:
        return len(self.mean_1)


def softmax(logits: Array) -> Array:
    """Return e^logits over their sum on the last axis, for logits of a few units; complex steps pass."""
    weights = np.exp(logits)
    return weights / weights.sum(-1, keepdims=True)


def normal_density(z: Any, loc: Any, scale: Any) -> Any:
    """Return N(z; loc, scale²)."""
    return np.exp(-0.5 * ((z - loc) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))


def dirichlet(rng: Generator, *shape: int) -> Array:
    """Return dense random probabilities over the last axis, none below 1e-3 before normalising."""
    weights = rng.gamma(1.5, size=shape) + 1e-3
    return weights / weights.sum(-1, keepdims=True)


def table(rng: Generator, z: int | None = None, x: int | None = None) -> Table:
    """Return a dense random finite model with 2 to 6 latent and 2 to 5 observable states."""
    z, x = z or int(rng.integers(2, 7)), x or int(rng.integers(2, 6))
    return Table(dirichlet(rng, z), dirichlet(rng, z, x), dirichlet(rng, x, z))


def logits(rng: Generator, z: int | None = None, x: int | None = None) -> Logits:
    """Return random softmax parameters of a finite model."""
    z, x = z or int(rng.integers(2, 5)), x or int(rng.integers(2, 5))
    return Logits(rng.normal(size=z), rng.normal(size=(z, x)), rng.normal(size=(x, z)))


def finite(rng: Generator, z: int | None = None) -> World:
    """Return one observation of a dense random finite model."""
    return table(rng, z).at(0)


def gaussian(rng: Generator) -> GaussianWorld:
    """Return one observation of a random linear-Gaussian model with one latent and one observed dimension."""
    loc, slope, offset, x = rng.uniform(-1.0, 1.0, size=4)
    prior_scale, noise_scale, scale = rng.uniform(0.7, 1.3, size=3)
    return gaussian_world(
        x=x,
        prior_scale=prior_scale,
        slope=slope,
        offset=offset,
        noise_scale=noise_scale,
        loc=loc,
        scale=scale,
    )


def gaussian_world(
    *, x: float, prior_scale: float, slope: float, offset: float, noise_scale: float, loc: float, scale: float
) -> GaussianWorld:
    """Return the linear-Gaussian world of these parameters: each within [-2, 2], scales near one.

    On |z| ≤ 14 no density underflows, so that logarithms of ratios stay finite, and tails are below 1e-20.
    """
    z = np.linspace(-14.0, 14.0, 401)
    return GaussianWorld(
        prior=normal_density(z, 0.0, prior_scale),
        likelihood=normal_density(x, slope * z + offset, noise_scale),
        q=normal_density(z, loc, scale),
        dz=np.full(len(z), z[1] - z[0]),
        z=z,
        x=x,
        prior_scale=prior_scale,
        slope=slope,
        offset=offset,
        noise_scale=noise_scale,
        loc=loc,
        scale=scale,
    )


def latent(rng: Generator) -> World:
    """Return a finite or a linear-Gaussian world, each half of the time."""
    return finite(rng) if rng.random() < 0.5 else gaussian(rng)


def covariance(rng: Generator, d: int) -> Array:
    """Return a random well-conditioned covariance, dense off its diagonal."""
    root = rng.normal(size=(d, d)) / np.sqrt(d)
    return root @ root.T + 0.3 * np.eye(d)


def gaussian_pair(rng: Generator, d: int | None = None) -> GaussianPair:
    """Return two random Gaussians of 1 to 3 dimensions with dense covariances."""
    d = d or int(rng.integers(1, 4))
    return GaussianPair(rng.normal(size=d), covariance(rng, d), rng.normal(size=d), covariance(rng, d))
