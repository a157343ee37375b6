"""Special functions against mpmath; SciPy as the second oracle of those it has."""

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from vbref import numerics
from vbref.numerics import special

ROOT = 1.4616321449683623
MAGNITUDES = [float(f"1e{k}") for k in range(-300, 301, 20)]
BESIDE_ROOT = [ROOT * (1 + t) for t in (0, 2e-16, -1e-15, 1e-12, -1e-8, 1e-4, -0.01, 0.26, 0.28)]
POSITIVE = [*MAGNITUDES, *BESIDE_ROOT, *np.linspace(0.05, 30, 61).tolist()]
PAIRS = [
    (x, x * (1 + t)) for x in (1e-8, 0.3, 1.0, 7.5, 11.9, 200.0, 1e8) for t in (1e-12, -1e-8, 1e-3, -0.4, 0.6)
]
FAR = [(1e-8, 1e8), (1e8, 1e-8), (0.5, 30.0), (30.0, 0.5), (5.0, 1e-3)]


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(80):
        yield


def error(got, want):
    return float(abs((mp.mpf(float(got)) - want) / want))


def bregman(function, slope, x, y):
    x, y = mp.mpf(x), mp.mpf(y)
    return function(y) - function(x) - (y - x) * slope(x)


def triples():
    return [(x, y, y - x) for x, y in PAIRS + FAR]


@pytest.mark.parametrize("x", POSITIVE)
def test_digamma(x):
    assert error(special.digamma(x), mp.digamma(mp.mpf(x))) < 1e-13


@pytest.mark.parametrize("x", [x for x in POSITIVE if x > 1e-150])
def test_trigamma(x):
    assert error(special.trigamma(x), mp.psi(1, mp.mpf(x))) < 1e-13


def test_polygammas_of_scipy():
    x = np.geomspace(0.01, 1e6, 200)
    np.testing.assert_allclose(numerics.digamma(x), scipy.special.digamma(x), rtol=1e-13)
    np.testing.assert_allclose(numerics.trigamma(x), scipy.special.polygamma(1, x), rtol=1e-13)
    far = scipy.special.digamma(x + 3) - scipy.special.digamma(x)
    np.testing.assert_allclose(numerics.digamma_difference(x, 3.0), far, rtol=1e-13, atol=1e-14)


def test_digamma_differences_at_the_ends_of_the_range():
    for x, d in ((1e-3, 1e308), (4e-116, 2.6e206), (1e-300, 1e-300), (1e300, 1e10)):
        with mp.workdps(700):
            want = mp.digamma(mp.mpf(x) + mp.mpf(d)) - mp.digamma(mp.mpf(x))
        assert numerics.digamma_difference(x, d) == pytest.approx(float(want), rel=1e-13)
    with pytest.raises(ValueError, match=r"x \+ d must be finite"):
        numerics.digamma_difference(1e308, 1e308)
    with pytest.raises(ValueError, match="shapes do not broadcast: x has shape"):
        numerics.digamma_difference(np.ones(3), np.ones(2))


def test_trigamma_beyond_range():
    tiny = np.float64(1e-200)
    assert special.trigamma(tiny) == math.inf
    assert special.trigamma_times(np.float64(0), tiny) == 0.0
    assert error(special.trigamma_times(np.float64(1e-300), tiny), mp.mpf("1e100")) < 1e-13
    assert error(special.trigamma_times(2.0, 3.5), 2 * mp.psi(1, mp.mpf(3.5))) < 1e-13


@pytest.mark.parametrize(
    "t", [1e-150, -1e-150, 1e-9, -1e-4, 0.2, -0.34, -0.36, 0.49, 0.51, 3.0, 1e9, -1 + 1e-15]
)
def test_log1p_deficit(t):
    with mp.workdps(400):
        assert error(special.log1p_deficit(t), mp.mpf(t) - mp.log1p(mp.mpf(t))) < 1e-14


def test_the_last_terms_of_the_series_are_seen_in_the_mean_of_many():
    """Where a series converges slowest its last term is of 1e-16, less than the rounding of one value."""

    def bias(function, exact, points):
        return abs(np.mean([float(function(*p) / exact(*map(mp.mpf, p)) - 1) for p in points]))

    rng = np.random.default_rng(0)
    t, x = rng.uniform(-0.35, -0.345, (200, 1)).tolist(), rng.uniform(12, 12.05, (200, 1)).tolist()
    pairs = [(a, a + d, a + d - a) for (a,), d in zip(x, rng.uniform(0.1, 0.3, 200).tolist(), strict=True)]
    assert bias(special.log1p_deficit, lambda t: t - mp.log1p(t), t) < 1e-16
    assert bias(special.stirling_gap_slope, lambda x: mp.digamma(x) - mp.log(x), x) < 4e-17
    assert bias(special.digamma_difference, lambda x, y, d: mp.digamma(y) - mp.digamma(x), pairs) < 1e-16
    second = lambda x, y, d: bregman(mp.digamma, lambda v: mp.psi(1, v), x, y)  # noqa: E731
    assert bias(special.digamma_bregman, second, pairs) < 2e-16


