"""The idx file format of MNIST, plain or gzipped, read straight into one array.

Two zero bytes, a type code, the number of axes, each axis as a big-endian uint32, then the values in C order.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Deflate cannot beat 1032:1, so a header that promises more is broken: refuse before allocating for it.
_MOST_COMPRESSION = 1032
# gzip makes a bytes object of whatever one read asks for: small reads keep a second copy from existing.
_CHUNK = 1 << 20


def read(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array in an idx file; a name that ends in .gz is unpacked on the way, without a second copy.

    Raises OSError where the file cannot be opened and ValueError, naming the file, where it is not idx, is
    truncated, or has bytes left over.
    """
    path = Path(path)
    zipped = path.suffix == ".gz"
    with gzip.open(path) if zipped else open(path, "rb") as file:
        try:
            return _read(
                cast(BinaryIO, file), most=path.stat().st_size * (_MOST_COMPRESSION if zipped else 1)
            )
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: not a whole idx file: {error}") from None


def _read(file: BinaryIO, most: int) -> NDArray[Any]:
    dtype, shape = _header(file)
    size = math.prod(shape) * dtype.itemsize
    if size > most:
        raise ValueError(f"truncated: its header promises {size} bytes of values for shape {shape}")
    array = np.empty(shape, dtype)
    have = _fill(file, array.reshape(-1).view(np.uint8).data)
    if have < size:
        raise ValueError(f"truncated: {have} bytes of values, its header promises {size} for shape {shape}")
    if file.read(1):
        raise ValueError(f"bytes left over after the {size} that its header promises for shape {shape}")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or magic[3] == 0:
        found = magic.hex(" ") or "nothing"
        raise ValueError(
            f"starts with {found}, not with 00 00, a type code and the number of axes"
            " (data are read from .npz, .npy, idx and idx.gz files)"
        )
    axes = file.read(4 * magic[3])
    if len(axes) < 4 * magic[3]:
        raise ValueError(f"truncated in its header of {magic[3]} axes")
    return np.dtype(DTYPES[magic[2]]), tuple(int(n) for n in np.frombuffer(axes, ">u4"))


def _fill(file: BinaryIO, buffer: memoryview) -> int:
    have = 0
    while have < len(buffer):
        more = file.readinto(buffer[have : have + _CHUNK])  # type: ignore[attr-defined]
        if not more:
            break
        have += more
    return have
