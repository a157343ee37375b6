"""Matrix products inside compiled code, by the BLAS that NumPy has already loaded.

`gemm` is the Fortran routine under a name of our own, to which the address is bound when this module is
imported: a compiled kernel in the cache holds the name and no address. Fortran takes all by reference, and
column-major: the row-major C = A B is its Cᵀ = Bᵀ Aᵀ.
"""

import ctypes
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import get_cython_function_address, intrinsic

from vbref.numerics.jit import INTERPRETED, scalar

# NumPy's wheels have 64-bit integers in the interface, others 32; a pointer to 64 bits serves both where the
# low half comes first, as it does on every machine that Numba runs on but s390x.
_LIBRARIES = ("numpy._core._multiarray_umath", "scipy.linalg.cython_blas")
_NAMES = "scipy_{}_64_", "{}_64_", "scipy_{}_", "{}_"
_THREADS = tuple(
    f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")
)


def _find(library: str, names: tuple[str, ...], word: str) -> Any:
    """The first of `names` that the library, or one that it links to, has; else None."""
    try:
        loaded = ctypes.CDLL(importlib.import_module(library).__file__)
    except (ImportError, OSError, TypeError):
        return None
    found = (getattr(loaded, name.format(word), None) for name in names)
    return next((function for function in found if function is not None), None)


def _bind(word: str) -> str:
    """Bind vbref_WORD to an address, and return the library that it is from."""
    for library in _LIBRARIES:
        function = _find(library, _NAMES, word)
        if function is not None:
            llvmlite.binding.add_symbol(f"vbref_{word}", ctypes.cast(function, ctypes.c_void_p).value)
            return library
    address = get_cython_function_address(_LIBRARIES[-1], word)
    llvmlite.binding.add_symbol(f"vbref_{word}", address)
    return _LIBRARIES[-1]


LIBRARY = _bind("sgemm")
_bind("dgemm")


@contextmanager
def single_threaded() -> Iterator[None]:
    """OpenBLAS on one thread inside the block: the callers' own threads share the work out."""
    get, put = (_find(LIBRARY, _THREADS, word) for word in ("get", "set"))
    if get is None or put is None:
        yield
        return
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


_WORDS = {types.float32: "sgemm", types.float64: "dgemm"}


@intrinsic
def _fortran(typing_context, alpha, trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
    """xGEMM of the dtype of alpha; a, b and c are addresses, trans_a and trans_b 'N' or 'T' by number."""
    if alpha not in _WORDS:
        raise TypingError(f"gemm is for float32 and float64, not {alpha}")
    integer = types.int64
    order = (alpha, *[integer] * 9, alpha, *[integer] * 2)
    return types.void(*order), _call(_WORDS[alpha])


def _call(word: str) -> Callable[..., Any]:
    def codegen(context, builder, signature, arguments):
        alpha, trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc = (
            value
            if position in (6, 8, 11)
            else builder.ptrtoint(cgutils.alloca_once_value(builder, value), cgutils.intp_t)
            for position, value in enumerate(arguments)
        )
        addresses = trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc
        function_type = ir.FunctionType(ir.VoidType(), [each.type for each in addresses])
        function = cgutils.get_or_insert_function(builder.module, function_type, f"vbref_{word}")
        builder.call(function, addresses)
        return context.get_dummy_value()

    return codegen


def _interpreted(alpha: Any, trans_a: int, trans_b: int, *rest: Any) -> None:
    """What `_fortran` compiles to, by ctypes: where nothing is compiled."""
    m, n, k, a, lda, b, ldb, beta, c, ldc = rest
    word, real = ("dgemm", ctypes.c_double) if alpha.dtype == np.float64 else ("sgemm", ctypes.c_float)
    letters = (ctypes.byref(ctypes.c_char(letter)) for letter in (trans_a, trans_b))
    m, n, k, lda, ldb, ldc = (ctypes.byref(ctypes.c_int64(int(size))) for size in (m, n, k, lda, ldb, ldc))
    alpha, beta = (ctypes.byref(real(float(factor))) for factor in (alpha, beta))
    a, b, c = (ctypes.c_void_p(int(address)) for address in (a, b, c))
    address = llvmlite.binding.address_of_symbol(f"vbref_{word}")
    ctypes.CFUNCTYPE(None)(address)(*letters, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


_xgemm: Any = _interpreted if INTERPRETED else _fortran

_PLAIN, _TRANSPOSED = ord("N"), ord("T")


@scalar
def gemm(trans_a, trans_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, c, ldc):
    """C ← α op(A) op(B) + β C, row-major: C (rows, columns) at address c, a row of it every ldc elements.

    op transposes where its flag is set; `inner` is what is summed over. α and β have C's dtype.
    """
    op_a = _TRANSPOSED if trans_a else _PLAIN
    op_b = _TRANSPOSED if trans_b else _PLAIN
    _xgemm(alpha, op_b, op_a, columns, rows, inner, b, ldb, a, lda, beta, c, ldc)
