"""Put a mutated module in the place of the one that is already imported, everywhere, at once.

Functions keep their identity and get new code, so that whoever imported them by name runs the mutant. It
needs Numba's compiler off (NUMBA_DISABLE_JIT=1): formulas are then plain functions.
"""

import inspect
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

from vbref.audit.registry import claims_of_module


class CannotInstall(Exception):
    """The mutant cannot be put in place: a failure of this tool, which kills nothing."""


def install(module: ModuleType, code: CodeType) -> ModuleType:
    """Run the mutated module's code apart, then move what it defines into the module that is in use.

    Returns the fresh module.
    What the code itself raises goes through: such a mutant does not even import.
    """
    fresh = ModuleType(module.__name__)
    for name in ("__file__", "__package__", "__spec__", "__path__"):
        if name in vars(module):
            setattr(fresh, name, vars(module)[name])
    exec(code, vars(fresh))
    for name, new in list(vars(fresh).items()):
        if not name.startswith("__") and name in vars(module):
            _replace(module, name, vars(module)[name], new)
    return fresh


def claims_in(module: ModuleType) -> list[Any]:
    """Return the entries that a module declares."""
    return claims_of_module(module)


def _replace(module: ModuleType, name: str, old: Any, new: Any) -> None:
    if getattr(old, "__module__", module.__name__) != module.__name__ or isinstance(old, ModuleType):
        return
    if isinstance(old, type):
        _recode_class(old, new)
    elif callable(old) and inspect.isfunction(inspect.unwrap(old)):
        _recode(old, new)
    elif not callable(old):
        _rebind(name, old, new)


def _recode(old: Any, new: Any) -> None:
    if hasattr(old, "cache_clear"):
        old.cache_clear()
    inner, other = inspect.unwrap(old), inspect.unwrap(new)
    if inner.__code__.co_freevars != other.__code__.co_freevars:
        raise CannotInstall(f"{inner.__qualname__} closes over other variables")
    inner.__code__ = other.__code__
    inner.__defaults__, inner.__kwdefaults__ = other.__defaults__, other.__kwdefaults__


def _recode_class(old: type, new: type) -> None:
    for name, value in vars(new).items():
        mine = vars(old).get(name)
        for part in ("__func__", "fget", "func"):
            value, mine = getattr(value, part, value), getattr(mine, part, mine)
        if isinstance(value, FunctionType) and isinstance(mine, FunctionType):
            if value.__code__.co_filename == getattr(sys.modules[old.__module__], "__file__", None):
                _recode(mine, value)
        elif isinstance(value, int | float | tuple) and not name.startswith("__"):
            setattr(old, name, value)


def _rebind(name: str, old: Any, new: Any) -> None:
    """Give every module of ours that has the old value by this name the new one."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
