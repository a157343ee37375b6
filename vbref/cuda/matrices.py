"""KL of multivariate normals, one warp an item: each lane solves for a column, all in shared memory.

The forms are those of `vbref.kl.multivariate_normal`, where they are derived. Lanes own columns in a
triangular solve and rows in the factorisation, so that no two write to one place; barriers stand where a lane
reads what another wrote.
"""

import functools
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device
from vbref.cuda.device import INDEX
from vbref.kl.normal import scale_kl
from vbref.numerics.jit import scalar
from vbref.numerics.special import log1p_deficit

LARGEST = 16
_NEAR = 0.25


@scalar
def solve_lower(tril, rhs, column):
    """rhs[:, column] ← L⁻¹ rhs[:, column]."""
    own = INDEX(column)
    for row in range(INDEX(tril.shape[0])):
        value, k = rhs[row, own], INDEX(0)
        while k < row:
            value -= tril[row, k] * rhs[k, own]
            k += INDEX(1)
        rhs[row, own] = value / tril[row, row]


@scalar
def solve_upper(tril, rhs, column):
    """rhs[:, column] ← L⁻ᵀ rhs[:, column]."""
    own = INDEX(column)
    size = INDEX(tril.shape[0])
    for i in range(tril.shape[0] - 1, -1, -1):
        row = INDEX(i)
        value, k = rhs[row, own], INDEX(i + 1)
        while k < size:
            value -= tril[k, row] * rhs[k, own]
            k += INDEX(1)
        rhs[row, own] = value / tril[row, row]


@scalar
def eliminate(s, k, row):
    """Step k of I + S = U diag(1 + e) Uᵀ on one row of S; returns U_ik² (1 + e_k)."""
    u = s[row, k] / (type(s[row, k])(1) + s[k, k])
    for j in range(k + 1, row + 1):
        s[row, j] -= u * s[j, k]
    return u * s[row, k]


def over_lanes(d: int, number: Any) -> Any:
    """A device function: the sum of the first d lanes' numbers, for all."""
    zero = number(0)

    def add(own, parts, lane):
        parts[lane] = own
        cuda.syncthreads()
        total = zero
        for i in range(d):
            total += parts[i]
        cuda.syncthreads()
        return total

    return device.function(add)


def near_terms(d: int, number: Any) -> Any:
    """A device function: a lane's share of ½ Σ_k (e_k − log(1 + e_k) + Σ_i U_ik² (1 + e_k))."""
    half, zero = number(0.5), number(0)

    def share(t, lane):
        total = zero
        for k in range(d):
            if k < lane < d:
                total += half * eliminate(t, k, lane)
            cuda.syncthreads()
        if lane < d:
            total += half * log1p_deficit(t[lane, lane])
        return total

    return device.function(share)


def far_terms(d: int, number: Any) -> Any:
    """A device function: a lane's share of what L_p⁻¹ L_q gives, its diagonal and ½ of the squares below."""
    half, zero = number(0.5), number(0)

    def share(tril_q, root_p, t, lane):
        total = zero
        if lane < d:
            for i in range(d):
                t[i, lane] = tril_q[i, lane]
            solve_lower(root_p, t, lane)
            total = scale_kl(tril_q[lane, lane], root_p[lane, lane])
            for i in range(lane + 1, d):
                total += half * t[i, lane] * t[i, lane]
        return total

    return device.function(share)


def value_kernel(d: int, number: Any, lanes: int) -> Any:
    """KL of item n by block n, of `lanes` > d threads; lane d has the column of means."""
    wide, half, least, zero = d + 1, number(0.5), number(_NEAR), number(0)
    add, near, far = over_lanes(d, number), near_terms(d, number), far_terms(d, number)

    def value(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p, out):
        s = cuda.shared.array((d, wide), number)
        t = cuda.shared.array((d, d), number)
        root_p = cuda.shared.array((d, d), number)
        parts = cuda.shared.array(lanes, number)
        n, lane = cuda.blockIdx.x, cuda.threadIdx.x
        for i in range(d):
            if lane < d:
                s[i, lane] = cov_q[n, i, lane] - cov_p[n, i, lane]
                root_p[i, lane] = tril_p[n, i, lane]
            if lane == d:
                s[i, d] = mean_q[n, i] - mean_p[n, i]
        cuda.syncthreads()
        if lane <= d:
            solve_lower(root_p, s, lane)
        cuda.syncthreads()
        squares = zero
        if lane < d:
            for i in range(d):
                t[i, lane] = s[lane, i]
            solve_lower(root_p, t, lane)
            for i in range(d):
                squares += t[i, lane] * t[i, lane]
        if add(squares, parts, lane) < least:  # false for NaN too, where the difference overflowed
            total = near(t, lane)
        else:
            total = far(tril_q[n], root_p, t, lane)
        if lane < d:
            total += half * s[lane, d] * s[lane, d]
        total = add(total, parts, lane)
        if lane == 0:
            out[n] = total

    return device.kernel(value)


