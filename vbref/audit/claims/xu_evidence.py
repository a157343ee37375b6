"""xu/3 to xu/6 and xu/U1: the evidence, its lower bound, the bound's Monte Carlo average."""

import math

import numpy as np

from vbref.audit import (
    Case,
    Claim,
    Code,
    Condition,
    Definition,
    Limit,
    worlds,
)
from vbref.audit.claims.shared import COVERS, ELBO, EVIDENCE, TWO_POINT, UNCOVERED, WORLD


def _posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


def _average(rng):
    return Case(world=worlds.finite(rng), tied=False)


def _band_by_moments(w, k):
    """ELBO plus one standard deviation of ELBO_k."""
    q, log_w = w.world.q, np.log(w.world.prior * w.world.likelihood) - np.log(w.world.q)
    mean = q @ log_w
    return mean + math.sqrt(q @ (log_w - mean) ** 2 / (1 if w.tied else k))


def _band_by_cumulants(w, k):
    """The same from the cumulants of log w, Taylor coefficients of log E_q[w^u] by Cauchy's integral."""
    u = 0.1 * np.exp(2j * np.pi * np.arange(32) / 32)
    weights = w.world.prior * w.world.likelihood / w.world.q
    generating = np.log(np.array([(w.world.q * weights**point).sum() for point in u]))
    first, second = (np.mean(generating / u**order).real for order in (1, 2))
    return first + math.sqrt(2 * second / (1 if w.tied else k))


def _latent_or_null(rng):
    """A world; a finite one of three states or more has a state impossible under the model and under q."""
    w = worlds.latent(rng)
    if isinstance(w, worlds.GaussianWorld) or len(w.q) < 3:
        return w
    possible = np.arange(len(w.q)) > 0
    return worlds.World(w.prior, w.likelihood * possible, w.q * possible / w.q[1:].sum(), w.dz)


CLAIMS = [
    Claim(
        "xu/3a",
        statement=r"\log p_\theta(x) = \log \int_z p_\theta(x, z)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.joint)),
        oracles=EVIDENCE,
        note="Marginalisation",
    ),
    Claim(
        "xu/3b",
        statement=r"= \log \int_z \frac{p_\theta(x, z|\theta)}{q_\phi(z|x)} q_\phi(z|x)",
        verdict="holds",
        domain=WORLD,
        draw=_latent_or_null,
        printed=lambda w: np.log(w.integral(np.where(w.q > 0, w.joint / w.q * w.q, 0.0))),
        oracles=EVIDENCE,
        note="Multiplied and divided by q; θ as subscript and as condition says one thing twice",
        conditions=[Condition(COVERS, UNCOVERED)],
    ),
    Claim(
        "xu/3c",
        statement=r"= \log\left[\mathbb E_{z\sim q_\phi(z|x)}\left(\frac{p_\theta(x,"
        r" z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        domain=WORLD,
        draw=_latent_or_null,
        printed=lambda w: np.log(w.integral(w.q * np.where(w.q > 0, w.joint / w.q, 0.0))),
        oracles=EVIDENCE,
        note="The integral against q is an expectation",
        conditions=[Condition(COVERS, UNCOVERED)],
    ),
    Claim(
        "xu/4a",
        statement=r"\log p_\theta(x) \geq \mathbb E_{z\sim q_\phi(z|x)}"
        r"\left[\log\left(\frac{p_\theta(x,z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: w.integral(w.q * np.log(w.joint / w.q)),
        oracles=EVIDENCE,
        note="Jensen's inequality; equality at q = posterior. No condition on the support: what q misses"
        " only lowers it",
    ),
    Claim(
        "xu/4b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z|\theta)]"
        r" - \mathbb E_{z\sim q_\phi(z|x)}[\log q_\phi(z|x)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.joint)) - w.integral(w.q * np.log(w.q)),
        oracles=ELBO,
        note="Linearity, where both expectations are finite",
    ),
    Definition("xu/4c", r"= \text{ELBO}(\phi)", "The bound is given its name"),
    Definition("xu/4d", r"= \text{ELBO}(\phi, \theta)", "The same name with θ shown"),
    Definition(
        "xu/5",
        r"\text{ELBO}_k(\phi) = \frac1k \sum_{j=1}^k \log\frac{p_\theta(x, z^j)}{q_\phi(z^j|x)},"
        r"\ z^j\sim q_\phi(z|x)",
        "ELBO as in xu/4 again, and its k-sample average, a random variable whose mean it is",
        code=Code("vbref.bounds.elbo"),
    ),
    Claim(
        "xu/6",
        statement=r"\lim_{k\to\infty} \text{ELBO}_k(\phi) = \text{ELBO}(\phi)",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(10, 100, 1000, 10000), rate=-0.5, slack=1e-6),
        domain="finite tables; followed is ELBO_k's mean plus one standard deviation, exactly",
        draw=_average,
        printed=lambda w: w.world.integral(w.world.q * np.log(w.world.joint / w.world.q)),
        oracles={"exact moments": _band_by_moments, "cumulants by Cauchy's integral": _band_by_cumulants},
        note="The law of large numbers, with rate k^(-1/2) where log w has a variance. The limit needs"
        " no moment:"
        " E_q[log⁺ w] ≤ E_q[w] = p(x), so that the average converges even to an ELBO of −∞",
        conditions=[
            Condition("the z^j are independent; outside, all are one draw", Case(world=TWO_POINT, tied=True))
        ],
    ),
    Claim(
        "xu/U1",
        statement=r"\log p_\theta(x) = \log\left[\mathbb E_{z\sim q_\phi(z|x)}"
        r"\left(\frac{p_\theta(x,z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        domain=WORLD,
        draw=_latent_or_null,
        printed=lambda w: np.log(w.integral(w.q * np.where(w.q > 0, w.joint / w.q, 0.0))),
        oracles=EVIDENCE,
        note="xu/3 again",
        conditions=[Condition(COVERS, UNCOVERED)],
    ),
]
