"""Instances for the energy-based prior: tables with energies, joint laws of (w, z), noisy linear generators.

As in `worlds`, a world is data. Everything derived from its parameters is computed once, when it is made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array, GaussianPair, covariance, dirichlet, normal_density


@dataclass(frozen=True)
class EnergyTable:
    """P(z) = e^(−U(z))/Z, P(x|z), at one θ of M parameters, with the gradients in θ there: arrays d_… (…, M).

    To first order θ + t has energies U + dU·t and log P(x|z) + d_log_lik·t, normalised.
    generator: the state z = G(w) of each of W codes w, code: their law q(w), pushed: the law of G(w).
    encoder (X, Z): rows q(z|x). law (X,): the outer law of x, with d_log_law = 0 where it is free of θ.
    """

    U: Array  # (Z,)
    dU: Array  # (Z, M)
    lik: Array  # (Z, X)
    d_log_lik: Array  # (Z, X, M)
    encoder: Array
    generator: Array
    code: Array
    pushed: Array  # (Z,)
    law: Array
    d_log_law: Array
    Z: float
    prior: Array  # (Z,)
    d_log_prior: Array  # (Z, M)
    marginal: Array  # (X,)
    posterior: Array  # (X, Z)


def energy_table(
    U: Any, dU: Any, lik: Any, d_log_lik: Any, *, encoder: Any, generator: Any, code: Any, law: Any
) -> EnergyTable:
    """Return the table of these parameters; the law of x is free of θ."""
    U, dU, lik, d_log_lik, law = (np.asarray(a, float) for a in (U, dU, lik, d_log_lik, law))
    unnormalised = np.exp(-U)
    prior = unnormalised / unnormalised.sum()
    joint = prior[:, None] * lik
    return EnergyTable(
        U=U,
        dU=dU,
        lik=lik,
        d_log_lik=d_log_lik,
        encoder=np.asarray(encoder, float),
        generator=np.asarray(generator),
        code=np.asarray(code, float),
        pushed=np.bincount(generator, weights=code, minlength=len(U)),
        law=law,
        d_log_law=np.zeros((len(law), dU.shape[-1])),
        Z=float(unnormalised.sum()),
        prior=prior,
        d_log_prior=prior @ dU - dU,
        marginal=joint.sum(0),
        posterior=(joint / joint.sum(0)).T,
    )


def energies(rng: Generator) -> EnergyTable:
    """Return a dense random table: 2 to 4 states z, 2 to 4 states x, 2 parameters shared by U and P(x|z)."""
    z, x = rng.integers(2, 5, size=2)
    lik, d_logits = dirichlet(rng, z, x), rng.normal(size=(z, x, 2))
    w = int(z + rng.integers(0, 3))
    return energy_table(
        rng.normal(size=z) + rng.normal(),
        rng.normal(size=(z, 2)),
        lik,
        d_logits - np.einsum("zx,zxm->zm", lik, d_logits)[:, None],
        encoder=dirichlet(rng, x, z),
        generator=rng.permutation(np.concatenate([np.arange(z), rng.integers(z, size=w - z)])),
        code=dirichlet(rng, w),
        law=dirichlet(rng, x),
    )


@dataclass(frozen=True)
class Joint:
    """q(z, w) on nodes, with p_λ(w|z): arrays (W, Z); dw and dz are 1 for a finite table.

    correlation: of the two, where they are jointly normal on a grid; None for a table.
    """

    q: Array
    p_lambda: Array
    dw: float
    dz: float
    q_w: Array
    q_z: Array
    q_z_given_w: Array
    q_w_given_z: Array
    correlation: float | None

    def integral(self, values: Array) -> Any:
        """Return the notes' ∬ · dw dz."""
        return values.sum() * self.dw * self.dz


def joint_law(
    q: Any, p_lambda: Any, dw: float = 1.0, dz: float = 1.0, correlation: float | None = None
) -> Joint:
    """Return q(w, z) on cells dw × dz, with its marginals and conditionals, beside p_λ."""
    q = np.asarray(q, float)
    q_w, q_z = q.sum(1) * dz, q.sum(0) * dw
    return Joint(q, np.asarray(p_lambda, float), dw, dz, q_w, q_z, q / q_w[:, None], q / q_z, correlation)


