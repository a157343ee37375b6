"""xu/31 and xu/34 to xu/36: KL divergences of normal distributions, one coordinate and many."""

import math

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Counterexample, Form, oracles, worlds


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


def _diagonal(rng):
    k = int(rng.integers(1, 4))
    return _diagonal_case(rng.normal(size=k), rng.uniform(0.3, 3.0, size=k))


def _diagonal_case(mu, sigma):
    k = len(mu)
    return Case(mu=mu, sigma=sigma, pair=worlds.GaussianPair(mu, np.diag(sigma), np.zeros(k), np.eye(k)))


CLAIMS = [
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
        code=Code(
            "vbref.kl.standard_normal",
            lambda kl, w: kl(w.mu, 2 * np.log(w.sigma)),
            formula="vbref.kl.normal.standard_normal_kl",
        ),
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
        code=Code(
            "vbref.kl.normal",
            lambda kl, w: kl(w.mu_p, w.sigma_p, w.mu_q, w.sigma_q),
            formula="vbref.kl.normal.normal_kl",
        ),
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
        code=Code("vbref.kl.normal", lambda kl, w: kl(w.mu_p, w.sigma_p, 0.0, 1.0)),
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
        aside=Aside(
            "it is ½(KL − Σ log σ_k)",
            lambda w: (oracles.gaussian_kl_by_eigenvalues(w.pair) - math.fsum(map(math.log, w.sigma))) / 2,
        ),
        code=Code(
            "vbref.kl.standard_normal",
            lambda kl, w: kl(w.mu, 2 * np.log(w.sigma)),
            formula="vbref.kl.normal.standard_normal_kl",
        ),
    ),
]
