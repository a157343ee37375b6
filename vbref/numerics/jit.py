"""The one place that owns Numba's options.

Every compiled function of vbref goes through one of these decorators, so that a change of an option is a
change of one line, and so that no formula quietly gets `fastmath`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

# Whether Numba was told not to compile (NUMBA_DISABLE_JIT=1): a debugger can then step through a kernel.
INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]

# error_model="numpy" makes 1/0 an infinity, as NumPy does; the default raises, and the branch that raises
# keeps LLVM from vectorising the loop (a factor of ten on Adam). fastmath stays off: on a closed form it
# costs hundreds of ulp.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "cache": True}


def scalar(function: F) -> F:
    """Compile a formula on scalars: `math.*` only, literals cast by `type(x)(...)`, so float32 stays float32.

    The same function serves CPU loops and CUDA grids.
    """
    return numba.njit(**_OPTIONS)(function)


def loop(function: F) -> F:
    """Compile a loop over arrays, single-threaded; releases the GIL."""
    return numba.njit(nogil=True, **_OPTIONS)(function)


def parallel_loop(function: F) -> F:
    """Compile a loop whose `numba.prange` axes run over threads.

    Only for loops whose iterations write to places of their own, so that the thread count changes no bit.
    """
    return numba.njit(nogil=True, parallel=True, **_OPTIONS)(function)


def inlined(function: F) -> F:
    """Compile a formula into its caller, where LLVM can vectorise it; a x + b may fuse."""
    return numba.njit(inline="always", fastmath={"contract"}, **_OPTIONS)(function)


def vector_loop(function: F) -> F:
    """Compile a loop whose sums LLVM may take in another order, several elements at once; NaN and inf stay.

    The order is fixed when the loop is compiled, so the same input gives the same bits on one machine.
    """
    return numba.njit(nogil=True, fastmath={"contract", "nsz", "reassoc"}, **_OPTIONS)(function)


def elementwise_loop(function: F) -> F:
    """Compile a loop without sums over inlined formulas: a x + b may fuse, and nothing is reordered."""
    return numba.njit(nogil=True, fastmath={"contract"}, **_OPTIONS)(function)