@pytest.mark.parametrize("a", [1e-300, 1e-20, 1e-3, 0.7, 3.0, 11.9, 12.1, 1e3, 1e9, 1e200])
@pytest.mark.parametrize("b", [1e-300, 1e-8, 0.6, 4.0, 12.5, 1e9])
def test_log_beta(a, b):
    with mp.workdps(300):
        want = mp.loggamma(mp.mpf(a)) + mp.loggamma(mp.mpf(b)) - mp.loggamma(mp.mpf(a) + mp.mpf(b))
    assert abs(float(special.log_beta(a, b) - want)) < 1e-13 * max(1, abs(float(want)))
    assert special.log_beta(a, b) == special.log_beta(b, a)


def test_log_beta_of_scipy():
    a, b = np.geomspace(0.01, 30, 30)[:, None], np.geomspace(0.02, 30, 30)  # beyond, SciPy's own terms cancel
    np.testing.assert_allclose(numerics.log_beta(a, b), scipy.special.betaln(a, b), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("x", "y", "d"), triples())
def test_differences_and_divergences(x, y, d):
    with mp.workdps(120):
        gap, slope = (lambda v: mp.loggamma(v) - v * mp.log(v) + v), (lambda v: mp.digamma(v) - mp.log(v))
        curvature = lambda v: mp.psi(1, v)  # noqa: E731
        assert (
            error(special.digamma_difference(x, y, d), mp.digamma(mp.mpf(y)) - mp.digamma(mp.mpf(x))) < 1e-13
        )
        assert error(special.digamma_bregman(x, y, d), bregman(mp.digamma, curvature, x, y)) < 1e-13
        assert error(special.stirling_bregman(x, y, d), bregman(gap, slope, x, y)) < 1e-13
        assert (
            error(
                special.xlogx_bregman(x, y, d),
                bregman(lambda v: v * mp.log(v), lambda v: mp.log(v) + 1, x, y),
            )
            < 1e-13
        )
        assert (
            error(special.log_bregman(x, y, d), bregman(lambda v: -mp.log(v), lambda v: -1 / v, x, y)) < 1e-13
        )


@pytest.mark.parametrize(
    ("x", "d"), [(x, t * x) for x in (1e-8, 0.4, 6.0, 1e8) for t in (1e-9, -1e-4, 0.4, -0.9, 1e4)]
)
def test_lgamma_bregman(x, d):
    with mp.workdps(120):
        y = mp.mpf(x) + mp.mpf(d)
        want = mp.loggamma(y) - mp.loggamma(mp.mpf(x)) - mp.mpf(d) * mp.digamma(mp.mpf(x))
    assert error(special.lgamma_bregman(x, d), want) < 1e-13


def test_series_where_it_starts():
    """At x = 12 the last of the eight terms is just seen: with the wrong sign it costs 1.5e-15.

    Of its digits only the first are, so that the coefficients are compared by themselves.
    """
    assert [float(mp.bernoulli(2 * k)) for k in range(1, 9)] == list(special._BERNOULLI)
    gap, slope = (lambda v: mp.loggamma(v) - v * mp.log(v) + v), (lambda v: mp.digamma(v) - mp.log(v))
    assert error(special.stirling_bregman(12.0, 12.5, 0.5), bregman(gap, slope, 12.0, 12.5)) < 8e-16


@pytest.mark.parametrize("name", ["digamma_difference", "digamma_bregman", "stirling_bregman", "log_bregman"])
def test_nothing_between_equals(name):
    assert [getattr(special, name)(x, x, 0.0) for x in (1e-300, 0.4, 12.0, 1e300)] == [0.0] * 4


def test_xlogy():
    assert special.xlogy(0.0, 0.0) == 0.0
    assert special.xlogy(2.0, math.e) == 2.0
    assert special.xlogy(2.0, 0.25) == -4 * math.log(2)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (special.digamma, (1.3,)),
        (special.trigamma, (1.3,)),
        (special.log1p_deficit, (0.2,)),
        (special.log_beta, (20.0, 0.5)),
        (special.stirling_bregman, (2.0, 2.5, 0.5)),
        (special.digamma_bregman, (2.0, 2.5, 0.5)),
        (special.lgamma_bregman, (2.0, 0.5)),
    ],
)
def test_float32_stays_and_agrees(function, arguments):
    narrow = function(*(np.float32(v) for v in arguments))
    returned = [str(s.return_type) for s in function.nopython_signatures if str(s.args[0]) == "float32"]
    assert returned == ["float32"]
    assert error(narrow, mp.mpf(float(function(*(float(np.float32(v)) for v in arguments))))) < 3e-6


def test_domain():
    assert math.isnan(special.digamma(-1.5))
    assert math.isnan(special.trigamma(0.0))
    with pytest.raises(ValueError, match="x must be > 0"):
        numerics.digamma(0.0)
    with pytest.raises(ValueError, match="b must be > 0"):
        numerics.log_beta(1.0, -2.0)
    with pytest.raises(ValueError, match="float32 or float64"):
        numerics.trigamma(np.arange(1, 4))


@pytest.mark.parametrize(
    ("x", "tolerance"),
    [(1e-8, 1e-15), (0.3, 1e-15), (5.0, 1e-14), (11.9, 1e-13), (12.0, 1e-15), (20.0, 5e-16), (1e8, 5e-16)],
)
def test_curvature_of_the_stirling_gap_keeps_its_digits_from_12_on(x, tolerance):
    assert error(special.stirling_gap_curvature(x), mp.psi(1, x) - 1 / mp.mpf(x)) < tolerance
