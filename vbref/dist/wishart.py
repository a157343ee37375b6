"""The Wishart distribution over symmetric positive definite X (D, D), with `df` ν > D − 1 and scale matrix V.

Density |X|^((ν−D−1)/2) e^(−½ tr V⁻¹X) / (2^(νD/2) |V|^(ν/2) Γ_D(ν/2)); mean νV. Here `scale` is V, a
covariance of the ν outer products that X sums, not a standard deviation. Batched over leading axes that
broadcast. Gradients by matrices are symmetric: df = Σ_ij G_ij dV_ij for every symmetric dV.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vbref.dist import _stirling as stirling
from vbref.dist.gamma import check_uniform, standard_quantile, standard_shape_grad
from vbref.dist.multivariate_normal import cholesky, cholesky_backward, inverse_from_tril
from vbref.numerics import check
from vbref.numerics.check import FloatArray


def log_prob(x: ArrayLike, df: ArrayLike, scale: ArrayLike) -> Any:
    """Log density ½(ν−D−1) log|X| − ½ tr V⁻¹X − ½νD log 2 − ½ν log|V| − log Γ_D(ν/2), in nats, (...).

    x, scale (..., D, D) symmetric positive definite; df (...) > D − 1. Raises ValueError for bad input.

    With w the eigenvalues of V⁻¹X and a = ν/2, the terms that grow with ν meet as Σ_d [a log(w_d/2a) − (w_d/2
    − a)].
    """
    root, nu, tril = _checked(x, df, scale)
    w = np.square(np.linalg.svd(np.linalg.solve(tril, root), compute_uv=False))
    a = nu[..., None] / 2
    excess = stirling.log_excesses(np.log(w / 2), w / 2 - a, a).sum(axis=-1)
    return (excess - _normaliser(nu, tril) - (tril.shape[-1] + 1) * _log_diagonal(root))[()]


def log_prob_grad(x: ArrayLike, df: ArrayLike, scale: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, df, scale.

    ½((ν−D−1)X⁻¹ − V⁻¹), ½(log|X/2| − log|V| − Σ_d ψ((ν−d)/2)) with d = 0…D−1, ½(V⁻¹XV⁻¹ − νV⁻¹).
    """
    root, nu, tril = _checked(x, df, scale)
    d = tril.shape[-1]
    precision, inner = inverse_from_tril(tril), np.linalg.solve(tril, root)
    weight = nu[..., None, None]
    d_x = ((weight - (d + 1)) * inverse_from_tril(root) - precision) / 2
    half = np.linalg.solve(np.swapaxes(tril, -1, -2), inner)
    d_scale = (half @ np.swapaxes(half, -1, -2) - weight * precision) / 2
    w = np.square(np.linalg.svd(inner, compute_uv=False))
    a = _shapes(nu, d)
    ratio = stirling.log_ratios(np.log(w / 2), w / 2 - a, a)
    slope = stirling.gap_slope(a)
    return d_x, (ratio - slope).sum(axis=-1)[()] / 2, d_scale


def entropy(df: ArrayLike, scale: ArrayLike) -> Any:
    """Differential entropy in nats, (...), with respect to the entries on and below the diagonal.

    ½(D+1) log|V| + ½D(D+1) log 2 + log Γ_D(ν/2) − ½(ν−D−1) Σ_d ψ(a_d) + ½νD, where a_d = (ν−d)/2, d = 0…D−1.
    With κ_d = (D+1−d)/2 the a-dependent terms are Σ_d [g(a_d) + κ_d log a_d − (a_d − κ_d) g′(a_d)] + D(D−1)/4
    (1 + log π).
    """
    nu, tril = _parameters(df, scale)
    d = tril.shape[-1]
    a, kappa = _shapes(nu, d), _offsets(nu, d)
    terms = stirling.gap(a) + kappa * np.log(a)
    terms -= (a - kappa) * stirling.gap_slope(a)
    constant = d * (d - 1) / 4 * (1 + math.log(math.pi)) + d * (d + 1) / 2 * math.log(2)
    return (terms.sum(axis=-1) + (d + 1) * _log_diagonal(tril) + nu.dtype.type(constant))[()]


