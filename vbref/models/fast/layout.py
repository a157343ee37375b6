"""Where everything lies: one flat array of parameters, one of activations, and the tables that say where.

A layer's bias follows its weight without a gap and is the weight's last row, so that

    x W + b = [x 1] [W; b],        d[W; b] = [x 1]ᵀ d_y,

and neither needs code of its own. Every row of activations is therefore followed by a 1, and begins at a
multiple of 64 bytes.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vbref.numerics import check
from vbref.numerics.jit import INTERPRETED

Array = NDArray[Any]
_LINE = 16  # elements: 64 bytes of float32

LAYER = np.dtype(
    [
        ("fan_in", np.int64),
        ("fan_out", np.int64),
        ("weight", np.int64),  # offset of [W; b] in the parameters
        ("x", np.int64),  # offset of the input's first row among the activations; its rows are ld_x apart
        ("ld_x", np.int64),
        ("y", np.int64),
        ("ld_y", np.int64),
        ("d_x", np.int64),  # cotangents, in rows as far apart as those of x and y
        ("d_y", np.int64),
    ]
)


def lines(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // _LINE) * _LINE


def aligned(size: int, dtype: Any) -> Array:
    """Zeros that begin at a multiple of 64 bytes."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(size * item + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * item].view(dtype)


class Stack:
    """Hands out ranges of a flat array that is made when all are known."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, size: int) -> int:
        """The offset of `size` elements."""
        offset, self.size = self.size, self.size + lines(size)
        return offset


class Network(NamedTuple):
    """A perceptron's rows of LAYER, and how many rows of activations it has room for.

    Kernels read a row's fields as attributes, which interpreted only a recarray has.
    """

    layers: NDArray[Any]
    rows: int


def network(
    widths: Iterable[int], rows: int, params: Stack, room: Stack, *, in_place: bool, input_grad: bool
) -> Network:
    """Lay out a perceptron; `in_place` puts the output's cotangent where the output is."""
    widths = list(widths)
    acts = [room.take(rows * leading(width)) for width in widths]
    first = room.take(rows * leading(widths[0])) if input_grad else -1
    cots = [first, *(room.take(rows * leading(width)) for width in widths[1:-1])]
    cots.append(acts[-1] if in_place else room.take(rows * leading(widths[-1])))
    layers = np.zeros(len(widths) - 1, LAYER)
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        where = (acts[i], leading(fan_in), acts[i + 1], leading(fan_out), cots[i], cots[i + 1])
        layers[i] = (fan_in, fan_out, params.take((fan_in + 1) * fan_out), *where)
    return Network(layers.view(np.recarray) if INTERPRETED else layers, rows)


def leading(width: int) -> int:
    """The distance of rows that hold `width` values and a 1."""
    return lines(width + 1)


def views(flat: Array, prefix: str, layers: NDArray[Any]) -> dict[str, Array]:
    """The weights and biases in `flat`, by name."""
    named = {}
    for i, layer in enumerate(layers):
        start, fan_in, fan_out = int(layer["weight"]), int(layer["fan_in"]), int(layer["fan_out"])
        end = start + fan_in * fan_out
        named[f"{prefix}.{i}.weight"] = flat[start:end].reshape(fan_in, fan_out)
        named[f"{prefix}.{i}.bias"] = flat[end : end + fan_out]
    return named


def copy_into(target: Mapping[str, Array], source: Mapping[str, Array]) -> None:
    """Copy arrays by name; ValueError, and no copy, where one is missing, or of another shape or dtype."""
    for name, array in target.items():
        if name not in source:
            raise ValueError(f"{name} must be given, is missing")
        given = np.asarray(source[name])
        check.shape(name, given, array.shape)
        if given.dtype != array.dtype:
            raise ValueError(f"{name} must be {array.dtype}, was {given.dtype}")
    for name, array in target.items():
        array[...] = source[name]
