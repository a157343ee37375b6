"""The multivariate normal N(mean, cov), batched over leading axes that broadcast.

The covariance comes whole (`cov`, symmetric positive definite) or as its Cholesky factor (`scale_tril`, lower
triangular with a positive diagonal, cov = LLᵀ). Gradients by `cov` are symmetric: df = Σ_ij G_ij dΣ_ij for
every symmetric dΣ.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.dist.normal import HALF_LOG_2PI
from vbref.numerics import check
from vbref.numerics.check import FloatArray


def cholesky(cov: ArrayLike, name: str = "cov") -> FloatArray:
    """The lower triangular L with positive diagonal and LLᵀ = cov, (..., D, D).

    Raises ValueError, calling the argument `name`, unless cov is symmetric to rounding and positive definite.
    """
    (sigma,) = check.floats(**{name: cov})
    require_square(name, sigma)
    _symmetric(name, sigma)
    try:
        return np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} must be positive definite, is not") from None


def cholesky_backward(d_scale_tril: ArrayLike, scale_tril: ArrayLike) -> FloatArray:
    """The cotangent of cov, from that of L = cholesky(cov).

    dΣ = dL Lᵀ + L dLᵀ gives L⁻¹dL = Φ(L⁻¹ dΣ L⁻ᵀ), where Φ keeps the lower triangle and halves the diagonal;
    its transpose takes d_L to L⁻ᵀ Φ(Lᵀ d_L) L⁻¹, made symmetric.
    """
    d_tril, tril = check.floats(d_scale_tril=d_scale_tril, scale_tril=_lower(scale_tril))
    inner = _lower_half(_t(tril) @ np.tril(d_tril))
    half = np.linalg.solve(_t(tril), inner)
    return _symmetrised(_t(np.linalg.solve(_t(tril), _t(half))))


def log_prob(x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Any:
    """Log density −½(x − μ)ᵀΣ⁻¹(x − μ) − ½log|Σ| − ½D log 2π, in nats, (...).

    x, mean (..., D); cov (..., D, D). Raises ValueError unless cov is symmetric positive definite.
    """
    return _log_density(*_aligned({"cov": cholesky(cov)}, x=x, mean=mean))


def log_prob_grad(x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, mean, cov: with s = Σ⁻¹(x − μ), (−s, s, ½(ssᵀ − Σ⁻¹))."""
    x, mu, tril = _aligned({"cov": cholesky(cov)}, x=x, mean=mean)
    s = _score(x, mu, tril)
    inverse = inverse_from_tril(tril)
    d_cov = (_outer(s, s) - inverse) * s.dtype.type(0.5)
    return -s, s, d_cov


def log_prob_tril(x: ArrayLike, mean: ArrayLike, scale_tril: ArrayLike) -> Any:
    """Log density from the Cholesky factor: with z = L⁻¹(x − μ), −½zᵀz − Σ log L_dd − ½D log 2π, in nats."""
    return _log_density(*_aligned({"scale_tril": _lower(scale_tril)}, x=x, mean=mean))


