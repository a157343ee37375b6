"""xu/32 and xu/33: the KL divergence of products is a sum."""

import math
from functools import reduce
from itertools import product

import numpy as np

from vbref.audit import Case, Claim, Code, Condition, Form, oracles, worlds


def _marginals(rng, count=2):
    sizes = rng.integers(2, 5, size=count)
    return Case(p=[worlds.dirichlet(rng, n) for n in sizes], q=[worlds.dirichlet(rng, n) for n in sizes])


def _measures(rng):
    """Factors of p of any mass."""
    w = _marginals(rng)
    return Case(p=[rng.uniform(0.5, 2.0) * factor for factor in w.p], q=w.q)


def _doubled():
    q = np.array([0.5, 0.5])
    return Case(p=[2 * q, 2 * q], q=[q, q])


def _dependent():
    """p with x_2 = x_1 and uniform marginals, q a uniform product: KL = log 2 where the marginals give 0."""
    half = np.array([0.5, 0.5])
    return Case(p=[half, half], q=[half, half], joint=np.array([0.5, 0.0, 0.0, 0.5]))


def _products(factors):
    return np.array([math.prod(choice) for choice in product(*factors)])


def _outer(factors):
    return reduce(np.multiply.outer, factors).ravel()


_KL_JOINT = {
    "sum over the joint table": lambda w: oracles.kl_by_sum(
        getattr(w, "joint", _products(w.p)), _products(w.q)
    ),
    "slope of the Chernoff curve": lambda w: oracles.kl_by_slope(
        getattr(w, "joint", _outer(w.p)), _outer(w.q)
    ),
}


def _log_terms(w):
    """p(x_1), p(x_2) and the four logarithms, shaped to broadcast over (x_1, x_2)."""
    (p1, p2), (q1, q2) = w.p, w.q
    return (
        p1[:, None],
        p2[None, :],
        np.log(q1)[:, None],
        np.log(q2)[None, :],
        np.log(p1)[:, None],
        np.log(p2)[None, :],
    )


def _over_joint(w, integrand):
    p1, p2, *logs = _log_terms(w)
    return np.sum(integrand(p1 * p2, *logs))


_KL_SINGLE = {
    "exact sum": lambda w: oracles.kl_by_sum(w.p[0], w.q[0]),
    "slope of the Chernoff curve": lambda w: oracles.kl_by_slope(w.p[0], w.q[0]),
}


_DOMAIN_JOINT = "two independent finite variables of 2 to 4 states"


_NO_DX2 = "A double integral over x_1 and x_2 has the differential dx_1 alone"


