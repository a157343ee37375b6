"""Data sets by name and from .npz, .npy and idx(.gz) files; nothing is ever unpickled."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.checkpoint import npz
from vbref.data import idx

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Dataset:
    """x (N, D), one datum a row, in the dtype of its source; y (N,) labels, or None."""

    x: NDArray[Any]
    y: NDArray[Any] | None = None


def load_digits() -> Dataset:
    """1797 handwritten digits of 8×8 pixels: x (1797, 64) float64 with values 0 to 16, y (1797,) int64."""
    digits = _load_npz(_HERE / "digits.npz")
    assert digits.y is not None
    return Dataset(digits.x.astype(np.float64), digits.y.astype(np.int64))


def load_faithful() -> NDArray[np.float64]:
    """Old Faithful, (272, 2) float64: minutes of an eruption, minutes until the next."""
    return _load_npz(_HERE / "faithful.npz").x


def load(source: str | os.PathLike[str]) -> Dataset:
    """Load "digits", "faithful", or a file: .npz (keys x and maybe y, or a single array), .npy, idx, idx.gz.

    Values keep their dtype (uint8 pixels stay uint8) and axes after the first are flattened. Beside an idx
    file named `…images-idx3…` its `…labels-idx1…` is read too, if it is there.

    Raises OSError where the file cannot be opened, ValueError naming it where it is broken or holds no rows.
    """
    if source in _BUILT_IN:
        return _BUILT_IN[str(source)]()
    path = Path(source)
    return _checked(path, _READERS.get(path.suffix, _load_idx)(path))


def _load_npz(path: Path) -> Dataset:
    with npz(path) as archive:
        return Dataset(*_x_and_y(path, archive))


def _x_and_y(path: Path, archive: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    names = list(archive)
    if "x" in names:
        return archive["x"], archive["y"] if "y" in names else None
    if len(names) != 1:
        raise ValueError(f"needs a key x, or a single array; has {', '.join(names) or 'nothing'}")
    return archive[names[0]], None


def _load_npy(path: Path) -> Dataset:
    try:
        return Dataset(np.lib.format.open_memmap(path, mode="r"))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: no readable .npy: {error}") from None


def _load_idx(path: Path) -> Dataset:
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    beside = labels != path and labels.exists()
    return Dataset(idx.read(path), idx.read(labels) if beside else None)


def _checked(path: Path, data: Dataset) -> Dataset:
    x = data.x
    if x.ndim < 2 or x.size == 0 or x.dtype.kind not in "biuf":
        raise ValueError(f"{path}: x must hold rows of real numbers, is {x.dtype} of shape {x.shape}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError(f"{path}: x must be finite, has {x[~np.isfinite(x)].flat[0]}")
    if data.y is not None and data.y.shape != x.shape[:1]:
        raise ValueError(f"{path}: y must have shape {x.shape[:1]}, one label a row of x, has {data.y.shape}")
    return Dataset(x.reshape(len(x), -1), data.y)


_BUILT_IN = {"digits": load_digits, "faithful": lambda: Dataset(load_faithful())}
NAMES = tuple(_BUILT_IN)
_READERS = {".npz": _load_npz, ".npy": _load_npy}
