"""What a mixture is given, at the door: numbers, rows, and where a run starts."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.engine import check_count
from vbref.meanfield.limits import number
from vbref.meanfield.mixture import rows
from vbref.numerics import check

Array = NDArray[np.float64]


def positive_number(name: str, value: Any) -> float:
    """The value as a float; ValueError unless it is a finite real number > 0."""
    real = number(name, value)
    if not real > 0:
        raise ValueError(f"{name} must be a number > 0, was {value!r}")
    return real


def switch(name: str, value: Any) -> bool:
    """The value as a bool; ValueError for anything but True and False, since "no" would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, was {value!r}")
    return bool(value)


def numbers(name: str, value: ArrayLike) -> Array:
    """A finite float64 array of real numbers, whole ones too; ValueError for booleans and all else."""
    array = _plain(name, value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold real numbers, was {array.dtype}")
    wide = array.astype(np.float64)
    check.floats(**{name: wide})
    return wide


def checked_rows(x: ArrayLike, dim: int | None = None) -> NDArray[Any]:
    """x as `rows.checked` wants it, without a copy: plain, in this machine's byte order, of two axes."""
    array = _plain("x", x)
    if not array.dtype.isnative:
        native = array.dtype.newbyteorder("=").name
        raise ValueError(f"x must be in this machine's byte order, is not: x.astype({native!r}) is")
    check.one_dtype(x=array)
    check.shape("x", array, (None, dim))
    return rows.checked(array, dim)


def _plain(name: str, value: ArrayLike) -> NDArray[Any]:
    """The value as an array; ValueError for a masked one, whose mask NumPy would drop without a word."""
    if np.ma.isMaskedArray(value):
        raise ValueError(f"{name} must not be a masked array: missing values have no part in this model")
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array, has rows of different lengths") from None


def check_start(given: list[str], components: int, n_init: int) -> None:
    """Raise ValueError unless what is `given` of rng, resp and means says where each of the runs starts."""
    check_count(n_init=n_init)
    if (not given and components > 1) or {"resp", "means"} <= set(given):
        raise ValueError(
            "a fit must start from one of rng, resp, means: " + (" and ".join(given) or "none given")
        )
    if n_init > 1 and {"resp", "means"} & set(given):
        raise ValueError(f"n_init must be 1 with resp or means, the only start, was {n_init}")
