"""Files written whole or not at all, read without unpickling anything.

Arrays and a JSON record in one .npz; plain values in a JSON file.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
_RECORD = "record.json"
_MOST_HASHED = 4096


def save(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], record: Any = None) -> None:
    """Write arrays, and a record of plain values, to `path`: the old file stays, or the new one is whole.

    The new file is written beside the old, flushed to the disk, and renamed over it.
    """
    everything: dict[str, Any] = {_RECORD: np.array(json.dumps(record, default=_plain)), **arrays}
    with atomic(path) as file:
        np.savez(file, **everything)


def load(path: str | os.PathLike[str]) -> tuple[Arrays, Any]:
    """Return what `save` wrote: (arrays, record). An .npz from elsewhere has the record None.

    Raises OSError where the file cannot be opened, ValueError, naming it, where it is broken.
    """
    with npz(path) as archive:
        arrays = {name: archive[name] for name in archive}
        return arrays, json.loads(str(arrays.pop(_RECORD, "null")))


@contextmanager
def npz(path: str | os.PathLike[str]) -> Iterator[Any]:
    """`with npz(path) as archive:` gives the arrays of an .npz by name, read when asked for.

    Raises OSError where the file cannot be opened, ValueError, naming it, where it or its use is broken.
    """
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"PK":
                raise ValueError("it does not start with PK, as a zip archive does")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                yield archive
    except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: no readable .npz: {error}") from None


def fingerprint(x: Any) -> str:
    """A hash of the data x: its length, and shape, dtype and bits of thousands of its rows, evenly spread."""
    rows = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_HASHED)).astype(np.intp))]
    digest = hashlib.sha256(repr((len(x), rows.shape, str(rows.dtype))).encode())
    digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()[:16]


def as_json(value: Any) -> Any:
    """`value` as it comes back from a record: tuples as lists, arrays as lists of numbers."""
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a record must hold plain values, has {type(value).__name__}")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic(path) as file:
        file.write((json.dumps(as_json(value), indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; ValueError names it where it is broken."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no readable JSON: {error}") from None


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """`with atomic(path) as file:` gives a binary file that becomes `path` only when all went well."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)
