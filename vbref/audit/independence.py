"""The two-oracle rule, enforced: which Python functions does each side run, and do any two sides share one?

The instance (`worlds.py`, `worlds_*.py`) may be shared: it is the meaning of the symbols. A formula and
an oracle, or two oracles, that run the same function of vbref or of the claims' own folder are not
independent. Libraries are trusted. What this cannot see is the same algebra typed twice; a reader must.
"""

import os
import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping
from itertools import combinations
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import vbref
from vbref.audit import worlds
from vbref.numerics import check

_PACKAGE = str(Path(vbref.__file__).parent)
# worlds.py and its like (worlds_*.py) are the instances; the checks at the door and the asking decide nothing
_SHARED = (worlds.__file__.removesuffix(".py"), check.__file__, str(Path(__file__).with_name("trials.py")))
# an environment may lie in the folder of the claims
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


def functions_run(function: Callable[[], Any], own_files: Collection[str]) -> set[CodeType]:
    """Return the code objects of vbref, of `own_files` and beside them that run when `function` is called."""
    seen: set[CodeType] = set()
    homes = _homes(own_files)
    _forget(homes)

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and _counts(frame.f_code, own_files, homes):
            seen.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return seen


def _homes(own_files: Collection[str]) -> tuple[str, ...]:
    folders = (str(Path(file).resolve().parent) + os.sep for file in own_files if Path(file).is_file())
    return (_PACKAGE, *folders)


def _forget(homes: tuple[str, ...]) -> None:
    """Empty the caches (`functools.cache`) of the claims' own modules: what is remembered does not run."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None) or ""
        if name.startswith(homes[1:]) and not name.startswith(_LIBRARIES):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and hasattr(value, "__wrapped__"):
                    value.cache_clear()


def shared_functions(sides: Mapping[str, Callable[[], Any]], own_files: Collection[str]) -> list[str]:
    """Return one line for each two sides that run a function in common."""
    runs = {name: functions_run(side, own_files) for name, side in sides.items()}
    pairs = ((one, other, runs[one] & runs[other]) for one, other in combinations(runs, 2))
    return [f"{one} and {other} share {_names(common)}" for one, other, common in pairs if common]


def _names(codes: set[CodeType]) -> str:
    """Return the functions' names; what is nested in one of them goes without saying."""
    names = {code.co_qualname.split(".<locals>")[0] for code in codes}
    return ", ".join(sorted(names))


def _counts(code: CodeType, own_files: Collection[str], homes: tuple[str, ...]) -> bool:
    name = code.co_filename
    mine = name in own_files or (name.startswith(homes) and not name.startswith(_LIBRARIES))
    return mine and not name.startswith(_SHARED)
