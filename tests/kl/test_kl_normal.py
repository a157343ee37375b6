import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from vbref import kl

REAL = st.floats(-1e3, 1e3)
SCALE = st.floats(1e-3, 1e3)

# Magnitudes of float64: equal, near-equal, tiny, huge, and ratios of 1e150 either way.
CASES = [
    (0.3, 1.2, -0.7, 0.4),
    (0.3, 1.2, -0.7, 40.0),
    (1.0, 2.0 * (1 + 1e-9), 1.0, 2.0),
    (1.0, 2.0 * (1 - 1e-13), 1.0, 2.0),
    (1.0, 2.0, 1.0 + 1e-12, 2.0),
    (0.0, 1e-150, 0.0, 1.0),
    (0.0, 1.0, 0.0, 1e150),
    (0.0, 1e150, 3.0, 1.0),
    (0.0, 1e-150, 1e-150, 1e-150),
    (1e200, 1e200, -1e200, 3e200),
    (1.7e308, 1e300, -1.7e308, 1e250),
    (0.0, 1e-200, 0.0, 1e200),
    (0.0, 2.3e-308, 0.0, 1.7e308),
    (0.0, 1.5e154, 0.0, 1.0),
    (1.8e154, 1.0, 0.0, 1.0),
    (0.0, 2.0, 0.0, 1.0),
    (0.0, 1.0, 0.0, 2.0),
    (0.0, 1.9999999, 0.0, 1.0),
]


@pytest.fixture(autouse=True, scope="module")
def digits():
    with mp.workdps(50):
        yield


def exact(loc_q, scale_q, loc_p, scale_p):
    m, s, n, r = (mp.mpf(v) for v in (loc_q, scale_q, loc_p, scale_p))
    return mp.log(r / s) + (s**2 + (m - n) ** 2) / (2 * r**2) - mp.mpf(1) / 2


def exact_standard(loc, log_var):
    return exact(loc, mp.exp(mp.mpf(log_var) / 2), 0, 1)


def assert_close(got, want, tolerance=1e-13):
    assert abs(mp.mpf(float(got)) - want) <= tolerance * abs(want)


def gradient(function, point):
    return [
        mp.diff(function, point, tuple(int(j == i) for j in range(len(point)))) for i in range(len(point))
    ]


@pytest.mark.parametrize("case", CASES)
def test_normal_against_50_digits(case):
    assert_close(kl.normal(*case), exact(*case))


@pytest.mark.parametrize("case", CASES[:2])
def test_normal_against_quadrature(case):
    m, s, n, r = case

    def integrand(x):
        u, v = (x - m) / s, (x - n) / r
        return np.exp(-u * u / 2) / (s * np.sqrt(2 * np.pi)) * (np.log(r / s) + (v * v - u * u) / 2)

    assert kl.normal(*case) == pytest.approx(quad(integrand, m - 12 * s, m + 12 * s, epsabs=0)[0], rel=1e-12)


def test_infinite_only_where_float64_ends():
    assert kl.normal(1e200, 1.0, 0.0, 1e-150) == np.inf
    assert kl.normal(0.0, 2e154, 0.0, 1.0) == np.inf
    assert kl.normal(0.0, 1.7e308, 0.0, 5e-324) == np.inf
    assert np.isfinite(kl.normal(1.8e154, 1.0, 0.0, 1.0))


@pytest.mark.parametrize("case", [*CASES[:6], (1e100, 1e260, 0.0, 1e100), (3.5, 1e-20, 1.0, 2.0)])
def test_normal_grad_against_50_digits(case):
    m, s, n, r = (mp.mpf(v) for v in case)
    want = [(m - n) / r**2, s / r**2 - 1 / s, (n - m) / r**2, 1 / r - (s**2 + (m - n) ** 2) / r**3]
    for got, value in zip(kl.normal_grad(*case), want, strict=True):
        assert_close(got, value)


@pytest.mark.parametrize("case", CASES[:3])
def test_normal_grad_is_the_derivative(case):
    for got, want in zip(kl.normal_grad(*case), gradient(exact, case), strict=True):
        assert float(got) == pytest.approx(float(want), rel=1e-13, abs=1e-25)


@given(REAL, SCALE, REAL, SCALE)
def test_non_negative_and_zero_only_at_equality(m, s, n, r):
    value = kl.normal(m, s, n, r)
    assert kl.normal(m, s, m, s) == 0
    assert value > 0 or (s == r and abs(m - n) / r < 1e-150)


