"""Instances for the mixture prior: weights w, a component z and a latent x behind one observation y."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array, World, dirichlet, normal_density


@dataclass(frozen=True)
class Mixture:
    """p(w), p(z), p(x|w, z), p(y|x) at one y, and q(x|y), q(w|y), on axes (W, K, X) that broadcast.

    p_z_given is p(z|x, w), by Bayes' rule. dw and dx are 1 for tables.
    """

    p_w: Array  # (W, 1, 1)
    p_z: Array  # (1, K, 1)
    p_x: Array  # (W, K, X)
    lik: Array  # (X,)
    q_w: Array  # (W, 1, 1)
    q_x: Array  # (X,)
    dw: float = 1.0
    dx: float = 1.0
    p_z_given: Array = field(init=False)  # (W, K, X)

    def __post_init__(self) -> None:
        both = self.p_z * self.p_x
        object.__setattr__(self, "p_z_given", both / both.sum(1, keepdims=True))

    @property
    def q(self) -> Array:
        """q(x, w, z|y) of xu/40."""
        return self.q_x * self.q_w * self.p_z_given

    @property
    def joint(self) -> Array:
        """p(y, x, w, z), the product of the lines of xu/37."""
        return self.lik * self.p_w * self.p_z * self.p_x

    def mean(self, values: Array) -> Any:
        """E over q(x, w, z|y)."""
        return (self.q * values).sum() * self.dw * self.dx

    def mean_x(self, values: Array) -> Any:
        """E over q(x|y), the last axis."""
        return (self.q_x * values).sum(-1) * self.dx

    def mean_w(self, values: Array) -> Any:
        """E over q(w|y), of values (W,)."""
        return (self.q_w.ravel() * values).sum() * self.dw

    @cached_property
    def flat(self) -> World:
        """The same with one latent variable, the triple (x, w, z)."""
        shape = self.p_x.shape
        prior = np.broadcast_to(self.p_w * self.p_z * self.p_x, shape).ravel()
        return World(
            prior,
            np.broadcast_to(self.lik, shape).ravel(),
            self.q.ravel(),
            np.full(prior.size, self.dw * self.dx),
        )


def mixture_table(*, p_w: Any, p_z: Any, p_x: Any, lik: Any, q_w: Any, q_x: Any) -> Mixture:
    """Return the finite world of these tables: p_x is (W, K, X), the others are vectors."""
    p_w, p_z, p_x, lik, q_w, q_x = (np.asarray(a, float) for a in (p_w, p_z, p_x, lik, q_w, q_x))
    return Mixture(p_w[:, None, None], p_z[:, None], p_x, lik, q_w[:, None, None], q_x)


def mixture(rng: Generator) -> Mixture:
    """Return a dense random table of 1 to 4 states an axis, or a Gaussian world, each half of the time.

    p(y|x) is a density in both, in the tables up to 3, so that log p(y) has either sign.
    """
    return _tables(rng) if rng.random() < 0.5 else gaussian_mixture(rng)


def _tables(rng: Generator) -> Mixture:
    w, k, x = int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    return mixture_table(
        p_w=dirichlet(rng, w),
        p_z=dirichlet(rng, k),
        p_x=dirichlet(rng, w, k, x),
        lik=rng.uniform(0.1, 3.0, size=x),
        q_w=dirichlet(rng, w),
        q_x=dirichlet(rng, x),
    )


def gaussian_mixture(rng: Generator) -> Mixture:
    """w ~ N(0, 1), x|w, z_k = 1 ~ N(m_k + c_k w, s_k²), y|x ~ N(ax, (0.8 + 0.3 tanh² x)²), q Gaussian.

    The grids are fine enough for the trapezoid rule to be exact to rounding, and no density underflows.
    """
    k = int(rng.integers(2, 4))
    w, x = np.linspace(-8.0, 8.0, 33)[:, None, None], np.linspace(-11.0, 11.0, 57)
    m, c, s = rng.normal(size=(k, 1)), rng.uniform(-0.3, 0.3, size=(k, 1)), rng.uniform(0.7, 1.2, size=(k, 1))
    a, y, loc_x, loc_w = rng.uniform(-1.0, 1.0, size=4)
    scale_x, scale_w = rng.uniform(0.7, 1.0, size=2)
    return Mixture(
        p_w=normal_density(w, 0.0, 1.0),
        p_z=dirichlet(rng, k)[:, None],
        p_x=normal_density(x, m + c * w, s),
        lik=normal_density(y, a * x, 0.8 + 0.3 * np.tanh(x) ** 2),
        q_w=normal_density(w, 0.5 * loc_w, 0.9 * scale_w),
        q_x=normal_density(x, loc_x, scale_x),
        dw=float(w[1, 0, 0] - w[0, 0, 0]),
        dx=float(x[1] - x[0]),
    )
