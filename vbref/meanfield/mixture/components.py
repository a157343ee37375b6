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
from scipy.special import digamma

from vbref import kl
from vbref.dist import gamma, wishart
from vbref.meanfield.mixture.factors import shape_divergences
from vbref.meanfield.mixture.scales import Scales, factored
from vbref.meanfield.mixture.statistics import Statistics
from vbref.meanfield.student import log_student

Array = NDArray[np.float64]
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Law:
    """q of the precisions, for all components, with the addends of its part of the bound.

    root (K, …) is A_k with A_kᵀA_k = E[Λ_k], log_det (K,) is E[log|Λ_k|];
    inverse_scale is C as the kind of covariance has it. kl are addends of KL(q(Λ) ‖ p(Λ)). `sensitivity` is
    by how much, to first order, the bound moves when all entries of C do by a relative unit; `coarse` is
    whether those of the scatter are then too few, and its root is needed.
    """

    df: Array
    inverse_scale: Array
    root: Array
    log_det: Array
    kl: Array
    sensitivity: float
    coarse: bool = False


class Precision(Protocol):
    """The law of the precisions: the prior, what q becomes of it, what it predicts."""

    dense: bool

    def law(self, statistics: Statistics, pull: Array) -> Law:
        """q(Λ) from N_k and C_k − C_0 = scatter_k + pull_k pull_kᵀ."""

    def entropy(self, law: Law) -> float:
        """H(q(Λ)) in nats, of all components."""

    def covariance(self, law: Law) -> Array:
        """E[Λ]⁻¹."""

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """log of the Student density (..., K) at A_k (x − m_k), (..., K, D)."""


class Wishart:
    """Full or tied precisions."""

    dense = True

    def __init__(self, df: float, inverse_scale: Array, tied: bool) -> None:
        self.df, self.inverse_scale, self.tied = df, inverse_scale, tied
        self._tril = np.linalg.cholesky(inverse_scale)

    @property
    def dim(self) -> int:
        return len(self.inverse_scale)

    def law(self, statistics: Statistics, pull: Array) -> Law:
        """q(Λ_k) = W(ν_k, C_k⁻¹): E[log|Λ|] = Σ_d ψ((ν − d)/2) + D log 2 − log|C| (Bishop 10.65)."""
        d, k = self.dim, len(pull)
        groups = (1, k) if self.tied else (k, 1)
        n = statistics.count.reshape(groups).sum(axis=1)
        nu = self.df + n
        scales = self._scales(statistics, pull, groups)
        scales.check(nu, statistics.refine is not None)
        log_growth, lost = self._growth(scales)
        log_det = digamma((nu[:, None] - np.arange(d)) / 2).sum(axis=1) + d * math.log(2)
        log_det = log_det - 2 * np.log(np.diagonal(scales.tril, axis1=1, axis2=2)).sum(axis=1)
        shapes = np.empty(len(nu))
        shape_divergences(nu, n, d, shapes)
        weight = n + nu * np.minimum(lost, 1)
        return Law(
            df=nu,
            inverse_scale=self.inverse_scale + scales.added,
            root=_repeated(np.sqrt(nu)[:, None, None] * scales.inverse, k),
            log_det=_repeated(log_det, k),
            kl=np.concatenate([self.df / 2 * log_growth, -nu / 2 * lost, shapes]),
            sensitivity=float(weight @ (scales.rounding + scales.pulled)) / 2,
            coarse=scales.coarse(nu),
        )

    def _scales(self, statistics: Statistics, pull: Array, groups: tuple[int, int]) -> Scales:
        """C of each component, or of all of them together."""
        square = (*groups, self.dim, self.dim)
        roots = None if statistics.root is None else statistics.root.reshape(square)
        scatter = statistics.scatter.reshape(square).sum(axis=1)
        return factored(self.inverse_scale, scatter, roots, pull.reshape(*groups, self.dim))

    def _growth(self, scales: Scales) -> tuple[Array, Array]:
        """log|C| − log|C_0| and D − tr C⁻¹C_0, (G,), from eigenvalues of C⁻¹(C − C_0) where these are small.

        KL(q(Λ) ‖ p(Λ)) = ½ν_0 (log|C| − log|C_0|) − ½ν (D − tr C⁻¹C_0) + Σ_d D_{log Γ}(½(ν−d) → ½(ν_0−d)),
        where the first two, for a large ν_0, would be differences of large numbers.
        """
        ratio = np.diagonal(scales.tril, axis1=1, axis2=2) / np.diagonal(self._tril)
        log_growth = 2 * np.log(ratio).sum(axis=1)
        lost = self.dim - np.square(scales.inverse @ self._tril).sum(axis=(1, 2))
        near = lost < 0.5
        if near.any():
            inverse = scales.inverse[near]
            shares = np.linalg.eigvalsh(inverse @ scales.added[near] @ inverse.swapaxes(1, 2))
            log_growth[near], lost[near] = -np.log1p(-shares).sum(axis=1), shares.sum(axis=1)
        return log_growth, lost

    def entropy(self, law: Law) -> float:
        """That at C = I, less ½(D + 1) log|C|, since it is of the entries on and below the diagonal."""
        log_det = (self.dim * np.log(law.df) + _log_det_inverse(law.root))[: len(law.df)]
        return float((wishart.entropy(law.df, np.eye(self.dim)) - (self.dim + 1) / 2 * log_det).sum())

    def covariance(self, law: Law) -> Array:
        whole = law.inverse_scale / law.df[:, None, None]
        return whole[0] if self.tied else whole

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """St(m_k, C_k (1 + β_k)/(β_k t), t) with t = ν_k + 1 − D (Bishop 10.81, 10.82)."""
        t, shrink = law.df + 1 - self.dim, mean_precision / (1 + mean_precision)
        log_det = _log_det_inverse(law.root) + self.dim * np.log(law.df / (t * shrink))
        return log_student(np.square(whitened).sum(axis=-1) * shrink / law.df, log_det, t, self.dim)


