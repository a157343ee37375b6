"""KL divergence between Wishart distributions, as a sum of terms that do not cancel.

With M = V_p⁻¹V_q, x = ν_q/2, y = ν_p/2, Γ_D(x) = π^(D(D−1)/4) Π_j Γ(x − h_j) and h_j = 0, ½, … (D−1)/2,

    KL = x (tr M − D) − y log|M| + Σ_j D_{log Γ}(x − h_j → y − h_j),    D_A(x → y) = A(y) − A(x) −
    A′(x)(y − x),

as for any exponential family. Let λ_k be such that log|M| = Σ_k log λ_k and tr M = Σ_k λ_k + off with
off ≥ 0: eigenvalues, or squared diagonal entries of L_p⁻¹L_q with the squares below the diagonal for
`off`. Then

    x (λ − 1) − y log λ = y (w − 1 − log w) − D_{x log x}(x → y),    w = λx/y,

so that D_{x log x}(x → y) leaves D_{log Γ}, to which D_g with g(x) = log Γ(x) − x log x + x remains, and

    D_{x log x}(x − h → y − h) − D_{x log x}(x → y) = h D_{−log}(x − h → y − h) − y D_{−log}((x − h) y →
    x (y − h)).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.dist.multivariate_normal import cholesky, inverse_from_tril
from vbref.kl.gamma import scaled_mean_kl
from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.elementwise import elementwise, elementwise_outputs
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import (
    digamma_difference,
    log_bregman,
    stirling_bregman,
    stirling_gap_curvature,
    trigamma_times,
)

# |L_p⁻¹(V_q − V_p)L_p⁻ᵀ|_F² below which λ − 1 is taken from the eigenvalues of that matrix.
_NEAR = 0.25


@scalar
def scale_kl(nu_q, nu_p, log_ratio):
    """y (w − 1 − log w) with w = λx/y."""
    half = type(nu_q)(0.5)
    return scaled_mean_kl(half * nu_q, half * nu_p, half * (nu_p - nu_q), log_ratio)


@scalar
def shape_kl(nu_q, nu_p, row):
    """D_{log Γ}(x − h → y − h) − D_{x log x}(x → y) with h = row/2."""
    half = type(nu_q)(0.5)
    h = half * row
    x, y, d = half * nu_q, half * nu_p, half * (nu_p - nu_q)
    x_h, y_h = half * (nu_q - row), half * (nu_p - row)
    powers = h * log_bregman(x_h, y_h, d) - y * log_bregman(x_h * y, x * y_h, h * d)
    return powers + stirling_bregman(x_h, y_h, d)


@scalar
def slope_q(nu_q, nu_p, row, excess, log_ratio):
    """½[λ − 1 − (y − x) ψ′(x − h)], for large x − h with 1/x taken out of ψ′, since λ − y/x may be small.

    That is λ − 1 less d/x, unless both are nearly −1.
    """
    half = type(nu_q)(0.5)
    x, d, x_h = half * nu_q, half * (nu_p - nu_q), half * (nu_q - row)
    if x_h <= type(nu_q)(12):
        return half * (excess - trigamma_times(d, x_h))
    means = excess - d / x if nu_q < type(nu_q)(2) * nu_p else math.exp(log_ratio) - nu_p / nu_q
    return half * (means - d * (stirling_gap_curvature(x_h) + row / nu_q / x_h))


@scalar
def shape_slope_p(nu_q, nu_p, row):
    """½[ψ(y − h) − ψ(x − h)]."""
    half = type(nu_q)(0.5)
    return half * digamma_difference(half * (nu_q - row), half * (nu_p - row), half * (nu_p - nu_q))


@scalar
def row_kl(nu_q, nu_p, row, log_ratio):
    """What row j = `row` adds to the KL, but for `off`."""
    return scale_kl(nu_q, nu_p, log_ratio) + shape_kl(nu_q, nu_p, row)


@scalar
def row_slopes(nu_q, nu_p, row, excess, log_ratio):
    """What it adds to the derivatives by ν_q and ν_p, but for `off` and log|M|."""
    return slope_q(nu_q, nu_p, row, excess, log_ratio), shape_slope_p(nu_q, nu_p, row)


@loop
def _kl_loop(nu_q, nu_p, row, log_ratio, out):
    for i in range(out.shape[0]):
        out[i] = row_kl(nu_q[i], nu_p[i], row[i], log_ratio[i])


@loop
def _slopes_loop(nu_q, nu_p, row, excess, log_ratio, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = row_slopes(nu_q[i], nu_p[i], row[i], excess[i], log_ratio[i])


def wishart(
    df_q: ArrayLike, scale_q: ArrayLike, df_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> Any:
    """KL(W(df_q, scale_q) ‖ W(df_p, scale_p)), in nats, batched; W(ν, V) has mean νV.

    ½ν_q (tr V_p⁻¹V_q − D) − ½ν_p log|V_p⁻¹V_q| + log Γ_D(½ν_p) − log Γ_D(½ν_q) − ½(ν_p − ν_q) ψ_D(½ν_q).

    df (...) > D − 1, scale (..., D, D) symmetric positive definite, leading axes broadcast; returns the
    leading shape. Relative accuracy is that of a triangular solve; equal arguments give 0. The matrices'
    algebra is the host's on any device. Raises ValueError otherwise.
    """
    nu_q, v_q, nu_p, v_p = _checked(df_q, scale_q, df_p, scale_p)
    _, log_ratio, off = _scale_ratio(v_q, v_p)
    rows = elementwise(on(device, _kl_loop, row_kl), **_rows(nu_q, nu_p, v_q), log_ratio=log_ratio)
    return (rows.sum(axis=-1) + nu_q / 2 * off)[()]


def wishart_grad(
    df_q: ArrayLike, scale_q: ArrayLike, df_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `wishart` by df_q, scale_q, df_p, scale_p, in the broadcast leading shape.

    With δ = ν_p − ν_q: ½(tr V_p⁻¹V_q − D) − ¼δ Σ_j ψ′(½ν_q − h_j), ½(ν_q V_p⁻¹ − ν_p V_q⁻¹), ½ Σ_j [ψ(½ν_p −
    h_j) − ψ(½ν_q − h_j)] − ½ log|V_p⁻¹V_q|, ½(ν_p V_p⁻¹ − ν_q V_p⁻¹V_qV_p⁻¹). Those by a matrix are the
    symmetric G with dKL = Σ_ij G_ij dV_ij for every symmetric dV. Beside equality V_p⁻¹ − V_q⁻¹ is
    V_p⁻¹(V_q − V_p)V_q⁻¹. Relative accuracy is that of the triangular solves but beside a derivative's zeros,
    as where the means agree at a large df.
    """
    nu_q, v_q, nu_p, v_p = _checked(df_q, scale_q, df_p, scale_p)
    excess, log_ratio, off = _scale_ratio(v_q, v_p)
    rows = {**_rows(nu_q, nu_p, v_q), "excess": excess, "log_ratio": log_ratio}
    by_q, by_p = elementwise_outputs(on(device, _slopes_loop, row_slopes), 2, **rows)
    d_nu_q, d_nu_p = off / 2 + by_q.sum(axis=-1), by_p.sum(axis=-1) - log_ratio.sum(axis=-1) / 2
    x, y = nu_q[..., None, None] / 2, nu_p[..., None, None] / 2
    d, near = y - x, x < 2 * y  # else both differences are nearly −q
    inverse_q, inverse_p = (inverse_from_tril(np.linalg.cholesky(v)) for v in (v_q, v_p))
    step, ratio = inverse_p @ (v_q - v_p), inverse_p @ v_q
    d_v_q = np.where(near, x * step @ inverse_q - d * inverse_q, x * inverse_p - y * inverse_q)
    d_v_p = np.where(near, d * inverse_p - x * step @ inverse_p, y * inverse_p - x * ratio @ inverse_p)
    return d_nu_q[()], _symmetrised(d_v_q), d_nu_p[()], _symmetrised(d_v_p)


