"""The Dirichlet distribution on the simplex, over the last axis: density Γ(α₀)/Π Γ(α_k) · Π x_k^(α_k − 1)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vbref.dist import _stirling as stirling
from vbref.dist.beta import TINY
from vbref.dist.gamma import check_uniform, standard_quantile, standard_shape_grad
from vbref.numerics import check
from vbref.numerics.check import FloatArray

_TINY_QUANTILE = 1e-200


def log_prob(x: ArrayLike, concentration: ArrayLike) -> Any:
    """Log density log Γ(α₀) − Σ log Γ(α_k) + Σ (α_k − 1) log x_k by dx_1…dx_{K−1}, in nats, (...).

    x (..., K) >= 0 summing to one, concentration α (..., K) > 0; leading axes broadcast. On a face of the
    simplex its limit (+inf or −inf; ValueError where two faces meet with opposite infinities). Raises
    ValueError for bad input.

    Summed as Σ [α_k log(α₀x_k/α_k) − (α₀x_k − α_k)] − Σ g(α_k) + g(α₀) − Σ log x_k + α₀(Σ x_k − 1), whose
    terms do not cancel for large α.
    """
    p, alpha = _checked(x, concentration)
    total = alpha.sum(axis=-1, keepdims=True)
    safe = np.where(p > 0, p, alpha / total)
    excess = stirling.log_excesses(np.log(safe) + np.log(total), safe * total - alpha, alpha)
    left = stirling.gap(alpha).sum(axis=-1) - stirling.gap(total[..., 0])
    inner = (excess - np.log(safe)).sum(axis=-1) - left + total[..., 0] * _surplus(safe)
    return _on_faces(inner, p, alpha)[()]


def log_prob_grad(x: ArrayLike, concentration: ArrayLike) -> tuple[FloatArray, ...]:
    """Derivatives of `log_prob`: (α_k − 1)/x_k by x (free); log x_k + ψ(α₀) − ψ(α_k) by concentration."""
    p, alpha = _checked(x, concentration)
    total = alpha.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        d_x = np.where(alpha == 1, 0, (alpha - 1) / p).astype(p.dtype)
        log_y = np.log(p) + np.log(total)
    ratio = stirling.log_ratios(log_y, p * total - alpha, alpha)
    return d_x, ratio + (stirling.gap_slope(total) - stirling.gap_slope(alpha))


def entropy(concentration: ArrayLike) -> Any:
    """Differential entropy log B(α) + (α₀ − K)ψ(α₀) − Σ (α_k − 1)ψ(α_k), in nats, (...)."""
    alpha = _positive(concentration)
    total, k = alpha.sum(axis=-1), alpha.shape[-1]
    part = stirling.gap(alpha) - (alpha - 1) * stirling.gap_slope(alpha)
    whole = (total - k) * stirling.gap_slope(total) - stirling.gap(total)
    return ((part + np.log(alpha) - np.log(total[..., None])).sum(axis=-1) + whole)[()]


@np.errstate(over="ignore", invalid="ignore")
def entropy_grad(concentration: ArrayLike) -> tuple[FloatArray, ...]:
    """Derivative of `entropy` by concentration, a tuple of one: (α₀ − K)ψ′(α₀) − (α_k − 1)ψ′(α_k).

    For tiny α₀ it is (1 − K(α_k/α₀)²)/α_k², whose two squares would overflow apart.
    """
    alpha = _positive(concentration)
    total, k = alpha.sum(axis=-1, keepdims=True), alpha.shape[-1]
    common = (total - k) * stirling.gap_curvature(total) - k / total
    own = 1 / alpha - (alpha - 1) * stirling.gap_curvature(alpha)
    tiny = (1 - k * np.square(alpha / total)) / alpha / alpha
    return (np.where(total < TINY, tiny, common + own).astype(alpha.dtype),)


def mean(concentration: ArrayLike) -> FloatArray:
    """The mean, α/α₀, (..., K)."""
    alpha = _positive(concentration)
    return alpha / alpha.sum(axis=-1, keepdims=True)


def covariance(concentration: ArrayLike) -> FloatArray:
    """The covariance (diag(m) − mmᵀ)/(α₀ + 1) with m = α/α₀, (..., K, K)."""
    alpha = _positive(concentration)
    m = mean(alpha)
    spread = m[..., :, None] * (np.eye(m.shape[-1], dtype=m.dtype) - m[..., None, :])
    return spread / (alpha.sum(axis=-1)[..., None, None] + 1)


def sample(noise: ArrayLike, concentration: ArrayLike) -> FloatArray:
    """Normalised gamma quantiles y_k/Σy of the uniform noise (..., K) on (0, 1), Dirichlet distributed.

    Formed from log y_k, so that small concentrations, whose quantiles underflow, still give a point.
    """
    u, alpha = _noisy(noise, concentration)
    return _softmax(_log_quantile(u, alpha)).astype(alpha.dtype)


def sample_backward(d_x: ArrayLike, noise: ArrayLike, concentration: ArrayLike) -> tuple[FloatArray, ...]:
    """Cotangents of noise and concentration from that of x = sample(noise, concentration).

    d_l = x(d_x − Σ d_x·x) for l = log y; then by the quantile's derivatives (implicit reparameterisation).
    """
    u, alpha = _noisy(noise, concentration)
    d, *_ = check.floats(d_x=d_x, noise=noise)
    log_y = _log_quantile(u, alpha)
    x = _softmax(log_y)
    check.shape("d_x", d, x.shape)
    d_log = x * (d - (d * x).sum(axis=-1, keepdims=True))
    by_noise, by_shape = _log_quantile_grad(log_y, alpha.astype(np.float64))
    return tuple(_product(d_log, by).astype(alpha.dtype) for by in (by_noise, by_shape))


@np.errstate(over="ignore", invalid="ignore")
def _product(d: FloatArray, slope: FloatArray) -> FloatArray:
    """d·slope, and 0 where d has underflowed, be the slope infinite."""
    return np.where(d == 0, 0, d * slope)


def _log_quantile(u: FloatArray, alpha: FloatArray) -> FloatArray:
    """log y where P(α, y) = u; where y would underflow, from P ≈ y^α/Γ(α + 1), in float64."""
    u, a = u.astype(np.float64), alpha.astype(np.float64)
    y = standard_quantile(u, a)
    small = y < _TINY_QUANTILE
    return np.where(small, (np.log(u) + special.gammaln(a + 1)) / a, np.log(np.where(small, 1, y)))


def _log_quantile_grad(log_y: FloatArray, a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """d log y/du = 1/(y p(y)) and d log y/da; where y is tiny, (ψ(α + 1) − log y)/α."""
    small = log_y < np.log(_TINY_QUANTILE)
    y = np.exp(log_y)
    with np.errstate(over="ignore", invalid="ignore"):
        by_shape = np.where(small, (special.digamma(a + 1) - log_y) / a, standard_shape_grad(y, a) / y)
        return np.exp(special.gammaln(a) - a * log_y + y), by_shape


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _surplus(p: FloatArray) -> FloatArray:
    """Σ x_k − 1, the rounding left in x, summed from −1 so that the partial sums stay small."""
    return np.cumsum(np.concatenate([np.full_like(p[..., :1], -1), p], axis=-1), axis=-1)[..., -1]


def _on_faces(inner: FloatArray, p: FloatArray, alpha: FloatArray) -> FloatArray:
    """The limit where some x_k = 0: −inf by the faces with α_k > 1, +inf by those with α_k < 1."""
    falls, rises = ((p == 0) & (alpha > 1)).any(axis=-1), ((p == 0) & (alpha < 1)).any(axis=-1)
    if (falls & rises).any():
        raise ValueError(
            "x must not lie where the density has no limit: faces with concentration below and above 1"
        )
    return np.where(falls, -np.inf, np.where(rises, np.inf, inner)).astype(p.dtype)


def _positive(concentration: ArrayLike) -> FloatArray:
    (alpha,) = check.floats(concentration=concentration)
    if alpha.ndim == 0 or alpha.shape[-1] == 0:
        raise ValueError(
            f"concentration must have a last axis of at least one category, has shape {alpha.shape}"
        )
    check.positive(concentration=alpha)
    return alpha


def _aligned(name: str, vector: FloatArray, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
    if vector.ndim == 0 or vector.shape[-1] != alpha.shape[-1]:
        raise ValueError(f"{name} must have shape (..., {alpha.shape[-1]}), has {vector.shape}")
    shape = check.broadcast(**{name: vector, "concentration": alpha})
    return np.broadcast_to(vector, shape), np.broadcast_to(alpha, shape)


def _checked(x: ArrayLike, concentration: ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, _ = check.floats(x=x, concentration=concentration)
    check.probabilities(x=p)
    return _aligned("x", p, _positive(concentration))


def _noisy(noise: ArrayLike, concentration: ArrayLike) -> tuple[FloatArray, FloatArray]:
    u, _ = check.floats(noise=noise, concentration=concentration)
    check.positive(noise=u)
    check_uniform(u)
    alpha = _positive(concentration)
    check.normal_numbers(concentration=alpha)
    return _aligned("noise", u, alpha)
