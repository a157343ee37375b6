"""Bounds: against mpmath and SciPy, by enumeration, and their identities over wide domains."""

import math

import mpmath
import numpy as np
import pytest
from bound_oracles import (
    EVIDENCE,
    LIKELIHOOD,
    LOG_W,
    PRIOR,
    Q,
    every_tuple,
    exact_iwae,
    samples,
    slack,
    with_zeros,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp

from vbref import bounds

order = st.floats(-30.0, 30.0) | st.sampled_from([0.0, 1.0, 1 + 1e-9, 1 - 1e-9, np.inf, -np.inf])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_exp_of_iwae_is_unbiased_for_the_evidence(k):
    states, probability = every_tuple(k)
    assert math.isclose(probability @ np.exp(bounds.iwae(LOG_W[states])), EVIDENCE, rel_tol=1e-14)


def test_expected_iwae_starts_at_the_elbo_and_grows_to_the_evidence():
    curve = [exact_iwae(k) for k in range(1, 8)]
    assert curve[0] == pytest.approx(Q @ LOG_W, rel=1e-15)
    assert np.all(np.diff(curve) > 0)
    assert curve[-1] < np.log(EVIDENCE)


@given(arrays(np.float64, 3, elements=st.floats(-9, 9)), arrays(np.float64, 3, elements=st.floats(-60, 60)))
def test_any_finite_model_has_unbiased_evidence_and_growing_bounds(logits, log_joint):
    log_q = logits - logsumexp(logits)
    expected = []
    for k in range(1, 5):
        states, probability = every_tuple(k, np.exp(log_q))
        estimate = bounds.iwae((log_joint - log_q)[states])
        assert logsumexp(estimate, b=probability) == pytest.approx(logsumexp(log_joint), abs=1e-12)
        expected.append(probability @ estimate)
    assert expected[0] == pytest.approx(np.exp(log_q) @ (log_joint - log_q), abs=1e-12)
    assert np.all(np.diff([*expected, logsumexp(log_joint)]) >= -1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_both_splits_and_the_gap_have_their_expectations(k):
    states, probability = every_tuple(k)
    kl_prior = np.full(states.shape[1], Q @ np.log(Q / PRIOR))
    two = probability @ bounds.elbo(LOG_W[states])
    one = probability @ bounds.elbo_split_one(np.log(LIKELIHOOD)[states], kl_prior)
    kl_posterior = Q @ np.log(Q * EVIDENCE / (PRIOR * LIKELIHOOD))
    assert one == pytest.approx(two, rel=1e-14)
    assert two + kl_posterior == pytest.approx(np.log(EVIDENCE), rel=1e-14)


def test_renyi_expectation_is_below_the_evidence_for_alpha_in_0_1_and_the_bound_above_it_for_negative():
    states, probability = every_tuple(4)
    for alpha in [0.0, 0.3, 1.0, 4.0]:
        assert probability @ bounds.renyi(LOG_W[states], alpha) < np.log(EVIDENCE)
    assert np.log(Q @ np.exp(3 * LOG_W)) / 3 > np.log(EVIDENCE)
    few, many = (every_tuple(k) for k in (1, 7))
    below, above = (p @ bounds.renyi(LOG_W[s], -30.0) for s, p in (few, many))
    assert below < np.log(EVIDENCE) < above


@given(samples, order)
def test_values_against_mpmath(log_w, alpha):
    with mpmath.workdps(60 if abs(alpha) < 30 else 400):
        w = [mpmath.mpf(float(x)) for x in log_w]
        power = 1 - mpmath.mpf(alpha)
        if power == 0:
            want = mpmath.fsum(w) / len(w)
        elif mpmath.isinf(power):
            want = max(w) if power > 0 else min(w)
        else:
            want = mpmath.log(mpmath.fsum(mpmath.exp(power * x) for x in w) / len(w)) / power
        assert abs(bounds.renyi(log_w, alpha) - want) <= slack(log_w)


@given(samples)
def test_elbo_and_iwae_against_numpy_and_scipy(log_w):
    assert bounds.elbo(log_w) == pytest.approx(math.fsum(log_w) / len(log_w), abs=slack(log_w))
    want = logsumexp(log_w) - math.log(len(log_w))
    assert bounds.iwae(log_w) == pytest.approx(want, abs=2 * slack(log_w))


@given(with_zeros)
def test_renyi_joins_iwae_at_0_and_elbo_at_1(log_w):
    assert bounds.renyi(log_w, 0.0) == bounds.iwae(log_w)
    assert bounds.renyi(log_w, 1.0) == bounds.elbo(log_w)
    assert bounds.renyi(log_w, -math.inf) == log_w.max()
    assert bounds.renyi(log_w, math.inf) == log_w.min()


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12, 2.0**-53])
def test_renyi_near_1_loses_no_digits(step):
    """(1/β) log mean w^β = mean + β var/2 + …; the naive form has error eps/β."""
    log_w = np.array([0.3, -1.7, 0.9])
    want = log_w.mean() + step * log_w.var() / 2
    assert abs(bounds.renyi(log_w, 1 - step) - want) < step**2 + 1e-15