@given(st.lists(st.tuples(REAL, SCALE, REAL, SCALE), min_size=1, max_size=5))
def test_kl_of_a_product_is_the_sum(coordinates):
    columns = [np.array(c) for c in zip(*coordinates, strict=True)]
    with mp.workdps(700):  # the exact form cancels down to (1e-300)²
        want = mp.fsum(exact(*c) for c in coordinates)
    assert abs(kl.diag_normal(*columns) - want) <= 1e-13 * want + 5e-324
    assert_array_tuples_equal(kl.diag_normal_grad(*columns), kl.normal_grad(*columns))


def assert_array_tuples_equal(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loc", [0.0, 1e-160, -2.0, 1e154])
@pytest.mark.parametrize("log_var", [0.0, 1e-9, -1e-9, 0.7, -0.999, 1.0, 3.0, -40.0, -1e300, 710.0])
def test_standard_normal_against_50_digits(loc, log_var):
    want = mp.expm1(log_var) / 2 - mp.mpf(log_var) / 2 + mp.mpf(loc) ** 2 / 2
    got = kl.standard_normal(np.array([loc]), np.array([log_var]))
    assert abs(float(got) - want) <= 1e-13 * want + 5e-324
    d_loc, d_log_var = kl.standard_normal_grad(np.array([loc]), np.array([log_var]))
    assert d_loc[0] == loc
    assert_close(d_log_var[0], mp.expm1(log_var) / 2)


def test_standard_normal_is_normal_against_zero_one():
    rng = np.random.default_rng(0)
    loc, log_var = rng.normal(size=(2, 3, 4, 5))
    value = kl.standard_normal(loc, log_var)
    assert value.shape == (3, 4)
    np.testing.assert_allclose(value, kl.diag_normal(loc, np.exp(log_var / 2), 0.0, 1.0), rtol=1e-14)
    want = gradient(exact_standard, (loc[0, 0, 0], log_var[0, 0, 0]))
    for got, w in zip(kl.standard_normal_grad(loc, log_var), want, strict=True):
        assert_close(got[0, 0, 0], w)


def test_float32_stays_float32():
    arguments = [
        np.float32([0.3, 1e-3]),
        np.float32([1.2, 1e-30]),
        np.float32([-0.7, 0]),
        np.float32([0.4, 1e30]),
    ]
    value = kl.normal(*arguments)
    assert value.dtype == np.float32
    assert all(g.dtype == np.float32 for g in kl.normal_grad(*arguments))
    np.testing.assert_allclose(
        value, [float(exact(*map(float, c))) for c in zip(*arguments, strict=True)], rtol=1e-6
    )
    assert kl.standard_normal(arguments[0], arguments[2]).dtype == np.float32
    assert all(g.dtype == np.float32 for g in kl.standard_normal_grad(arguments[0], arguments[2]))


def test_shapes():
    assert kl.normal(np.zeros((0, 3)), 1.0, 0.0, 1.0).shape == (0, 3)
    assert kl.diag_normal(np.zeros((0, 3)), 1.0, 0.0, 1.0).shape == (0,)
    assert kl.standard_normal(np.zeros((2, 0)), 0.0).tolist() == [0.0, 0.0]
    assert [g.shape for g in kl.normal_grad(np.zeros((2, 1)), np.ones(3), 0.0, 1.0)] == [(2, 3)] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 0.0, 1.0), "scale_q must be > 0"),
        ((0.0, 1.0, 0.0, -1.0), "scale_p must be > 0"),
        ((np.nan, 1.0, 0.0, 1.0), "loc_q must be finite"),
        ((np.zeros(2), 1.0, np.zeros(3), 1.0), "do not broadcast"),
        ((0, 1.0, 0.0, 1.0), "loc_q must be float32 or float64"),
    ],
)
def test_bad_input(arguments, message):
    for function in (kl.normal, kl.normal_grad, kl.diag_normal, kl.diag_normal_grad):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_a_feature_axis_is_required():
    for function in (kl.diag_normal, kl.diag_normal_grad):
        with pytest.raises(ValueError, match="last axis of features"):
            function(0.0, 1.0, 0.0, 1.0)
    for function in (kl.standard_normal, kl.standard_normal_grad):
        with pytest.raises(ValueError, match="last axis of features"):
            function(0.0, 0.0)
