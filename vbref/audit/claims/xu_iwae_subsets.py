"""xu/19 to xu/21: why the bounds grow with k, by averages over subsets."""

import math
from itertools import combinations, product

import numpy as np

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Code,
    Condition,
    Definition,
    oracles,
)
from vbref.audit.claims.shared import IWAE, IWAE_DOMAIN, TWO_POINT, iwae_at_posterior, iwae_case, samples


def _with_replacement(world, k, m):
    subsets = list(product(range(k), repeat=m))
    return Case(world=world, k=k, m=m, subsets=subsets, chance=np.full(len(subsets), 1 / len(subsets)))


def _subset_mean(w):
    """E_I[average of the subset] for each k-tuple."""
    weights, mass = samples(w.world, w.k)
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
    t, step = np.linspace(-80.0, 80.0, 3201, retstep=True)

    def mean_log(chosen):
        transform = np.ones(len(t))
        for j in set(chosen):
            transform *= np.exp(-chosen.count(j) * np.outer(np.exp(t), ratio)) @ mass
        return np.sum(np.exp(-np.exp(t)) - transform) * step - math.log(w.m)

    return sum(chance * mean_log(chosen) for chance, chosen in zip(w.chance, w.subsets, strict=True))


_SUBSETS = {"tuples and subsets": _of_subsets_by_tuples, "Laplace transforms": _of_subsets_by_multiplicity}


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
        domain=IWAE_DOMAIN + ", subsets of m ≤ k",
        draw=iwae_case,
        printed=lambda w: (lambda averages, mass: np.sum(mass * np.log(averages @ w.chance)))(
            *_subset_mean(w)
        ),
        oracles=IWAE,
        note="xu/19 inside the logarithm",
    ),
    Claim(
        "xu/20c",
        statement=r"\geq \mathbb E_{\{z^{(j)}\}}\left[\mathbb E_I\left[\log\left[\frac1m\sum_{t=1}^m"
        r" \frac{p_\theta(x|z^{(j_t)})p(z^{(j_t)})}{q_\phi(z^{(j_t)}|x)}\right]\right]\right]",
        verdict="holds",
        relation=">=",
        domain=IWAE_DOMAIN + ", subsets of m ≤ k",
        draw=iwae_case,
        equality=iwae_at_posterior,
        printed=lambda w: (lambda averages, mass: np.sum(mass * (np.log(averages) @ w.chance)))(
            *_subset_mean(w)
        ),
        oracles=IWAE,
        note="Jensen's inequality over I; equality at q = posterior and at m = k",
    ),
    Claim(
        "xu/21a",
        statement=r"= \mathbb E_{\{z^{(j_t)}\sim q_\phi(z|x)\}_{t=1}^m}\left[\log\left[\frac1m\sum_{t=1}^m"
        r" \frac{p_\theta(x|z^{(j_t)})p(z^{(j_t)})}{q_\phi(z^{(j_t)}|x)}\right]\right]",
        verdict="holds",
        domain=IWAE_DOMAIN + ", subsets of m ≤ k",
        draw=iwae_case,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(1 / w.m * v.sum(1))))(*samples(w.world, w.m)),
        oracles=_SUBSETS,
        note="m distinct ones of k independent samples are m independent samples. Equal values may"
        " occur, equal"
        " indices may not",
        conditions=[
            Condition("the indices are drawn without replacement", _with_replacement(TWO_POINT, 2, 2))
        ],
    ),
    Claim(
        "xu/21b",
        statement=r"= \mathbb E_{\{z^{(j)}\sim q_\phi(z|x)\}_{j=1}^m}\left[\log\left[\frac1m\sum_{j=1}^m"
        r" \frac{p_\theta(x|z^{(j)})p(z^{(j)})}{q_\phi(z^{(j)}|x)}\right]\right]",
        verdict="holds",
        domain=IWAE_DOMAIN + ", subsets of m ≤ k",
        draw=iwae_case,
        printed=lambda w: (lambda v, mass: np.sum(mass * np.log(v.mean(1))))(*samples(w.world, w.m)),
        oracles=_SUBSETS,
        note="A bound index renamed",
    ),
    Claim(
        "xu/21c",
        statement=r"= \text{IWAE}_m",
        verdict="holds",
        domain=IWAE_DOMAIN + ", subsets of m ≤ k",
        draw=iwae_case,
        printed=lambda w: oracles.iwae_by_enumeration(w.world, w.m),
        oracles=_SUBSETS,
        note="xu/14 at m",
        code=Code(
            "vbref.bounds.iwae_curve",
            lambda curve, w: (lambda v, mass: curve(np.log(v).T)[w.m - 1] @ mass)(*samples(w.world, w.k)),
        ),
        conditions=[
            Condition("the indices are drawn without replacement", _with_replacement(TWO_POINT, 2, 2))
        ],
    ),
]
