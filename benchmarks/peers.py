"""PyTorch and JAX, set up alike: the same cores, and a line that says what is absent."""

import importlib
import sys
from types import ModuleType


def torch(cores: int) -> ModuleType | None:
    """Return the torch module with its threads set, or None where it is not installed."""
    module = _load("torch")
    if module:
        module.set_num_threads(cores)
    return module


def jax() -> ModuleType | None:
    """Return the jax module with float64 enabled (arrays keep their dtype), or None where it is absent."""
    module = _load("jax")
    if module:
        module.config.update("jax_enable_x64", True)
    return module


def sklearn_mixture() -> ModuleType | None:
    """Return scikit-learn's `mixture` module, or None where it is absent."""
    return _load("sklearn.mixture")


def _load(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"benchmarks: {name} is not installed; no ratio to it", file=sys.stderr)
        return None
