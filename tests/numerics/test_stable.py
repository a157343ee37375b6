"""Stable elementary functions against mpmath, and at their limits."""

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from vbref import numerics
from vbref.numerics import stable

mp.mp.dps = 50
SIGNED = [s * m for m in (1e-300, 1e-20, 1e-8, 0.02, 0.3, 0.69, 0.7, 5.0, 36.0, 40.0, 700.0) for s in (1, -1)]
INF = math.inf


def exact_log1pexp(x):
    with mp.workdps(400):
        return mp.log1p(mp.exp(mp.mpf(x)))


def assert_close(got, want):
    assert abs(mp.mpf(float(got)) - want) <= 4e-16 * abs(want)


@pytest.mark.parametrize("x", SIGNED)
def test_softplus_and_sigmoid(x):
    assert_close(stable.log1pexp(x), exact_log1pexp(x))
    assert_close(stable.sigmoid(x), 1 / (1 + mp.exp(-mp.mpf(x))))
    assert_close(stable.log_sigmoid(x), -exact_log1pexp(-x))


@pytest.mark.parametrize("x", [x for x in SIGNED if x > 0])
def test_log1mexp(x):
    with mp.workdps(400):
        assert_close(stable.log1mexp(x), mp.log(-mp.expm1(-mp.mpf(x))))


def test_limits():
    assert stable.log1mexp(0.0) == -INF
    assert (stable.sigmoid(-1e4), stable.sigmoid(1e4)) == (0.0, 1.0)
    assert (stable.log1pexp(1e300), stable.log_sigmoid(-1e300)) == (1e300, -1e300)
    assert stable.logaddexp(-INF, -INF) == -INF
    assert stable.logaddexp(-INF, 2.0) == stable.logaddexp(2.0, -INF) == 2.0
    assert_close(stable.logaddexp(1000.0, 1000.5), 1000 + mp.log(1 + mp.exp(0.5)))


def test_arrays_are_the_scalars():
    x = np.linspace(0.1, 40, 9)
    for name in ("log1pexp", "log1mexp", "sigmoid", "log_sigmoid"):
        want = [getattr(stable, name)(v) for v in x]
        assert getattr(numerics, name)(x).tolist() == want
        assert getattr(numerics, name)(x.astype(np.float32)).dtype == np.float32


@given(st.lists(st.floats(-1e4, 1e4) | st.just(-INF), min_size=1, max_size=6))
def test_logsumexp(values):
    x = np.array(values)
    got = numerics.logsumexp(x)
    want = mp.log(mp.fsum(mp.exp(mp.mpf(v)) for v in values)) if x.max() > -INF else -mp.inf
    assert got == want or abs(got - want) <= 1e-15 * max(1, abs(want))
    assert numerics.log_mean_exp(x) == got - math.log(len(values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_of_the_largest_numbers(dtype):
    huge = np.finfo(dtype).max
    assert numerics.logsumexp(np.array([huge, -huge])) == huge


def test_logsumexp_axes():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    for axis in (None, 0, -1, (0, 2)):
        np.testing.assert_allclose(numerics.logsumexp(x, axis), scipy.special.logsumexp(x, axis), rtol=1e-14)
    assert numerics.logsumexp(x.astype(np.float32), 1).dtype == np.float32
    assert numerics.log_mean_exp(np.zeros((2, 0, 3)), axis=0).shape == (0, 3)
    np.testing.assert_allclose(numerics.log_mean_exp(np.full((7, 2), 900.0), axis=0), 900.0, rtol=1e-15)


def test_refused():
    with pytest.raises(ValueError, match="at least one entry along axis 0"):
        numerics.logsumexp(np.zeros((0, 3)), axis=0)
    with pytest.raises(ValueError, match="at least one entry along axis None"):
        numerics.logsumexp(np.zeros((2, 0)))
    with pytest.raises(ValueError, match="x must be finite or -inf, has inf"):
        numerics.logsumexp(np.array([0.0, INF]))
    with pytest.raises(ValueError, match="x must be finite or -inf, has nan"):
        numerics.log_mean_exp(np.array([0.0, math.nan]))
    with pytest.raises(ValueError, match="x must be >= 0"):
        numerics.log1mexp(-0.5)
    with pytest.raises(ValueError, match="axis must be an axis of x"):
        numerics.logsumexp(np.zeros(2), axis=1)
    with pytest.raises(ValueError, match="x must be an array, has rows of different lengths"):
        numerics.digamma([[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match="float32 or float64"):
        numerics.logsumexp([1, 2])
