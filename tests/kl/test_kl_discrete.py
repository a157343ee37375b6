import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from vbref import kl

UNIT = st.floats(0, 1)
OPEN = st.floats(1e-6, 1 - 1e-6)
EDGE = [0.0, 5e-324, 1e-300, 1e-9, 0.3, 0.3 * (1 + 1e-9), 0.3 * (1 - 1e-13), 0.5, 1 - 1e-9, 1 - 2**-53, 1.0]


@pytest.fixture(autouse=True, scope="module")
def digits():
    with mp.workdps(400):  # 1 − 1e-300 must differ from 1
        yield


def term(q, p):
    q, p = mp.mpf(q), mp.mpf(p)
    if q == 0:
        return mp.mpf(0)
    return mp.inf if p == 0 else q * mp.log(q / p)


def exact_bernoulli(q, p):
    return term(q, p) + term(1 - mp.mpf(q), 1 - mp.mpf(p))


def exact_categorical(q, p):
    return mp.fsum(term(a, b) for a, b in zip(q, p, strict=True))


def assert_close(got, want, tolerance=1e-12):
    """Relative, down to the smallest normal number."""
    assert float(got) == want or abs(mp.mpf(float(got)) - want) <= tolerance * abs(want) + 1e-308


def simplex(logits):
    weights = np.exp(np.array(logits))
    return weights / weights.sum()


@pytest.mark.parametrize("p", EDGE)
@pytest.mark.parametrize("q", EDGE)
def test_bernoulli_against_400_digits(q, p):
    assert_close(kl.bernoulli(q, p), exact_bernoulli(q, p))


@pytest.mark.parametrize(("q", "p"), [(0.2, 0.7), (1e-8, 0.5), (0.9, 1e-4)])
def test_bernoulli_by_enumeration(q, p):
    assert kl.bernoulli(q, p) == pytest.approx(rel_entr(q, p) + rel_entr(1 - q, 1 - p), rel=1e-14)
    assert kl.bernoulli(q, p) == pytest.approx(
        kl.categorical(np.array([q, 1 - q]), np.array([p, 1 - p])), rel=1e-14
    )


def test_impossible_and_certain_events():
    assert kl.bernoulli(np.array([0.0, 1, 0.5, 0.5, 0, 1]), np.array([0.0, 1, 0, 1, 1, 0])).tolist() == [
        0,
        0,
        *[np.inf] * 4,
    ]
    assert kl.categorical(np.array([0.5, 0.5, 0]), np.array([1.0, 0, 0])) == np.inf
    assert kl.categorical(np.array([1.0, 0, 0]), np.array([0.5, 0.5, 0])) == pytest.approx(
        np.log(2), rel=1e-15
    )
    assert kl.categorical(np.array([1.0]), np.array([1.0])) == 0


@pytest.mark.parametrize("power", [2, 10, 26, 40])
def test_categorical_near_equality(power):
    """Dyadic probabilities sum to one exactly, so that the linear terms vanish exactly too."""
    step = 2.0**-power
    q, p = np.array([0.25 + step, 0.25 - step / 2, 0.5 - step / 2]), np.array([0.25, 0.25, 0.5])
    assert_close(kl.categorical(q, p), exact_categorical(q, p), 1e-13)


def test_categorical_at_extreme_probabilities():
    q, p = np.array([1e-300, 1.0, 0]), np.array([1e-250, 1.0, 1e-280])
    want = exact_categorical(q, p) - mp.fsum(map(mp.mpf, q)) + mp.fsum(map(mp.mpf, p))
    assert_close(kl.categorical(q, p), want)


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=6))
def test_categorical_non_negative_and_zero_only_at_equality(logits):
    q, p = (simplex(side) for side in zip(*logits, strict=True))
    value = kl.categorical(q, p)
    assert kl.categorical(q, q) == 0
    assert (value > 0) == (q != p).any()
    assert float(abs(value - exact_categorical(q, p))) <= 1e-13 * float(value) + 4e-16


@given(UNIT, UNIT)
def test_bernoulli_non_negative_and_zero_only_at_equality(q, p):
    assert kl.bernoulli(q, q) == 0
    assert kl.bernoulli(q, p) >= 0
    assert kl.bernoulli(q, p) > 0 or abs(q - p) < 1e-150


@given(OPEN, OPEN, OPEN, OPEN)
def test_kl_of_a_product_is_the_sum(q, p, r, s):
    joint_q, joint_p = np.outer([q, 1 - q], [r, 1 - r]).ravel(), np.outer([p, 1 - p], [s, 1 - s]).ravel()
    separate = kl.bernoulli(q, p) + kl.bernoulli(r, s)
    assert kl.categorical(joint_q, joint_p) == pytest.approx(separate, rel=1e-12, abs=1e-24)


