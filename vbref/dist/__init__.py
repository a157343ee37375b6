"""Distributions, one module a family: `from vbref.dist import normal; normal.log_prob(x, loc, scale)`.

Every function takes all parameters of its family, in one order. A `_grad` twin returns one array an argument;
where the value is a vector or a matrix, `_backward` takes its cotangent instead. Samplers are deterministic
maps of noise.
"""

import importlib
from types import ModuleType

FAMILIES = (
    "normal",
    "multivariate_normal",
    "bernoulli",
    "categorical",
    "beta",
    "kumaraswamy",
    "gamma",
    "dirichlet",
    "wishart",
)

__all__ = ["FAMILIES", *FAMILIES]


def __getattr__(name: str) -> ModuleType:
    if name in FAMILIES:
        return importlib.import_module(f"vbref.dist.{name}")
    raise AttributeError(f"module 'vbref.dist' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *FAMILIES])
