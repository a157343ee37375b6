"""The digits that the KLs of gammas and betas promise: over magnitudes, near and far, up and down."""

import mpmath as mp
import numpy as np
import pytest

from vbref import kl

N = 400


@pytest.fixture(autouse=True, scope="module")
def _digits():
    with mp.workdps(70):
        yield


def moved(rng, x):
    """Each x nudged by 1e-11 … 1 of itself up or down, grown up to 1e8 times or shrunk as much, or kept."""
    nudge, fold = 10 ** rng.uniform(-11, -0.5, x.shape), 10 ** rng.uniform(0, 8, x.shape)
    return x * rng.permuted(np.choose(np.arange(x.size) % 5, [1 + nudge, 1 - nudge, fold, 1 / fold, 1.0]))


def pairs(seed, low, high):
    """(a_q, b_q, a_p, b_p), rows of N; a quarter of them changes by one factor, a quarter by nearly one."""
    rng = np.random.default_rng(seed)
    a, b = 10 ** rng.uniform(low, high, (2, N))
    c, d = moved(rng, a), moved(rng, b)
    nearly = 1 + rng.choice([-1, 1], N) * 10 ** rng.uniform(-8, -1, N)
    together = np.where(np.arange(N) % 2, c / a, c / a * nearly)
    return np.array([a, b, c, np.where(np.arange(N) % 4 < 2, d, b * together)])


def columns(points):
    return [[mp.mpf(float(x)) for x in column] for column in points.T]


def assert_digits(got, want, parts=None, digits=2e-13):
    """To a relative 2e-13, and to a rounding or two of what a derivative is the difference of."""
    for i, (value, exact) in enumerate(zip(got, want, strict=True)):
        slack = digits * abs(exact) + (4e-15 * abs(parts[i]) if parts else 0) + mp.mpf(10) ** -60
        assert abs(mp.mpf(float(value)) - exact) <= slack, i


def exact_gamma(a, b, c, d):
    return (a - c) * mp.digamma(a) - mp.loggamma(a) + mp.loggamma(c) + c * mp.log(b / d) + a * (d / b - 1)


def exact_beta(a, b, c, d):
    def log_beta(x, y):
        return mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)

    slopes = (a - c) * mp.digamma(a) + (b - d) * mp.digamma(b) + (c + d - a - b) * mp.digamma(a + b)
    return log_beta(c, d) - log_beta(a, b) + slopes


@pytest.mark.parametrize(("low", "high"), [(-8, 0), (-3, 4)])
def test_values(low, high):
    points = pairs(1, low, high)
    assert_digits(kl.gamma(*points), [exact_gamma(*column) for column in columns(points)])
    assert_digits(kl.beta(*points), [exact_beta(*column) for column in columns(points)])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_small_shape_beside_another(seed):
    """The KL of betas is then of the order of the small shape, where sums of shapes hide it."""
    rng = np.random.default_rng(seed)
    a, c = 10 ** rng.uniform(-8, 3, (2, N))
    c = np.where(np.arange(N) % 2, moved(rng, a), c)
    b, d = (x * 10 ** rng.uniform(-8 * (np.arange(N) % 3 > 0), 0, N) for x in (a, c))
    points = np.array([a, b, c, d])
    want = [exact_beta(*column) for column in columns(points)]
    assert_digits(kl.beta(*points), want)
    assert_digits(kl.beta(*points[[1, 0, 3, 2]]), want)


def slopes_of_gamma(a, b, c, d):
    growth, log_ratio = d / b - 1, mp.log(d / b)
    curvature = (c - a) * mp.psi(1, a)
    psi = mp.digamma(c) - mp.digamma(a)
    return [
        (growth - curvature, curvature),
        ((c - a - a * growth) / b, a * growth / b),
        (psi - log_ratio, psi),
        (a / b - c / d, a * growth / d),
    ]


def slopes_of_beta(a, b, c, d):
    """By a_q and a_p, each with the part that rounding p − q disturbs."""
    s, t = a + b, c + d
    curvature = (d - b) * mp.psi(1, s)
    drop = (c - a) * (mp.psi(1, s) - mp.psi(1, a))
    by_c = mp.digamma(c) - mp.digamma(a) - mp.digamma(t) + mp.digamma(s)
    return [(curvature + drop, curvature), (by_c, mp.digamma(c + b) - mp.digamma(t))]


@pytest.mark.parametrize(("low", "high"), [(-8, 0), (-2, 8)])
def test_derivatives(low, high):
    points = pairs(2, low, high)
    grads, exact = kl.gamma_grad(*points), [slopes_of_gamma(*column) for column in columns(points)]
    for got, want in zip(grads, zip(*exact, strict=True), strict=True):
        assert_digits(got, *zip(*want, strict=True))
    for order in ([0, 1, 2, 3], [1, 0, 3, 2]):
        turned = points[order]
        exact = [slopes_of_beta(*column) for column in columns(turned)]
        grads = kl.beta_grad(*turned)
        for got, want in zip((grads[0], grads[2]), zip(*exact, strict=True), strict=True):
            assert_digits(got, *zip(*want, strict=True))


def test_wishart_of_one_dimension():
    """A gamma of ν/2 and 1/(2V). The value far away is to the rounding of the factors, and not asked here."""
    points = pairs(3, -4, 7)
    df_q, v, df_p, w = points[0], points[1, :, None, None], points[2], points[3, :, None, None]
    gammas = [(a / 2, 1 / (2 * b), c / 2, 1 / (2 * d)) for a, b, c, d in columns(points)]
    by_df_q, _, by_df_p, _ = kl.wishart_grad(df_q, v, df_p, w)
    by_a_q, _, by_a_p, _ = zip(*(slopes_of_gamma(*point) for point in gammas), strict=True)
    near = np.array([0.6 < d / b < 1.6 for _, b, _, d in gammas])
    far_ratio = [0 if k else d / b for k, (_, b, _, d) in zip(near, gammas, strict=True)]
    parts = [abs(part) + ratio for (_, part), ratio in zip(by_a_q, far_ratio, strict=True)]
    assert_digits(2 * by_df_q, [want for want, _ in by_a_q], parts)
    assert_digits(2 * by_df_p, *zip(*by_a_p, strict=True))
    value = kl.wishart(df_q, v, df_p, w)
    assert_digits(value[near], [exact_gamma(*gammas[i]) for i in np.flatnonzero(near)])
