"""xu/30 to xu/36: KL divergences between Gaussians."""

import math
from functools import reduce
from itertools import product

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Condition, Counterexample, Form, oracles, worlds

# -- one dimension: p = N(μ_p, σ_p), q = N(μ_q, σ_q); the notes' formulas square σ, so it is a standard
# deviation --


def _normals(rng):
    return Case(
        mu_p=rng.normal(), sigma_p=rng.uniform(0.3, 3.0), mu_q=rng.normal(), sigma_q=rng.uniform(0.3, 3.0)
    )


def _kl_by_trapezoid(w):
    x = np.linspace(w.mu_p - 13 * w.sigma_p, w.mu_p + 13 * w.sigma_p, 2001)
    p = worlds.normal_density(x, w.mu_p, w.sigma_p)
    log_p = -0.5 * ((x - w.mu_p) / w.sigma_p) ** 2 - np.log(w.sigma_p)
    log_q = -0.5 * ((x - w.mu_q) / w.sigma_q) ** 2 - np.log(w.sigma_q)
    return np.sum(p * (log_p - log_q)) * (x[1] - x[0])


def _kl_by_chernoff(w):
    """−d/dα log ∫ p^(1−α) q^α at α = 0: the integral is Gaussian; by a complex step."""
    a = 1e-30j
    precision = (1 - a) / w.sigma_p**2 + a / w.sigma_q**2
    linear = (1 - a) * w.mu_p / w.sigma_p**2 + a * w.mu_q / w.sigma_q**2
    square = (1 - a) * (w.mu_p / w.sigma_p) ** 2 + a * (w.mu_q / w.sigma_q) ** 2
    log_integral = (
        -(1 - a) * np.log(w.sigma_p)
        - a * np.log(w.sigma_q)
        - np.log(precision) / 2
        - (square - linear**2 / precision) / 2
    )
    return -log_integral.imag / 1e-30


_KL_NORMAL = {"trapezoid rule": _kl_by_trapezoid, "slope of the Chernoff curve": _kl_by_chernoff}
_DOMAIN_NORMAL = "p = N(μ_p, σ_p²), q = N(μ_q, σ_q²), σ in (0.3, 3)"


def _standard(rng):
    return Case(mu_p=rng.normal(), sigma_p=rng.uniform(0.3, 3.0), mu_q=0.0, sigma_q=1.0)


# -- k independent coordinates against N(0, 1) --


def _coordinates(rng):
    k = int(rng.integers(1, 4))
    return _against_standard(rng.normal(size=k), rng.uniform(0.3, 3.0, size=k))


def _against_standard(mu, sigma):
    k = len(mu)
    return Case(mu=mu, sigma=sigma, pair=worlds.GaussianPair(mu, np.diag(sigma**2), np.zeros(k), np.eye(k)))


_KL_COORDINATES = {
    "tensor Gauss-Hermite": lambda w: oracles.gaussian_kl_by_quadrature(w.pair),
    "joint eigenbasis": lambda w: oracles.gaussian_kl_by_eigenvalues(w.pair),
}

# -- d dimensions: p = N(μ_1, Σ_1), q = N(μ_2, Σ_2) --

_KL_PAIR = {
    "tensor Gauss-Hermite of SciPy's log densities": oracles.gaussian_kl_by_quadrature,
    "joint eigenbasis": oracles.gaussian_kl_by_eigenvalues,
}
_DOMAIN_PAIR = "1 to 3 dimensions, dense random covariances"


def _quadratic(x, mean, cov):
    """(x − mean)ᵀ cov⁻¹ (x − mean) at each row of x."""
    return np.einsum("ni,ij,nj->n", x - mean, np.linalg.inv(cov), x - mean)


def _half_log_ratio(w):
    return 0.5 * np.log(np.linalg.det(w.cov_2) / np.linalg.det(w.cov_1))


