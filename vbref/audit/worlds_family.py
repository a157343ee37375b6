"""A distribution q_φ on nodes z and a function f: what a score-function gradient is about."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array, normal_density, softmax


@dataclass(frozen=True)
class Family:
    """q_φ = softmax(φ), and f + coupling·φ₀: the notes' f has no φ, that is, no coupling."""

    phi: Array
    f: Array
    dz: Array
    coupling: float = 0.0

    def q(self, phi: Array) -> Array:
        return softmax(phi)

    def f_at(self, phi: Array) -> Array:
        return self.f + self.coupling * phi[0]

    def integral(self, values: Array) -> Any:
        return (values * self.dz).sum(-1)


@dataclass(frozen=True)
class NormalFamily(Family):
    """q_φ = N(φ₀, e^(2φ₁)) on nodes z, and f(z) = sin(frequency·z)."""

    z: Array = field(default_factory=lambda: np.zeros(1))
    frequency: float = 1.0

    def q(self, phi: Array) -> Array:
        return normal_density(self.z, phi[0], np.exp(phi[1]))


class EdgeFamily(Family):
    """q_φ = (φ, 1 − φ), which may lose a state."""

    def q(self, phi: Array) -> Array:
        return np.array([phi[0], 1 - phi[0]])


def finite_family(rng: Generator) -> Family:
    """Return a family on two to four states."""
    n = int(rng.integers(2, 5))
    return Family(phi=rng.normal(size=n), f=rng.normal(size=n), dz=np.ones(n))


def family(rng: Generator, *, reach: float = 14.0) -> Family:
    """Return a finite or a normal one, on nodes up to ±reach (few of them where reach is short)."""
    if rng.random() < 0.5:
        return finite_family(rng)
    nodes = 401 if reach > 10 else 9
    z, frequency = np.linspace(-reach, reach, nodes), rng.uniform(0.5, 1.5)
    phi = np.array([rng.uniform(-1.0, 1.0), rng.uniform(-0.3, 0.3)])
    return NormalFamily(
        phi=phi, f=np.sin(frequency * z), dz=np.full(nodes, z[1] - z[0]), z=z, frequency=frequency
    )