@given(with_zeros, order, order)
def test_renyi_does_not_increase_with_alpha(log_w, one, other):
    low, high = sorted([one, other])
    assert bounds.renyi(log_w, low) >= bounds.renyi(log_w, high) - slack(log_w)


@given(samples, order, st.floats(-1e3, 1e3))
def test_a_shift_of_the_log_weights_shifts_the_bounds(log_w, alpha, shift):
    tolerance = 4 * (slack(log_w) + 1e-15 * abs(shift))
    for bound in (bounds.elbo, bounds.iwae, lambda w: bounds.renyi(w, alpha), bounds.iwae_curve):
        np.testing.assert_allclose(bound(log_w + shift), bound(log_w) + shift, rtol=0, atol=tolerance)


@given(samples, order, st.randoms())
def test_the_order_of_the_samples_does_not_matter(log_w, alpha, random):
    shuffled = np.array(random.sample(list(log_w), len(log_w)))
    for bound in (bounds.elbo, bounds.iwae, lambda w: bounds.renyi(w, alpha), bounds.iwae_curve):
        np.testing.assert_allclose(bound(shuffled), bound(log_w), rtol=0, atol=2 * slack(log_w))


GRADIENTS = [
    (bounds.elbo, bounds.elbo_grad),
    (bounds.iwae, bounds.iwae_grad),
    *(
        (lambda w, a=a: bounds.renyi(w, a), lambda w, a=a: bounds.renyi_grad(w, a))
        for a in (-3.0, 0.5, 1.0, 1 + 1e-9, 2.5)
    ),
]


@pytest.mark.parametrize(("bound", "gradient"), GRADIENTS)
def test_gradients_against_central_differences_and_shift_equivariance(bound, gradient):
    log_w = np.random.default_rng(2).normal(0.0, 2.0, (4, 3))
    got = gradient(log_w)
    for k in range(4):
        step = np.zeros((4, 1))
        step[k] = 1e-5
        difference = (bound(log_w + step) - bound(log_w - step)) / 2e-5
        np.testing.assert_allclose(got[k], difference, atol=2e-10)
    np.testing.assert_allclose(got.sum(axis=0), 1.0, rtol=1e-15)


def test_split_one_takes_a_python_float_in_the_dtype_of_its_array():
    value = bounds.elbo_split_one(np.zeros(2, np.float32), 0.5)
    assert value == -0.5
    assert value.dtype == np.float32
    assert bounds.elbo_split_one(np.zeros(2), math.inf) == -math.inf


def test_split_one_gradient():
    log_lik, kl = np.random.default_rng(3).normal(size=(4, 3)), np.array([0.1, 0.2, 0.3])
    d_lik, d_kl = bounds.elbo_split_one_grad(log_lik, kl)
    np.testing.assert_array_equal(d_lik, 0.25)
    np.testing.assert_array_equal(d_kl, -1.0)
    np.testing.assert_allclose(bounds.elbo_split_one(log_lik, kl), log_lik.mean(axis=0) - kl, rtol=1e-15)


