import itertools

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbref import kl
from vbref.kl.kumaraswamy import STEP, mean_log_ratio, node_range
from vbref.nn import check_gradient

SHAPE = st.floats(0.01, 100)
# (a, b) over the square in which accuracy is promised, against four betas.
CORNERS = list(itertools.product([0.01, 0.3, 1.7, 100.0], [0.01, 0.4, 3.0, 100.0]))
BETAS = [(1.0, 5.0), (0.01, 100.0), (100.0, 0.01), (2.5, 0.7)]


@pytest.fixture(autouse=True, scope="module")
def digits():
    with mp.workdps(25):
        yield


def log1mexp(x):
    """log(1 − e^−x), to full accuracy for large x as well as small."""
    return mp.log1p(-mp.exp(-x)) if x > 1 else mp.log(-mp.expm1(-x))


def exact(a, b, alpha, beta):
    """E[log q − log p] from the densities, by tanh-sinh quadrature over e = −log(1 − cdf), an Exp(1)."""
    a, b, alpha, beta = (mp.mpf(x) for x in (a, b, alpha, beta))
    constant = mp.log(a * b) + mp.log(mp.beta(alpha, beta))

    def integrand(e):
        log_v = log1mexp(e / b) / a  # 1 − v^a = e^(−e/b)
        return mp.exp(-e) * (constant + (a - alpha) * log_v - (b - 1) * e / b - (beta - 1) * log1mexp(-log_v))

    breaks = {x for x in (1e-3, 1e-2, 0.1, 1, 10, b / 100, b / 10, b, 5 * b, 20 * b) if x < 30}
    return mp.quad(integrand, [0, *sorted(map(mp.mpf, breaks)), 65])


def exact_grad(*point):
    """Central differences of the quadrature: the error is of order h²."""
    h = mp.mpf("1e-7")
    for i in range(4):
        up, down = (
            [p + sign * h * p * (j == i) for j, p in enumerate(map(mp.mpf, point))] for sign in (1, -1)
        )
        yield (exact(*up) - exact(*down)) / (2 * h * point[i])


def error(got, want):
    return float(abs(mp.mpf(float(got)) - want) / max(1, abs(want)))


@pytest.mark.parametrize(("a", "b"), CORNERS)
def test_against_quadrature(a, b):
    alpha, beta = BETAS[CORNERS.index((a, b)) % 4]
    assert error(kl.kumaraswamy_beta(a, b, alpha, beta), exact(a, b, alpha, beta)) < 1e-12


@pytest.mark.parametrize(("a", "b"), [*CORNERS, (0.02, 0.8), (0.5, 1.2), (50.0, 1.3)])
def test_mean_log_ratio_to_three_parts_in_1e14(a, b):
    """R alone, from ∫₀^∞ e^−e log((1 − v)/(1 − v^a)) de, 1 − v^a = e^(−e/b)."""
    breaks = {x for x in (1e-3, 1e-2, 0.1, 1, 10, b / 100, b / 10, b, 5 * b, 20 * b) if x < 30}
    want = mp.quad(
        lambda e: mp.exp(-e) * (log1mexp(-log1mexp(e / b) / mp.mpf(a)) + e / b),
        [0, *sorted(map(mp.mpf, breaks)), 65],
    )
    assert error(mean_log_ratio(a, b)[0], want) < 3e-14


def test_the_number_of_nodes():
    """29 to 48, as the head of the module says, where it says 1e-13; none of them is for nothing."""
    counts = []
    for a, b in itertools.product(10 ** np.linspace(-2, 2, 33), repeat=2):
        _, _, first, last = node_range(a, b)
        counts.append(int((last - first) / STEP) + 1)
    assert (min(counts), max(counts)) == (29, 48)


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.02), (1.3, 0.6), (90.0, 0.03), (60.0, 70.0), (0.2, 30.0)])
def test_grad_against_differences_of_the_quadrature(a, b):
    point = a, b, 1.5, 5.0
    for got, want in zip(kl.kumaraswamy_beta_grad(*point), exact_grad(*point), strict=True):
        assert error(got, want) < 1e-11


@pytest.mark.parametrize("a", [1e-2, 0.7, 30.0, 100.0])
@pytest.mark.parametrize("b", [20.0, 100.0])
def test_against_the_whole_series(a, b):
    """For large b the Taylor series converges: Σ_m b/(m + ab) B(m/a, b), at 25 digits."""
    terms = (b / (m + mp.mpf(a) * b) * mp.beta(m / mp.mpf(a), b) for m in itertools.count(1))
    total = mp.fsum(itertools.takewhile(lambda term: term > 1e-17, terms))
    harmonic = mp.digamma(b) + mp.euler + 1 / mp.mpf(b)
    want = (
        (2 - mp.mpf(a)) / a * harmonic + mp.log(mp.mpf(a) * b) + mp.log(mp.beta(2, 5)) - (b - 1) / mp.mpf(b)
    )
    assert error(kl.kumaraswamy_beta(a, b, 2.0, 5.0), want + 4 * total) < 1e-12


@given(SHAPE, SHAPE, SHAPE)
def test_where_the_kumaraswamy_is_a_beta(b, alpha, beta):
    """Kumaraswamy(1, b) = Beta(1, b) and Kumaraswamy(a, 1) = Beta(a, 1), whose KLs have no integral."""

    def of_betas(a, b):
        total, c = mp.mpf(a) + b, mp.mpf(alpha) + beta
        value = mp.log(mp.beta(alpha, beta)) - mp.log(mp.beta(a, b))
        value += (mp.mpf(a) - alpha) * mp.digamma(a) + (mp.mpf(b) - beta) * mp.digamma(b)
        return value + (c - total) * mp.digamma(total)

    assert error(kl.kumaraswamy_beta(1.0, b, alpha, beta), of_betas(1, b)) < 1e-12
    assert error(kl.kumaraswamy_beta(b, 1.0, alpha, beta), of_betas(b, 1)) < 1e-12


