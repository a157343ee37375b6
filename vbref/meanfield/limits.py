"""Numbers at the door, and what float64 cannot hold, as errors that name the arguments."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def number(name: str, value: Any) -> float:
    """The value as a float; ValueError unless it is a finite real number, and no boolean."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number, was {value!r}")
    return float(value)


@contextmanager
def within_float64(names: str) -> Iterator[None]:
    """Turn NumPy's overflow, division by zero and invalid operation into a ValueError about `names`."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        if "encountered" not in str(error):  # not NumPy's
            raise
        raise ValueError(f"{names} must stay within what float64 can hold: {error}") from None
