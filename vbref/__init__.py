"""vbref: the reference implementation of variational Bayes that can be read and that proves itself.

Rooms are loaded when first touched, so that `import vbref` costs little and compiles nothing.
"""

import importlib
from typing import Any

# At once: a submodule imported later would bind itself over the function of the same name.
from vbref.fit import fit

__version__ = "0.1.0"

_ROOMS = (
    "numerics",
    "dist",
    "kl",
    "bounds",
    "gradients",
    "nn",
    "data",
    "models",
    "meanfield",
    "evaluate",
    "plot",
    "audit",
)
_DATA = ("load_digits", "load_faithful")

__all__ = [*_ROOMS, *_DATA, "fit"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"vbref.{name}")
    if name in _DATA:
        return getattr(importlib.import_module("vbref.data"), name)
    raise AttributeError(f"module 'vbref' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
