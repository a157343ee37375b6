"""xu/13 to xu/21: importance-weighted bounds."""

import math
from itertools import combinations, product

import numpy as np

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Condition,
    Counterexample,
    Definition,
    Form,
    Limit,
    oracles,
    worlds,
)

_DOMAIN = "dense random tables of 2 or 3 states, k from 1 to 4"


def _world(rng):
    return worlds.finite(rng, int(rng.integers(2, 4)))


def _case(rng):
    """A world, k samples, and m ≤ k of them."""
    k = int(rng.integers(1, 5))
    return _chosen(_world(rng), k, int(rng.integers(1, k + 1)))


def _tight(rng):
    """The same with q the posterior, where every weight is p(x)."""
    w = _case(rng)
    return _chosen(w.world.with_q(w.world.joint / w.world.joint.sum()), w.k, w.m)


def _chosen(world, k, m):
    """Subsets I of m indices out of k, uniform and without replacement, each with its probability."""
    subsets = list(combinations(range(k), m))
    return Case(world=world, k=k, m=m, subsets=subsets, chance=np.full(len(subsets), 1 / len(subsets)))


def _with_replacement(world, k, m):
    subsets = list(product(range(k), repeat=m))
    return Case(world=world, k=k, m=m, subsets=subsets, chance=np.full(len(subsets), 1 / len(subsets)))


_TWO_POINT = worlds.World(
    prior=np.array([0.5, 0.5]), likelihood=np.array([0.5, 0.5]), q=np.array([0.8, 0.2]), dz=np.ones(2)
)
_UNCOVERED = worlds.World(
    prior=np.full(3, 1 / 3), likelihood=np.full(3, 0.6), q=np.array([0.5, 0.5, 0.0]), dz=np.ones(3)
)
_AT_POSTERIOR = worlds.World(
    prior=np.array([0.5, 0.5]), likelihood=np.array([0.5, 0.5]), q=np.array([0.5, 0.5]), dz=np.ones(2)
)


def _samples(w, k):
    """Every k-tuple of samples: weights (Z^k, k) and the probability ∏ q(z^(j)|x) of each (Z^k,)."""
    z = np.array(list(product(range(len(w.q)), repeat=k)), dtype=int)
    return (w.likelihood * w.prior / np.where(w.q > 0, w.q, 1.0))[z], w.q[z].prod(1)


_IWAE = {
    "Laplace transform": lambda w: oracles.iwae_by_laplace(w.world, w.k),
    "counts of the states": lambda w: oracles.iwae_by_counts(w.world, w.k),
}
_EVIDENCE = {
    "exact sum over z": lambda w: oracles.log_evidence_by_sum(w.world),
    "Bayes' rule": lambda w: oracles.log_evidence_by_bayes(w.world),
}
_IWAE_1 = {
    "evidence less KL to the posterior": lambda w: oracles.elbo_by_gap(w),
    "slope of log E_q[w^α] at 0": lambda w: oracles.elbo_by_cumulant(w),
}
_IWAE_AT = {
    "Laplace transform": oracles.iwae_by_laplace,
    "counts of the states": oracles.iwae_by_counts,
}


def _log_mean_weight(w):
    """log E[average weight] from E e^(s·average) at s = 0, by a complex step."""
    mass, ratio = w.world.q, w.world.likelihood * w.world.prior / np.where(w.world.q > 0, w.world.q, 1.0)
    return np.log(((mass @ np.exp(1e-30j * ratio / w.k)) ** w.k).imag / 1e-30)


def _subset_mean(w):
    """E_I[average of the subset] for each k-tuple."""
    weights, mass = _samples(w.world, w.k)
    averages = np.stack([weights[:, list(chosen)].mean(1) for chosen in w.subsets], -1)
    return averages, mass


