"""Products inside compiled code against NumPy's, in both precisions and all four orders."""

import ctypes
import itertools

import llvmlite.binding
import numpy as np
import pytest

from vbref.numerics import blas
from vbref.numerics.jit import loop


@loop
def product(trans_a, trans_b, a, b, c):
    rows, columns = c.shape
    inner = a.shape[0] if trans_a else a.shape[1]
    one, two = c.dtype.type(1), c.dtype.type(2)
    left, right, out = a.ctypes.data, b.ctypes.data, c.ctypes.data
    ld_a, ld_b = a.shape[1], b.shape[1]
    blas.gemm(trans_a, trans_b, rows, columns, inner, two, left, ld_a, right, ld_b, one, out, columns)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
def test_gemm_is_alpha_a_b_plus_beta_c(dtype, transposed):
    # Whole numbers, so that every order of the sums gives the same.
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-9, 9, shape).astype(dtype) for shape in ((5, 7), (7, 4), (5, 4)))
    expected = 2 * a @ b + c
    left, right = (np.ascontiguousarray(m.T) if t else m for m, t in zip((a, b), transposed, strict=True))
    product(*transposed, left, right, c)
    np.testing.assert_array_equal(c, expected)


def test_products_are_compiled():
    for dtype in (np.float32, np.float64):
        cells = [np.full((1, 1), value, dtype) for value in (3, 5, 7)]
        product(False, False, *cells)
        assert cells[2] == 2 * 15 + 7
    assert len(product.signatures) == 2


def product_at(address):
    """x · y of (1, 2) and (3, 4) by the Fortran routine there."""
    real, whole = ctypes.c_double * 2, ctypes.c_int64
    n, step, x, y = whole(2), whole(1), real(1, 2), real(3, 4)
    dot = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_void_p] * 5)(address)
    return dot(*(ctypes.addressof(each) for each in (n, x, step, y, step)))


@pytest.mark.parametrize("library", [0, 1])
def test_a_routine_is_bound_from_the_library_that_has_it_under_some_name(monkeypatch, library):
    find, library = blas._find, blas._LIBRARIES[library]

    def in_one_alone(where, names, word):
        return find(where, names, word) if where == library else None

    if find(library, blas._NAMES, "ddot") is None:
        pytest.skip(f"{library} shows no ddot")
    monkeypatch.setattr(blas, "_find", in_one_alone)
    assert blas._bind("ddot") == library
    assert product_at(llvmlite.binding.address_of_symbol("vbref_ddot")) == 11


def test_a_routine_that_no_library_shows_is_scipy_s(monkeypatch):
    monkeypatch.setattr(blas, "_find", lambda *_: None)
    assert blas._bind("ddot") == "scipy.linalg.cython_blas"
    assert product_at(llvmlite.binding.address_of_symbol("vbref_ddot")) == 11


def test_one_thread_inside_and_as_many_as_before_outside(monkeypatch):
    threads = [8]
    calls = {"get": lambda: threads[-1], "set": threads.append}
    monkeypatch.setattr(blas, "_find", lambda library, names, word: calls[word])
    with blas.single_threaded():
        assert threads == [8, 1]
    assert threads == [8, 1, 8]
    calls["set"] = None
    with blas.single_threaded():
        assert threads == [8, 1, 8]


def test_threads_are_given_back():
    get = blas._find(blas.LIBRARY, blas._THREADS, "get")
    if get is None:
        pytest.skip("this BLAS does not say how many threads it has")
    before = get()
    with blas.single_threaded():
        assert get() == 1
    assert get() == before