def entropy_grad(df: ArrayLike, scale: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy`: by df, ½Σ_d [κ_d/a_d − (a_d − κ_d) g″(a_d)]; by scale, ½(D+1)V⁻¹."""
    nu, tril = _parameters(df, scale)
    d = tril.shape[-1]
    a, kappa = _shapes(nu, d), _offsets(nu, d)
    slope = kappa / a - (a - kappa) * stirling.gap_curvature(a)
    return slope.sum(axis=-1)[()] / 2, inverse_from_tril(tril) * nu.dtype.type((d + 1) / 2)


def mean(df: ArrayLike, scale: ArrayLike) -> FloatArray:
    """The mean νV, (..., D, D)."""
    nu, tril = _parameters(df, scale)
    return nu[..., None, None] * np.asarray(scale, tril.dtype)


def variance(df: ArrayLike, scale: ArrayLike) -> FloatArray:
    """The variance of each entry, ν(V_ij² + V_ii V_jj), (..., D, D)."""
    nu, tril = _parameters(df, scale)
    v = np.broadcast_to(np.asarray(scale, tril.dtype), tril.shape)
    diagonal = np.diagonal(v, axis1=-2, axis2=-1)
    return nu[..., None, None] * (np.square(v) + diagonal[..., :, None] * diagonal[..., None, :])


def sample(normals: ArrayLike, uniforms: ArrayLike, df: ArrayLike, scale: ArrayLike) -> FloatArray:
    """The matrix (LA)(LA)ᵀ with LLᵀ = V and Bartlett's lower triangular A (Bartlett 1933), (..., D, D).

    Below its diagonal A has standard normals, from normals (..., D, D), whose other entries are not used; on
    it A_dd² is chi-squared with ν − d degrees of freedom, d = 0…D−1, the quantile at uniforms (..., D).
    """
    bartlett, _, tril = _bartlett(normals, uniforms, df, scale)
    root = tril @ bartlett
    return root @ np.swapaxes(root, -1, -2)


def sample_backward(
    d_x: ArrayLike, normals: ArrayLike, uniforms: ArrayLike, df: ArrayLike, scale: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cotangents of normals, df, scale from that of x = sample(normals, uniforms, df, scale).

    With R = LA: d_R = (d_x + d_xᵀ)R, d_L = d_R Aᵀ, d_A = Lᵀd_R; A_dd = √(2y), dA_dd/dν = (dy/da)/(2A_dd), a =
    (ν−d)/2.
    """
    bartlett, nu, tril = _bartlett(normals, uniforms, df, scale)
    d, *_ = check.floats(d_x=d_x, normals=normals)
    check.shape("d_x", d, bartlett.shape)
    d_root = (d + np.swapaxes(d, -1, -2)) @ (tril @ bartlett)
    d_bartlett = np.tril(np.swapaxes(tril, -1, -2) @ d_root)
    diagonal = np.diagonal(bartlett, axis1=-2, axis2=-1)
    shapes = _shapes(nu, tril.shape[-1], np.float64)
    by_shape = standard_shape_grad(np.square(diagonal, dtype=np.float64) / 2, shapes)
    d_y = np.diagonal(d_bartlett, axis1=-2, axis2=-1) / np.where(diagonal > 0, diagonal, 1)
    d_scale = cholesky_backward(np.tril(d_root @ np.swapaxes(bartlett, -1, -2)), tril)
    return np.tril(d_bartlett, -1), ((d_y * by_shape).sum(axis=-1) / 2).astype(nu.dtype), d_scale


def _bartlett(
    normals: ArrayLike, uniforms: ArrayLike, df: ArrayLike, scale: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    z, u, *_ = check.floats(normals=normals, uniforms=uniforms, df=df, scale=scale)
    nu, tril = _parameters(df, scale)
    d = tril.shape[-1]
    _trailing("normals", z, (d, d))
    _trailing("uniforms", u, (d,))
    check_uniform(u, "uniforms")
    check.normal_numbers(df=nu)
    lead = check.broadcast(normals=z[..., 0, 0], uniforms=u[..., 0], df=nu)
    y = standard_quantile(u, _shapes(nu, d, np.float64))
    below = np.broadcast_to(np.tril(z, -1), (*lead, d, d))
    bartlett = below + np.sqrt(2 * y)[..., None, :].astype(z.dtype) * np.eye(d, dtype=z.dtype)
    return bartlett, np.broadcast_to(nu, lead), np.broadcast_to(tril, (*lead, d, d))


def _trailing(name: str, array: FloatArray, expected: tuple[int, ...]) -> None:
    if array.shape[-len(expected) :] != expected:
        wanted = ", ".join(map(str, expected))
        raise ValueError(f"{name} must have shape (..., {wanted}), has {array.shape}")


def _normaliser(nu: FloatArray, tril: FloatArray) -> FloatArray:
    """log Γ_D(a) − D(a log a − a), a = ν/2: ¼D(D−1) log π + Σ_d [g(a_d) + a_d log(a_d/a) + ½d(1 − log a)]."""
    d = tril.shape[-1]
    a, half = nu[..., None] / 2, np.arange(d, dtype=nu.dtype) / 2
    shapes = _shapes(nu, d)
    ratio = shapes * np.log1p(-half / a)
    terms = stirling.gap(shapes) + ratio + half - half * np.log(a)
    return terms.sum(axis=-1) + nu.dtype.type(d * (d - 1) / 4 * math.log(math.pi))


def _shapes(nu: FloatArray, d: int, dtype: Any = None) -> FloatArray:
    """a_d = (ν − d)/2, (..., D)."""
    return (nu[..., None].astype(dtype or nu.dtype) - np.arange(d, dtype=dtype or nu.dtype)) / 2


def _offsets(nu: FloatArray, d: int) -> FloatArray:
    """κ_d = (D + 1 − d)/2."""
    return (d + 1 - np.arange(d, dtype=nu.dtype)) / 2


def _log_diagonal(tril: FloatArray) -> FloatArray:
    """½log|LLᵀ|."""
    return np.log(np.diagonal(tril, axis1=-2, axis2=-1)).sum(axis=-1)


def _parameters(df: ArrayLike, scale: ArrayLike) -> tuple[FloatArray, FloatArray]:
    nu, v = check.floats(df=df, scale=scale)
    tril = cholesky(v, "scale")
    d = tril.shape[-1]
    if not (nu > d - 1).all():
        raise ValueError(f"df must be > D - 1 = {d - 1}, has {nu.min()}")
    lead = check.broadcast(df=nu, scale=tril[..., 0, 0])
    return np.broadcast_to(nu, lead), np.broadcast_to(tril, (*lead, d, d))


def _checked(x: ArrayLike, df: ArrayLike, scale: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    matrix, *_ = check.floats(x=x, df=df, scale=scale)
    root = cholesky(matrix, "x")
    nu, tril = _parameters(df, scale)
    if root.shape[-1] != tril.shape[-1]:
        raise ValueError(f"x must have shape (..., {tril.shape[-1]}, {tril.shape[-1]}), has {root.shape}")
    lead = check.broadcast(x=root[..., 0, 0], df=nu)
    shape = (*lead, *tril.shape[-2:])
    return np.broadcast_to(root, shape), np.broadcast_to(nu, lead), np.broadcast_to(tril, shape)
