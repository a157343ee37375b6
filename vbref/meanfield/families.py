"""Exponential families in natural coordinates, q(θ) = h(θ) exp(ηᵀT(θ) − A(η)): what `identities` needs.

η is a flat vector and minimal: its moments E[T] = ∇A(η) can be any point of an open set, so that ∇²A, the
Fisher information, can be inverted. Each family has `natural(usual parameters) → η`, `usual(η)` back,
`log_normaliser(η)` = A in nats and `moments(η)` = E[T], in closed forms of which neither is derived from the
other.

Raises ValueError, naming the argument, for parameters out of their domain and an η of another shape.
"""

from dataclasses import dataclass
from math import lgamma
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vbref.dist.multivariate_normal import cholesky
from vbref.numerics import check, digamma, logsumexp

Array = NDArray[Any]
_LOG_2PI = float(np.log(2 * np.pi))


class Family(Protocol):
    """What the identities need of a family."""

    def log_normaliser(self, eta: Array) -> float:
        """A(η), in nats."""
        ...

    def moments(self, eta: Array) -> Array:
        """E[T], of the shape of η."""
        ...


@dataclass(frozen=True)
class Categorical:
    """n states, the last as the reference: T the indicators of the others, η_k = log q_k/q_n."""

    def natural(self, probs: Array) -> Array:
        """η (n − 1,) of probabilities (n,), all > 0."""
        (probs,) = check.floats(probs=probs)
        check.shape("probs", probs, (None,))
        check.probabilities(probs=probs)
        check.positive(probs=probs)
        return np.log(probs[:-1]) - np.log(probs[-1])

    def usual(self, eta: Array) -> Array:
        """Probabilities (n,)."""
        logits = np.append(_eta(eta), 0.0)
        return np.exp(logits - logsumexp(logits))

    def log_normaliser(self, eta: Array) -> float:
        """log(1 + Σ e^η)."""
        return float(logsumexp(np.append(_eta(eta), 0.0)))

    def moments(self, eta: Array) -> Array:
        """The probabilities of all states but the last."""
        return self.usual(eta)[:-1]


@dataclass(frozen=True)
class Spin:
    """s = ±1, T = s: η is the field on it."""

    def natural(self, mean: float) -> Array:
        """η (1,) of a mean in (−1, 1)."""
        if not -1 < mean < 1:
            raise ValueError(f"mean must be in (-1, 1), was {mean!r}")
        return np.array([np.arctanh(mean)])

    def usual(self, eta: Array) -> float:
        """The mean."""
        return float(np.tanh(_eta(eta, 1)[0]))

    def log_normaliser(self, eta: Array) -> float:
        """log 2 cosh η."""
        (field,) = _eta(eta, 1)
        return float(np.logaddexp(field, -field))

    def moments(self, eta: Array) -> Array:
        """tanh η."""
        return np.array([self.usual(eta)])


@dataclass(frozen=True)
class Gamma:
    """T = (log x, x), η = (a − 1, −b)."""

    def natural(self, concentration: float, rate: float) -> Array:
        """η (2,)."""
        _positive(concentration=concentration, rate=rate)
        return np.array([concentration - 1.0, -rate])

    def usual(self, eta: Array) -> tuple[float, float]:
        """(a, b)."""
        eta = _eta(eta, 2)
        a, b = float(eta[0]) + 1, -float(eta[1])
        _positive(concentration=a, rate=b)
        return a, b

    def log_normaliser(self, eta: Array) -> float:
        """log Γ(a) − a log b."""
        a, b = self.usual(eta)
        return lgamma(a) - a * float(np.log(b))

    def moments(self, eta: Array) -> Array:
        """(ψ(a) − log b, a/b)."""
        a, b = self.usual(eta)
        return np.array([digamma(a) - np.log(b), a / b])


@dataclass(frozen=True)
class Beta:
    """T = (log v, log(1 − v)), η = (a − 1, b − 1): a stick's share in a Dirichlet process."""

    def natural(self, a: float, b: float) -> Array:
        """η (2,)."""
        _positive(a=a, b=b)
        return np.array([a - 1.0, b - 1.0])

    def usual(self, eta: Array) -> tuple[float, float]:
        """(a, b)."""
        eta = _eta(eta, 2)
        a, b = float(eta[0]) + 1, float(eta[1]) + 1
        _positive(a=a, b=b)
        return a, b

    def log_normaliser(self, eta: Array) -> float:
        """log B(a, b) = log Γ(a) + log Γ(b) − log Γ(a + b)."""
        a, b = self.usual(eta)
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    def moments(self, eta: Array) -> Array:
        """(ψ(a), ψ(b)) − ψ(a + b)."""
        a, b = self.usual(eta)
        return np.array([digamma(a), digamma(b)]) - digamma(a + b)