def _scale_ratio(v_q: FloatArray, v_p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """λ − 1 and log λ, (..., D), and `off`, (...), of the head of this file: eigenvalues near equality."""
    tril_q, tril_p = np.linalg.cholesky(v_q), np.linalg.cholesky(v_p)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not near
        whitened = np.linalg.solve(tril_p, _t(np.linalg.solve(tril_p, v_q - v_p)))
        near = np.square(whitened).sum(axis=(-2, -1), keepdims=True) < _NEAR
    small = np.linalg.eigvalsh(np.where(near, whitened, v_q.dtype.type(0)))
    excess, log_ratio, off = _triangular_ratio(tril_q, tril_p)
    excess, log_ratio = np.where(near[..., 0], (small, np.log1p(small)), (excess, log_ratio))
    return excess, log_ratio, np.where(near[..., 0, 0], v_q.dtype.type(0), off)


def _triangular_ratio(tril_q: FloatArray, tril_p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same from the entries of L_p⁻¹L_q, whose diagonal is the ratio of the diagonals."""
    below = np.tril(np.linalg.solve(tril_p, tril_q), -1)
    q, p = (np.diagonal(tril, axis1=-2, axis2=-1) for tril in (tril_q, tril_p))
    excess = (q - p) / p * ((q + p) / p)
    return excess, 2 * (np.log(q) - np.log(p)), np.square(below).sum(axis=(-2, -1))


def _rows(nu_q: FloatArray, nu_p: FloatArray, v_q: FloatArray) -> dict[str, FloatArray]:
    """ν_q, ν_p and j = 0, … D − 1, which broadcast."""
    row = np.arange(v_q.shape[-1], dtype=v_q.dtype)
    return {"nu_q": nu_q[..., None], "nu_p": nu_p[..., None], "row": row}


def _t(matrix: FloatArray) -> FloatArray:
    return np.swapaxes(matrix, -1, -2)


def _symmetrised(matrix: FloatArray) -> FloatArray:
    return (matrix + _t(matrix)) / 2


def _checked(
    df_q: ArrayLike, scale_q: ArrayLike, df_p: ArrayLike, scale_p: ArrayLike
) -> tuple[FloatArray, ...]:
    """The arguments as arrays of one leading shape."""
    nu_q, v_q, nu_p, v_p = check.floats(df_q=df_q, scale_q=scale_q, df_p=df_p, scale_p=scale_p)
    cholesky(v_q, "scale_q")
    cholesky(v_p, "scale_p")
    d = v_q.shape[-1]
    if v_p.shape[-1] != d:
        raise ValueError(f"scale_p must have shape (..., {d}, {d}) as scale_q has, has {v_p.shape}")
    for name, nu in (("df_q", nu_q), ("df_p", nu_p)):
        if not (nu > d - 1).all():
            raise ValueError(f"{name} must be > D - 1 = {d - 1}, has {nu.min()}")
    lead = check.broadcast(df_q=nu_q, scale_q=v_q[..., 0, 0], df_p=nu_p, scale_p=v_p[..., 0, 0])
    tails = ((), (d, d), (), (d, d))
    pairs = zip((nu_q, v_q, nu_p, v_p), tails, strict=True)
    return tuple(np.broadcast_to(array, lead + tail) for array, tail in pairs)
