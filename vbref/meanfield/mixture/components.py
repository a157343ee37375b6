"""q(μ, Λ) for four kinds of covariance, each conjugate: normal means given the precision, times its own law.

With Λ_k the precision of component k, μ_k | Λ_k ~ N(m_0, (β_0 Λ_k)⁻¹), and the law of Λ_k is, with ν_0 and
C_0 the prior's degrees of freedom and inverse scale (sums of squares that ν_0 rows would have brought),

    full        Λ_k ~ Wishart(ν_0, C_0⁻¹)                            C_0 (D, D)
    tied        one Λ ~ Wishart(ν_0, C_0⁻¹) for all k                C_0 (D, D)
    diag        Λ_k = diag(λ_kd), λ_kd ~ Gamma(½ν_0, ½c_0d)          c_0 (D,)
    spherical   Λ_k = λ_k I, λ_k ~ Gamma(½Dν_0, ½Dc_0)               c_0 scalar

For all four E[Λ_k] = ν_0 C_0⁻¹ under the prior. The rows of component k multiply the density by
|Λ_k|^{N_k/2} exp −½ tr Λ_k (N_k S_k + N_k (x̄_k − μ_k)(x̄_k − μ_k)ᵀ); completing the square in μ_k leaves
β_k = β_0 + N_k, m_k = (β_0 m_0 + N_k x̄_k)/β_k, and, of the precision, ν_k = ν_0 + N_k and

    C_k = C_0 + N_k S_k + (β_0 N_k/β_k)(x̄_k − m_0)(x̄_k − m_0)ᵀ          (Bishop 10.60–10.63)

for full. What Λ can be told of C_k is its diagonal (diag), the mean of that (spherical: ½Dν_k and ½D c_k,
since a row brings ½D and ½|x − m|²), its sum over k (tied: ν = ν_0 + N). E[Λ_k] = ν_k C_k⁻¹ again.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from vbref.meanfield.mixture.factors import factor
from vbref.meanfield.mixture.statistics import Statistics

Array = NDArray[np.float64]
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Law:
    """q of the precisions, for all components, with the addends of its part of the bound.

    root (K, …) is A_k with A_kᵀA_k = E[Λ_k], log_det (K,) is E[log|Λ_k|];
    inverse_scale is C as the kind of covariance has it. kl are addends of KL(q(Λ) ‖ p(Λ)). `sensitivity` is
    by how much, to first order, the bound moves when all entries of C do by a relative unit: ½ Σ_k ν_k Σ_ij
    |C⁻¹_ij| |C_ij|.
    """

    df: Array
    inverse_scale: Array
    root: Array
    log_det: Array
    log_prior: Array
    log_posterior: Array
    kl: Array
    sensitivity: float


class Precision(Protocol):
    """The law of the precisions: the prior, what q becomes of it, what it predicts."""

    dense: bool

    def law(self, count: Array, scatter: Array, weight: Array, gap: Array) -> Law:
        """q(Λ) from N_k and C_k − C_0 = scatter_k + weight_k gap_k gap_kᵀ."""

    def covariance(self, law: Law) -> Array:
        """E[Λ]⁻¹."""

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """log of the Student density (..., K) at A_k (x − m_k), (..., K, D)."""


class Wishart:
    """Full or tied precisions."""

    dense = True

    def __init__(self, df: float, inverse_scale: Array, tied: bool) -> None:
        self.df, self.inverse_scale, self.tied = df, inverse_scale, tied
        none = np.zeros((1, 0))
        self._tril, _, log_det, _ = _factors(inverse_scale[None], none, np.zeros((1, 0, self.dim)))
        self._log_b = _log_b(np.array([df]), log_det, self.dim)

    @property
    def dim(self) -> int:
        return len(self.inverse_scale)

    def law(self, count: Array, scatter: Array, weight: Array, gap: Array) -> Law:
        """q(Λ_k) = W(ν_k, C_k⁻¹): E[log|Λ|] = Σ_d ψ((ν − d)/2) + D log 2 − log|C| (Bishop 10.65)."""
        groups = (1, len(count)) if self.tied else (len(count), 1)
        n = count.reshape(groups).sum(axis=1)
        base = self.inverse_scale + (scatter.sum(axis=0, keepdims=True) if self.tied else scatter)
        weight, gap = weight.reshape(groups), gap.reshape(*groups, self.dim)
        d, nu = self.dim, self.df + n
        _, inverse, log_det_c, sensitivity = _factors(base, weight, gap)
        log_det = digamma((nu[:, None] - np.arange(d)) / 2).sum(axis=1) + d * math.log(2) - log_det_c
        root = np.sqrt(nu)[:, None, None] * inverse
        trace = np.square(root @ self._tril).sum(axis=(1, 2))
        log_b = _log_b(nu, log_det_c, d)
        log_b_0 = np.broadcast_to(self._log_b, nu.shape)
        k = len(count)
        return Law(
            df=nu,
            inverse_scale=base + (weight[:, :, None] * gap).swapaxes(1, 2) @ gap,
            root=_repeated(root, k),
            log_det=_repeated(log_det, k),
            log_prior=np.concatenate([log_b_0, (self.df - d - 1) / 2 * log_det, -trace / 2]),
            log_posterior=np.concatenate([log_b, (nu - d - 1) / 2 * log_det, -nu * d / 2]),
            kl=np.concatenate([log_b, -log_b_0, n / 2 * log_det, trace / 2, -nu * d / 2]),
            sensitivity=float(nu @ sensitivity) / 2,
        )

    def covariance(self, law: Law) -> Array:
        whole = law.inverse_scale / law.df[:, None, None]
        return whole[0] if self.tied else whole

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """St(m_k, C_k (1 + β_k)/(β_k t), t) with t = ν_k + 1 − D (Bishop 10.81, 10.82)."""
        t, shrink = law.df + 1 - self.dim, mean_precision / (1 + mean_precision)
        log_det = -2 * np.log(np.diagonal(law.root, axis1=1, axis2=2)).sum(axis=1)  # log|C_k/ν_k|
        log_det = log_det + self.dim * np.log(law.df / (t * shrink))
        return student(np.square(whitened).sum(axis=-1) * shrink / law.df, log_det, t, self.dim)


class Gammas:
    """Diagonal precisions (one gamma a coordinate) or spherical ones (one a component)."""

    dense = False

    def __init__(self, df: float, inverse_scale: Array, spherical: bool, dim: int) -> None:
        self.df, self.inverse_scale, self.spherical, self.dim = df, inverse_scale, spherical, dim

    def law(self, count: Array, scatter: Array, weight: Array, gap: Array) -> Law:
        """q(λ) = Gamma(½mν, ½mC), m = D if spherical, else 1: E[λ] = ν/C, E[log λ] = ψ(½mν) − log ½mC."""
        m = self.dim if self.spherical else 1
        squares = scatter + weight[:, None] * np.square(gap)
        added = squares.mean(axis=1, keepdims=True) if self.spherical else squares
        nu, c = (self.df + count)[:, None], self.inverse_scale + added
        a_0, b_0, a, b = m * self.df / 2, m * self.inverse_scale / 2, m * nu / 2, m * c / 2
        log_lambda, mean = digamma(a) - np.log(b), nu / c
        log_b_0 = np.broadcast_to(a_0 * np.log(b_0) - gammaln(a_0), c.shape)
        log_b, prior_part = a * np.log(b) - gammaln(a), -b_0 * mean
        posterior_part = np.broadcast_to(-a, c.shape)
        root = np.ascontiguousarray(np.broadcast_to(np.sqrt(mean), squares.shape))
        return Law(
            df=nu[:, 0],
            inverse_scale=c,
            root=root,
            log_det=m * log_lambda.sum(axis=1),
            log_prior=_joined(log_b_0, (a_0 - 1) * log_lambda, prior_part),
            log_posterior=_joined(log_b, (a - 1) * log_lambda, posterior_part),
            kl=_joined(log_b, -log_b_0, (m * count / 2)[:, None] * log_lambda, -prior_part, posterior_part),
            sensitivity=float(self.dim * nu.sum() / 2),
        )

    def covariance(self, law: Law) -> Array:
        variances = law.inverse_scale / law.df[:, None]
        return variances[:, 0] if self.spherical else variances

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """diag: Π_d St(m_kd, (C_kd/ν_k)(1 + β_k)/β_k, ν_k); spherical: one St in D dimensions with Dν_k."""
        shrink = mean_precision / (1 + mean_precision)
        log_var = -2 * np.log(law.root) - np.log(shrink)[:, None]
        if self.spherical:
            t = self.dim * law.df
            return student(np.square(whitened).sum(axis=-1) * shrink / t, log_var.sum(axis=1), t, self.dim)
        t = law.df[:, None]
        return student(np.square(whitened) * shrink[:, None] / t, log_var, t, 1).sum(axis=-1)


def student(distance: Array, log_det: Array, df: Array, dim: int) -> Array:
    """log St = log Γ(½(t+D)) − log Γ(½t) − ½D log tπ − ½ log|Σ| − ½(t+D) log(1 + Δ²/t); distance is Δ²/t."""
    constant = gammaln((df + dim) / 2) - gammaln(df / 2) - dim / 2 * np.log(df * math.pi) - log_det / 2
    return constant - (df + dim) / 2 * np.log1p(distance)


def _log_b(nu: Array, log_det_c: Array, d: int) -> Array:
    """log B(W, ν) = ½ν log|C| − ½νD log 2 − ¼D(D−1) log π − Σ_d log Γ((ν−d)/2) (Bishop B.79)."""
    log_gamma = gammaln((nu[:, None] - np.arange(d)) / 2).sum(axis=1)
    return nu / 2 * (log_det_c - d * math.log(2)) - d * (d - 1) / 4 * math.log(math.pi) - log_gamma


def _factors(base: Array, weights: Array, gaps: Array) -> tuple[Array, Array, Array, Array]:
    """L, L⁻¹, log|C| and the sensitivity to rounding of C_g = base_g + Σ_k w_gk gap_gk gap_gkᵀ, (G, …)."""
    tril, inverse, log_det = np.zeros_like(base), np.zeros_like(base), np.empty(len(base))
    sensitivity = np.empty(len(base))
    if not factor(base, weights, gaps, tril, inverse, log_det, sensitivity):
        raise FloatingPointError(
            "a scale matrix is not positive definite in float64: inverse_scale is too small beside the data"
        )
    return tril, inverse, log_det, sensitivity


def _repeated(array: Array, k: int) -> Array:
    return array if len(array) == k else np.repeat(array, k, axis=0)


def _joined(*parts: Array) -> Array:
    return np.concatenate([part.ravel() for part in parts])


@dataclass(frozen=True)
class Components:
    """q(μ, Λ) = Π_k N(μ_k | m_k, (β_k Λ_k)⁻¹) q(Λ): means (K, D) from the centre, mean_precision β (K,)."""

    means: Array
    mean_precision: Array
    law: Law
    log_prior: Array
    log_posterior: Array
    kl: Array

    def log_likelihood(self, statistics: Statistics) -> Array:
        """Addends of E[log p(X | Z, μ, Λ)] (Bishop 10.71)."""
        n, d = statistics.count, self.means.shape[1]
        off = _size(self.law.root, statistics.mean - self.means)
        trace = _diagonal(self.law.root, statistics.scatter).sum(axis=1)
        constant, widening = -d / 2 * LOG_2PI * n, -d / 2 * n / self.mean_precision
        return np.concatenate([n / 2 * self.law.log_det, constant, widening, -n / 2 * off, -trace / 2])

    def cancellation(self, statistics: Statistics) -> float:
        """What the addends do not show of the rounding: that of C_k, and of A_k (x − m_k) for m_k far off.

        Entry i of A v errs by ulps of (|A| |v|)_i, and Σ_n r_nk |y_i| ≤ √(N_k Σ_n r_nk y_i²).
        """
        root, n, gap = self.law.root, statistics.count[:, None], statistics.mean - self.means
        squares = n * np.square(_times(root, gap)) + _diagonal(root, statistics.scatter)
        return (
            float((_times(np.abs(root), np.abs(gap)) * np.sqrt(n * np.maximum(squares, 0))).sum())
            + self.law.sensitivity
        )

    @property
    def offsets(self) -> Array:
        """½E[log|Λ_k|] − ½D log 2π − ½D/β_k (K,), the part of E[log N(x | μ_k, Λ_k⁻¹)] that x is not in."""
        return self.law.log_det / 2 - self.means.shape[1] / 2 * (LOG_2PI + 1 / self.mean_precision)


@dataclass(frozen=True)
class ComponentPrior:
    """p(μ, Λ): mean m_0 (D,) from the centre, mean_precision β_0, and the law of the precisions."""

    mean: Array
    mean_precision: float
    precision: Precision

    def posterior(self, statistics: Statistics) -> Components:
        """q(μ, Λ) given the statistics (Bishop 10.59–10.63 and their like, see the head of this file).

        KL(q(μ | Λ) ‖ p(μ | Λ)) = Σ_k ½D (log(β_k/β_0) − 1 + β_0/β_k) + ½β_0 |A_k (m_k − m_0)|².
        """
        n, beta_0 = statistics.count, self.mean_precision
        beta = beta_0 + n
        gap = statistics.mean - self.mean
        own = (n / beta)[:, None]
        means = np.where(own < 0.5, self.mean + own * gap, statistics.mean - (beta_0 / beta)[:, None] * gap)
        law = self.precision.law(n, statistics.scatter, beta_0 * n / beta, gap)
        d, pull = means.shape[1], beta_0 * _size(law.root, means - self.mean)
        constant, half = np.full(len(n), d / 2 * (math.log(beta_0) - LOG_2PI)), np.full(len(n), d / 2)
        prior = (constant, law.log_det / 2, -half * beta_0 / beta, -pull / 2)
        posterior = (half * (np.log(beta) - LOG_2PI), law.log_det / 2, -half)
        relative = (half * np.log(beta / beta_0), -half * n / beta, pull / 2)
        return Components(
            means=means,
            mean_precision=beta,
            law=law,
            log_prior=np.concatenate([*prior, law.log_prior]),
            log_posterior=np.concatenate([*posterior, law.log_posterior]),
            kl=np.concatenate([*relative, law.kl]),
        )


def _times(root: Array, gaps: Array) -> Array:
    """A_k v_k, (K, D)."""
    return root * gaps if root.ndim == 2 else (root @ gaps[:, :, None])[:, :, 0]


def _size(root: Array, gaps: Array) -> Array:
    """|A_k v_k|², (K,)."""
    return np.square(_times(root, gaps)).sum(axis=1)


def _diagonal(root: Array, scatter: Array) -> Array:
    """The diagonal of A_k S_k A_kᵀ, (K, D)."""
    return np.square(root) * scatter if root.ndim == 2 else ((root @ scatter) * root).sum(axis=2)
