"""Random numbers from (seed, index): draw number i of a stream is that of `vbref.numerics.random`.

A thread makes the draw that it needs, when it needs it, and again where the gradient needs it: noise is never
stored. Words and uniforms are those of the CPU to the bit, normals to the rounding of log, sin and cos.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device
from vbref.numerics import random
from vbref.numerics.jit import scalar

_SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9))
_COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))


@scalar
def turn(v):
    """(cos 2πv, sin 2πv) for v in [0, 1): Taylor's polynomials within an eighth of a turn of a quarter.

    libdevice's own are ready for huge arguments, with a stack and float64 even where there are none.
    """
    number = type(v)
    quarter = int(math.floor(number(4) * v + number(0.5)))  # noqa: RUF046 (on CUDA floor gives a float)
    angle = number(math.pi / 2) * (number(4) * v - number(quarter))
    square = angle * angle
    sine, cosine = number(0), number(0)
    for k in range(8, -1, -1):
        sine = sine * square + number(_SINE[k])
        cosine = cosine * square + number(_COSINE[k])
    sine *= angle
    x, y = (sine, cosine) if quarter & 1 else (cosine, sine)
    return (-x if (quarter + 1) & 2 else x), (-y if quarter & 2 else y)


@scalar
def box_muller(u, v):
    """√(−2 log u) (cos 2πv, sin 2πv)."""
    radius = math.sqrt(type(u)(-2) * math.log(u))
    x, y = turn(v)
    return radius * x, radius * y


@scalar
def word(seed, index):
    """Word number `index` of the stream, four to a block."""
    a, b, c, d = random.words(seed, np.uint64(index >> 2))
    lane = index & 3
    return (a if lane == 0 else b) if lane < 2 else (c if lane == 2 else d)


@scalar
def uniform_32(seed, index):
    """Draw number `index`, uniform on (0, 1), float32."""
    return random.uniform_32(word(seed, index))


@scalar
def uniform_64(seed, index):
    """Draw number `index`, uniform on (0, 1), float64: two to a block."""
    u, v = random.uniforms_64(seed, np.uint64(index >> 1))
    return v if index & 1 else u


@scalar
def normal_32(seed, index):
    """Draw number `index`, standard normal, float32: of the block's four, the pair that it is one of."""
    a, b, c, d = random.uniforms_32(seed, np.uint64(index >> 2))
    first = index & 2 == 0
    x, y = box_muller(a if first else c, b if first else d)
    return y if index & 1 else x


@scalar
def normal_64(seed, index):
    """Draw number `index`, standard normal, float64."""
    u, v = random.uniforms_64(seed, np.uint64(index >> 1))
    x, y = box_muller(u, v)
    return y if index & 1 else x


NORMAL = {np.float32: normal_32, np.float64: normal_64}
UNIFORM = {np.float32: uniform_32, np.float64: uniform_64}


@functools.cache
def filler(draw: Any) -> Any:
    """The kernel of out[i] = draw(seed, start + i)."""

    def fill(seed, start, out):
        i = cuda.grid(1)
        if i < out.shape[0]:
            out[i] = draw(seed, start + i)

    return device.kernel(fill)


def filled(draw: Any, seed: int, start: int, n: int, dtype: Any) -> Any:
    """A device array of n draws from number `start` on."""
    out = device.empty(n, dtype)
    filler(draw)[device.blocks(n), device.threads()](np.uint64(seed), np.int64(start), out)
    return out
