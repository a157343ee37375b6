"""What several chapters of `xu` use: instances, domains in words, sets of oracles. No claims."""

import math
from itertools import combinations, product

import numpy as np

from vbref.audit import Case, oracles, worlds

# -- one observation of a latent-variable model --

WORLD = "dense random finite tables (2 to 6 states of z) and linear-Gaussian models (z on the real line)"
COVERS = "q(z|x) > 0 wherever p(x, z) > 0"

TWO_POINT = worlds.World(
    prior=np.array([0.5, 0.5]), likelihood=np.array([0.5, 0.5]), q=np.array([0.8, 0.2]), dz=np.ones(2)
)

# q leaves out a state that has a third of the joint mass
UNCOVERED = worlds.World(
    prior=np.full(3, 1 / 3), likelihood=np.full(3, 0.6), q=np.array([0.5, 0.5, 0.0]), dz=np.ones(3)
)

EVIDENCE = {
    "exact sum over z": oracles.log_evidence_by_sum,
    "Bayes' rule, or the Gaussian marginal": oracles.log_evidence_by_bayes,
}
ELBO = {
    "evidence less KL to the posterior": oracles.elbo_by_gap,
    "slope of E_q[w^α] at 0": oracles.elbo_by_cumulant,
    "Gaussian moments": oracles.elbo_by_algebra,
}


def kl_to_prior(w):
    """KL[q(z|x) ‖ p(z)] as the integral that defines it: a piece of formulas, not of oracles."""
    return w.integral(w.q * np.log(w.q / w.prior))


# -- p(x|z) = N(x; x̂, s²), x̂ = Decoder(z), in a Gaussian world: d = (x − x̂)²/(2 s²) --


def mean_d(w):
    """E_q[d(x, Decoder(z))]."""
    return w.integral(w.q * (w.x - w.slope * w.z - w.offset) ** 2 / (2 * w.noise_scale**2))


def log_normaliser(w):
    """log Z, Z = ∫ e^(−d(x, x̂)) dx."""
    return 0.5 * math.log(2 * math.pi * w.noise_scale**2)


# -- importance-weighted bounds: a small world, k samples, subsets I of m ≤ k of them --

IWAE_DOMAIN = "dense random tables of 2 or 3 states, k from 1 to 4"
IWAE = {
    "Laplace transform": lambda w: oracles.iwae_by_laplace(w.world, w.k),
    "counts of the states": lambda w: oracles.iwae_by_counts(w.world, w.k),
}


def small_world(rng):
    """A finite world of two or three states."""
    return worlds.finite(rng, int(rng.integers(2, 4)))


def iwae_case(rng):
    """A small world with k samples and a subset of m of them."""
    k = int(rng.integers(1, 5))
    return with_subsets(small_world(rng), k, int(rng.integers(1, k + 1)))


def iwae_at_posterior(rng):
    """The same with q the posterior, where every weight is p(x)."""
    w = iwae_case(rng)
    return with_subsets(w.world.with_q(w.world.joint / w.world.joint.sum()), w.k, w.m)


def with_subsets(world, k, m):
    """Subsets of m indices out of k, uniform and without replacement, each with its probability."""
    subsets = list(combinations(range(k), m))
    return Case(world=world, k=k, m=m, subsets=subsets, chance=np.full(len(subsets), 1 / len(subsets)))


def samples(w, k):
    """Every k-tuple of samples: weights (Z^k, k) and the probability ∏ q(z^(j)|x) of each (Z^k,)."""
    z = np.array(list(product(range(len(w.q)), repeat=k)), dtype=int)
    return (w.likelihood * w.prior / np.where(w.q > 0, w.q, 1.0))[z], w.q[z].prod(1)
