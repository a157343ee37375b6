"""Numba's arithmetic, interpreted: `math.*` that gives infinities and NaN where CPython raises."""

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


def use_numba_arithmetic() -> None:
    """Give vbref's modules a `math` with the error model of `vbref.numerics.jit`, and NumPy no qualms.

    Not the audit's: no compiled code is there, and its sides must not share a function.
    """
    np.seterr(all="ignore")
    shim = SimpleNamespace(**{name: _like_numba(value) for name, value in vars(math).items()})
    for name, module in list(sys.modules.items()):
        compiled = name.startswith("vbref.") and not name.startswith("vbref.audit.")
        if compiled and getattr(module, "math", None) is math:
            module.math = shim  # type: ignore[attr-defined]


def _like_numba(function: Any) -> Any:
    return _unbounded(function) if callable(function) else function


def _unbounded(function: Callable[..., Any]) -> Callable[..., Any]:
    pole = {"log": 0, "log2": 0, "log10": 0, "log1p": -1}.get(function.__name__)
    past_end = -math.inf if pole is not None else math.nan

    def call(*args: Any) -> Any:
        try:
            value = function(*args)
        except OverflowError:
            value = math.inf
        except ValueError:
            value = math.inf if function is math.lgamma else past_end if args[0] == pole else math.nan
        keeps = isinstance(value, float) and isinstance(args[0], np.floating)
        return type(args[0])(value) if keeps else value

    return call
