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


def install(module: ModuleType, code: CodeType) -> None:
    """Run the mutated module's code apart, then move what it defines into the module that is in use.

    What the code itself raises goes through: such a mutant does not even import.
    """
    fresh = _run(module, code)
    mine = [name for name in vars(fresh) if not name.startswith("__") and name in vars(module)]
    changed = [_replace(module, name, vars(module)[name], vars(fresh)[name]) for name in mine]
    if not any(changed):
        raise CannotInstall("it changes nothing that is in use")


def claims_in(module: ModuleType, code: CodeType) -> list[Any]:
    """Return the entries that a file of claims, mutated, declares; the file in use stays as it is."""
    return claims_of_module(_run(module, code))


def _run(module: ModuleType, code: CodeType) -> ModuleType:
    """Run the code as if it were the module's, in a module of its own."""
    fresh = ModuleType(module.__name__)
    for name in ("__file__", "__package__", "__spec__", "__path__"):
        if name in vars(module):
            setattr(fresh, name, vars(module)[name])
    exec(code, vars(fresh))
    return fresh


def _replace(module: ModuleType, name: str, old: Any, new: Any) -> bool:
    """Put the new thing in the place of the old; return whether they differ. What is imported stays as it is.

    So does a stand-in for an imported module, such as the `math` of `vbref.audit.power.interpreted`.
    """
    if getattr(old, "__module__", module.__name__) != module.__name__ or isinstance(new, ModuleType):
        return False
    if isinstance(old, type):
        members = [_replace_member(old, part, value) for part, value in vars(new).items()]
        return any(members)
    if callable(old) and inspect.isfunction(inspect.unwrap(old)):
        return _recode(old, new)
    if isinstance(old, dict) and any(map(inspect.isfunction, old.values())):
        # Whoever holds the functions, if not the dict, sees it.
        changed = [_recode(value, new[key]) for key, value in old.items() if inspect.isfunction(value)]
        return any(changed)
    return not callable(old) and _rebind(name, old, new)


def _replace_member(owner: type, name: str, new: Any) -> bool:
    old = vars(owner).get(name)
    for part in ("__func__", "fget", "func"):
        new, old = getattr(new, part, new), getattr(old, part, old)
    if inspect.isfunction(new) and inspect.isfunction(old):
        return _is_of(owner, inspect.unwrap(new)) and _replace_method(owner, name, old, new)
    if isinstance(new, int | float | tuple) and not name.startswith("__") and new != old:
        setattr(owner, name, new)
        return True
    return False


def _replace_method(owner: type, name: str, old: Any, new: Any) -> bool:
    """Give a method new code; make a new one where that closes over less: no class, without `super()`."""
    free = new.__code__.co_freevars
    if vars(owner)[name] is not old or not {*free} < {*old.__code__.co_freevars}:
        return _recode(old, new)
    cells = dict(zip(old.__code__.co_freevars, old.__closure__, strict=True))
    closure = tuple(cells[variable] for variable in free)
    made = FunctionType(new.__code__, old.__globals__, name, new.__defaults__, closure)
    made.__kwdefaults__ = new.__kwdefaults__
    setattr(owner, name, made)
    return True


def _is_of(owner: type, function: Any) -> bool:
    """Whether it is written in the class's own file, not made by a decorator."""
    return function.__code__.co_filename == getattr(sys.modules[owner.__module__], "__file__", None)


def _recode(old: Any, new: Any) -> bool:
    if hasattr(old, "cache_clear"):
        old.cache_clear()
    inner, other = inspect.unwrap(old), inspect.unwrap(new)
    if inner.__code__.co_freevars != other.__code__.co_freevars:
        raise CannotInstall(f"{inner.__qualname__} closes over other variables")
    state = inner.__code__, inner.__defaults__, inner.__kwdefaults__
    inner.__code__ = other.__code__
    inner.__defaults__, inner.__kwdefaults__ = other.__defaults__, other.__kwdefaults__
    return state != (inner.__code__, inner.__defaults__, inner.__kwdefaults__)


def _rebind(name: str, old: Any, new: Any) -> bool:
    """Give every module of ours that has the old value by this name the new one."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
    return repr(old) != repr(new)
