"""A variational autoencoder with a nonlinear decoder of which every expectation is known."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array


@dataclass(frozen=True)
class SineDecoder:
    """x|z ~ N(f(z), noise_scale² I_D), f(z) = amplitude ⊙ sin(z·frequency) + offset; q(z|x) = N(mean, root
    rootᵀ).

    Shapes: x, amplitude, offset (D,), frequency (K, D), mean (K,), root (K, K).
    """

    x: Array
    amplitude: Array
    frequency: Array
    offset: Array
    noise_scale: float
    mean: Array
    root: Array

    @property
    def cov(self) -> Array:
        return self.root @ self.root.T

    @property
    def scale(self) -> Array:
        """σ_φ, where the root is diagonal."""
        return np.diagonal(self.root)

    def f(self, z: Array) -> Array:
        return self.amplitude * np.sin(z @ self.frequency) + self.offset

    def moved(self, **changed: Any) -> "SineDecoder":
        return replace(self, **changed)

    def shrunk(self, scale: float) -> "SineDecoder":
        """The same with an encoder whose every standard deviation is `scale`."""
        return self.moved(root=scale * np.eye(len(self.mean)))


def sine_decoder(rng: Generator, *, diagonal: bool = False) -> SineDecoder:
    """Return a random one: 1 or 2 latent dimensions, 1 to 3 observed, σ from 0.5 to 1.5."""
    k, d = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    scale = rng.uniform(0.4, 1.0, size=k)
    below = 0.0 if diagonal else 0.4 * rng.normal(size=(k, k))
    return SineDecoder(
        x=rng.normal(size=d),
        amplitude=rng.uniform(0.5, 1.5, size=d),
        frequency=rng.uniform(-1.0, 1.0, size=(k, d)),
        offset=rng.uniform(-1.0, 1.0, size=d),
        noise_scale=rng.uniform(0.5, 1.5),
        mean=rng.uniform(-1.0, 1.0, size=k),
        root=np.diag(scale) + np.tril(below * np.ones((k, k)), -1),
    )


def one_pixel(*, x: float, frequency: float, mean: float, scale: float) -> SineDecoder:
    """Return f(z) = sin(frequency·z) in one dimension with unit noise: small numbers for people."""
    return SineDecoder(
        x=np.array([x]),
        amplitude=np.ones(1),
        frequency=np.array([[frequency]]),
        offset=np.zeros(1),
        noise_scale=1.0,
        mean=np.array([mean]),
        root=np.array([[scale]]),
    )