@dataclass(frozen=True)
class Dirichlet:
    """T = log π, η = α − 1."""

    def natural(self, concentration: Array) -> Array:
        """η (K,)."""
        (alpha,) = check.floats(concentration=concentration)
        check.shape("concentration", alpha, (None,))
        check.positive(concentration=alpha)
        return alpha - 1

    def usual(self, eta: Array) -> Array:
        """α (K,)."""
        alpha = _eta(eta) + 1
        check.positive(concentration=alpha)
        return alpha

    def log_normaliser(self, eta: Array) -> float:
        """Σ log Γ(α_k) − log Γ(Σ α_k)."""
        alpha = self.usual(eta)
        return sum(map(lgamma, alpha.tolist())) - lgamma(float(alpha.sum()))

    def moments(self, eta: Array) -> Array:
        """ψ(α_k) − ψ(Σ α)."""
        alpha = self.usual(eta)
        return digamma(alpha) - digamma(alpha.sum())


@dataclass(frozen=True)
class Normal:
    """N(m, Λ⁻¹) in `dim` dimensions: T = (z, z_i z_j for i ≥ j), η = (Λm, −½Λ, its off-diagonals twice)."""

    dim: int

    def natural(self, mean: Array, precision: Array) -> Array:
        """η (D + D(D + 1)/2,)."""
        mean, precision = _normal(self.dim, mean, precision=precision)
        return np.concatenate([precision @ mean, _packed(-precision / 2)])

    def usual(self, eta: Array) -> tuple[Array, Array]:
        """(m, Λ)."""
        eta = _eta(eta, self.dim + _pairs(self.dim))
        precision = -2 * _unpacked(eta[self.dim :], self.dim)
        cholesky(precision, "precision")
        return np.linalg.solve(precision, eta[: self.dim]), precision

    def log_normaliser(self, eta: Array) -> float:
        """½ mᵀΛm − ½ log|Λ| + ½ D log 2π."""
        mean, precision = self.usual(eta)
        return (float(mean @ eta[: self.dim]) - _log_det(precision) + self.dim * _LOG_2PI) / 2

    def moments(self, eta: Array) -> Array:
        """(m, those of mmᵀ + Λ⁻¹ with i ≥ j)."""
        mean, precision = self.usual(eta)
        second = np.outer(mean, mean) + np.linalg.inv(precision)
        return np.concatenate([mean, second[np.tril_indices(self.dim)]])


@dataclass(frozen=True)
class NormalGamma:
    """N(w | m, (τP)⁻¹) Gam(τ | a, b) for w in `dim` dimensions.

    T = (log τ, τ, τw, τ w_i w_j for i ≥ j), η = (a − 1 + D/2, −b − ½ mᵀPm, Pm, −½P, its off-diagonals twice).
    """

    dim: int

    def natural(self, mean: Array, precision: Array, concentration: float, rate: float) -> Array:
        """η (2 + D + D(D + 1)/2,)."""
        mean, precision = _normal(self.dim, mean, precision=precision)
        _positive(concentration=concentration, rate=rate)
        pull = precision @ mean
        noise = [concentration - 1 + self.dim / 2, -rate - float(mean @ pull) / 2]
        return np.concatenate([noise, pull, _packed(-precision / 2)])

    def usual(self, eta: Array) -> tuple[Array, Array, float, float]:
        """(m, P, a, b)."""
        eta = _eta(eta, 2 + self.dim + _pairs(self.dim))
        pull = eta[2 : 2 + self.dim]
        precision = -2 * _unpacked(eta[2 + self.dim :], self.dim)
        cholesky(precision, "precision")
        mean = np.linalg.solve(precision, pull)
        a, b = float(eta[0]) + 1 - self.dim / 2, -float(eta[1]) - float(mean @ pull) / 2
        _positive(concentration=a, rate=b)
        return mean, precision, a, b

    def log_normaliser(self, eta: Array) -> float:
        """log Γ(a) − a log b − ½ log|P| + ½ D log 2π."""
        _, precision, a, b = self.usual(eta)
        return lgamma(a) - a * float(np.log(b)) + (self.dim * _LOG_2PI - _log_det(precision)) / 2

    def moments(self, eta: Array) -> Array:
        """(ψ(a) − log b, a/b, m a/b, those of mmᵀ a/b + P⁻¹ with i ≥ j)."""
        mean, precision, a, b = self.usual(eta)
        second = a / b * np.outer(mean, mean) + np.linalg.inv(precision)
        noise = [digamma(a) - np.log(b), a / b]
        return np.concatenate([noise, a / b * mean, second[np.tril_indices(self.dim)]])


