"""Checks that every model makes at its public door, so that what is behind it can trust its arrays."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.numerics import check

Array = NDArray[Any]
Params = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]

size = check.size


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of the allowed words."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, was {value!r}")


def widths(name: str, values: Any) -> list[int]:
    """Return `values` as a list of Python integers; ValueError unless each is an integer of at least 1."""
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str) or np.ndim(values) != 1:
        raise ValueError(f"{name} must be a sequence of integers, was {values!r}")
    size(**{f"{name}[{i}]": width for i, width in enumerate(values)})
    return [int(width) for width in values]


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the options with NumPy's scalars as Python's own, which JSON can hold."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}


def together(params: Mapping[str, Array], shapes: Shapes, **arrays: Array) -> tuple[Params, list[Array]]:
    """Return params and arrays, checked: names and shapes as listed, all finite, all of one dtype."""
    _same_names(params, shapes)
    checked = check.floats(**params, **arrays)
    checked_params = dict(zip(params, checked, strict=False))
    for name, shape in shapes.items():
        check.shape(name, checked_params[name], shape)
    return checked_params, checked[len(params) :]


def _same_names(params: Mapping[str, Array], shapes: Shapes) -> None:
    if not isinstance(params, Mapping):
        raise ValueError(f"params must be a dict of arrays, was {type(params).__name__}")
    missing, extra = shapes.keys() - params.keys(), params.keys() - shapes.keys()
    if missing or extra:
        raise ValueError(
            f"params must name {sorted(shapes)}; missing {sorted(missing)}, unknown {sorted(extra)}"
        )


def batch(x: Array, data_dim: int) -> None:
    """Raise ValueError unless x is (N, data_dim) with N >= 1."""
    check.shape("x", x, (None, data_dim))
    if len(x) == 0:
        raise ValueError("x must have at least one row, has none")


def dtypes(dtype: Any, **arrays: Array) -> None:
    """Raise ValueError unless each array is of this dtype: for kernels that are handed addresses."""
    for name, array in arrays.items():
        if array.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)}, was {array.dtype}")


def noise(noise: Array, n: int, latent_dim: int) -> None:
    """Raise ValueError unless noise is (K, n, latent_dim) with K >= 1."""
    check.shape("noise", noise, (None, n, latent_dim))
    if len(noise) == 0:
        raise ValueError("noise must have K >= 1 samples on its first axis, has none")


def last_axis(name: str, array: Array, length: int) -> None:
    """Raise ValueError unless `array` is (…, length)."""
    if array.shape[-1:] != (length,):
        raise ValueError(f"{name} must have shape (..., {length}), has {array.shape}")


def sampling(
    params: Mapping[str, Array],
    shapes: Shapes,
    noise: Array,
    latent_dim: int,
    own: Array | None,
    data_dim: int,
) -> tuple[Params, Array, Array | None]:
    """Check what `sample` is given: noise (…, latent_dim), and `observation_noise` None or (…, data_dim)."""
    given = {} if own is None else {"observation_noise": own}
    checked, (noise, *rest) = together(params, shapes, noise=noise, **given)
    last_axis("noise", noise, latent_dim)
    if not rest:
        return checked, noise, None
    check.shape("observation_noise", rest[0], (*noise.shape[:-1], data_dim))
    return checked, noise, rest[0]


class Overflow(ValueError, ArithmeticError):
    """Parameters at which the dtype overflows: to a caller a bad argument, to a training loop divergence."""


def total(rows: Array) -> float:
    """Sum over the batch, accumulated in float64; ValueError where that is not finite."""
    value = float(rows.sum(dtype=np.float64))
    if not math.isfinite(value):
        raise Overflow(f"params must give a finite objective, gave {value}")
    return value


@contextmanager
def overflow_named() -> Iterator[None]:
    """Turn an overflow or an invalid operation into a ValueError about params, the likely cause."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            yield
    except FloatingPointError as error:
        raise Overflow(f"params must stay within what their dtype can hold: {error}") from None