def joints(rng: Generator) -> Joint:
    """Return a dense random table or the grid of a linear-Gaussian channel, each half of the time."""
    if rng.random() < 0.5:
        w, z = rng.integers(2, 6, size=2)
        return joint_law(dirichlet(rng, w * z).reshape(w, z), dirichlet(rng, z, w).T)
    delta, sigma = rng.uniform(0.8, 1.5, size=2)
    return channel(rng.uniform(0.5, 1.0), delta, encoder=rng.uniform(0.2, 1.0), sigma=sigma)


def channel(gain: float, delta: float, *, encoder: float, sigma: float) -> Joint:
    """w ~ N(0, 1), z|w ~ N(gain·w, delta²), p_λ(w|z) = N(encoder·z, sigma²), on a grid.

    With gain and encoder up to 1 and scales from 0.8 no density underflows; the tails are below 1e-17.
    """
    scale = float(np.hypot(gain, delta))
    w, z = np.linspace(-9.0, 9.0, 121), scale * np.linspace(-9.0, 9.0, 121)
    q = normal_density(w, 0.0, 1.0)[:, None] * normal_density(z, gain * w[:, None], delta)
    p_lambda = normal_density(w[:, None], encoder * z, sigma)
    return joint_law(q, p_lambda, w[1] - w[0], z[1] - z[0], gain / scale)


@dataclass(frozen=True)
class LinearGenerator:
    """w ~ N(0, I_d), z = G w + δ ε in n dimensions, U(z) = ½ (z − m)ᵀP(z − m) + c, p_λ(w|z) = N(Ez, diag σ²).

    against_product: the joint law of (w, z) against the product of its marginals; against_prior: that of z
    against P(z) ∝ e^(−U).
    """

    G: Array  # (n, d)
    delta: float
    E: Array  # (d, n)
    sigma: Array  # (d,)
    P: Array  # (n, n)
    m: Array  # (n,)
    c: float
    cov_z: Array
    n: int
    d: int
    against_product: GaussianPair
    against_prior: GaussianPair

    def energy(self, z: Array) -> Any:
        """U at each row of z."""
        return 0.5 * np.einsum("...i,ij,...j->...", z - self.m, self.P, z - self.m) + self.c


def linear_generator(
    G: Any, delta: float, *, E: Any, sigma: Any, P: Any, m: Any = 0.0, c: float = 0.0
) -> LinearGenerator:
    """Return a linear generator and encoder, with the covariances that follow from them."""
    G, E, sigma, P = (np.asarray(a, float) for a in (G, E, sigma, P))
    n, d = G.shape
    m = np.broadcast_to(np.asarray(m, float), n)
    cov_z = G @ G.T + delta**2 * np.eye(n)
    none, origin, identity = np.zeros((d, n)), np.zeros(n + d), np.eye(d)
    joint = np.block([[identity, G.T], [G, cov_z]])
    product = np.block([[identity, none], [none.T, cov_z]])
    return LinearGenerator(
        G,
        float(delta),
        E,
        sigma,
        P,
        m,
        float(c),
        cov_z,
        n,
        d,
        GaussianPair(origin, joint, origin, product),
        GaussianPair(np.zeros(n), cov_z, m, np.linalg.inv(P)),
    )


def generators(rng: Generator, d: int | None = None, n: int | None = None) -> LinearGenerator:
    """Return a random generator of 1 or 2 codes and 1 or 2 latent dimensions."""
    n, d = n or int(rng.integers(1, 3)), d or int(rng.integers(1, 3))
    return linear_generator(
        rng.normal(size=(n, d)),
        rng.uniform(0.3, 1.5),
        E=rng.normal(size=(d, n)),
        sigma=rng.uniform(0.5, 1.5, size=d),
        P=covariance(rng, n),
        m=rng.normal(size=n),
        c=rng.normal(),
    )