class Gammas:
    """Diagonal precisions (one gamma a coordinate) or spherical ones (one a component)."""

    dense = False

    def __init__(self, df: float, inverse_scale: Array, spherical: bool, dim: int) -> None:
        self.df, self.inverse_scale, self.spherical, self.dim = df, inverse_scale, spherical, dim

    def law(self, statistics: Statistics, pull: Array) -> Law:
        """q(λ) = Gamma(½mν, ½mC), m = D if spherical, else 1: E[λ] = ν/C, E[log λ] = ψ(½mν) − log ½mC."""
        m = self.dim if self.spherical else 1
        squares = statistics.scatter + np.square(pull)
        added = squares.mean(axis=1, keepdims=True) if self.spherical else squares
        nu, c = (self.df + statistics.count)[:, None], self.inverse_scale + added
        a, b = m * nu / 2, m * c / 2
        divergence = kl.gamma(a, b, m * self.df / 2, m * self.inverse_scale / 2)
        return Law(
            df=nu[:, 0],
            inverse_scale=c,
            root=np.ascontiguousarray(np.broadcast_to(np.sqrt(nu / c), squares.shape)),
            log_det=m * (digamma(a) - np.log(b)).sum(axis=1),
            kl=divergence.ravel(),
            sensitivity=float(self.dim * nu.sum() / 2),
        )

    def entropy(self, law: Law) -> float:
        """That of the gammas."""
        m = self.dim if self.spherical else 1
        return float(gamma.entropy(m * law.df[:, None] / 2, m * law.inverse_scale / 2).sum())

    def covariance(self, law: Law) -> Array:
        variances = law.inverse_scale / law.df[:, None]
        return variances[:, 0] if self.spherical else variances

    def log_predictive(self, whitened: Array, law: Law, mean_precision: Array) -> Array:
        """diag: Π_d St(m_kd, (C_kd/ν_k)(1 + β_k)/β_k, ν_k); spherical: one St in D dimensions with Dν_k."""
        shrink = mean_precision / (1 + mean_precision)
        log_var = -2 * np.log(law.root) - np.log(shrink)[:, None]
        if self.spherical:
            t = self.dim * law.df
            return log_student(
                np.square(whitened).sum(axis=-1) * shrink / t, log_var.sum(axis=1), t, self.dim
            )
        t = law.df[:, None]
        return log_student(np.square(whitened) * shrink[:, None] / t, log_var, t, 1).sum(axis=-1)