@given(SHAPE, SHAPE, SHAPE, SHAPE)
def test_non_negative_and_zero_only_at_equality(a, b, alpha, beta):
    assert kl.kumaraswamy_beta(a, b, alpha, beta) >= 0
    assert kl.kumaraswamy_beta(1.0, b, 1.0, b) < 1e-12
    assert kl.kumaraswamy_beta(a, 1.0, a, 1.0) < 1e-12
    nearest = min(abs(a - alpha), abs(a - 1) + abs(b - beta))
    assert kl.kumaraswamy_beta(a, b, alpha, beta) > 0 or nearest < 1e-5


@given(st.tuples(SHAPE, SHAPE, SHAPE, SHAPE))
def test_grad_is_the_derivative(point):
    """Central differences of the compiled value itself, whose rounding allows about 1e-6."""
    for i, got in enumerate(kl.kumaraswamy_beta_grad(*point)):
        h = 1e-5 * point[i]
        up, down = (
            kl.kumaraswamy_beta(*(p + s * h * (i == j) for j, p in enumerate(point))) for s in (1, -1)
        )
        scale = 1e-10 * max(1, up) / h
        assert abs(got - (up - down) / (2 * h)) <= 1e-6 * abs(got) + scale


@pytest.mark.parametrize(("a", "b"), [(1e-6, 1e-6), (1e6, 1e-6), (1e-6, 1e6), (1e6, 1e6)])
def test_far_outside(a, b):
    assert error(kl.kumaraswamy_beta(a, b, 2.0, 3.0), exact(a, b, 2.0, 3.0)) < 1e-10
    assert np.isfinite(kl.kumaraswamy_beta_grad(a, b, 2.0, 3.0)).all()


def test_out_of_range_is_an_error_and_never_nan():
    for function in (kl.kumaraswamy_beta, kl.kumaraswamy_beta_grad):
        with pytest.raises(ValueError, match="out of the range of float64"):
            function(1e-300, 1e-300, 1.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.0, 0.5), (0.5, 0.5), (2.0, 1.0)])
def test_the_series_is_low_against_beta_1_5(a, b):
    """Ten terms, as in the usual code: the miss is of one sign, and of the size the docstring states."""
    whole, cut = kl.kumaraswamy_beta(a, b, 1.0, 5.0), kl.kumaraswamy_beta_series(a, b, 1.0, 5.0)
    assert 0.15 < 1 - cut / whole < 0.34


def test_the_series_converges_from_one_side():
    point = 2.0, 3.0, 1.5
    for beta, side in ((5.0, 1), (0.5, -1)):
        whole = kl.kumaraswamy_beta(*point, beta)
        misses = [
            side * (whole - kl.kumaraswamy_beta_series(*point, beta, terms=n)) for n in (1, 10, 100, 1000)
        ]
        assert misses[0] > misses[1] > misses[2] > misses[3] > 0
        assert misses[3] < 1e-6
    assert kl.kumaraswamy_beta_series(*point, 1.0) == pytest.approx(
        kl.kumaraswamy_beta(*point, 1.0), rel=1e-13
    )


def test_float32_stays_float32():
    point = [np.float32(x) for x in (0.7, 0.4, 1.0, 5.0)]
    whole = kl.kumaraswamy_beta(*point)
    assert whole.dtype == np.float32
    assert whole == pytest.approx(kl.kumaraswamy_beta(*map(float, point)), rel=1e-5)
    assert kl.kumaraswamy_beta_series(*point).dtype == np.float32
    for got, want in zip(
        kl.kumaraswamy_beta_grad(*point), kl.kumaraswamy_beta_grad(*map(float, point)), strict=True
    ):
        assert got.dtype == np.float32
        assert got == pytest.approx(want, rel=1e-5)


def test_shapes():
    assert kl.kumaraswamy_beta(np.ones((2, 1)), np.ones(3), 1.0, 5.0).shape == (2, 3)
    assert kl.kumaraswamy_beta(np.ones((0, 3)), 1.0, 1.0, 5.0).shape == (0, 3)
    assert [g.shape for g in kl.kumaraswamy_beta_grad(np.ones((2, 1)), np.ones(3), 1.0, 5.0)] == [(2, 3)] * 4


@pytest.mark.parametrize("name", ["a_q", "b_q", "a_p", "b_p"])
def test_bad_input(name):
    good = dict.fromkeys(("a_q", "b_q", "a_p", "b_p"), 1.0)
    for function in (kl.kumaraswamy_beta, kl.kumaraswamy_beta_grad, kl.kumaraswamy_beta_series):
        with pytest.raises(ValueError, match=f"{name} must be > 0"):
            function(**{**good, name: 0.0})
        with pytest.raises(ValueError, match=f"{name} must be finite"):
            function(**{**good, name: np.nan})
    for terms in (0, 2.5, True):
        with pytest.raises(ValueError, match=f"terms must be an integer >= 1, was {terms}"):
            kl.kumaraswamy_beta_series(**good, terms=terms)


@pytest.mark.parametrize("terms", [1, 3, 25])
def test_the_gradient_of_the_series_by_central_differences(terms):
    rng = np.random.default_rng(3)
    point = {name: np.exp(rng.uniform(-1.5, 1.5, 6)) for name in ("a_q", "b_q", "a_p", "b_p")}
    grad = dict(zip(point, kl.kumaraswamy_beta_series_grad(*point.values(), terms=terms), strict=True))
    check_gradient(lambda p: kl.kumaraswamy_beta_series(*p.values(), terms=terms).sum(), grad, point)