def _of_subsets_by_tuples(w):
    """E over k samples of E_I of log (average of the subset), with plain loops."""
    terms = []
    for drawn in product(range(len(w.world.q)), repeat=w.k):
        mass = math.prod(float(w.world.q[z]) for z in drawn)
        ratios = [float(w.world.likelihood[z] * w.world.prior[z] / w.world.q[z]) for z in drawn]
        for chance, chosen in zip(w.chance, w.subsets, strict=True):
            terms.append(mass * chance * math.log(sum(ratios[j] for j in chosen) / w.m))
    return math.fsum(terms)


def _of_subsets_by_multiplicity(w):
    """The same one subset at a time: E log Σ c_i w_i over distinct samples i, from ∏ L(c_i s)."""
    mass, ratio = w.world.q, w.world.likelihood * w.world.prior / w.world.q
    unit = ratio.max()
    t = np.linspace(-60.0, 60.0 + math.log(unit / ratio.min()), 20001)

    def mean_log(chosen):
        transform = np.ones(len(t))
        for j in set(chosen):
            transform *= np.exp(-chosen.count(j) * np.outer(np.exp(t), ratio / unit)) @ mass
        return np.sum(np.exp(-np.exp(t)) - transform) * (t[1] - t[0]) + math.log(unit / w.m)

    return sum(chance * mean_log(chosen) for chance, chosen in zip(w.chance, w.subsets, strict=True))


_SUBSETS = {"tuples and subsets": _of_subsets_by_tuples, "Laplace transforms": _of_subsets_by_multiplicity}


# -- xu/19: plain numbers w_1 … w_k, of either sign --


def _numbers(rng):
    k = int(rng.integers(1, 7))
    m = int(rng.integers(1, k + 1))
    subsets = list(combinations(range(k), m))
    return Case(w=rng.normal(size=k), m=m, subsets=subsets, chance=np.full(len(subsets), 1 / len(subsets)))


def _mean_over_subsets(w):
    return math.fsum(
        c * math.fsum(w.w[j] for j in chosen) / w.m for c, chosen in zip(w.chance, w.subsets, strict=True)
    )


def _inclusion(w):
    """Each number times its chance to be chosen: an incidence matrix of subsets and members."""
    incidence = np.array([[chosen.count(j) for j in range(len(w.w))] for chosen in w.subsets])
    return w.chance @ incidence @ w.w / w.m


