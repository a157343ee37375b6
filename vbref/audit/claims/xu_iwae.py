"""xu/13 to xu/18: importance-weighted bounds, from the ELBO to the evidence."""

import math

import numpy as np

from vbref.audit import (
    Aside,
    Claim,
    Code,
    Condition,
    Counterexample,
    Definition,
    Form,
    Limit,
    oracles,
    worlds,
)
from vbref.audit.claims.shared import (
    IWAE,
    IWAE_DOMAIN,
    UNCOVERED,
    iwae_at_posterior,
    iwae_case,
    samples,
    small_world,
    with_subsets,
)

_AT_POSTERIOR = worlds.World(
    prior=np.array([0.5, 0.5]), likelihood=np.array([0.5, 0.5]), q=np.array([0.5, 0.5]), dz=np.ones(2)
)


_EVIDENCE = {
    "exact sum over z": lambda w: oracles.log_evidence_by_sum(w.world),
    "Bayes' rule": lambda w: oracles.log_evidence_by_bayes(w.world),
}


_IWAE_1 = {
    "evidence less KL to the posterior": lambda w: oracles.elbo_by_gap(w),
    "slope of E_q[w^α] at 0": lambda w: oracles.elbo_by_cumulant(w),
}


_IWAE_AT = {
    "Laplace transform": oracles.iwae_by_laplace,
    "counts of the states": oracles.iwae_by_counts,
}


def _log_mean_weight(w):
    """log E[average weight] from E e^(s·average) at s = 0, by a complex step."""
    mass, ratio = w.world.q, w.world.likelihood * w.world.prior / np.where(w.world.q > 0, w.world.q, 1.0)
    return np.log(((mass @ np.exp(1e-30j * ratio / w.k)) ** w.k).imag / 1e-30)


def _first_sample(w):
    """∫ w(z) q(z|x) over the support of q."""
    return w.integral(np.where(w.q > 0, w.joint / np.where(w.q > 0, w.q, 1.0) * w.q, 0.0))


