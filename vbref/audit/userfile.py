"""A user's own file of claims. Whatever is wrong with it is one line that names the file and the line."""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from vbref.audit.claim import Entry
from vbref.audit.registry import claims_of_module


def claims_of_file(path: str | Path) -> tuple[Entry, ...]:
    """Return the claims of a Python file: its module variables, and what lists and tuples there hold.

    Raises ValueError where the file cannot be read, fails, declares none, or declares one id twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a Python file: {error.reason} at byte {error.start}") from error
    found = claims_of_module(_run(path, text))
    if not found:
        raise ValueError(f"{path}: declares no claims: a module variable, or a list that is one, holds them")
    ids = [entry.id for entry in found]
    for id in dict.fromkeys(id for id in ids if ids.count(id) > 1):
        raise ValueError(f"{path}:{_second_line(text, id)}: claimed twice: {id}")
    return tuple(found)


def _run(path: Path, text: str) -> ModuleType:
    """Return the module that the text is; its name is registered, as dataclasses need."""
    module = ModuleType(f"vbref_claims_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        with _importing_from(path.parent):
            exec(compile(text, str(path), "exec"), vars(module))
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
        raise ValueError(f"{path}:{line or _line(error, path)}: {_named(error)}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}:{_line(error, path)}: {_named(error)}") from error
    return module


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let the file import its neighbours, as it could when run as a script."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def _named(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}"


def _line(error: BaseException, path: Path) -> int:
    """Return the innermost line of the file that the error passed through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return (lines[-1] if lines else None) or 1


def _second_line(text: str, id: str) -> int:
    """Return the line where an id is written a second time, or the first where it is computed."""
    places = [match.start() for match in re.finditer(f"[\"']{re.escape(id)}[\"']", text)]
    return text.count("\n", 0, places[1]) + 1 if len(places) > 1 else 1
