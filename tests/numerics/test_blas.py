"""Products inside compiled code against NumPy's, in both precisions and all four orders."""

import itertools

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


def test_threads_are_given_back():
    get = blas._find(blas.LIBRARY, blas._THREADS, "get")
    if get is None:
        pytest.skip("this BLAS does not say how many threads it has")
    before = get()
    with blas.single_threaded():
        assert get() == 1
    assert get() == before