CLAIMS = [
    Definition(
        "xu/13",
        r"\widehat{\text{IWAE}}_k = \log\left[\frac1k \sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]",
        "A random variable is defined",
        code=Code("vbref.bounds.iwae"),
    ),
    Definition(
        "xu/14a",
        r"\text{IWAE}_k = \mathbb E_{\{z^{(j)}\sim q_\phi(z|x)\}_{j=1}^k}[\widehat{\text{IWAE}}_k]",
        "The bound is defined as its mean",
    ),
    Claim(
        "xu/14b",
        statement=r"= \mathbb E_{\{z^{(j)}\}}\left[\log\left[\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]\right]",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        printed=lambda w: (lambda v, mass: np.average(np.log(v.sum(1) / w.k), weights=mass))(
            *samples(w.world, w.k)
        ),
        oracles=IWAE,
        note="xu/13 put in",
    ),
    Claim(
        "xu/14c",
        statement=r"= \int_{z^{(1)}}\cdots\int_{z^{(k)}} \log\left[\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right] \prod_{j=1}^k q_\phi(z^{(j)}|x)",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        printed=lambda w: (lambda v, mass: np.sum(np.log(1 / w.k * v.sum(1)) * mass))(*samples(w.world, w.k)),
        oracles=IWAE,
        note="The k samples are independent",
        code=Code(
            "vbref.bounds.iwae",
            lambda iwae, w: (lambda v, mass: mass @ iwae(np.log(v), axis=1))(*samples(w.world, w.k)),
        ),
    ),
    Definition(
        "xu/15a",
        r"\text{IWAE}_1 = \mathbb E_{z^{(1)}\sim q_\phi(z|x)}[\widehat{\text{IWAE}}_1]",
        "xu/14 at k = 1 (the notes point to Eq. (20))",
    ),
    Claim(
        "xu/15b",
        statement=r"= \mathbb E_{z^{(1)}\sim q_\phi(z|x)}\left[\log"
        r"\left[\frac{p_\theta(x|z^{(1)})p(z^{(1)})}{q_\phi(z^{(1)}|x)}\right]\right]",
        verdict="holds",
        domain=IWAE_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=small_world,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood * w.prior / w.q)),
        oracles={
            "Laplace transform": lambda w: oracles.iwae_by_laplace(w, 1),
            "counts of the states": lambda w: oracles.iwae_by_counts(w, 1),
        },
        note="xu/13 at k = 1",
    ),
    Claim(
        "xu/15c",
        statement=r"= \mathbb E_{z\sim"
        r" q_\phi(z|x)}\left[\log\left[\frac{p_\theta(x|z)p(z)}{q_\phi(z|x)}\right]\right]",
        verdict="holds",
        domain=IWAE_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=small_world,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood * w.prior / w.q)),
        oracles=_IWAE_1,
        note="A bound variable renamed",
    ),
    Claim(
        "xu/15d",
        statement=r"= \text{ELBO}(\phi)",
        verdict="holds",
        domain=IWAE_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=small_world,
        printed=lambda w: w.integral(w.q * np.log(w.joint / w.q)),
        oracles={
            "IWAE_1 by Laplace transform": lambda w: oracles.iwae_by_laplace(w, 1),
            "IWAE_1 by counts": lambda w: oracles.iwae_by_counts(w, 1),
        },
        note="With the ELBO of xu/4",
    ),
    Definition(
        "xu/16a",
        r"\text{IWAE}_k = \mathbb E_{\{z^{(j)}\}}\left[\log\left[\left(\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right)\right]\right]",
        "xu/14 again",
    ),
    Claim(
        "xu/16b",
        statement=r"\leq \log\left(\mathbb E_{\{z^{(j)}\}}\left[\left(\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right)\right]\right)",
        verdict="holds",
        relation="<=",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        equality=iwae_at_posterior,
        printed=lambda w: (lambda v, mass: np.log(np.sum(mass * (1 / w.k * v.sum(1)))))(
            *samples(w.world, w.k)
        ),
        oracles=IWAE,
        note="Jensen's inequality; equality at q = posterior",
    ),
    Claim(
        "xu/16c",
        statement=r"= \log\frac1k \int_{z^{(2)}}\cdots\int_{z^{(k)}}\left(\sum_{j=2}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}"
        r" + \int_{z^{(1)}}\frac{p_\theta(x|z^{(1)})p(z^{(1)})}{q_\phi(z^{(1)}|x)}q_\phi(z^{(1)}|x)\right)"
        r" \prod_{j=2}^k q_\phi(z^{(j)}|x)",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        printed=lambda w: np.log(
            1
            / w.k
            * (lambda v, mass: np.sum(mass * (v.sum(1) + _first_sample(w.world))))(*samples(w.world, w.k - 1))
        ),
        oracles=_EVIDENCE,
        note="The first sample integrated out; its term is p(x), under an outer logarithm of all that"
        " follows",
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", with_subsets(UNCOVERED, 2, 1))],
    ),
    Claim(
        "xu/16d",
        statement=r"= \log\frac{k\,p_\theta(x)}{k}",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        printed=lambda w: np.log(w.k * w.world.integral(w.world.joint) / w.k),
        oracles={
            "mean of the average over tuples": lambda w: np.log(
                math.fsum(mass * v.mean() for v, mass in zip(*samples(w.world, w.k), strict=True))
            ),
            "slope of the Laplace transform": _log_mean_weight,
        },
        note="Every sample's term is p(x), by the same step k times",
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", with_subsets(UNCOVERED, 2, 1))],
    ),
    Claim(
        "xu/16e",
        statement=r"= \log p_\theta(x)",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=iwae_case,
        printed=lambda w: np.log(w.world.integral(w.world.joint)),
        oracles=_EVIDENCE,
        note="k cancels",
    ),
    Claim(
        "xu/17",
        statement=r"\text{IWAE}_\infty = p_\theta(x)",
        verdict="misprint",
        relation="->",
        limit=Limit(steps=(64, 128, 256), rate=-1.0),
        domain="dense random tables of 2 or 3 states, k = 64, 128, 256",
        draw=small_world,
        printed=lambda w: w.integral(w.joint),
        oracles=_IWAE_AT,
        note="The logarithm is lost. The distance to log p(x) falls as Var(w)/(2 k p(x)²)",
        corrected=Form(r"\log p_\theta(x)", lambda w: np.log(w.integral(w.joint))),
        counterexample=Counterexample("two states, q = posterior = (½, ½), p(x) = ½", _AT_POSTERIOR),
        aside=Aside("it is the limit of e^IWAE_k", lambda w: np.exp(oracles.log_evidence_by_sum(w))),
        instances=6,
    ),
    Claim(
        "xu/18a",
        statement=r"\text{ELBO} = \text{IWAE}_1",
        verdict="holds",
        domain=IWAE_DOMAIN,
        draw=small_world,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.T)))(*samples(w, 1)),
        oracles=_IWAE_1,
        note="xu/15",
    ),
    Claim(
        "xu/18b",
        statement=r"\text{IWAE}_m \leq \text{IWAE}_k,\ m \leq k",
        verdict="holds",
        relation="<=",
        domain=IWAE_DOMAIN + ", m up to k",
        draw=iwae_case,
        equality=iwae_at_posterior,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.mean(1))))(*samples(w.world, w.k)),
        oracles={
            "Laplace transform": lambda w: oracles.iwae_by_laplace(w.world, w.m),
            "counts of the states": lambda w: oracles.iwae_by_counts(w.world, w.m),
        },
        note="xu/20 and xu/21",
    ),
    Claim(
        "xu/18c",
        statement=r"\text{IWAE}_\infty = \log p_\theta(x)",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(64, 128, 256), rate=-1.0),
        domain="dense random tables of 2 or 3 states, k = 64, 128, 256",
        draw=small_world,
        printed=lambda w: np.log(w.integral(w.joint)),
        oracles=_IWAE_AT,
        note="The logarithm that xu/17 lost is here",
        instances=6,
    ),
]
