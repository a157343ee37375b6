"""KL divergence between multivariate normal distributions, batched, with no matrix inverted.

With Σ_q = L_q L_qᵀ, Σ_p = L_p L_pᵀ and M = L_p⁻¹ L_q, which is lower triangular, xu/30 becomes a sum of
non-negative terms: tr Σ_p⁻¹Σ_q = Σ_ij M_ij² and log(|Σ_p|/|Σ_q|) = −Σ_k log M_kk², hence

    KL = Σ_k [½(M_kk² − 1) − log M_kk] + ½ Σ_{i>k} M_ik² + ½|z|²,    z = L_p⁻¹(μ_q − μ_p).

The bracket is the KL of two scalar normals of scales (L_q)_kk and (L_p)_kk. Near equality M_kk − 1 drowns in
the rounding of the factors. There S = L_p⁻¹(Σ_q − Σ_p)L_p⁻ᵀ is small and known to full relative accuracy; I +
S = MMᵀ is factored as U diag(1 + e) Uᵀ, U unit lower triangular, with e_k itself as the unknown, and as S_kk
= e_k + Σ_{j<k} U_kj² (1 + e_j),

    tr S − log|I + S| = Σ_k (e_k − log(1 + e_k)) + Σ_{j<k} U_kj² (1 + e_j).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.dist.multivariate_normal import cholesky, require_square
from vbref.kl.normal import scale_kl
from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import choice
from vbref.numerics.jit import loop
from vbref.numerics.special import log1p_deficit

# |S|_F² below which the difference form is used: there every e_k > −1/2.
_NEAR = 0.25
# From so many items on, of so small a D, tiles pay (they cost seconds to compile, once).
_MANY, _SMALL = 1000, 32
_AXES = {"mean_q": 1, "cov_q": 2, "mean_p": 1, "cov_p": 2}


@loop
def _solve_lower(tril, rhs):
    """rhs ← L⁻¹ rhs, in place, for the (D, M) columns of rhs."""
    for i in range(rhs.shape[0]):
        for k in range(i):
            for j in range(rhs.shape[1]):
                rhs[i, j] -= tril[i, k] * rhs[k, j]
        for j in range(rhs.shape[1]):
            rhs[i, j] /= tril[i, i]


@loop
def _solve_upper(tril, rhs):
    """rhs ← L⁻ᵀ rhs, in place, for the (D, M) columns of rhs."""
    for i in range(rhs.shape[0] - 1, -1, -1):
        for k in range(i + 1, rhs.shape[0]):
            for j in range(rhs.shape[1]):
                rhs[i, j] -= tril[k, i] * rhs[k, j]
        for j in range(rhs.shape[1]):
            rhs[i, j] /= tril[i, i]


@loop
def _solve(tril, rhs):
    """rhs ← (LLᵀ)⁻¹ rhs, in place."""
    _solve_lower(tril, rhs)
    _solve_upper(tril, rhs)


@loop
def _squares(matrix):
    total = matrix.dtype.type(0)
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            total += matrix[i, j] * matrix[i, j]
    return total


@loop
def _whitened_difference(cov_q, cov_p, tril_p):
    """S = L_p⁻¹(Σ_q − Σ_p)L_p⁻ᵀ."""
    half = cov_q - cov_p
    _solve_lower(tril_p, half)
    whole = half.T.copy()
    _solve_lower(tril_p, whole)
    return whole


@loop
def _near_kl(s):
    """½(tr S − log|I + S|) for small S, whose lower triangle is overwritten by U and whose diagonal by e."""
    one, half = s.dtype.type(1), s.dtype.type(0.5)
    total = s.dtype.type(0)
    for k in range(len(s)):
        for j in range(k):
            for i in range(j):
                s[k, j] -= s[k, i] * s[j, i] * (one + s[i, i])
            s[k, j] /= one + s[j, j]
        for j in range(k):
            square = s[k, j] * s[k, j] * (one + s[j, j])
            total += half * square
            s[k, k] -= square
        total += half * log1p_deficit(s[k, k])
    return total


@loop
def _far_kl(tril_q, tril_p):
    """Σ_k [½(M_kk² − 1) − log M_kk] + ½ Σ_{i>k} M_ik² with M = L_p⁻¹ L_q."""
    m = tril_q.copy()
    _solve_lower(tril_p, m)
    half, total = m.dtype.type(0.5), m.dtype.type(0)
    for i in range(len(m)):
        total += scale_kl(tril_q[i, i], tril_p[i, i])
        for k in range(i):
            total += half * m[i, k] * m[i, k]
    return total


@loop
def _item_kl(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p):
    z = (mean_q - mean_p).reshape(-1, 1)
    _solve_lower(tril_p, z)
    s = _whitened_difference(cov_q, cov_p, tril_p)
    near = _squares(s) < s.dtype.type(_NEAR)  # false for NaN too, where the difference overflowed
    spread = _near_kl(s) if near else _far_kl(tril_q, tril_p)
    return spread + z.dtype.type(0.5) * _squares(z)


@loop
def _kl_loop(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p, out):
    for n in range(out.shape[0]):
        out[n] = _item_kl(mean_q[n], cov_q[n], tril_q[n], mean_p[n], cov_p[n], tril_p[n])


@loop
def _item_grad(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p, d_mean_q, d_cov_q, d_mean_p, d_cov_p):
    half = mean_q.dtype.type(0.5)
    u = (mean_q - mean_p).reshape(-1, 1)
    _solve(tril_p, u)
    by_p = cov_q - cov_p
    _solve(tril_p, by_p)  # Σ_p⁻¹E
    by_q = by_p.T.copy()
    by_p = by_p.T.copy()
    _solve(tril_q, by_q)  # Σ_q⁻¹EΣ_p⁻¹
    _solve(tril_p, by_p)  # Σ_p⁻¹EΣ_p⁻¹
    for i in range(u.shape[0]):
        d_mean_q[i] = u[i, 0]
        d_mean_p[i] = -u[i, 0]
        for j in range(u.shape[0]):
            d_cov_q[i, j] = half * (half * by_q[i, j] + half * by_q[j, i])
            d_cov_p[i, j] = -half * (half * by_p[i, j] + half * by_p[j, i] + u[i, 0] * u[j, 0])


@loop
def _grad_loop(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p, d_mean_q, d_cov_q, d_mean_p, d_cov_p):
    for n in range(mean_q.shape[0]):
        _item_grad(
            mean_q[n], cov_q[n], tril_q[n], mean_p[n], cov_p[n], tril_p[n],
            d_mean_q[n], d_cov_q[n], d_mean_p[n], d_cov_p[n],
        )  # fmt: skip


def multivariate_normal(
    mean_q: ArrayLike, cov_q: ArrayLike, mean_p: ArrayLike, cov_p: ArrayLike, *, device: str = "cpu"
) -> Any:
    """KL(N(mean_q, cov_q) ‖ N(mean_p, cov_p)), in nats, batched.

    ½[log(|Σ_p|/|Σ_q|) − D + tr(Σ_p⁻¹Σ_q) + (μ_p − μ_q)ᵀΣ_p⁻¹(μ_p − μ_q)] (xu/30).

    mean (..., D), cov (..., D, D), leading axes broadcast; returns the leading shape. Relative accuracy is
    that of a triangular solve, a small multiple of eps · D · condition number of the correlations; equal
    arguments give 0.

    Raises ValueError unless each cov is square, symmetric to rounding and positive definite, for NaN, mixed
    dtypes, shapes that clash.
    """
    run = _on_cuda().kl_loop if choice(device) else _kl_loop
    lead, named = _aligned(mean_q, cov_q, mean_p, cov_p)
    if run is _kl_loop and math.prod(lead) >= _MANY and named["cov_q"].shape[-1] <= _SMALL:
        return _by_tiles(lead, named)
    lead, arrays = _checked(**named)
    out = np.empty(lead, named["mean_q"].dtype)
    run(*[*arrays, out.reshape(-1)])
    return out[()]


def _by_tiles(lead: tuple[int, ...], named: dict[str, FloatArray]) -> FloatArray:
    """Many items by `far_kl`; those that it leaves open by the plain loop, behind the same checks."""
    from vbref.kl.multivariate_normal_tiles import far_kl

    flat = {name: _batch(array, lead, _AXES[name]) for name, array in named.items()}
    out = np.empty(math.prod(lead), flat["mean_q"].dtype)
    far_kl(*[*flat.values(), out])
    rest = np.flatnonzero(np.isnan(out))
    if rest.size:
        _, arrays = _checked(**{name: array[rest] for name, array in flat.items()})
        left = np.empty(rest.size, out.dtype)
        _kl_loop(*[*arrays, left])
        out[rest] = left
    return out.reshape(lead)


def multivariate_normal_grad(
    mean_q: ArrayLike, cov_q: ArrayLike, mean_p: ArrayLike, cov_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `multivariate_normal` by mean_q, cov_q, mean_p, cov_p, in the broadcast leading shape.

    With u = Σ_p⁻¹(μ_q − μ_p) and E = Σ_q − Σ_p: u, ½(Σ_p⁻¹ − Σ_q⁻¹) = ½ Σ_q⁻¹EΣ_p⁻¹, −u, −½(Σ_p⁻¹EΣ_p⁻¹ +
    uuᵀ). Those by a covariance are the symmetric G with dKL = Σ_ij G_ij dΣ_ij for every symmetric dΣ.
    """
    lead, arrays = _checked(mean_q, cov_q, mean_p, cov_p)
    first, *_ = arrays
    d = first.shape[-1]
    tails = ((d,), (d, d), (d,), (d, d))
    grads = [np.empty((*lead, *tail), first.dtype) for tail in tails]
    flat = [grad.reshape(-1, *tail) for grad, tail in zip(grads, tails, strict=True)]
    run = _on_cuda().grad_loop if choice(device) else _grad_loop
    run(*[*arrays, *flat])
    return tuple(grads)


