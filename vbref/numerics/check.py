"""Checks at the public door: a failure is a `ValueError` naming the argument, what it was, what is allowed.

The kernels behind the door do not check again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]

_ALLOWED = (np.dtype(np.float32), np.dtype(np.float64))


def floats(**named: ArrayLike) -> list[FloatArray]:
    """Return the arguments as finite arrays of one dtype, float32 or float64.

    Python floats are weak: they take the dtype of the arrays beside them, and are float64 among themselves.
    Arrays of two dtypes are refused rather than widened.

    Raises ValueError for integers, booleans, complex numbers, other widths, mixed dtypes, NaN and infinities.
    """
    return [_finite(name, value) for name, value in zip(named, one_dtype(**named), strict=True)]


def one_dtype(**named: Any) -> list[FloatArray]:
    """Return the arguments as arrays of one dtype, as `floats` does, NaN and infinities allowed."""
    strong = {name: _float_array(name, value) for name, value in named.items() if type(value) is not float}
    dtypes = {array.dtype for array in strong.values()}
    if len(dtypes) > 1:
        found = ", ".join(f"{name} is {array.dtype}" for name, array in strong.items())
        raise ValueError(f"arguments must share one dtype: {found}")
    dtype = dtypes.pop() if dtypes else np.dtype(np.float64)
    return [strong[name] if name in strong else np.asarray(value, dtype) for name, value in named.items()]


def _float_array(name: str, value: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array, has rows of different lengths") from None
    if array.dtype not in _ALLOWED:
        raise ValueError(f"{name} must be float32 or float64, was {array.dtype}")
    return array


def _finite(name: str, array: FloatArray) -> FloatArray:
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"{name} must be finite, has {bad}")
    return array


def below_infinity(**named: ArrayLike) -> list[FloatArray]:
    """Return the arguments as arrays of one dtype, finite or −∞: log-weights, where −∞ is a weight of zero.

    Dtypes as in `floats`. Raises ValueError for NaN and +∞ too.
    """
    return [_below_infinity(name, value) for name, value in zip(named, one_dtype(**named), strict=True)]


def _below_infinity(name: str, array: FloatArray) -> FloatArray:
    if not (array < np.inf).all():
        raise ValueError(f"{name} must be finite or -inf, has {array[~(array < np.inf)].flat[0]}")
    return array


def positive(**named: FloatArray) -> None:
    """Raise ValueError unless every entry of every argument is > 0."""
    for name, array in named.items():
        if not (array > 0).all():
            raise ValueError(f"{name} must be > 0, has {array.min()}")


def normal_numbers(**named: FloatArray) -> None:
    """Raise ValueError for entries below the smallest normal number of their dtype: reciprocals overflow."""
    for name, array in named.items():
        least = np.finfo(array.dtype).tiny
        if not (array >= least).all():
            raise ValueError(f"{name} must be >= {least:.3g}, has {array.min()}")


def sums_finite(**named: FloatArray) -> None:
    """Raise ValueError unless the two arguments broadcast and their sum is finite."""
    broadcast(**named)
    first, second = named.values()
    with np.errstate(over="ignore"):
        if not np.isfinite(first + second).all():
            raise ValueError(f"{' + '.join(named)} must be finite, overflows {first.dtype}")


def unit_interval(**named: FloatArray) -> None:
    """Raise ValueError unless every entry of every argument is in [0, 1]."""
    for name, array in named.items():
        inside = (array >= 0) & (array <= 1)
        if not inside.all():
            raise ValueError(f"{name} must be in [0, 1], has {array[~inside].flat[0]}")


def probabilities(**named: FloatArray) -> None:
    """Raise ValueError unless every argument is >= 0 and sums to one over its last axis, to rounding."""
    unit_interval(**named)
    for name, array in named.items():
        if array.ndim == 0 or array.shape[-1] == 0:
            raise ValueError(
                f"{name} must have a last axis of at least one category, has shape {array.shape}"
            )
        total = array.sum(axis=-1, dtype=np.float64)
        slack = 8 * np.finfo(array.dtype).eps * array.shape[-1]
        if not (abs(total - 1) <= slack).all():
            raise ValueError(
                f"{name} must sum to one over the last axis, sums to {total.flat[abs(total - 1).argmax()]}"
            )


def broadcast(**named: FloatArray) -> tuple[int, ...]:
    """Return the common shape of the arguments; ValueError names them where there is none."""
    try:
        return np.broadcast_shapes(*(array.shape for array in named.values()))
    except ValueError:
        shapes = ", ".join(f"{name} has shape {array.shape}" for name, array in named.items())
        raise ValueError(f"shapes do not broadcast: {shapes}") from None


def size(**named: Any) -> None:
    """Raise ValueError unless every argument is an integer of at least 1."""
    for name, value in named.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, was {value!r}")


def shape(name: str, array: NDArray[Any], expected: Sequence[int | None]) -> None:
    """Raise ValueError unless `array` has the expected shape; None stands for any length."""
    fits = array.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(array.shape, expected, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("*" if want is None else str(want) for want in expected) + ")"
        raise ValueError(f"{name} must have shape {wanted}, has {array.shape}")


def generator(rng: Any) -> np.random.Generator:
    """Return rng as a generator, from a seed ≥ 0 or as it is; ValueError for anything else."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(rng)
    raise ValueError(f"rng must be a numpy.random.Generator or an integer >= 0, was {rng!r}")
