"""Which modules hold formulas, and which tests are theirs."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import vbref

ROOMS = ("numerics", "dist", "kl", "bounds", "gradients", "nn", "models", "meanfield", "evaluate")
# Decorators, checks of arguments, and a checker whose numbers are tolerances.
_NO_FORMULAS = {"vbref.numerics.jit", "vbref.numerics.check", "vbref.nn.gradcheck"}
_AUDIT = ("claims", "oracles", "worlds")
# A room whose formulas are mostly seen through those of another.
_ALSO = {"numerics": ("kl",), "dist": ("kl",)}


def formula_modules() -> list[str]:
    """Return every module that holds formulas, from the ground floor up, the audit's own last."""
    found = [name for room in ROOMS for name in _within(f"vbref.{room}")]
    audit = [name for name in _within("vbref.audit") if name.split(".")[2].startswith(_AUDIT)]
    return [name for name in [*found, *audit] if name not in _NO_FORMULAS]


def room_of(module: str) -> str:
    """Return what is judged together: a room of the package, or the audit's claims or its oracles."""
    parts = module.split(".")
    return parts[1] if parts[1] != "audit" else f"audit.{'claims' if parts[2] == 'claims' else 'oracles'}"


def tests_folder() -> Path | None:
    """Return the tests of this checkout; None where vbref is installed without them."""
    folder = Path(vbref.__file__).parents[1] / "tests"
    return folder if (folder / "conftest.py").is_file() else None


def tests_of(room: str, folder: Path) -> list[str]:
    """Return the test files and folders of a room. A claim is judged by itself alone."""
    if room == "audit.claims":
        return []
    if room == "audit.oracles":
        audit = folder / "audit"
        return [str(audit / "test_audit_oracles.py"), *map(str, sorted(audit.glob("test_*_claims.py")))]
    rooms = (room, *_ALSO.get(room, ()))
    own = [folder / name for name in rooms if (folder / name).is_dir()]
    stem = room.removesuffix("s")
    return [str(path) for path in [*own, *sorted(folder.glob(f"test_{stem}*.py")), *_named(room, folder)]]


def _named(room: str, folder: Path) -> Sequence[Path]:
    """Tests at the top that import the room though not named for it."""
    if (folder / room).is_dir():
        return []
    files = sorted(folder.glob("test_*.py"))
    mine = [path for path in files if f"import {room}" in path.read_text(encoding="utf-8")]
    return [path for path in mine if not path.name.startswith(f"test_{room.removesuffix('s')}")]


def _within(name: str) -> list[str]:
    module = import_module(name)
    if not hasattr(module, "__path__"):
        return [name]
    inner = (info.name for info in pkgutil.walk_packages(module.__path__, f"{name}."))
    return sorted(inner)
