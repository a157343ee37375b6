"""From scikit-learn's `BayesianGaussianMixture` to the same bound with every constant.

Its `lower_bound_` is, from `_compute_lower_bound`,

    −Σ r log r − Σ_k w(ν_k, C_k) − log C(α) − ½D Σ_k log β_k,
    w(ν, C) = ½ν log|C| − ½νD log 2 − Σ_d log Γ((ν−d)/2),

the logarithms of the posterior's normalisers, without the prior's and without powers of π. Where q(π) and
q(μ, Λ) are the best for q(z), as after its M-step, the bound is −Σ r log r plus the log ratios of all
normalisers (Bishop 10.70 with 10.57–10.63 put in), so that the difference is known. What is not a constant
comes from these:

- tied: it uses ν_0 + N/K and C of a K-th of the rows, K times. q(z) and E[Λ] are those of one Wishart with
  Kν_0 and KC_0, which is the model that the bridge leads to.
- diag, spherical: it takes E[log|Λ|] from a Wishart, Σ_d ψ((ν−d)/2), where D independent gammas have
  D ψ(ν/2) and one has D ψ(Dν/2): that is full covariances with a q that is held diagonal or round. The
  bridge leads to the bound of the diagonal or spherical model at its q(z), which that model would still
  improve.
- process: it leaves the last stick random: `truncation="posterior"`.
- reg_covar r adds N_k r to the diagonal of C_k, off the optimum; the bound of that q has
  ½ r Σ_k N_k tr E[Λ_k] more than the normalisers say.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from vbref.meanfield.mixture.model import GaussianMixture

Array = NDArray[np.float64]


def from_sklearn(fitted: Any) -> GaussianMixture:
    """A `GaussianMixture`, not fitted, with the model and priors of a fitted `BayesianGaussianMixture`."""
    kind = fitted.covariance_type
    copies = fitted.n_components if kind == "tied" else 1
    return GaussianMixture(
        fitted.n_components,
        concentration=fitted.weight_concentration_prior_,
        mean=fitted.mean_prior_,
        mean_precision=fitted.mean_precision_prior_,
        df=copies * fitted.degrees_of_freedom_prior_,
        inverse_scale=copies * np.asarray(fitted.covariance_prior_),
        covariance=kind,
        process=_is_process(fitted),
        truncation="posterior",
    )


def sklearn_bound(fitted: Any) -> float:
    """The bound, in nats, with every constant, at the q of a fitted `BayesianGaussianMixture`.

    For full and tied covariances `from_sklearn(fitted)` started from the same responsibilities gets there
    too. Reads attributes that scikit-learn documents, and imports nothing of it.
    """
    count = fitted.mean_precision_ - fitted.mean_precision_prior_
    d, k = fitted.means_.shape[1], fitted.n_components
    log_2pi, log_beta_0 = math.log(2 * math.pi), math.log(fitted.mean_precision_prior_)
    constants = d / 2 * (k * log_beta_0 - count.sum() * log_2pi)
    law = {"full": _full, "tied": _tied, "diag": _diag, "spherical": _spherical}[fitted.covariance_type]
    stored = np.asarray(fitted.lower_bound_).item()  # an array of one number for tied covariances
    return float(stored + constants + _weights(fitted) + law(fitted, d, k) + _off_optimum(fitted, count))


def _is_process(fitted: Any) -> bool:
    return fitted.weight_concentration_prior_type == "dirichlet_process"


def _weights(fitted: Any) -> float:
    """The prior's normalisers: log C(α_0), or −log B(1, γ) = log γ a stick."""
    k, prior = fitted.n_components, fitted.weight_concentration_prior_
    return (
        -k * float(betaln(1, prior))
        if _is_process(fitted)
        else math.lgamma(k * prior) - k * math.lgamma(prior)
    )


def _full(fitted: Any, d: int, k: int) -> float:
    """K w(ν_0, C_0): the powers of π in prior and posterior cancel."""
    return k * _w(fitted.degrees_of_freedom_prior_, _log_det(fitted.covariance_prior_), d)


def _tied(fitted: Any, d: int, k: int) -> float:
    """w(Kν_0, KC_0) − w(Kν, KC) + K w(ν, C), where log|C| drops out of the last two."""
    nu, nu_0 = fitted.degrees_of_freedom_, fitted.degrees_of_freedom_prior_
    log_det = _log_det(fitted.covariance_prior_) + d * math.log(k)
    return _w(k * nu_0, log_det, d) - _w(k * nu, d * math.log(k), d) + k * _w(nu, 0.0, d)


def _diag(fitted: Any, d: int, k: int) -> float:
    """Σ_k D log Γ(½ν_k) for Σ_d log Γ((ν_k−d)/2), and the prior's normalisers."""
    nu_0, c_0 = fitted.degrees_of_freedom_prior_, np.asarray(fitted.covariance_prior_)
    prior = (nu_0 / 2 * np.log(c_0 / 2) - math.lgamma(nu_0 / 2)).sum()
    return float(
        (d * gammaln(fitted.degrees_of_freedom_ / 2) - _log_gammas(fitted.degrees_of_freedom_, d)).sum()
        + k * prior
    )


def _spherical(fitted: Any, d: int, k: int) -> float:
    """Σ_k log Γ(½Dν_k) − ½Dν_k log D for Σ_d log Γ((ν_k−d)/2), and the prior's normalisers."""
    nu, nu_0 = fitted.degrees_of_freedom_, fitted.degrees_of_freedom_prior_
    a, a_0 = d * nu / 2, d * nu_0 / 2
    prior = a_0 * math.log(d * float(fitted.covariance_prior_) / 2) - math.lgamma(a_0)
    return float((gammaln(a) - a * math.log(d) - _log_gammas(nu, d)).sum() + k * prior)


def _off_optimum(fitted: Any, count: Array) -> float:
    """½ r Σ_k N_k tr E[Λ_k]."""
    kind, precisions, d = fitted.covariance_type, np.asarray(fitted.precisions_), fitted.means_.shape[1]
    trace = {
        "full": lambda: np.trace(precisions, axis1=1, axis2=2),
        "tied": lambda: np.trace(precisions),
        "diag": lambda: precisions.sum(axis=1),
        "spherical": lambda: d * precisions,
    }[kind]()
    return float(fitted.reg_covar / 2 * (count * trace).sum())


def _w(nu: float, log_det: float, d: int) -> float:
    return nu / 2 * (log_det - d * math.log(2)) - float(_log_gammas(np.array([nu]), d)[0])


def _log_gammas(nu: Array, d: int) -> Array:
    """Σ_d log Γ((ν−d)/2), d = 0 … D−1."""
    return gammaln((nu[:, None] - np.arange(d)) / 2).sum(axis=1)


def _log_det(matrix: Any) -> float:
    return float(np.linalg.slogdet(np.asarray(matrix))[1])
