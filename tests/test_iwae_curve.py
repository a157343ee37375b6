"""The IWAE curve: unbiased by enumeration, the subsets it names, the orders that hold for any weights."""

import itertools

import numpy as np
import pytest
from bound_oracles import LOG_W, every_tuple, exact_iwae, samples, slack, with_zeros
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from vbref import bounds


def subset_average(log_w, size, subsets):
    return np.mean([logsumexp(log_w[list(subset)]) - np.log(size) for subset in subsets])


@pytest.mark.parametrize("design", ["complete", "cyclic"])
def test_curve_is_unbiased_for_every_m(design):
    states, probability = every_tuple(5)
    expected = bounds.iwae_curve(LOG_W[states], design=design) @ probability
    np.testing.assert_allclose(expected, [exact_iwae(m) for m in range(1, 6)], rtol=1e-14)


def test_plug_in_estimate_of_the_curve_would_be_caught():
    """With replacement (all K^m tuples) the estimate is biased: the test above can fail."""
    states, probability = every_tuple(3)
    pairs = [np.log(np.exp(LOG_W[states])[[i, j]].mean(axis=0)) for i in range(3) for j in range(3)]
    assert abs(np.mean(pairs, axis=0) @ probability - exact_iwae(2)) > 1e-2


@given(samples)
def test_curve_designs_are_the_families_they_name(log_w):
    k = len(log_w)
    complete, cyclic = (bounds.iwae_curve(log_w, design=design) for design in ("complete", "cyclic"))
    for m in range(1, k + 1):
        windows = [[(start + i) % k for i in range(m)] for start in range(k)]
        subsets = itertools.combinations(range(k), m)
        assert complete[m - 1] == pytest.approx(subset_average(log_w, m, subsets), abs=slack(log_w))
        assert cyclic[m - 1] == pytest.approx(subset_average(log_w, m, windows), abs=slack(log_w))


@given(with_zeros)
def test_curve_orders_that_hold_for_whatever_weights(log_w):
    complete, cyclic = (bounds.iwae_curve(log_w, design=design) for design in ("complete", "cyclic"))
    assert np.all(complete[1:] >= complete[:-1] - slack(log_w))
    assert np.all(cyclic >= cyclic[0] - slack(log_w))
    assert np.all(cyclic <= cyclic[-1] + slack(log_w))
    for m in range(1, len(log_w) // 2 + 1):
        assert np.all(cyclic[2 * m - 1 :: m] >= cyclic[m - 1] - slack(log_w))


def test_cyclic_curve_need_not_be_monotone():
    curve = bounds.iwae_curve(np.array([0.0, -9.0, 0.0, -9.0]), design="cyclic")
    assert curve[1] > curve[2]


@given(with_zeros, st.sampled_from(["complete", "cyclic", "auto"]), st.sampled_from([np.float32, np.float64]))
def test_curve_ends_are_elbo_and_iwae_to_the_bit(log_w, design, dtype):
    log_w = log_w.astype(dtype)
    curve = bounds.iwae_curve(log_w, design=design)
    assert curve.dtype == dtype
    assert curve[-1] == bounds.iwae(log_w)
    if len(log_w) > 1:
        assert curve[0] == bounds.elbo(log_w)


def test_curve_of_many_samples_is_accurate_and_auto_is_cyclic():
    log_w = np.random.default_rng(1).normal(-90.0, 3.0, (200, 2))
    curve = bounds.iwae_curve(log_w)
    wrapped = np.concatenate([log_w, log_w])
    for m in [2, 3, 50, 199]:
        windows = [logsumexp(wrapped[k : k + m], axis=0) - np.log(m) for k in range(200)]
        np.testing.assert_allclose(curve[m - 1], np.mean(windows, axis=0), rtol=1e-14)


@pytest.mark.parametrize(("k", "design"), [(9, "complete"), (10, "complete"), (11, "cyclic")])
def test_auto_is_complete_up_to_ten_samples(k, design):
    log_w = np.random.default_rng(k).normal(size=k)
    np.testing.assert_array_equal(bounds.iwae_curve(log_w), bounds.iwae_curve(log_w, design=design))
