"""One pass over the rows: responsibilities and sufficient statistics, with no array of rows × components.

Row x has log r_k + constant = ρ_k = offset_k − ½|y_k|², with y_k = A_k (x − c − m_k) and A_kᵀA_k = E[Λ_k].
Its moments are gathered from an origin o_k of the component's own, where its rows were found a pass ago:
Σ_n r_nk (1, v, vvᵀ) with v = x − c − o_k, and y_k = A_k v + A_k (o_k − m_k). A narrow component far from the
centre c, or from m_k, keeps its digits, as it would not in Σ r xxᵀ less a product of means.

Rows come in blocks of a fixed size, each a task for one thread that writes to places of its own, and in
tiles that stay in the cache, columns by rows, so that each inner loop runs over rows. Neither depends on
the number of threads, and so no bit of the result does.
"""

import math

import numba
import numpy as np

from vbref.numerics.jit import elementwise_loop, parallel_loop, vector_loop
from vbref.numerics.vectorised import exp_decay


@vector_loop
def load_tile(x, first, rows, center, tile):
    """tile[d, b] = x[first + b, d] − center[d]; zero past the last row."""
    for d in range(tile.shape[0]):
        for b in range(rows):
            tile[d, b] = x[first + b, d] - center[d]
        for b in range(rows, tile.shape[1]):
            tile[d, b] = 0.0


@vector_loop
def add_four_by_four(a, i, j, v, y):
    """y_i … y_{i+3} += a[i:i+4, j:j+4] (v_j … v_{j+3}): sixteen products to twelve memory accesses."""
    a00, a01, a02, a03 = a[i, j], a[i, j + 1], a[i, j + 2], a[i, j + 3]
    a10, a11, a12, a13 = a[i + 1, j], a[i + 1, j + 1], a[i + 1, j + 2], a[i + 1, j + 3]
    a20, a21, a22, a23 = a[i + 2, j], a[i + 2, j + 1], a[i + 2, j + 2], a[i + 2, j + 3]
    a30, a31, a32, a33 = a[i + 3, j], a[i + 3, j + 1], a[i + 3, j + 2], a[i + 3, j + 3]
    v0, v1, v2, v3 = v[j], v[j + 1], v[j + 2], v[j + 3]
    y0, y1, y2, y3 = y[i], y[i + 1], y[i + 2], y[i + 3]
    for b in range(v.shape[1]):
        y0[b] += a00 * v0[b] + a01 * v1[b] + a02 * v2[b] + a03 * v3[b]
        y1[b] += a10 * v0[b] + a11 * v1[b] + a12 * v2[b] + a13 * v3[b]
        y2[b] += a20 * v0[b] + a21 * v1[b] + a22 * v2[b] + a23 * v3[b]
        y3[b] += a30 * v0[b] + a31 * v1[b] + a32 * v2[b] + a33 * v3[b]


@vector_loop
def add_scaled(factor, v, y):
    """y += factor v."""
    for b in range(v.shape[0]):
        y[b] += factor * v[b]


@vector_loop
def subtract_origin(tile, origin, v):
    """v_d = tile_d − origin_d."""
    for d in range(tile.shape[0]):
        for b in range(tile.shape[1]):
            v[d, b] = tile[d, b] - origin[d]


@vector_loop
def whiten_dense(root, v, y):
    """y = A v with A lower triangular (zero above), four rows and columns at a time."""
    d = v.shape[0]
    y[:] = 0.0
    fours = d // 4 * 4
    for i in range(0, fours, 4):
        for j in range(0, i + 1, 4):
            add_four_by_four(root, i, j, v, y)
    for i in range(fours, d):
        for j in range(i + 1):
            add_scaled(root[i, j], v[j], y[i])


@vector_loop
def whiten_diagonal(root, v, y):
    """y = A v with A diagonal."""
    for d in range(v.shape[0]):
        for b in range(v.shape[1]):
            y[d, b] = root[d] * v[d, b]


@vector_loop
def log_density(offset, shift, y, rho):
    """ρ = offset − ½|y + shift|²."""
    rho[:] = offset
    for d in range(y.shape[0]):
        for b in range(y.shape[1]):
            rho[b] -= 0.5 * (y[d, b] + shift[d]) * (y[d, b] + shift[d])


@elementwise_loop  # reordering would undo the two-part log 2 of exp_decay: 2e-14 for its 2e-16
def softmax(rho, largest, total, slope):
    """ρ → r in place; total = Σ_k e^(ρ_k − max ρ), slope = Σ_k e^(ρ_k − max ρ)(ρ_k − max ρ)."""
    largest[:] = rho[0]
    for k in range(1, rho.shape[0]):
        for b in range(rho.shape[1]):
            largest[b] = rho[k, b] if rho[k, b] > largest[b] else largest[b]
    total[:] = 0.0
    slope[:] = 0.0
    for k in range(rho.shape[0]):
        for b in range(rho.shape[1]):
            gap = rho[k, b] - largest[b]
            rho[k, b] = exp_decay(gap)
            total[b] += rho[k, b]
            slope[b] += rho[k, b] * gap
    for k in range(rho.shape[0]):
        for b in range(rho.shape[1]):
            rho[k, b] /= total[b]


