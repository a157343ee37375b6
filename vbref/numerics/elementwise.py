"""Run a compiled loop over arguments that broadcast against each other."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vbref.numerics import check
from vbref.numerics.check import FloatArray


def elementwise(loop: Callable[..., None], **named: FloatArray) -> Any:
    """Return the array that `loop(*flat_arguments, out)` fills, in the broadcast shape of the arguments.

    `loop` sees contiguous vectors of one length n and writes `out[i]`. A 0-d result is a NumPy scalar.
    """
    shape = check.broadcast(**named)
    out = np.empty(shape, next(iter(named.values())).dtype)
    loop(*_flat(named, shape), out.reshape(-1))
    return out[()]


def elementwise_grad(loop: Callable[..., None], **named: FloatArray) -> tuple[Any, ...]:
    """Return one array an argument, filled by `loop(*flat_arguments, out)`, `out` of shape (arguments, n).

    Each has the broadcast shape: entry i is the derivative of the i-th value by its own copy of the argument.
    Where an argument was broadcast, the sum over those axes is the caller's.
    """
    return elementwise_outputs(loop, len(named), **named)


def elementwise_outputs(loop: Callable[..., None], outputs: int, **named: FloatArray) -> tuple[Any, ...]:
    """Return `outputs` arrays of the broadcast shape, filled by a loop whose `out` is (outputs, n)."""
    shape = check.broadcast(**named)
    out = np.empty((outputs, *shape), next(iter(named.values())).dtype)
    loop(*_flat(named, shape), out.reshape(outputs, -1))
    return tuple(part[()] for part in out)


def _flat(named: dict[str, FloatArray], shape: tuple[int, ...]) -> list[FloatArray]:
    return [_read_only(np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1)) for a in named.values()]


def _read_only(view: FloatArray) -> FloatArray:
    """`broadcast_to` is read-only where it need not copy; Numba would compile for each mix of the two."""
    view.flags.writeable = False
    return view
