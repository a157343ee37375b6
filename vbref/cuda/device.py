"""The one place that knows the GPU: whether it can be used, how kernels are compiled, how many threads run.

Kernels are grids of threads over the scalar functions that the CPU's loops call. They are written in the
subset that Numba's simulator runs too: `math` only inside scalar functions, no warp shuffles, and no literal
that would widen a float32.
"""

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import cuda
from numpy.typing import DTypeLike, NDArray

# Small problems leave most of a GPU idle, which is no mistake of the caller.
_config: Any = numba.config
_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

SIMULATED = bool(_config.ENABLE_CUDASIM)

# In innermost loops indices have no sign, and are counted by `while`: Numba's looks whether an index is
# negative, and the counting of its `range`, take longer than what is done with the number.
INDEX = np.uint64

SHARED_BYTES = 40_000  # of the 48 KiB that a block may have without asking
BUSY = 4 * 132  # blocks that keep a large GPU busy


class Unavailable(RuntimeError):
    """CUDA was asked for and cannot run here; the message names what is missing."""


@dataclass
class Settings:
    """What tests change: running in the simulator, and filling what `empty` returns with NaN."""

    allow_simulator: bool = False
    poison: bool = False


settings = Settings()


def require() -> None:
    """Raise `Unavailable`, naming what is missing, where kernels cannot run."""
    missing = _missing()
    if missing:
        raise Unavailable(f"device='cuda' cannot run here: {missing}")


def _missing() -> str | None:
    if SIMULATED:
        advice = "Numba's simulator is on, thousands of times slower than the CPU; unset NUMBA_ENABLE_CUDASIM"
        return None if settings.allow_simulator else advice
    return _missing_driver() or _missing_compiler()


@functools.cache
def _missing_driver() -> str | None:
    from numba.cuda.cudadrv import driver

    if not driver.driver.is_available:
        reason = str(cuda.cuda_error() or "not found").strip().splitlines()[0]
        return f"no CUDA driver (libcuda) that works: {reason}"
    return None if len(cuda.gpus) else "the CUDA driver sees no GPU (CUDA_VISIBLE_DEVICES?)"


@functools.cache
def _missing_compiler() -> str | None:
    from numba.cuda.cudadrv import libs, nvvm

    advice = f"let CUDA_HOME name a CUDA toolkit (it is {os.environ.get('CUDA_HOME', 'not set')})"
    if not nvvm.is_available():
        return f"no libnvvm, which compiles kernels; {advice}"
    try:
        libs.open_libdevice()
    except Exception as error:  # Numba's own are of several kinds
        return f"no libdevice, which has exp and log ({error}); {advice}"
    if not (_config.FORCE_CUDA_CC or getattr(nvvm.NVVM(), "supported_ccs", True)):
        return f"no libcudart, which tells Numba what its toolkit compiles for; {advice}"
    return None


def kernel(function: Callable[..., None]) -> Any:
    """Compile a kernel at its first launch for the types it gets; fastmath off, as for the CPU's formulas."""
    return cuda.jit(function)


def function(inner: Callable[..., Any]) -> Any:
    """Compile what kernels call that has barriers of its own; formulas without are `numerics.jit.scalar`."""
    return cuda.jit(device=True)(inner)


def threads() -> int:
    """Threads a block where any number will do; the simulator starts a thread of the system for each."""
    return 8 if SIMULATED else 256


def blocks(n: int, size: int | None = None) -> int:
    """Blocks of `size` threads that cover n."""
    size = threads() if size is None else size
    return max(1, -(-n // size))


@dataclass(frozen=True)
class Tile:
    """A block's share of a matrix product: side × side outputs, `depth` of the inner axis at a time.

    Each thread has micro × micro outputs in registers: with more of them it reads shared memory less often.
    A block is side/micro threads squared, as many times as it has `slices`, which share out the inner axis:
    where outputs are few, what takes time is its length.
    """

    side: int
    depth: int
    micro: int
    slices: int = 1

    @property
    def block(self) -> tuple[int, int, int]:
        """A block's size."""
        return self.side // self.micro, self.side // self.micro, self.slices

    @property
    def threads(self) -> int:
        """Threads a block."""
        return math.prod(self.block)

    @property
    def share(self) -> int:
        """Numbers of a tile of A, or of B, that a thread moves."""
        return self.side * self.depth // self.threads

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        """Blocks that cover an output of so many rows and columns."""
        return blocks(rows, self.side), blocks(columns, self.side)


TILES = (Tile(128, 8, 8), Tile(64, 16, 4), Tile(32, 32, 4, 4), Tile(16, 64, 4, 8))


def tile(rows: int, columns: int) -> Tile:
    """The largest tile that still gives each of some hundred multiprocessors a block."""
    if SIMULATED:
        return Tile(8, 4, 2) if rows > 4 else Tile(4, 8, 2, 2)
    enough = (t for t in TILES if blocks(rows, t.side) * blocks(columns, t.side) >= 100)
    return next(enough, TILES[-1])


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
    """A new array on the device, of any contents: NaN where `settings.poison`."""
    if not settings.poison:
        return cuda.device_array(shape, dtype)
    kind = np.dtype(dtype).kind
    return cuda.to_device(np.full(shape, np.nan if kind == "f" else np.iinfo(dtype).max, dtype))


def put(array: NDArray[Any]) -> Any:
    """A copy on the device."""
    array = np.ascontiguousarray(array)
    # NumPy lets an axis of length 1 have any stride; with 0, Numba would compile kernels anew.
    return cuda.to_device(array.copy() if 0 in array.strides else array)
