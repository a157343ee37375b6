"""xu/30: the KL divergence of two Gaussians."""

import numpy as np

from vbref.audit import Claim, Code, oracles, worlds

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


def _second_moment(w):
    """E[(x − μ_1)(x − μ_1)ᵀ] under p."""
    return _mean_1(
        w, lambda x: np.einsum("ni,nj->nij", x - w.mean_1, x - w.mean_1).reshape(len(x), -1)
    ).reshape(w.d, w.d)


_MULTIVARIATE = Code("vbref.kl.multivariate_normal", lambda kl, w: kl(w.mean_1, w.cov_1, w.mean_2, w.cov_2))


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
]
