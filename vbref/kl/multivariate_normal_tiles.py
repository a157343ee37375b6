"""The far form of `vbref.kl.multivariate_normal` for many items at once, on all of Numba's threads.

A tile holds sixteen items side by side, entry (i, j) of all of them in a row, so that each inner loop runs
over items. Checks come along with the load, and what a tile cannot vouch for it marks with NaN, for the plain
loop to decide: items near equality, that need the difference form; covariances that are not symmetric,
positive definite and finite; values out of range. Items do not mix, so no bit depends on their places in the
batch or on the number of threads.
"""

import math

import numba
import numpy as np

from vbref.numerics.jit import parallel_loop, vector_loop

LANES = 16
# Σ_i (S_ii)² from which on |S|_F² is at least as large, where the plain loop too takes the far form. There
# KL > 0.04, so that terms which cancel below their own size, at most D, cost no more than 25 D roundings.
_FAR = 0.25
_SLACK = 16.0  # in eps of the largest entry, which in a positive definite matrix is on the diagonal
_BLOCK = 64 * LANES


@vector_loop
def _load(cov, first, last, tile):
    """tile[i, j, b] = cov[first + b, i, j]; past the end, the last item again."""
    for b in range(LANES):
        n = min(first + b, last - 1)
        for i in range(len(tile)):
            for j in range(len(tile)):
                tile[i, j, b] = cov[n, i, j]


@vector_loop
def _load_gap(mean_q, mean_p, first, last, gap):
    """gap[i, b] = (μ_q − μ_p)_i of item first + b; past the end, of the last item."""
    for b in range(LANES):
        n = min(first + b, last - 1)
        for i in range(len(gap)):
            gap[i, b] = mean_q[n, i] - mean_p[n, i]


@vector_loop
def _distrust_skew(tile, eps, work, trust):
    """trust = NaN where a matrix differs from its transpose by more than rounding, or is not finite."""
    most, worst, total = work[0], work[1], work[2]
    work[:] = tile.dtype.type(0)
    for i in range(len(tile)):
        for b in range(LANES):
            most[b] = tile[i, i, b] if tile[i, i, b] > most[b] else most[b]
        for j in range(i):
            for b in range(LANES):
                skew = abs(tile[i, j, b] - tile[j, i, b])
                worst[b] = skew if skew > worst[b] else worst[b]
                total[b] += skew
    for b in range(LANES):
        fine = worst[b] <= eps * most[b] and total[b] < np.inf
        trust[b] = trust[b] if fine else np.nan


@vector_loop
def _factor(tile, reciprocal):
    """The lower triangle becomes L with LLᵀ = Σ, and reciprocal 1/L_jj: NaN or ∞ where there is no L."""
    one = tile.dtype.type(1)
    for j in range(len(tile)):
        for i in range(j, len(tile)):
            for k in range(j):
                for b in range(LANES):
                    tile[i, j, b] -= tile[i, k, b] * tile[j, k, b]
        for b in range(LANES):
            tile[j, j, b] = math.sqrt(tile[j, j, b])
            reciprocal[j, b] = one / tile[j, j, b]
        for i in range(j + 1, len(tile)):
            for b in range(LANES):
                tile[i, j, b] *= reciprocal[j, b]


@vector_loop
def _whiten(tril, reciprocal, m, z):
    """m ← L⁻¹m for lower triangular m, and z ← L⁻¹z."""
    for i in range(len(m)):
        for k in range(i):
            for j in range(k + 1):
                for b in range(LANES):
                    m[i, j, b] -= tril[i, k, b] * m[k, j, b]
            for b in range(LANES):
                z[i, b] -= tril[i, k, b] * z[k, b]
        for j in range(i + 1):
            for b in range(LANES):
                m[i, j, b] *= reciprocal[i, b]
        for b in range(LANES):
            z[i, b] *= reciprocal[i, b]


@vector_loop
def _sum_up(m, z, work, trust):
    """trust += ½ Σ_i [(MMᵀ)_ii − 1 + z_i²] − log Π_i M_ii, and NaN if Σ_i [(MMᵀ)_ii − 1]² is small."""
    one, half = m.dtype.type(1), m.dtype.type(0.5)
    row, distance, total, product = work[0], work[1], work[2], work[3]
    work[1:3] = m.dtype.type(0)
    product[:] = one
    for i in range(len(m)):
        for b in range(LANES):
            row[b] = (m[i, i, b] - one) * (m[i, i, b] + one)
            product[b] *= m[i, i, b]
        for j in range(i):
            for b in range(LANES):
                row[b] += m[i, j, b] * m[i, j, b]
        for b in range(LANES):
            distance[b] += row[b] * row[b]
            total[b] += row[b] + z[i, b] * z[i, b]
    for b in range(LANES):
        kl = half * total[b] - math.log(product[b])
        fine = distance[b] >= _FAR and product[b] > 0 and abs(kl) < np.inf
        trust[b] = trust[b] + kl if fine else np.nan


@vector_loop
def _block(mean_q, cov_q, mean_p, cov_p, first, last, out):
    d, dtype = mean_q.shape[1], mean_q.dtype
    q, p, z = np.empty((d, d, LANES), dtype), np.empty((d, d, LANES), dtype), np.empty((d, LANES), dtype)
    reciprocal, work, kl = np.empty((d, LANES), dtype), np.empty((4, LANES), dtype), np.empty(LANES, dtype)
    eps = dtype.type(_SLACK * np.finfo(dtype).eps)
    for start in range(first, last, LANES):
        kl[:] = dtype.type(0)
        _load(cov_q, start, last, q)
        _load(cov_p, start, last, p)
        _load_gap(mean_q, mean_p, start, last, z)
        _distrust_skew(q, eps, work, kl)
        _distrust_skew(p, eps, work, kl)
        _factor(q, reciprocal)
        _factor(p, reciprocal)
        _whiten(p, reciprocal, q, z)
        _sum_up(q, z, work, kl)
        for b in range(min(LANES, last - start)):
            out[start + b] = kl[b]


@parallel_loop
def far_kl(mean_q, cov_q, mean_p, cov_p, out):
    """out = the KL of each item, or NaN where the plain loop must look."""
    n = out.shape[0]
    for block in numba.prange(-(-n // _BLOCK)):
        _block(mean_q, cov_q, mean_p, cov_p, block * _BLOCK, min(n, (block + 1) * _BLOCK), out)