def grad_kernel(d: int, number: Any, lanes: int) -> Any:
    """The derivatives of item n by block n: u, ½ Σ_q⁻¹EΣ_p⁻¹, −u, −½(Σ_p⁻¹EΣ_p⁻¹ + uuᵀ)."""
    wide = d + 1
    half, quarter = number(0.5), number(0.25)

    def grad(mean_q, cov_q, tril_q, mean_p, cov_p, tril_p, d_mean_q, d_cov_q, d_mean_p, d_cov_p):
        s = cuda.shared.array((d, wide), number)
        by_q = cuda.shared.array((d, d), number)
        by_p = cuda.shared.array((d, d), number)
        root_q = cuda.shared.array((d, d), number)
        root_p = cuda.shared.array((d, d), number)
        n, lane = cuda.blockIdx.x, cuda.threadIdx.x
        for i in range(d):
            if lane < d:
                s[i, lane] = cov_q[n, i, lane] - cov_p[n, i, lane]
                root_q[i, lane] = tril_q[n, i, lane]
                root_p[i, lane] = tril_p[n, i, lane]
            if lane == d:
                s[i, d] = mean_q[n, i] - mean_p[n, i]
        cuda.syncthreads()
        if lane <= d:
            solve_lower(root_p, s, lane)
            solve_upper(root_p, s, lane)
        cuda.syncthreads()
        for i in range(d):
            if lane < d:
                by_q[i, lane] = s[lane, i]
                by_p[i, lane] = s[lane, i]
        cuda.syncthreads()
        if lane < d:
            solve_lower(root_q, by_q, lane)
            solve_upper(root_q, by_q, lane)
            solve_lower(root_p, by_p, lane)
            solve_upper(root_p, by_p, lane)
        cuda.syncthreads()
        if lane < d:
            d_mean_q[n, lane] = s[lane, d]
            d_mean_p[n, lane] = -s[lane, d]
            for i in range(d):
                d_cov_q[n, i, lane] = quarter * by_q[i, lane] + quarter * by_q[lane, i]
                curved = quarter * by_p[i, lane] + quarter * by_p[lane, i]
                d_cov_p[n, i, lane] = -(curved + half * s[i, d] * s[lane, d])

    return device.kernel(grad)


@functools.cache
def compiled(make: Any, d: int, number: Any) -> Any:
    """The kernel that `make` gives for matrices d × d of this type."""
    return make(d, number, lanes(d))


def lanes(d: int) -> int:
    """Threads a block: a warp, or in the simulator no more than have work."""
    return d + 1 if device.SIMULATED else 32


def kl_loop(*arrays: Any) -> None:
    """In place of the CPU's loop: (mean, cov, Cholesky factor) of q and of p, and `out`, which it fills."""
    _run(value_kernel, arrays[:6], arrays[6:])


def grad_loop(*arrays: Any) -> None:
    """In place of the CPU's loop: the same six arguments, and the four derivatives, which it fills."""
    _run(grad_kernel, arrays[:6], arrays[6:])


def _run(make: Any, arguments: tuple[Any, ...], outs: tuple[Any, ...]) -> None:
    device.require()
    n, d = arguments[0].shape
    if d > LARGEST:
        raise ValueError(
            f"device='cuda' takes matrices of at most {LARGEST} x {LARGEST}, was given {d} x {d}"
        )
    if n == 0:
        return
    results = [device.empty(out.shape, out.dtype) for out in outs]
    launch = compiled(make, d, np.dtype(outs[0].dtype).type)[n, lanes(d)]
    launch(*(device.put(array) for array in arguments), *results)
    for result, out in zip(results, outs, strict=True):
        result.copy_to_host(out)