def _mean_1(w, function):
    """E[function(x)] under p: the notes' ∫ · p(x) dx."""
    return oracles.gaussian_mean(function, w.mean_1, w.cov_1, nodes=4)


# -- xu/31: Σ_1 = diag(v_1, …, v_K), where the notes have v_k = σ_k --


def _diagonal(rng):
    k = int(rng.integers(1, 4))
    return _diagonal_case(rng.normal(size=k), rng.uniform(0.3, 3.0, size=k))


def _diagonal_case(mu, sigma):
    k = len(mu)
    return Case(mu=mu, sigma=sigma, pair=worlds.GaussianPair(mu, np.diag(sigma), np.zeros(k), np.eye(k)))


# -- xu/32, xu/33: finite marginals --


def _marginals(rng, count=2):
    sizes = rng.integers(2, 5, size=count)
    return Case(p=[worlds.dirichlet(rng, n) for n in sizes], q=[worlds.dirichlet(rng, n) for n in sizes])


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


def _second_moment(w):
    """E[(x − μ_1)(x − μ_1)ᵀ] under p."""
    return _mean_1(
        w, lambda x: np.einsum("ni,nj->nij", x - w.mean_1, x - w.mean_1).reshape(len(x), -1)
    ).reshape(w.d, w.d)


_MULTIVARIATE = Code("vbref.kl.multivariate_normal", lambda kl, w: kl(w.mean_1, w.cov_1, w.mean_2, w.cov_2))
_DOMAIN_JOINT = "two independent finite variables of 2 to 4 states"
_NO_DX2 = "A double integral over x_1 and x_2 has the differential dx_1 alone"