CLAIMS = [
    Definition(
        "xu/13",
        r"\widehat{\text{IWAE}}_k = \log\left[\frac1k \sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]",
        "A random variable is defined",
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
        domain=_DOMAIN,
        draw=_case,
        printed=lambda w: (lambda v, mass: np.average(np.log(v.sum(1) / w.k), weights=mass))(
            *_samples(w.world, w.k)
        ),
        oracles=_IWAE,
        note="xu/13 put in",
    ),
    Claim(
        "xu/14c",
        statement=r"= \int_{z^{(1)}}\cdots\int_{z^{(k)}} \log\left[\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right] \prod_{j=1}^k q_\phi(z^{(j)}|x)",
        verdict="holds",
        domain=_DOMAIN,
        draw=_case,
        printed=lambda w: (lambda v, mass: np.sum(np.log(1 / w.k * v.sum(1)) * mass))(
            *_samples(w.world, w.k)
        ),
        oracles=_IWAE,
        note="The k samples are independent",
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
        domain=_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=_world,
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
        domain=_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=_world,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood * w.prior / w.q)),
        oracles=_IWAE_1,
        note="A bound variable renamed",
    ),
    Claim(
        "xu/15d",
        statement=r"= \text{ELBO}(\phi)",
        verdict="holds",
        domain=_DOMAIN.replace("k from 1 to 4", "k = 1"),
        draw=_world,
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
        domain=_DOMAIN,
        draw=_case,
        equality=_tight,
        printed=lambda w: (lambda v, mass: np.log(np.sum(mass * (1 / w.k * v.sum(1)))))(
            *_samples(w.world, w.k)
        ),
        oracles=_IWAE,
        note="Jensen's inequality; equality at q = posterior",
    ),
    Claim(
        "xu/16c",
        statement=r"= \log\frac1k \int_{z^{(2)}}\cdots\int_{z^{(k)}}\left(\sum_{j=2}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}"
        r" + \int_{z^{(1)}}\frac{p_\theta(x|z^{(1)})p(z^{(1)})}{q_\phi(z^{(1)}|x)}q_\phi(z^{(1)}|x)\right)"
        r" \prod_{j=2}^k q_\phi(z^{(j)}|x)",
        verdict="holds",
        domain=_DOMAIN,
        draw=_case,
        printed=lambda w: np.log(
            1
            / w.k
            * (lambda v, mass: np.sum(mass * (v.sum(1) + _first_sample(w.world))))(
                *_samples(w.world, w.k - 1)
            )
        ),
        oracles=_EVIDENCE,
        note="The first sample integrated out; its term is p(x), under an outer logarithm of all that"
        " follows",
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", _chosen(_UNCOVERED, 2, 1))],
    ),
    Claim(
        "xu/16d",
        statement=r"= \log\frac{k\,p_\theta(x)}{k}",
        verdict="holds",
        domain=_DOMAIN,
        draw=_case,
        printed=lambda w: np.log(w.k * w.world.integral(w.world.joint) / w.k),
        oracles={
            "mean of the average over tuples": lambda w: np.log(
                math.fsum(mass * v.mean() for v, mass in zip(*_samples(w.world, w.k), strict=True))
            ),
            "slope of the Laplace transform": _log_mean_weight,
        },
        note="Every sample's term is p(x), by the same step k times",
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", _chosen(_UNCOVERED, 2, 1))],
    ),
    Claim(
        "xu/16e",
        statement=r"= \log p_\theta(x)",
        verdict="holds",
        domain=_DOMAIN,
        draw=_case,
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
        draw=_world,
        printed=lambda w: w.integral(w.joint),
        oracles=_IWAE_AT,
        note="The logarithm is lost. The distance to log p(x) falls as Var(w)/(2 k p(x)²)",
        corrected=Form(r"\log p_\theta(x)", lambda w: np.log(w.integral(w.joint))),
        counterexample=Counterexample("two states, q = posterior = (½, ½), p(x) = ½", _AT_POSTERIOR),
        instances=6,
    ),
    Claim(
        "xu/18a",
        statement=r"\text{ELBO} = \text{IWAE}_1",
        verdict="holds",
        domain=_DOMAIN,
        draw=_world,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.sum(1))))(*_samples(w, 1)),
        oracles=_IWAE_1,
        note="xu/15",
    ),
    Claim(
        "xu/18b",
        statement=r"\text{IWAE}_m \leq \text{IWAE}_k,\ m \leq k",
        verdict="holds",
        relation="<=",
        domain=_DOMAIN + ", m up to k",
        draw=_case,
        equality=_tight,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.mean(1))))(*_samples(w.world, w.k)),
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
        draw=_world,
        printed=lambda w: np.log(w.integral(w.joint)),
        oracles=_IWAE_AT,
        note="The logarithm that xu/17 lost is here",
        instances=6,
    ),
    Claim(
        "xu/19",
        statement=r"\mathbb E_{I=\{j_1,\dots,j_m\}}\left[\frac{w_{j_1}+\cdots+w_{j_m}}{m}\right]"
        r" = \frac{w_1+\cdots+w_k}{k}",
        verdict="holds",
        domain="1 to 6 numbers of either sign, subsets of every size m ≤ k",
        draw=_numbers,
        printed=lambda w: sum(w.w) / len(w.w),
        oracles={"all subsets": _mean_over_subsets, "inclusion chances": _inclusion},
        note="Every number has the same chance to be chosen. Drawing with replacement, m > k included,"
        " keeps this"
        " equation true; it is xu/21 that needs distinct indices",
        conditions=[
            Condition(
                "I is uniform",
                Case(w=np.array([0.0, 1.0]), m=1, subsets=[(0,), (1,)], chance=np.array([0.75, 0.25])),
            )
        ],
        aside=Aside(
            "it is the mean with replacement too",
            lambda w: np.mean([np.mean(drawn) for drawn in product(w.w, repeat=min(w.m, 3))]),
        ),
    ),
    Definition(
        "xu/20a",
        r"\text{IWAE}_k = \mathbb E_{\{z^{(j)}\}}\left[\log\left[\frac1k\sum_{j=1}^k"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]\right]",
        "xu/14 again",
    ),
    Claim(
        "xu/20b",
        statement=r"= \mathbb E_{\{z^{(j)}\}}\left[\log\left[\mathbb E_I\left[\frac1m\sum_{t=1}^m"
        r" \frac{p_\theta(x|z^{(j_t)})p(z^{(j_t)})}{q_\phi(z^{(j_t)}|x)}\right]\right]\right]",
        verdict="holds",
        domain=_DOMAIN + ", subsets of m ≤ k",
        draw=_case,
        printed=lambda w: (lambda averages, mass: np.sum(mass * np.log(averages @ w.chance)))(
            *_subset_mean(w)
        ),
        oracles=_IWAE,
        note="xu/19 inside the logarithm",
    ),
    Claim(
        "xu/20c",
        statement=r"\geq \mathbb E_{\{z^{(j)}\}}\left[\mathbb E_I\left[\log\left[\frac1m\sum_{t=1}^m"
        r" \frac{p_\theta(x|z^{(j_t)})p(z^{(j_t)})}{q_\phi(z^{(j_t)}|x)}\right]\right]\right]",
        verdict="holds",
        relation=">=",
        domain=_DOMAIN + ", subsets of m ≤ k",
        draw=_case,
        equality=_tight,
        printed=lambda w: (lambda averages, mass: np.sum(mass * (np.log(averages) @ w.chance)))(
            *_subset_mean(w)
        ),
        oracles=_IWAE,
        note="Jensen's inequality over I; equality at q = posterior and at m = k",
    ),
    Claim(
        "xu/21a",
        statement=r"= \mathbb E_{\{z^{(j_t)}\sim q_\phi(z|x)\}_{t=1}^m}\left[\log\left[\frac1m\sum_{t=1}^m"
        r" \frac{p_\theta(x|z^{(j_t)})p(z^{(j_t)})}{q_\phi(z^{(j_t)}|x)}\right]\right]",
        verdict="holds",
        domain=_DOMAIN + ", subsets of m ≤ k",
        draw=_case,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(1 / w.m * v.sum(1))))(
            *_samples(w.world, w.m)
        ),
        oracles=_SUBSETS,
        note="m distinct ones of k independent samples are m independent samples. Equal values may"
        " occur, equal"
        " indices may not",
        conditions=[
            Condition("the indices are drawn without replacement", _with_replacement(_TWO_POINT, 2, 2))
        ],
    ),
    Claim(
        "xu/21b",
        statement=r"= \mathbb E_{\{z^{(j)}\sim q_\phi(z|x)\}_{j=1}^m}\left[\log\left[\frac1m\sum_{j=1}^m"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]\right]",
        verdict="holds",
        domain=_DOMAIN + ", subsets of m ≤ k",
        draw=_case,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.mean(1))))(*_samples(w.world, w.m)),
        oracles=_SUBSETS,
        note="A bound index renamed",
    ),
    Claim(
        "xu/21c",
        statement=r"= \text{IWAE}_m",
        verdict="holds",
        domain=_DOMAIN + ", subsets of m ≤ k",
        draw=_case,
        printed=lambda w: oracles.iwae_by_enumeration(w.world, w.m),
        oracles=_SUBSETS,
        note="xu/14 at m",
        conditions=[
            Condition("the indices are drawn without replacement", _with_replacement(_TWO_POINT, 2, 2))
        ],
    ),
]


def _first_sample(w):
    """∫ w(z) q(z|x) over the support of q."""
    return w.integral(np.where(w.q > 0, w.joint / np.where(w.q > 0, w.q, 1.0) * w.q, 0.0))