@vector_loop
def entropy(rows, total, slope):
    """−Σ_b Σ_k r log r = Σ_b log total_b − slope_b/total_b ≥ 0; the logarithm is of many totals' product."""
    value, product = 0.0, 1.0
    for b in range(rows):
        value -= slope[b] / total[b]
        product *= total[b]
        if product > 1e200:
            value += math.log(product)
            product = 1.0
    return value + math.log(product)


@vector_loop
def weighted_sum(r, v):
    """Σ_b r_b v_b."""
    total = 0.0
    for b in range(r.shape[0]):
        total += r[b] * v[b]
    return total


@vector_loop
def weighted_product(r, u, v):
    """Σ_b r_b u_b v_b."""
    total = 0.0
    for b in range(r.shape[0]):
        total += r[b] * u[b] * v[b]
    return total


@vector_loop
def gather_four_by_four(r, v, i, j, out):
    """out[i:i+4, j:j+4] += Σ_b r_b (v_i … v_{i+3})(v_j … v_{j+3})ᵀ: sixteen sums in registers."""
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    p0, p1, p2, p3 = v[i], v[i + 1], v[i + 2], v[i + 3]
    q0, q1, q2, q3 = v[j], v[j + 1], v[j + 2], v[j + 3]
    for b in range(r.shape[0]):
        w0, w1, w2, w3 = r[b] * p0[b], r[b] * p1[b], r[b] * p2[b], r[b] * p3[b]
        z0, z1, z2, z3 = q0[b], q1[b], q2[b], q3[b]
        s00, s01, s02, s03 = s00 + w0 * z0, s01 + w0 * z1, s02 + w0 * z2, s03 + w0 * z3
        s10, s11, s12, s13 = s10 + w1 * z0, s11 + w1 * z1, s12 + w1 * z2, s13 + w1 * z3
        s20, s21, s22, s23 = s20 + w2 * z0, s21 + w2 * z1, s22 + w2 * z2, s23 + w2 * z3
        s30, s31, s32, s33 = s30 + w3 * z0, s31 + w3 * z1, s32 + w3 * z2, s33 + w3 * z3
    sums = ((s00, s01, s02, s03), (s10, s11, s12, s13), (s20, s21, s22, s23), (s30, s31, s32, s33))
    for p in range(4):
        for q in range(4):
            out[i + p, j + q] += sums[p][q]


@vector_loop
def gather_dense(r, v, first, second):
    """first += Σ_b r_b v_b; second += Σ_b r_b v_b v_bᵀ on and below the diagonal."""
    d = v.shape[0]
    fours = d // 4 * 4
    for i in range(d):
        first[i] += weighted_sum(r, v[i])
    for i in range(0, fours, 4):
        for j in range(0, i + 1, 4):
            gather_four_by_four(r, v, i, j, second)
    for i in range(fours, d):
        for j in range(i + 1):
            second[i, j] += weighted_product(r, v[i], v[j])


@vector_loop
def gather_diagonal(r, v, first, second):
    """first += Σ_b r_b v_b; second += Σ_b r_b v_b², by coordinates."""
    for d in range(v.shape[0]):
        first[d] += weighted_sum(r, v[d])
        second[d] += weighted_product(r, v[d], v[d])


@vector_loop
def count_rows(r, rows):
    """Σ_b r_b over the rows that are there; the others' weight is set to zero."""
    r[rows:] = 0.0
    total = 0.0
    for b in range(r.shape[0]):
        total += r[b]
    return total


# Numba knows the number of axes when it compiles, and leaves the other branch out.
@vector_loop
def whiten(root, v, y):
    """y = A v with A lower triangular (D, D) or diagonal (D,)."""
    if root.ndim == 2:
        whiten_dense(root, v, y)
    else:
        whiten_diagonal(root, v, y)


@vector_loop
def gather_moments(r, v, first, second):
    """Add to the first moments (D,) and the second, (D, D) or their diagonal (D,)."""
    if second.ndim == 2:
        gather_dense(r, v, first, second)
    else:
        gather_diagonal(r, v, first, second)


@parallel_loop
def one_pass(x, center, origins, shifts, roots, offsets, tile, block, counts, firsts, seconds, entropies):
    """Set counts (B, K), firsts (B, K, D), seconds, and entropies (B,).

    With dense roots (K, D, D) seconds are lower triangles (B, K, D, D); with diagonal ones (K, D) they are
    diagonals (B, K, D).
    """
    n, d, k = x.shape[0], x.shape[1], origins.shape[0]
    for task in numba.prange(counts.shape[0]):
        raw, v, y = np.empty((d, tile)), np.empty((d, tile)), np.empty((d, tile))
        rho, largest, total, slope = np.empty((k, tile)), np.empty(tile), np.empty(tile), np.empty(tile)
        counts[task], firsts[task], seconds[task], entropies[task] = 0.0, 0.0, 0.0, 0.0
        end = min(n, (task + 1) * block)
        for start in range(task * block, end, tile):
            rows = min(tile, end - start)
            load_tile(x, start, rows, center, raw)
            for c in range(k):
                subtract_origin(raw, origins[c], v)
                whiten(roots[c], v, y)
                log_density(offsets[c], shifts[c], y, rho[c])
            softmax(rho, largest, total, slope)
            entropies[task] += entropy(rows, total, slope)
            for c in range(k):
                counts[task, c] += count_rows(rho[c], rows)
                subtract_origin(raw, origins[c], v)
                gather_moments(rho[c], v, firsts[task, c], seconds[task, c])