def test_gradients_in_their_limits():
    log_w = np.array([2.0, 5.0, 5.0, 2.0, 3.0])
    np.testing.assert_array_equal(bounds.renyi_grad(log_w, -np.inf), [0, 0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(bounds.renyi_grad(log_w, np.inf), [0.5, 0, 0, 0.5, 0])
    zeros = np.array([-np.inf, 1.0, -np.inf])
    np.testing.assert_array_equal(bounds.iwae_grad(zeros), [0, 1, 0])
    np.testing.assert_array_equal(bounds.renyi_grad(zeros, 2.0), [0.5, 0, 0.5])
    np.testing.assert_array_equal(bounds.iwae_grad(np.full(4, -np.inf)), 0.25)
    np.testing.assert_array_equal(bounds.elbo_grad(zeros), np.full(3, 1 / 3))


@pytest.mark.parametrize("huge", [1e300, 1e308, np.finfo(np.float64).max])
def test_huge_log_weights(huge):
    log_w = np.array([huge, -huge, huge, huge])
    assert bounds.elbo(log_w) == huge / 2
    assert bounds.iwae(log_w) == huge
    assert bounds.renyi(log_w, 2.0) == -huge
    np.testing.assert_array_equal(bounds.iwae_grad(log_w), [1 / 3, 0, 1 / 3, 1 / 3])
    assert np.isfinite(bounds.iwae_curve(np.array([1e300, -1e300, 1e300]))).all()


def test_tiny_spreads_keep_their_digits():
    log_w = np.array([0.0, -1e-300, -3e-300])
    for alpha in [0.0, 0.5, 1.0, 2.0]:
        assert bounds.renyi(log_w, alpha) == pytest.approx(-4e-300 / 3, rel=1e-15)


def test_weights_of_zero():
    some, every = np.array([-np.inf, 0.0]), np.full(3, -np.inf)
    assert bounds.iwae(some) == pytest.approx(-math.log(2))
    assert bounds.renyi(some, 0.5) == pytest.approx(-2 * math.log(2))
    assert bounds.elbo(some) == bounds.renyi(some, 1.5) == -np.inf
    for alpha in [-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf]:
        assert bounds.renyi(every, alpha) == -np.inf
    np.testing.assert_array_equal(bounds.iwae_curve(every), -np.inf)
    assert bounds.elbo_split_one(np.array([1.0]), np.array(np.inf)) == -np.inf


ALL = [
    bounds.elbo,
    bounds.iwae,
    bounds.iwae_curve,
    bounds.elbo_grad,
    bounds.iwae_grad,
    lambda w, axis=0: bounds.renyi(w, 0.5, axis),
    lambda w, axis=0: bounds.renyi_grad(w, 0.5, axis),
]


def test_one_weight_among_very_many_loses_no_digits():
    log_w = np.full(100_000, -800.0)
    log_w[7] = 0.0
    assert bounds.iwae(log_w) == pytest.approx(-math.log(100_000), rel=1e-15)


@pytest.mark.parametrize("function", ALL)
def test_float32_is_rounded_once(function):
    log_w = np.random.default_rng(10).normal(-90.0, 5.0, (50, 3)).astype(np.float32)
    np.testing.assert_array_equal(function(log_w), function(log_w.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize("function", ALL)
def test_axis_dtype_and_empty_batch(function):
    log_w = np.random.default_rng(4).normal(size=(3, 2, 4)).astype(np.float32)
    first = function(log_w)
    assert first.dtype == np.float32
    last = function(np.moveaxis(log_w, 0, -1), axis=-1)
    np.testing.assert_array_equal(last if last.ndim == 2 else np.moveaxis(last, -1, 0), first)
    assert function(np.zeros((3, 0))).size == 0


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("log_w", "axis", "message"),
    [
        (np.array([1.0, np.nan]), 0, "log_w must be finite or -inf, has nan"),
        (np.array([1.0, np.inf]), 0, "log_w must be finite or -inf, has inf"),
        (np.array([1, 2]), 0, "log_w must be float32 or float64, was int64"),
        (np.zeros((0, 3)), 0, "log_w must have at least one sample on axis 0"),
        (np.array(1.0), 0, "axis must be an axis of log_w"),
        (np.zeros(3), 1, "axis must be an axis of log_w"),
        (np.zeros(3), 0.5, "axis must be an axis of log_w"),
    ],
)
def test_bad_log_weights_are_named(function, log_w, axis, message):
    with pytest.raises(ValueError, match=message):
        function(log_w, axis=axis)


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match="alpha must be a real number or an infinity, was nan"):
        bounds.renyi(np.zeros(2), math.nan)
    for alpha in ("a", None, np.zeros(2), True):
        with pytest.raises(ValueError, match="alpha must be a real number"):
            bounds.renyi(np.zeros(2), alpha)
    with pytest.raises(ValueError, match="kl must have shape"):
        bounds.elbo_split_one(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="one dtype: log_lik is float64, kl is float32"):
        bounds.elbo_split_one(np.zeros(2), np.zeros((), np.float32))
    with pytest.raises(ValueError, match="kl must be finite or inf, has nan"):
        bounds.elbo_split_one(np.zeros(2), math.nan)
    with pytest.raises(ValueError, match='design must be "auto", "complete" or "cyclic", was \'all\''):
        bounds.iwae_curve(np.zeros(2), design="all")
    with pytest.raises(ValueError, match="K must be <= 20, was 21"):
        bounds.iwae_curve(np.zeros(21), design="complete")


@pytest.mark.parametrize("k", range(1, 10))
def test_elbo_of_the_largest_and_the_smallest_number(k):
    for extreme in (1.7e308, 5e-324 if k == 1 else 1e-300):
        assert bounds.elbo(np.full(k, extreme)) == pytest.approx(extreme, rel=1e-15, abs=0)
