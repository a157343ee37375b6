"""Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011).

Each draw is a function of (seed, index) and of nothing else, so that neither the number of threads nor
the target changes it. Words of 32 bits travel in uint64 lanes, where a product of two of them fits.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike

from vbref.numerics.check import FloatArray
from vbref.numerics.jit import loop, parallel_loop, scalar

_MASK = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_DROP_32, _DROP_64 = np.uint64(9), np.uint64(12)
_ULP_32, _ULP_64 = np.float32(2.0**-23), np.float64(2.0**-52)
_TAU_32, _TAU_64 = np.float32(2 * math.pi), np.float64(2 * math.pi)


@scalar
def philox(c0, c1, c2, c3, k0, k1):
    """The four words of Philox 4x32-10 at counter (c0, c1, c2, c3), key (k0, k1), all uint64 below 2³²."""
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> _WORD) ^ c1 ^ k0, p1 & _MASK, (p0 >> _WORD) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@scalar
def words(seed, block):
    """The four 32-bit words of a block; seed is the key, block the low half of the counter, both uint64."""
    none = np.uint64(0)
    return philox(block & _MASK, block >> _WORD, none, none, seed & _MASK, seed >> _WORD)


@scalar
def uniform_32(word):
    """A float32 in the open interval (0, 1): (23 bits + ½) 2⁻²³.

    With 24 bits the half would be rounded off, and the largest would be 1.
    """
    return (np.float32(word >> _DROP_32) + np.float32(0.5)) * _ULP_32


@scalar
def uniform_64(high, low):
    """A float64 in the open interval (0, 1): (52 bits of two words + ½) 2⁻⁵²."""
    return (np.float64(((high << _WORD) | low) >> _DROP_64) + 0.5) * _ULP_64


@scalar
def box_muller(u, v, tau):
    """Two independent standard normals √(−2 log u) (cos 2πv, sin 2πv) of two independent uniforms."""
    radius = math.sqrt(type(u)(-2) * math.log(u))
    angle = tau * v
    return radius * math.cos(angle), radius * math.sin(angle)


@scalar
def uniforms_32(seed, block):
    """Four float32 uniforms of a block."""
    a, b, c, d = words(seed, block)
    return uniform_32(a), uniform_32(b), uniform_32(c), uniform_32(d)


@scalar
def uniforms_64(seed, block):
    """Two float64 uniforms of a block."""
    a, b, c, d = words(seed, block)
    return uniform_64(a, b), uniform_64(c, d)


@scalar
def normals_32(seed, block):
    """Four float32 standard normals of a block."""
    a, b, c, d = uniforms_32(seed, block)
    return box_muller(a, b, _TAU_32) + box_muller(c, d, _TAU_32)


@scalar
def normals_64(seed, block):
    """Two float64 standard normals of a block."""
    u, v = uniforms_64(seed, block)
    return box_muller(u, v, _TAU_64)


@scalar
def _put(out, values, first):
    for j in range(len(values)):
        if 0 <= first + j < out.shape[0]:
            out[first + j] = values[j]


@parallel_loop
def _uniforms_32_loop(seed, start, out):
    for block in numba.prange(start // 4, (start + out.shape[0] + 3) // 4):
        _put(out, uniforms_32(seed, np.uint64(block)), np.int64(block) * 4 - start)


@parallel_loop
def _uniforms_64_loop(seed, start, out):
    for block in numba.prange(start // 2, (start + out.shape[0] + 1) // 2):
        _put(out, uniforms_64(seed, np.uint64(block)), np.int64(block) * 2 - start)


@parallel_loop
def _normals_32_loop(seed, start, out):
    for block in numba.prange(start // 4, (start + out.shape[0] + 3) // 4):
        _put(out, normals_32(seed, np.uint64(block)), np.int64(block) * 4 - start)


@parallel_loop
def _normals_64_loop(seed, start, out):
    for block in numba.prange(start // 2, (start + out.shape[0] + 1) // 2):
        _put(out, normals_64(seed, np.uint64(block)), np.int64(block) * 2 - start)


@loop
def fill_normals(seed, start, out):
    """Into out (n,) the draws of `normals` from number `start` on, in one thread: for kernels."""
    if out.itemsize == 4:
        for block in range(start // 4, (start + out.shape[0] + 3) // 4):
            _put(out, normals_32(seed, np.uint64(block)), block * 4 - start)
    else:
        for block in range(start // 2, (start + out.shape[0] + 1) // 2):
            _put(out, normals_64(seed, np.uint64(block)), block * 2 - start)


def uniforms(
    seed: int, index_start: int, shape: int | tuple[int, ...], dtype: DTypeLike = np.float64
) -> FloatArray:
    """Draws number index_start, index_start + 1, … of the stream `seed`, uniform on the open interval (0, 1).

    `seed` is in [0, 2⁶⁴), `index_start` ≥ 0, `dtype` float32 or float64 (two streams of their own).
    Element i of the result, in C order, is a function of (seed, index_start + i) alone. Raises
    ValueError for anything else.
    """
    return _filled(_uniforms_32_loop, _uniforms_64_loop, seed, index_start, shape, dtype)


def normals(
    seed: int, index_start: int, shape: int | tuple[int, ...], dtype: DTypeLike = np.float64
) -> FloatArray:
    """Draws number index_start, index_start + 1, … of the stream `seed`, standard normal by Box and Muller.

    Arguments as for `uniforms`. The largest magnitude is √(−2 log 2⁻²⁴) = 5.8 in float32, 8.6 in float64.
    """
    return _filled(_normals_32_loop, _normals_64_loop, seed, index_start, shape, dtype)


def _filled(
    loop_32: Any, loop_64: Any, seed: int, index_start: int, shape: Any, dtype: DTypeLike
) -> FloatArray:
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, was {np.dtype(dtype)}")
    _whole("seed", seed, 64)
    _whole("index_start", index_start, 62)
    try:
        out = np.empty(shape, dtype)
    except (TypeError, ValueError):
        raise ValueError(f"shape must be an integer or a tuple of integers >= 0, was {shape!r}") from None
    loop = loop_32 if out.dtype == np.float32 else loop_64
    loop(np.uint64(seed), np.int64(index_start), out.reshape(-1))
    return out


def _whole(name: str, value: int, bits: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value < 2**bits:
        raise ValueError(f"{name} must be an integer in [0, 2**{bits}), was {value!r}")