@pytest.mark.parametrize("p", [1e-307, 1e-9, 0.3 * (1 + 1e-9), 0.8, 1 - 1e-9])
@pytest.mark.parametrize("q", [1e-100, 1e-9, 0.3, 1 - 1e-9])
def test_bernoulli_grad_against_400_digits(q, p):
    a, b = mp.mpf(q), mp.mpf(p)
    want = mp.log(a / b) - mp.log((1 - a) / (1 - b)), (b - a) / (b * (1 - b))
    for got, value in zip(kl.bernoulli_grad(q, p), want, strict=True):
        assert_close(got, value)


def test_bernoulli_grad_is_the_derivative():
    with mp.workdps(50):
        want = [mp.diff(exact_bernoulli, (0.2, 0.7), n) for n in ((1, 0), (0, 1))]
    for got, value in zip(kl.bernoulli_grad(0.2, 0.7), want, strict=True):
        assert_close(got, value, 1e-14)


def test_bernoulli_grad_where_the_ratio_overflows():
    d_q, d_p = kl.bernoulli_grad(0.5, 5e-324)
    assert_close(d_q, -mp.log(mp.mpf(5e-324)), 1e-15)
    assert d_p == -np.inf


def test_bernoulli_grad_at_the_ends():
    q, p = np.array([0, 0, 0, 1, 1, 1, 0.5, 0.5]), np.array([0, 0.5, 1, 0, 0.5, 1, 0, 1])
    d_q, d_p = kl.bernoulli_grad(q, p)
    inf = np.inf
    assert d_q.tolist() == [inf, -inf, -inf, inf, inf, -inf, inf, -inf]
    assert d_p.tolist() == [1, 2, inf, -inf, -2, -1, -inf, inf]


def test_categorical_grad_along_the_simplex():
    """Central differences of the enumeration, along directions that keep the sum."""
    rng = np.random.default_rng(1)
    q, p = rng.dirichlet(np.ones(4), size=2)
    along = np.array([0.3, -0.4, 0.2, -0.1])
    d_q, d_p = kl.categorical_grad(q, p)
    h = 1e-6
    by_q = (rel_entr(q + h * along, p) - rel_entr(q - h * along, p)).sum() / (2 * h)
    by_p = (rel_entr(q, p + h * along) - rel_entr(q, p - h * along)).sum() / (2 * h)
    assert d_q @ along == pytest.approx(by_q, rel=1e-8)
    assert d_p @ along == pytest.approx(by_p, rel=1e-8)


def test_categorical_grad_near_equality_and_at_zero():
    d_q, d_p = kl.categorical_grad(np.array([0.25 + 2**-40, 0.75 - 2**-40]), np.array([0.25, 0.75]))
    assert_close(d_q[0], mp.log1p(mp.mpf(2) ** -38), 1e-14)
    assert_close(d_p[0], -(mp.mpf(2) ** -38), 1e-14)
    d_q, d_p = kl.categorical_grad(np.array([0.5, 0.5, 0, 0]), np.array([0.5, 0, 0.5, 0]))
    assert d_q.tolist() == [0, np.inf, -np.inf, np.inf]
    assert d_p.tolist() == [0, -np.inf, 1, 1]


def test_float32_stays_float32():
    q, p = np.float32([0.2, 0.8]), np.float32([1e-30, 1])
    for value in (
        kl.bernoulli(q, p),
        kl.categorical(q, p),
        *kl.bernoulli_grad(q, p),
        *kl.categorical_grad(q, p),
    ):
        assert value.dtype == np.float32
    assert kl.bernoulli(q[0], p[0]) == pytest.approx(
        float(exact_bernoulli(float(q[0]), float(p[0]))), rel=1e-6
    )


def test_shapes():
    empty = np.full((0, 3), 1 / 3)
    assert kl.categorical(empty, np.full(3, 1 / 3)).shape == (0,)
    assert [g.shape for g in kl.categorical_grad(empty, np.full(3, 1 / 3))] == [(0, 3), (0, 3)]
    assert kl.bernoulli(np.zeros((2, 1)), np.zeros(3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (kl.bernoulli, (1.1, 0.5), "probs_q must be in"),
        (kl.bernoulli_grad, (0.5, -0.1), "probs_p must be in"),
        (kl.bernoulli, (np.nan, 0.5), "probs_q must be finite"),
        (kl.categorical, (np.array([0.5, 0.6]), np.array([0.5, 0.5])), "probs_q must sum to one"),
        (kl.categorical, (np.array([0.5, 0.5]), np.array([0.5, 0.5 + 1e-14])), "probs_p must sum to one"),
        (kl.categorical, (np.array([0.5, 0.5]), np.array([1.5, -0.5])), "probs_p must be in"),
        (kl.categorical, (np.array([1.0]), np.array([0.5, 0.5])), "as many categories"),
        (kl.categorical, (1.0, 1.0), "probs_q must have a last axis"),
        (kl.categorical_grad, (np.full((2, 2), 0.5), np.full((3, 2), 0.5)), "do not broadcast"),
    ],
)
def test_bad_input(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
