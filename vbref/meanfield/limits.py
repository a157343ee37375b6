"""What float64 cannot hold, as an error that names the arguments."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


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
