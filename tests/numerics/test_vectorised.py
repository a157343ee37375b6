"""The vectorisable functions against longer arithmetic, in units in the last place."""

import math

import mpmath
import numpy as np
import pytest
from numba import types

from vbref.numerics import vectorised
from vbref.numerics.jit import elementwise_loop


@elementwise_loop
def tanhs(x, out):
    for i in range(x.size):
        out[i] = vectorised.tanh(x[i])


@elementwise_loop
def decays(x, out):
    for i in range(x.size):
        out[i] = vectorised.exp_negative(x[i])


@elementwise_loop
def powers(x, out):
    for i in range(x.size):
        out[i] = vectorised.exp(x[i])


def points(dtype, largest):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(0, largest, 1500), 10.0 ** rng.uniform(-30, 1, 500), [0.0]]).astype(
        dtype
    )


def ulps(seen, function, x):
    with mpmath.workdps(40):
        exact = [function(mpmath.mpf(float(each))) for each in x]
        errors = [abs(mpmath.mpf(float(s)) - e) for s, e in zip(seen, exact, strict=True)]
    return max(
        float(e) / np.spacing(abs(seen.dtype.type(float(v)))) for e, v in zip(errors, exact, strict=True)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("loop", "function", "sign", "largest"), [(tanhs, mpmath.tanh, 1, 30), (tanhs, mpmath.tanh, -1, 30),
                                              (decays, mpmath.exp, -1, 80), (powers, mpmath.exp, -1, 80),
                                              (powers, mpmath.exp, 1, 88)]
)  # fmt: skip
def test_within_three_ulp(dtype, loop, function, sign, largest):
    x = (sign * points(dtype, largest)).astype(dtype)
    out = np.empty_like(x)
    loop(x, out)
    assert ulps(out, function, x) < 3


@pytest.mark.parametrize(("bits", "dtype"), [(32, np.float32), (64, np.float64)])
@pytest.mark.parametrize(
    ("name", "function", "signs", "largest"),
    [
        ("tanh", mpmath.tanh, (1, -1), 30),
        ("exp_negative", mpmath.exp, (-1,), 80),
        ("exp", mpmath.exp, (1, -1), 80),
    ],
)
def test_formulas_of_one_number(bits, dtype, name, function, signs, largest):
    """What compiled code gets for a type, by itself: it runs without compiling as well."""
    formulas = getattr(vectorised, f"_{name}")
    assert formulas(types.int64) is None
    formula = formulas(types.float32 if bits == 32 else types.float64)
    x = np.concatenate([sign * points(dtype, largest)[::8] for sign in signs]).astype(dtype)
    out = np.array([formula(each) for each in x], dtype)
    assert ulps(out, function, x) < (3 if name == "tanh" else 1.5)
    end = dtype(88 if bits == 32 else 709)
    past = formula(dtype(np.inf) * signs[0]), formula(np.nextafter(end, dtype(np.inf)) * dtype(signs[0]))
    expected = {"tanh": 1, "exp": np.inf, "exp_negative": 0}[name]
    np.testing.assert_allclose(past, expected, atol=2 * np.finfo(dtype).tiny)
    assert np.isnan(formula(dtype(np.nan)))
    assert not np.signbit(formula(dtype(0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_and_nan(dtype):
    x = np.array([np.inf, -np.inf, 0.0, np.nan], dtype)
    out = np.empty_like(x)
    tanhs(x, out)
    np.testing.assert_array_equal(out, np.array([1, -1, 0, np.nan], dtype))
    decays(-abs(x), out)
    assert out[2] == 1
    assert np.isnan(out[3])
    assert 0 <= out[0] <= np.finfo(dtype).tiny * 2


@pytest.mark.parametrize(("dtype", "highest"), [(np.float32, 88), (np.float64, 709)])
def test_powers_to_the_end_of_the_range_and_beyond(dtype, highest):
    x = np.array([highest, np.nextafter(dtype(highest), dtype(np.inf)), np.inf, -np.inf, np.nan], dtype)
    out = np.empty_like(x)
    powers(x, out)
    assert out[0] == pytest.approx(math.exp(highest), rel=3 * float(np.finfo(dtype).eps))
    assert (out[1:3] == np.inf).all()
    assert 0 <= out[3] <= np.finfo(dtype).tiny * 2
    assert np.isnan(out[4])