@dataclass(frozen=True)
class NormalWishart:
    """N(μ | m, (βΛ)⁻¹) Wishart(Λ | ν, C⁻¹) in `dim` dimensions: a component of a mixture.

    The exponent of its density, −½β (μ − m)ᵀΛ(μ − m) − ½ tr CΛ with |Λ| to the power ½ + ½(ν − D − 1), is
    linear in

        T = (log|Λ|, μᵀΛμ, Λμ, Λ_ij for i ≥ j),
        η = (½(ν − D), −½β, βm, −½(C + βmmᵀ), its off-diagonals twice),

    and what is left is A(η) = −½D log(β/2π) − ½ν log|C| + ½νD log 2 + log Γ_D(½ν). As E[Λ] = νC⁻¹ and, given
    Λ, μ has the mean m and the covariance (βΛ)⁻¹, E[Λμ] = νC⁻¹m and E[μᵀΛμ] = ν mᵀC⁻¹m + D/β.
    """

    dim: int

    def natural(self, mean: Array, mean_precision: float, df: float, inverse_scale: Array) -> Array:
        """η (2 + D + D(D + 1)/2,) of m, β, ν > D − 1, C."""
        mean, inverse_scale = _normal(self.dim, mean, inverse_scale=inverse_scale)
        _positive(mean_precision=mean_precision, df_beyond_dim=df - self.dim + 1)
        pull = mean_precision * mean
        shape = [(df - self.dim) / 2, -mean_precision / 2]
        return np.concatenate([shape, pull, _packed(-(inverse_scale + np.outer(pull, mean)) / 2)])

    def usual(self, eta: Array) -> tuple[Array, float, float, Array]:
        """(m, β, ν, C)."""
        eta = _eta(eta, 2 + self.dim + _pairs(self.dim))
        beta, df, pull = -2 * float(eta[1]), 2 * float(eta[0]) + self.dim, eta[2 : 2 + self.dim]
        _positive(mean_precision=beta, df_beyond_dim=df - self.dim + 1)
        c = -2 * _unpacked(eta[2 + self.dim :], self.dim) - np.outer(pull, pull) / beta
        cholesky(c, "inverse_scale")
        return pull / beta, beta, df, c

    def log_normaliser(self, eta: Array) -> float:
        """½D (log 2π − log β) − ½ν (log|C| − D log 2) + log Γ_D(½ν)."""
        _, beta, nu, c = self.usual(eta)
        d = self.dim
        log_gamma = d * (d - 1) / 4 * np.log(np.pi) + sum(lgamma((nu - i) / 2) for i in range(d))
        return d / 2 * (_LOG_2PI - np.log(beta)) - nu / 2 * (_log_det(c) - d * np.log(2)) + log_gamma

    def moments(self, eta: Array) -> Array:
        """(Σ_d ψ((ν − d)/2) + D log 2 − log|C|, ν mᵀC⁻¹m + D/β, νC⁻¹m, those of νC⁻¹ with i ≥ j)."""
        mean, beta, nu, c = self.usual(eta)
        precision = nu * np.linalg.inv(c)
        log_det = digamma((nu - np.arange(self.dim)) / 2).sum() + self.dim * np.log(2) - _log_det(c)
        pull = precision @ mean
        square = float(mean @ pull) + self.dim / beta
        return np.concatenate([[log_det, square], pull, precision[np.tril_indices(self.dim)]])


def _positive(**named: float) -> None:
    """Raise ValueError unless all are finite and > 0."""
    for name, value in named.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, was {value}")
        if value == np.inf:
            raise ValueError(f"{name} must be finite, was {value}")


def _eta(eta: Array, size: int | None = None) -> Array:
    """η as an array of floats (size,), of any size by default; else ValueError."""
    (array,) = check.floats(eta=eta)
    check.shape("eta", array, (size,))
    return array


def _pairs(dim: int) -> int:
    return dim * (dim + 1) // 2


def _normal(dim: int, mean: Array, **matrix: Array) -> list[Array]:
    """The mean (dim,) and the symmetric positive definite matrix (dim, dim); else ValueError."""
    (name,), (m, square) = matrix, check.floats(mean=mean, **matrix)
    check.shape("mean", m, (dim,))
    check.shape(name, square, (dim, dim))
    cholesky(square, name)
    return [m, square]


def _packed(matrix: Array) -> Array:
    """The coefficients of z_i z_j, i ≥ j, in zᵀ matrix z: a symmetric matrix's off-diagonals count twice."""
    whole = 2 * matrix - np.diag(np.diagonal(matrix))
    return whole[np.tril_indices(len(matrix))]


def _unpacked(coefficients: Array, dim: int) -> Array:
    """The symmetric matrix that `_packed` packs."""
    lower = np.zeros((dim, dim))
    lower[np.tril_indices(dim)] = coefficients
    return (lower + lower.T) / 2


def _log_det(matrix: Array) -> float:
    return 2 * float(np.log(np.diagonal(np.linalg.cholesky(matrix))).sum())
