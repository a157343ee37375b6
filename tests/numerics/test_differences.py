"""Differences of polygammas against mpmath."""

import itertools

import mpmath as mp
import numpy as np
import pytest

from vbref.numerics import differences

STARTS = [1e-8, 0.3, 7.5, 11.9, 12.0, 200.0, 1e8]
STEPS = [1e-12, 1e-3, 0.6, 30.0, 1e8]


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(120):
        yield


def error(got, want):
    return float(abs((mp.mpf(float(got)) - want) / want))


@pytest.mark.parametrize(("x", "t"), list(itertools.product(STARTS, [*STEPS, 1e40])))
def test_trigamma_difference(x, t):
    d = t * x
    want = -3 * (mp.psi(1, mp.mpf(x) + mp.mpf(d)) - mp.psi(1, mp.mpf(x)))
    assert error(differences.trigamma_difference_times(-3.0, x, x + d, d), want) < 1e-13


@pytest.mark.parametrize(("x", "t"), list(itertools.product(STARTS[4:], [*STEPS, 1e40])))
def test_curvature_difference(x, t):
    d = t * x
    y = mp.mpf(x) + mp.mpf(d)
    want = mp.psi(1, y) - 1 / y - mp.psi(1, mp.mpf(x)) + 1 / mp.mpf(x)
    assert error(differences.curvature_difference_times(1.0, x, x + d, d), want) < 1e-13


@pytest.mark.parametrize(("x", "t", "u"), list(itertools.product(STARTS, STEPS, STEPS)))
def test_second_difference(x, t, u):
    d, e = t * x, u * x
    x_, d_, e_ = mp.mpf(x), mp.mpf(d), mp.mpf(e)
    want = mp.digamma(x_ + d_) + mp.digamma(x_ + e_) - mp.digamma(x_) - mp.digamma(x_ + d_ + e_)
    assert error(differences.digamma_second_difference(x, d, e), want) < 1e-13


def test_series_where_they_start():
    """Just above 12 the last of the eight terms is seen, in one value or in the mean of many."""
    x, y = mp.mpf(12), mp.mpf(12.5)
    want = mp.psi(1, y) - 1 / y - mp.psi(1, x) + 1 / x
    assert error(differences.curvature_difference_times(1.0, 12.0, 12.5, 0.5), want) < 1e-15
    errors = []
    for d, e in np.random.default_rng(0).uniform(0.01, 0.3, (200, 2)):
        want = mp.digamma(x + d) + mp.digamma(x + e) - mp.digamma(x) - mp.digamma(x + d + e)
        errors.append(float(differences.digamma_second_difference(12.0, d, e) / want - 1))
    assert abs(np.mean(errors)) < 1e-16


def test_nothing_where_a_step_is_nothing():
    for x in (1e-300, 0.4, 12.0, 1e300):
        assert differences.digamma_second_difference(x, 0.0, 3.0) == 0
        assert differences.digamma_second_difference(x, 3.0, 0.0) == 0
        assert differences.trigamma_difference_times(2.0, x, x, 0.0) == 0
        assert differences.trigamma_difference_times(0.0, x, x + 1, 1.0) == 0


def test_float32_stays_and_agrees():
    for name, arguments in (
        ("trigamma_difference_times", (2.0, 20.0, 20.5, 0.5)),
        ("curvature_difference_times", (2.0, 20.0, 20.5, 0.5)),
        ("digamma_second_difference", (2.0, 0.5, 0.25)),
    ):
        function = getattr(differences, name)
        narrow = function(*(np.float32(v) for v in arguments))
        assert "float32" in {
            str(s.return_type) for s in function.nopython_signatures if str(s.args[0]) == "float32"
        }
        np.testing.assert_allclose(narrow, function(*arguments), rtol=3e-6)