CLAIMS = [
    Claim(
        "xu/32a",
        statement=r"\text{KL}(p,q) = -\left(\int p(x_1)\log q(x_1)dx_1 - \int p(x_1)\log p(x_1)dx_1\right)",
        verdict="holds",
        domain="one finite variable of 2 to 4 states",
        draw=_marginals,
        printed=lambda w: -(np.sum(w.p[0] * np.log(w.q[0])) - np.sum(w.p[0] * np.log(w.p[0]))),
        oracles=_KL_SINGLE,
        note="The definition, its logarithm split",
    ),
    Claim(
        "xu/32b",
        statement=r"\text{KL}(p(x_1)p(x_2)\|q(x_1)q(x_2)) = -\left(\int_{x_1}\int_{x_2}"
        r" p(x_1)p(x_2)[\log q(x_1)+\log q(x_2)]dx_1 - p(x_1)p(x_2)[\log p(x_1)+\log p(x_2)]dx_1\right)",
        verdict="notation",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        oracles=_KL_JOINT,
        why=_NO_DX2 + ", and the second term stands outside of it with x_1 and x_2 unbound",
        reading=Form(
            r"-\int\int\bigl(p(x_1)p(x_2)[\log q(x_1)+\log q(x_2)] - p(x_1)p(x_2)[\log p(x_1)+\log"
            r" p(x_2)]\bigr)dx_1dx_2",
            lambda w: -_over_joint(w, lambda p, q1, q2, p1, p2: p * (q1 + q2) - p * (p1 + p2)),
        ),
        note="Logarithms of products",
    ),
    Claim(
        "xu/32c",
        statement=r"= -\left(\int_{x_1}\int_{x_2}[p(x_1)p(x_2)\log q(x_1) + p(x_1)p(x_2)\log q(x_2)"
        r" - p(x_1)p(x_2)\log p(x_1) - p(x_1)p(x_2)\log p(x_2)]dx_1\right)",
        verdict="notation",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        oracles=_KL_JOINT,
        why=_NO_DX2,
        reading=Form(
            r"\text{the same with}\ dx_1dx_2",
            lambda w: -_over_joint(w, lambda p, q1, q2, p1, p2: p * q1 + p * q2 - p * p1 - p * p2),
        ),
        note="Brackets multiplied out",
    ),
    Claim(
        "xu/32d",
        statement=r"= -\left(\int\int p(x_1)p(x_2)\log q(x_1) + \int\int p(x_1)p(x_2)\log q(x_2)"
        r" - \int\int p(x_1)p(x_2)\log p(x_1) - \int\int p(x_1)p(x_2)\log p(x_2)\right)",
        verdict="holds",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        printed=lambda w: (
            -(
                _over_joint(w, lambda p, q1, q2, p1, p2: p * q1)
                + _over_joint(w, lambda p, q1, q2, p1, p2: p * q2)
                - _over_joint(w, lambda p, q1, q2, p1, p2: p * p1)
                - _over_joint(w, lambda p, q1, q2, p1, p2: p * p2)
            )
        ),
        oracles=_KL_JOINT,
        note="Linearity; no differential at all, as elsewhere in these notes",
    ),
    Claim(
        "xu/32e",
        statement=r"= -\left(\int_{x_1}p(x_1)\log q(x_1)\int_{x_2}p(x_2) +"
        r" \int_{x_1}p(x_1)\int_{x_2}p(x_2)\log q(x_2)"
        r" - \int_{x_1}p(x_1)\log p(x_1)\int_{x_2}p(x_2) - \int_{x_1}p(x_1)\int_{x_2}p(x_2)\log"
        r" p(x_2)\right)",
        verdict="holds",
        domain=_DOMAIN_JOINT + "; p(x_1) and p(x_2) of masses from ½ to 2, not used yet",
        draw=_measures,
        printed=lambda w: (
            -(
                w.p[0] @ np.log(w.q[0]) * sum(w.p[1])
                + sum(w.p[0]) * (w.p[1] @ np.log(w.q[1]))
                - w.p[0] @ np.log(w.p[0]) * sum(w.p[1])
                - sum(w.p[0]) * (w.p[1] @ np.log(w.p[1]))
            )
        ),
        oracles=_KL_JOINT,
        note="Each factor to its own integral",
    ),
    Claim(
        "xu/32f",
        statement=r"= -\left(\int_{x_1}p(x_1)\log q(x_1) + \int_{x_2}p(x_2)\log q(x_2)"
        r" - \int_{x_1}p(x_1)\log p(x_1) - \int_{x_2}p(x_2)\log p(x_2)\right)",
        verdict="holds",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        printed=lambda w: (
            -(
                w.p[0] @ np.log(w.q[0])
                + w.p[1] @ np.log(w.q[1])
                - w.p[0] @ np.log(w.p[0])
                - w.p[1] @ np.log(w.p[1])
            )
        ),
        oracles=_KL_JOINT,
        note="Probabilities sum to one",
        conditions=[Condition("they do; outside, each p has mass 2", _doubled())],
    ),
    Claim(
        "xu/32g",
        statement=r"= -\left(\int_{x_1}p(x_1)\log q(x_1) - \int_{x_1}p(x_1)\log p(x_1)\right)"
        r" - \left(\int_{x_2}p(x_2)\log q(x_2) - \int_{x_2}p(x_2)\log p(x_2)\right)",
        verdict="holds",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        printed=lambda w: (
            -(w.p[0] @ np.log(w.q[0]) - w.p[0] @ np.log(w.p[0]))
            - (w.p[1] @ np.log(w.q[1]) - w.p[1] @ np.log(w.p[1]))
        ),
        oracles=_KL_JOINT,
        note="Terms put in order",
    ),
    Claim(
        "xu/32h",
        statement=r"= \text{KL}(p(x_1)\|q(x_1)) + \text{KL}(p(x_2)\|q(x_2))",
        verdict="holds",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        printed=lambda w: w.p[0] @ np.log(w.p[0] / w.q[0]) + w.p[1] @ np.log(w.p[1] / w.q[1]),
        oracles=_KL_JOINT,
        note="The definition twice",
    ),
    Claim(
        "xu/33a",
        statement=r"\text{KL}(p(x_1)p(x_2)\|q(x_1)q(x_2)) = \text{KL}(p(x_1)\|q(x_1)) +"
        r" \text{KL}(p(x_2)\|q(x_2))",
        verdict="holds",
        domain=_DOMAIN_JOINT,
        draw=_marginals,
        printed=lambda w: w.p[0] @ np.log(w.p[0] / w.q[0]) + w.p[1] @ np.log(w.p[1] / w.q[1]),
        oracles=_KL_JOINT,
        note="xu/32",
        conditions=[Condition("p is a product; outside, x_2 = x_1", _dependent())],
    ),
    Claim(
        "xu/33b",
        statement=r"\text{KL}\Bigl(\prod_k p(x_k)\,\|\,\prod_k q(x_k)\Bigr) = \sum_{i=1}^k"
        r" \text{KL}(p(x_i)\|q(x_i))",
        verdict="notation",
        domain="one to four independent finite variables",
        draw=lambda rng: _marginals(rng, int(rng.integers(1, 5))),
        oracles=_KL_JOINT,
        why="k is the product's bound index on the left and the number of factors on the right, where"
        " nothing binds it",
        reading=Form(
            r"\text{KL}\Bigl(\prod_{k=1}^K p(x_k)\,\|\,\prod_{k=1}^K q(x_k)\Bigr) = \sum_{k=1}^K"
            r" \text{KL}(p(x_k)\|q(x_k))",
            lambda w: sum(p @ np.log(p / q) for p, q in zip(w.p, w.q, strict=True)),
        ),
        note="xu/32 by induction",
        code=Code("vbref.kl.categorical", lambda kl, w: sum(kl(p, q) for p, q in zip(w.p, w.q, strict=True))),
    ),
]