def _on_cuda() -> Any:
    from vbref.cuda import matrices

    return matrices


def _checked(
    mean_q: ArrayLike, cov_q: ArrayLike, mean_p: ArrayLike, cov_p: ArrayLike
) -> tuple[tuple[int, ...], list[FloatArray]]:
    """The leading shape, and mean, cov, Cholesky factor of q and of p, contiguous, with one batch axis."""
    lead, named = _aligned(mean_q, cov_q, mean_p, cov_p)
    check.floats(**named)
    tril_q, tril_p = cholesky(named["cov_q"], "cov_q"), cholesky(named["cov_p"], "cov_p")
    q_side = (named["mean_q"], 1), (named["cov_q"], 2), (tril_q, 2)
    p_side = (named["mean_p"], 1), (named["cov_p"], 2), (tril_p, 2)
    return lead, [_batch(array, lead, axes) for array, axes in (*q_side, *p_side)]


def _aligned(
    mean_q: ArrayLike, cov_q: ArrayLike, mean_p: ArrayLike, cov_p: ArrayLike
) -> tuple[tuple[int, ...], dict[str, FloatArray]]:
    """The leading shape, and the arguments by name, of one dtype, with tails (D) and (D, D) that agree."""
    values = check.one_dtype(mean_q=mean_q, cov_q=cov_q, mean_p=mean_p, cov_p=cov_p)
    named = dict(zip(_AXES, values, strict=True))
    require_square("cov_q", named["cov_q"])
    _require_features(named, named["cov_q"].shape[-1])
    heads = {name: array[..., 0] if _AXES[name] == 1 else array[..., 0, 0] for name, array in named.items()}
    return check.broadcast(**heads), named


def _require_features(named: dict[str, FloatArray], d: int) -> None:
    for name, array in named.items():
        tail = (d,) * _AXES[name]
        if array.shape[-len(tail) :] != tail:
            wanted = f"(..., {', '.join(map(str, tail))})"
            raise ValueError(f"{name} must have shape {wanted} as cov_q has, has {array.shape}")


def _batch(array: FloatArray, lead: tuple[int, ...], axes: int) -> FloatArray:
    tail = array.shape[-axes:]
    flat = np.ascontiguousarray(np.broadcast_to(array, (*lead, *tail))).reshape(-1, *tail)
    flat.flags.writeable = False  # as broadcasting leaves it at times: one kind to compile for
    return flat
