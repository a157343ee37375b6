"""Instances for adversarial training: a critic T(x, z) that tells p(x) q(z|x) from p(x) p(z)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array, World, dirichlet, normal_density


@dataclass(frozen=True)
class Duel:
    """p(x), p(z), p(x|z) and q(z|x) on nodes, axes (X, Z); dz is 1 for tables.

    features (X, Z, M): the critics are T_ψ(x, z) = ψ·features, all functions of a table, or
    the quadratics of a Gaussian world; where `one_number`, only constants.
    """

    law: Array  # (X, 1)
    prior: Array  # (Z,)
    lik: Array  # (X, Z): p(x|z)
    q: Array  # (X, Z)
    features: Array
    dz: float = 1.0
    one_number: bool = False

    def at(self, x: int) -> World:
        """The model at one observation."""
        return World(self.prior, self.lik[x], self.q[x], np.full(len(self.prior), self.dz))

    def mean_q(self, values: Array) -> Any:
        """E_p(x) E_q(z|x)."""
        return (self.law * self.q * values).sum() * self.dz

    def mean_p(self, values: Array) -> Any:
        """E_p(x) E_p(z)."""
        return (self.law * self.prior * values).sum() * self.dz

    def with_one_number(self) -> "Duel":
        """The same with critics that are constants."""
        return replace(self, features=np.ones((*self.q.shape, 1)), one_number=True)


def duel_table(*, law: Any, prior: Any, lik: Any, q: Any) -> Duel:
    """Return the finite world of these tables, with every function of x and z a critic."""
    law, prior, lik, q = (np.asarray(a, float) for a in (law, prior, lik, q))
    return Duel(law[:, None], prior, lik, q, np.eye(q.size).reshape(*q.shape, q.size))


def duel(rng: Generator) -> Duel:
    """Return a dense random table or a Gaussian world, each half of the time."""
    return tables(rng) if rng.random() < 0.5 else gaussians(rng)


def tables(rng: Generator) -> Duel:
    """2 to 4 states of x and of z."""
    x, z = (int(n) for n in rng.integers(2, 5, size=2))
    return duel_table(
        law=dirichlet(rng, x), prior=dirichlet(rng, z), lik=dirichlet(rng, z, x).T, q=dirichlet(rng, x, z)
    )


def gaussians(rng: Generator) -> Duel:
    """Two or three x, p(z) = N(0, 1), q(z|x) = N(m_x, s_x²), p(x|z) = N(x; z, 1).

    The critics are the quadratics in z, with coefficients of their own at each x: log q − log p is among
    them.
    """
    n = int(rng.integers(2, 4))
    x, m, s = rng.normal(size=(n, 1)), rng.uniform(-1.0, 1.0, size=(n, 1)), rng.uniform(0.6, 1.2, size=(n, 1))
    z = np.linspace(-12.0, 12.0, 121)
    powers = np.eye(n)[:, None, :, None] * z[:, None, None] ** np.arange(3)
    return Duel(
        law=dirichlet(rng, n)[:, None],
        prior=normal_density(z, 0.0, 1.0),
        lik=normal_density(x, z, 1.0),
        q=normal_density(z, m, s),
        dz=float(z[1] - z[0]),
        features=powers.reshape(n, len(z), 3 * n),
    )