CLAIMS = [
    Claim(
        "xu/30a",
        statement=r"\text{KL} = \int_x \left[\frac12\log\frac{|\Sigma_2|}{|\Sigma_1|}"
        r" - \frac12(x-\mu_1)^T\Sigma_1^{-1}(x-\mu_1) + \frac12(x-\mu_2)^T\Sigma_2^{-1}(x-\mu_2)\right]"
        r" p(x)\,dx",
        verdict="holds",
        domain=_DOMAIN_PAIR,
        draw=worlds.gaussian_pair,
        printed=lambda w: _mean_1(
            w,
            lambda x: (
                _half_log_ratio(w)
                - 0.5 * _quadratic(x, w.mean_1, w.cov_1)
                + 0.5 * _quadratic(x, w.mean_2, w.cov_2)
            ),
        ),
        oracles=_KL_PAIR,
        note="With p = N(μ_1, Σ_1); the (2π)^(d/2) cancel",
    ),
    Claim(
        "xu/30b",
        statement=r"= \frac12\log\frac{|\Sigma_2|}{|\Sigma_1|}"
        r" - \frac12\text{tr}\{\mathbb E[(x-\mu_1)(x-\mu_1)^T]\Sigma_1^{-1}\}"
        r" + \frac12\mathbb E[(x-\mu_2)^T\Sigma_2^{-1}(x-\mu_2)]",
        verdict="holds",
        domain=_DOMAIN_PAIR,
        draw=worlds.gaussian_pair,
        printed=lambda w: (
            _half_log_ratio(w)
            - 0.5 * np.trace(_second_moment(w) @ np.linalg.inv(w.cov_1))
            + 0.5 * _mean_1(w, lambda x: _quadratic(x, w.mean_2, w.cov_2))
        ),
        oracles=_KL_PAIR,
        note="A scalar is its own trace, and traces are cyclic",
    ),
    Claim(
        "xu/30c",
        statement=r"= \frac12\log\frac{|\Sigma_2|}{|\Sigma_1|} - \frac12\text{tr}\{I_d\}"
        r" + \frac12(\mu_1-\mu_2)^T\Sigma_2^{-1}(\mu_1-\mu_2) + \frac12\text{tr}\{\Sigma_2^{-1}\Sigma_1\}",
        verdict="holds",
        domain=_DOMAIN_PAIR,
        draw=worlds.gaussian_pair,
        printed=lambda w: (
            _half_log_ratio(w)
            - 0.5 * np.trace(np.eye(w.d))
            + 0.5 * (w.mean_1 - w.mean_2) @ np.linalg.inv(w.cov_2) @ (w.mean_1 - w.mean_2)
            + 0.5 * np.trace(np.linalg.inv(w.cov_2) @ w.cov_1)
        ),
        oracles=_KL_PAIR,
        note="The mean of a quadratic form is its value at the mean plus a trace",
    ),
    Claim(
        "xu/30d",
        statement=r"= \frac12\left[\log\frac{|\Sigma_2|}{|\Sigma_1|} - d + \text{tr}\{\Sigma_2^{-1}\Sigma_1\}"
        r" + (\mu_2-\mu_1)^T\Sigma_2^{-1}(\mu_2-\mu_1)\right]",
        verdict="holds",
        domain=_DOMAIN_PAIR,
        draw=worlds.gaussian_pair,
        printed=lambda w: (
            0.5
            * (
                np.log(np.linalg.det(w.cov_2) / np.linalg.det(w.cov_1))
                - w.d
                + np.trace(np.linalg.inv(w.cov_2) @ w.cov_1)
                + (w.mean_2 - w.mean_1) @ np.linalg.inv(w.cov_2) @ (w.mean_2 - w.mean_1)
            )
        ),
        oracles=_KL_PAIR,
        note="The ½ taken out",
        code=_MULTIVARIATE,
    ),
    Claim(
        "xu/31a",
        statement=r"\text{KL} = \frac12\left(\text{tr}(\Sigma_1) + \bar\mu_1^T\bar\mu_1 - K -"
        r" \log\det(\Sigma_1)\right)",
        verdict="holds",
        domain="1 to 3 dimensions, diagonal Σ_1 against N(0, I)",
        draw=_diagonal,
        printed=lambda w: (
            0.5 * (np.trace(w.pair.cov_1) + w.mu @ w.mu - len(w.mu) - np.log(np.linalg.det(w.pair.cov_1)))
        ),
        oracles=_KL_COORDINATES,
        note="xu/30 at μ_2 = 0, Σ_2 = I",
    ),
    Claim(
        "xu/31b",
        statement=r"= \frac12\left(\sum_k\sigma_k^2 + \sum_k\mu_k^2 - \sum_k 1 -"
        r" \log\prod_k\sigma_k^2\right)",
        verdict="misprint",
        domain="1 to 3 dimensions, Σ_1 = diag(σ_1, …, σ_K) as the notes substitute it",
        draw=_diagonal,
        printed=lambda w: (
            0.5 * (sum(w.sigma**2) + sum(w.mu**2) - sum(1 for _ in w.mu) - np.log(np.prod(w.sigma**2)))
        ),
        oracles=_KL_COORDINATES,
        note="The notes put Σ_1 = diag(σ_1, …, σ_K), whose trace is Σσ_k, and square σ_k here: they meant"
        " Σ_1 = diag(σ_1², …, σ_K²), with which every line is right",
        corrected=Form(
            r"\frac12\left(\sum_k\sigma_k + \sum_k\mu_k^2 - \sum_k 1 - \log\prod_k\sigma_k\right)"
            r"\ \text{for}\ \Sigma_1 = \text{diag}(\sigma_k);\ \text{as printed for}\ \Sigma_1 ="
            r" \text{diag}(\sigma_k^2)",
            lambda w: 0.5 * (sum(w.sigma) + sum(w.mu**2) - len(w.mu) - np.log(np.prod(w.sigma))),
        ),
        counterexample=Counterexample(
            "one dimension, μ = 0, Σ_1 = (4)", _diagonal_case(np.array([0.0]), np.array([4.0]))
        ),
        aside=Aside(
            "it is KL(N(μ, diag(σ_k²)) ‖ N(0, I)), σ_k a standard deviation",
            lambda w: oracles.gaussian_kl_by_eigenvalues(_against_standard(w.mu, w.sigma).pair),
        ),
    ),
    Claim(
        "xu/31c",
        statement=r"\frac12\left(\sum_k\sigma_k^2 + \sum_k\mu_k^2 - \sum_k 1 - \log\prod_k\sigma_k^2\right)"
        r" = \frac12\sum_k(\sigma_k^2 + \mu_k^2 - 1 - \log\sigma_k^2)",
        verdict="holds",
        domain="1 to 3 dimensions, p_k = N(μ_k, σ_k²), σ in (0.3, 3)",
        draw=_coordinates,
        printed=lambda w: (
            0.5 * sum(s**2 + m**2 - 1 - np.log(s**2) for m, s in zip(w.mu, w.sigma, strict=True))
        ),
        oracles=_KL_COORDINATES,
        note="One sum; its value is the divergence for Σ_1 = diag(σ_k²)",
        code=Code("vbref.kl.standard_normal", lambda kl, w: kl(w.mu, 2 * np.log(w.sigma))),
    ),
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
        domain=_DOMAIN_JOINT,
        draw=_marginals,
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
    ),
    Claim(
        "xu/34a",
        statement=r"\text{KL}(p,q) = -\int p(x)\log q(x)\,dx + \int p(x)\log p(x)\,dx",
        verdict="holds",
        domain=_DOMAIN_NORMAL,
        draw=_normals,
        printed=lambda w: (
            -oracles.normal_mean(
                lambda x: -0.5 * np.log(2 * np.pi * w.sigma_q**2) - 0.5 * ((x - w.mu_q) / w.sigma_q) ** 2,
                w.mu_p,
                w.sigma_p,
            )
            + oracles.normal_mean(
                lambda x: -0.5 * np.log(2 * np.pi * w.sigma_p**2) - 0.5 * ((x - w.mu_p) / w.sigma_p) ** 2,
                w.mu_p,
                w.sigma_p,
            )
        ),
        oracles=_KL_NORMAL,
        note="Cross entropy less entropy",
    ),
    Claim(
        "xu/34b",
        statement=r"= \frac12\log(2\pi\sigma_q^2) + \frac{\sigma_p^2+(\mu_p-\mu_q)^2}{2\sigma_q^2}"
        r" - \frac12(1+\log 2\pi\sigma_p^2)",
        verdict="holds",
        domain=_DOMAIN_NORMAL,
        draw=_normals,
        printed=lambda w: (
            0.5 * np.log(2 * np.pi * w.sigma_q**2)
            + (w.sigma_p**2 + (w.mu_p - w.mu_q) ** 2) / (2 * w.sigma_q**2)
            - 0.5 * (1 + np.log(2 * np.pi * w.sigma_p**2))
        ),
        oracles=_KL_NORMAL,
        note="log 2πσ_p² is log(2πσ_p²)",
    ),
    Claim(
        "xu/34c",
        statement=r"= \log\frac{\sigma_q}{\sigma_p}"
        r" + \frac{\sigma_p^2+(\mu_p-\mu_q)^2}{2\sigma_q^2} - \frac12",
        verdict="holds",
        domain=_DOMAIN_NORMAL,
        draw=_normals,
        printed=lambda w: (
            np.log(w.sigma_q / w.sigma_p) + (w.sigma_p**2 + (w.mu_p - w.mu_q) ** 2) / (2 * w.sigma_q**2) - 0.5
        ),
        oracles=_KL_NORMAL,
        note="The 2π cancel",
    ),
    Claim(
        "xu/34d",
        statement=r"= \log\sigma_q - \log\sigma_p + \frac{\sigma_p^2}{2\sigma_q^2}"
        r" + \frac{(\mu_p-\mu_q)^2}{2\sigma_q^2} - \frac12",
        verdict="holds",
        domain=_DOMAIN_NORMAL,
        draw=_normals,
        printed=lambda w: (
            np.log(w.sigma_q)
            - np.log(w.sigma_p)
            + w.sigma_p**2 / (2 * w.sigma_q**2)
            + (w.mu_p - w.mu_q) ** 2 / (2 * w.sigma_q**2)
            - 0.5
        ),
        oracles=_KL_NORMAL,
        note="The fraction split",
        code=Code("vbref.kl.normal", lambda kl, w: kl(w.mu_p, w.sigma_p, w.mu_q, w.sigma_q)),
    ),
    Claim(
        "xu/35a",
        statement=r"\text{KL}(p,q) = \frac{\sigma^2}{2} + \frac{\mu^2}{2} - \frac12 - \log\sigma",
        verdict="holds",
        domain="p = N(μ, σ²), q = N(0, 1), σ in (0.3, 3)",
        draw=_standard,
        printed=lambda w: w.sigma_p**2 / 2 + w.mu_p**2 / 2 - 0.5 - np.log(w.sigma_p),
        oracles=_KL_NORMAL,
        note="xu/34d at μ_q = 0, σ_q = 1",
    ),
    Claim(
        "xu/35b",
        statement=r"= \frac12\left[\frac{\sigma^2}{2} + \frac{\mu^2}{2} - \frac12 - \log\sigma^2\right]",
        verdict="misprint",
        domain="p = N(μ, σ²), q = N(0, 1), σ in (0.3, 3)",
        draw=_standard,
        printed=lambda w: 0.5 * (w.sigma_p**2 / 2 + w.mu_p**2 / 2 - 0.5 - np.log(w.sigma_p**2)),
        oracles=_KL_NORMAL,
        note="The ½ was taken out twice from three of four terms",
        corrected=Form(
            r"\frac12\left[\sigma^2 + \mu^2 - 1 - \log\sigma^2\right]",
            lambda w: 0.5 * (w.sigma_p**2 + w.mu_p**2 - 1 - np.log(w.sigma_p**2)),
        ),
        counterexample=Counterexample("μ = 2, σ = 1", Case(mu_p=2.0, sigma_p=1.0, mu_q=0.0, sigma_q=1.0)),
        aside=Aside(
            "it is ½(KL − log σ), which is no divergence: negative at μ = 0, σ² = 2",
            lambda w: 0.5 * (_kl_by_chernoff(w) - math.log(w.sigma_p)),
        ),
    ),
    Claim(
        "xu/36",
        statement=r"\text{KL}\Bigl(\prod_k p(x_k) \,\|\, \prod_k q(x_k)\Bigr) ="
        r" \frac12\sum_k\left[\frac{\sigma^2}{2} + \frac{\mu^2}{2} - \frac12 - \log\sigma^2\right]",
        verdict="misprint",
        domain="1 to 3 independent coordinates p_k = N(μ_k, σ_k²) against N(0, 1)",
        draw=_coordinates,
        printed=lambda w: (
            0.5 * sum(s**2 / 2 + m**2 / 2 - 0.5 - np.log(s**2) for m, s in zip(w.mu, w.sigma, strict=True))
        ),
        oracles=_KL_COORDINATES,
        note="The ½ is in twice, as in xu/35b. The index k of μ and σ is missing as well",
        corrected=Form(
            r"\frac12\sum_k\left[\sigma_k^2 + \mu_k^2 - 1 - \log\sigma_k^2\right]",
            lambda w: 0.5 * sum(s**2 + m**2 - 1 - np.log(s**2) for m, s in zip(w.mu, w.sigma, strict=True)),
        ),
        counterexample=Counterexample(
            "one coordinate, μ = 2, σ = 1", _against_standard(np.array([2.0]), np.array([1.0]))
        ),
        code=Code("vbref.kl.standard_normal", lambda kl, w: kl(w.mu, 2 * np.log(w.sigma))),
    ),
]