def log_prob_tril_grad(x: ArrayLike, mean: ArrayLike, scale_tril: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob_tril` by its arguments: with s = L⁻ᵀz, (−s, s, tril(s zᵀ) − diag(1/L_dd))."""
    x, mu, tril = _aligned({"scale_tril": _lower(scale_tril)}, x=x, mean=mean)
    z = _whiten(x - mu, tril)
    s = _score(x, mu, tril)
    return -s, s, np.tril(_outer(s, z)) - _reciprocal_diagonal(tril)


def entropy(mean: ArrayLike, cov: ArrayLike) -> Any:
    """Differential entropy ½log|Σ| + ½D log 2πe, in nats, (...): E zᵀz = D."""
    mu, tril = _parameters(mean, cov)
    return np.broadcast_to(mu.shape[-1] * mu.dtype.type(0.5) - _constant(tril), mu.shape[:-1]).copy()[()]


def entropy_grad(mean: ArrayLike, cov: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy`: 0 by mean, ½Σ⁻¹ by cov."""
    mu, tril = _parameters(mean, cov)
    d_cov = inverse_from_tril(tril) * mu.dtype.type(0.5)
    return np.zeros_like(mu), np.broadcast_to(d_cov, (*mu.shape, mu.shape[-1])).copy()


def mean(mean: ArrayLike, cov: ArrayLike) -> FloatArray:
    """The mean, (..., D); also the mode."""
    return _parameters(mean, cov)[0].copy()


def covariance(mean: ArrayLike, cov: ArrayLike) -> FloatArray:
    """The covariance, (..., D, D)."""
    mu, _ = _parameters(mean, cov)
    return np.broadcast_to(np.asarray(cov, mu.dtype), (*mu.shape, mu.shape[-1])).copy()


def sample(noise: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Any:
    """The point μ + Lε with LLᵀ = cov, N(mean, cov) for standard normal noise ε (..., D).

    xu/24 prints μ + Σ × ε, whose covariance is Σ², not Σ: a factor L of Σ = LLᵀ belongs there.
    """
    eps, mu, tril = _aligned({"cov": cholesky(cov)}, noise=noise, mean=mean)
    return mu + _apply(tril, eps)


def sample_backward(d_x: ArrayLike, noise: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> tuple[Any, ...]:
    """Cotangents of noise, mean, cov from that of x = sample(noise, mean, cov), through the factor."""
    eps, mu, tril = _aligned({"cov": cholesky(cov)}, noise=noise, mean=mean)
    d_noise, d_mean, d_tril = sample_tril_backward(d_x, eps, mu, tril)
    return d_noise, d_mean, cholesky_backward(d_tril, tril)


def sample_tril(noise: ArrayLike, mean: ArrayLike, scale_tril: ArrayLike) -> Any:
    """The point μ + Lε for the Cholesky factor L, (..., D)."""
    eps, mu, tril = _aligned({"scale_tril": _lower(scale_tril)}, noise=noise, mean=mean)
    return mu + _apply(tril, eps)


def sample_tril_backward(
    d_x: ArrayLike, noise: ArrayLike, mean: ArrayLike, scale_tril: ArrayLike
) -> tuple[Any, ...]:
    """Cotangents of noise, mean, scale_tril from that of x = μ + Lε: (Lᵀd_x, d_x, tril(d_x εᵀ))."""
    eps, mu, tril = _aligned({"scale_tril": _lower(scale_tril)}, noise=noise, mean=mean)
    d, *_ = check.floats(d_x=d_x, noise=noise)
    check.shape("d_x", d, mu.shape)
    return _apply(_t(tril), d), d.copy(), np.tril(_outer(d, eps))


def _t(matrix: FloatArray) -> FloatArray:
    return np.swapaxes(matrix, -1, -2)


def _apply(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    return (matrix @ vector[..., None])[..., 0]


def _outer(left: FloatArray, right: FloatArray) -> FloatArray:
    return left[..., :, None] * right[..., None, :]


def _symmetrised(matrix: FloatArray) -> FloatArray:
    return (matrix + _t(matrix)) * matrix.dtype.type(0.5)


def _lower_half(matrix: FloatArray) -> FloatArray:
    d = matrix.shape[-1]
    weight = np.tril(np.ones((d, d), matrix.dtype)) - np.eye(d, dtype=matrix.dtype) / 2
    return matrix * weight.astype(matrix.dtype)


def _log_density(x: FloatArray, mu: FloatArray, tril: FloatArray) -> Any:
    z = _whiten(x - mu, tril)
    return (_constant(tril) - np.square(z).sum(axis=-1) * z.dtype.type(0.5))[()]


def _whiten(residual: FloatArray, tril: FloatArray) -> FloatArray:
    """L⁻¹ r. One factor for many r is solved once, with the r as its columns."""
    if tril.ndim == 2:
        columns = residual.reshape(-1, residual.shape[-1]).T
        return np.linalg.solve(tril, columns).T.reshape(residual.shape)
    return np.linalg.solve(tril, residual[..., None])[..., 0]


def _score(x: FloatArray, mu: FloatArray, tril: FloatArray) -> FloatArray:
    return _whiten(_whiten(x - mu, tril), _t(tril))


def inverse_from_tril(tril: FloatArray) -> FloatArray:
    """(LLᵀ)⁻¹, symmetric to the bit."""
    inverse = np.linalg.inv(tril)
    return _t(inverse) @ inverse


def _diagonal(matrix: FloatArray) -> FloatArray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _constant(tril: FloatArray) -> FloatArray:
    return -(np.log(_diagonal(tril)) + tril.dtype.type(HALF_LOG_2PI)).sum(axis=-1)


def _reciprocal_diagonal(tril: FloatArray) -> FloatArray:
    return np.eye(tril.shape[-1], dtype=tril.dtype) / _diagonal(tril)[..., None, :]


def require_square(name: str, matrix: FloatArray) -> None:
    """Raise ValueError unless the last two axes are D and D, D >= 1."""
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., D, D) with D >= 1, has {matrix.shape}")


def _symmetric(name: str, matrix: FloatArray) -> None:
    unit = np.finfo(matrix.dtype).eps * abs(matrix).max(axis=(-2, -1), initial=0, keepdims=True)
    if not (matrix - _t(matrix) <= 16 * unit).all():
        raise ValueError(
            f"{name} must be symmetric, differs from its transpose by {abs(matrix - _t(matrix)).max()}"
        )


def _lower(scale_tril: ArrayLike) -> FloatArray:
    (tril,) = check.floats(scale_tril=scale_tril)
    require_square("scale_tril", tril)
    if np.triu(tril, 1).any():
        raise ValueError("scale_tril must be lower triangular, has entries above the diagonal")
    check.positive(**{"the diagonal of scale_tril": _diagonal(tril)})
    return tril


def _aligned(factor: dict[str, FloatArray], **vectors: ArrayLike) -> list[FloatArray]:
    """The vectors (..., D), on common leading axes, and the factor (..., D, D) that broadcasts to these."""
    *arrays, tril = check.floats(**vectors, **factor)
    d = tril.shape[-1]
    for name, vector in zip(vectors, arrays, strict=True):
        if vector.ndim == 0 or vector.shape[-1] != d:
            raise ValueError(f"{name} must have shape (..., {d}), has {vector.shape}")
    heads = {name: vector[..., 0] for name, vector in zip(vectors, arrays, strict=True)}
    lead = check.broadcast(**heads, **dict.fromkeys(factor, tril[..., 0, 0]))
    return [*(np.broadcast_to(v, (*lead, d)) for v in arrays), tril]


def _parameters(mean: ArrayLike, cov: ArrayLike) -> list[FloatArray]:
    return _aligned({"cov": cholesky(cov)}, mean=mean)