def _log_det_inverse(root: Array) -> Array:
    """log|(AᵀA)⁻¹| of triangular A (K, D, D)."""
    return -2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)


def _repeated(array: Array, k: int) -> Array:
    return array if len(array) == k else np.repeat(array, k, axis=0)


@dataclass(frozen=True)
class Components:
    """q(μ, Λ) = Π_k N(μ_k | m_k, (β_k Λ_k)⁻¹) q(Λ): means (K, D) from the centre, mean_precision β (K,)."""

    means: Array
    mean_precision: Array
    law: Law
    kl: Array

    def log_likelihood(self, statistics: Statistics) -> Array:
        """Addends of E[log p(X | Z, μ, Λ)] (Bishop 10.71)."""
        n, d = statistics.count, self.means.shape[1]
        off = _size(self.law.root, statistics.mean - self.means)
        trace = _spread(self.law.root, statistics).sum(axis=1)
        constant, widening = -d / 2 * LOG_2PI * n, -d / 2 * n / self.mean_precision
        return np.concatenate([n / 2 * self.law.log_det, constant, widening, -n / 2 * off, -trace / 2])

    def cancellation(self, statistics: Statistics) -> float:
        """What the addends do not show of the rounding: that of C_k, and of A_k (x − m_k) for m_k far off.

        Entry i of A v errs by ulps of (|A| |v|)_i, and Σ_n r_nk |y_i| ≤ √(N_k Σ_n r_nk y_i²).
        """
        root, n, gap = self.law.root, statistics.count[:, None], statistics.mean - self.means
        squares = n * np.square(_times(root, gap)) + _spread(root, statistics)
        far = _times(np.abs(root), np.abs(gap)) * np.sqrt(n * np.maximum(squares, 0))
        return float(far.sum()) + _spread_rounding(root, statistics) + self.law.sensitivity

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
        pull = np.sqrt(beta_0 * n / beta)[:, None] * gap
        law = self.precision.law(statistics, pull)
        half, far = means.shape[1] / 2, beta_0 * _size(law.root, own * gap)
        relative = (half * np.log1p(n / beta_0), -half * n / beta, far / 2)
        return Components(means, beta, law, np.concatenate([*relative, law.kl]))

    def entropy(self, q: Components) -> float:
        """H(q(μ, Λ)) in nats: Σ_k ½ [D (1 + log 2π − log β_k) − E log|Λ_k|] and that of q(Λ)."""
        d = q.means.shape[1]
        means = d * (1 + LOG_2PI - np.log(q.mean_precision)) - q.law.log_det
        return float(means.sum()) / 2 + self.precision.entropy(q.law)


def _times(root: Array, gaps: Array) -> Array:
    """A_k v_k, (K, D)."""
    return root * gaps if root.ndim == 2 else (root @ gaps[:, :, None])[:, :, 0]


def _size(root: Array, gaps: Array) -> Array:
    """|A_k v_k|², (K,)."""
    return np.square(_times(root, gaps)).sum(axis=1)


def _spread(root: Array, statistics: Statistics) -> Array:
    """The diagonal of A_k (N_k S_k) A_kᵀ, (K, D), as squares where the root of the scatter is known."""
    if root.ndim == 2:
        return np.square(root) * statistics.scatter
    if statistics.root is None:
        return ((root @ statistics.scatter) * root).sum(axis=2)
    return np.square(root @ statistics.root.swapaxes(1, 2)).sum(axis=2)


def _spread_rounding(root: Array, statistics: Statistics) -> float:
    """By how much, to first order, the sum of `_spread` moves when what it is made of does by a unit."""
    if root.ndim == 2:
        return 0.0
    if statistics.root is None:
        return float((np.abs(root.swapaxes(1, 2) @ root) * np.abs(statistics.scatter)).sum())
    rows = statistics.root.swapaxes(1, 2)
    size = np.abs(root) @ np.linalg.norm(rows, axis=2, keepdims=True)
    return float((np.abs(root @ rows) * size).sum())
