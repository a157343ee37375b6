"""Bernoulli and categorical: enumeration, mpmath, and the extremes of probability and logit."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vbref.dist import bernoulli, categorical

PROBS = st.floats(0, 1)
LOGITS = st.floats(-800, 800)


@given(PROBS)
def test_bernoulli_moments_and_entropy_by_enumeration(p):
    log_p = bernoulli.log_prob(np.array([0.0, 1.0]), p)
    mass = np.exp(log_p)
    assert mass.sum() == pytest.approx(1, rel=1e-15)
    assert mass[1] == pytest.approx(bernoulli.mean(p), rel=1e-13, abs=0)
    assert bernoulli.variance(p) == pytest.approx(mass[0] * mass[1], rel=1e-13, abs=1e-300)
    with mp.workdps(400):
        want = -sum(v * mp.log(v) for v in (mp.mpf(p), 1 - mp.mpf(p)) if v)
    assert bernoulli.entropy(p) == pytest.approx(float(want), rel=1e-14, abs=1e-300)


@given(st.floats(1e-300, 1 - 1e-16))
def test_bernoulli_gradients(p):
    with mp.workdps(50):
        exact = mp.mpf(p)
        want_entropy = mp.log1p(-exact) - mp.log(exact)
        assert bernoulli.entropy_grad(p)[0] == pytest.approx(float(want_entropy), rel=1e-13, abs=1e-15)
        assert bernoulli.log_prob_grad(1.0, p)[0] == pytest.approx(float(1 / exact), rel=1e-14)
        assert bernoulli.log_prob_grad(0.0, p)[0] == pytest.approx(float(-1 / (1 - exact)), rel=1e-14)


def test_bernoulli_gradients_against_complex_step():
    p, h = 0.3, 1e-30
    entropy = -(p + h * 1j) * np.log(p + h * 1j) - (1 - p - h * 1j) * np.log(1 - p - h * 1j)
    assert bernoulli.entropy_grad(p)[0] == pytest.approx(entropy.imag / h, rel=1e-14)
    assert bernoulli.log_prob_grad(1.0, p)[0] == pytest.approx(np.log(p + h * 1j).imag / h, rel=1e-14)


@given(LOGITS, st.sampled_from([0.0, 1.0]))
def test_bernoulli_logits_against_mpmath(logit, x):
    with mp.workdps(400):
        probs = 1 / (1 + mp.exp(-mp.mpf(logit)))
        want, slope = mp.log(probs if x else 1 - probs), mp.mpf(x) - probs
    assert bernoulli.log_prob_logits(x, logit) == pytest.approx(float(want), rel=1e-14, abs=0)
    assert bernoulli.log_prob_logits_grad(x, logit)[0] == pytest.approx(float(slope), rel=1e-14, abs=1e-320)


def test_bernoulli_certainty():
    x, p = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(bernoulli.log_prob(x, p), [0, -np.inf, -np.inf, 0])
    np.testing.assert_array_equal(bernoulli.log_prob_grad(x, p)[0], [-1, np.inf, -np.inf, 1])
    np.testing.assert_array_equal(bernoulli.entropy(p), 0)
    np.testing.assert_array_equal(bernoulli.entropy_grad(p)[0], [np.inf, np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(bernoulli.sample(np.linspace(0, 1 - 2.0**-53, 4), p), p)


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=6))
def test_categorical_by_enumeration(weights):
    p = np.array(weights) / np.sum(weights)
    labels, one_hot = np.arange(len(p)), np.eye(len(p))
    np.testing.assert_allclose(np.exp(categorical.log_prob(labels, p)), p, rtol=1e-14)
    assert categorical.entropy(p) == pytest.approx(stats.entropy(p), rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(categorical.mean(p), p @ one_hot)
    centred = one_hot - p
    np.testing.assert_allclose(categorical.covariance(p), (centred.T * p) @ centred, atol=1e-14)
    np.testing.assert_allclose(categorical.log_prob_grad(labels, p)[0], np.diag(1 / p), rtol=1e-14)


@given(st.lists(LOGITS, min_size=1, max_size=5))
def test_categorical_logits_against_mpmath(logits):
    labels = np.arange(len(logits))
    have = categorical.log_prob_logits(labels, np.array(logits))
    grads = categorical.log_prob_logits_grad(labels, np.array(logits))[0]
    with mp.workdps(1500):
        weights = [mp.exp(mp.mpf(v)) for v in logits]
        shares = [w / sum(weights) for w in weights]
        for k, share in enumerate(shares):
            assert have[k] == pytest.approx(float(mp.log(share)), rel=1e-13, abs=1e-320)
            slopes = [float((j == k) - other) for j, other in enumerate(shares)]
            np.testing.assert_allclose(grads[k], slopes, rtol=3e-13, atol=1e-300)


def test_categorical_entropy_grad_against_differences():
    # The twin takes each p_k as free: −Σ p log p beyond the simplex, by complex step.
    p, h = np.array([0.2, 0.5, 0.3]), 1e-30
    shifted = p + 1j * h * np.eye(3)
    want = -(shifted * np.log(shifted)).sum(axis=-1).imag / h
    np.testing.assert_allclose(categorical.entropy_grad(p)[0], want, rtol=1e-14)


def test_categorical_certainty_and_one_category():
    p = np.array([0.0, 1.0, 0.0])
    np.testing.assert_array_equal(categorical.log_prob(np.arange(3), p), [-np.inf, 0, -np.inf])
    assert categorical.entropy(p) == 0
    assert categorical.entropy_grad(p)[0][0] == np.inf
    assert categorical.log_prob(0, np.array([1.0])) == 0
    assert categorical.sample(0.3, np.array([1.0])) == 0
    assert categorical.log_prob_logits(0, np.array([-1e150])) == 0
    noise = np.array([0.0, 0.5, 1 - 2.0**-53, 1.0])
    np.testing.assert_array_equal(categorical.sample(noise, p), 1)
    assert categorical.log_prob(np.empty((0, 2), int), np.full(4, 0.25)).shape == (0, 2)


def test_samples_have_the_law():
    u = np.random.default_rng(3).uniform(size=20_000)
    p = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount(categorical.sample(u, p), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], 20_000 * p[[0, 2, 3]]).pvalue > 1e-3
    z = (bernoulli.sample(u, 0.3).mean() - 0.3) / np.sqrt(0.3 * 0.7 / u.size)
    assert abs(z) < 4


def test_float32_stays_float32():
    p, u = np.array([0.25, 0.75], np.float32), np.float32(0.5)
    values = [
        bernoulli.log_prob(u * 0, p),
        *bernoulli.log_prob_grad(u * 0, p),
        bernoulli.log_prob_logits(u * 0, p),
    ]
    values += [
        bernoulli.entropy(p),
        *bernoulli.entropy_grad(p),
        bernoulli.sample(u, p),
        bernoulli.variance(p),
    ]
    values += [*bernoulli.log_prob_logits_grad(u * 0, p), categorical.log_prob(0, p), categorical.entropy(p)]
    values += [
        *categorical.log_prob_grad(0, p),
        categorical.log_prob_logits(0, p),
        *categorical.entropy_grad(p),
    ]
    values += [*categorical.log_prob_logits_grad(0, p), categorical.mean(p), categorical.covariance(p)]
    assert {v.dtype for v in values} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: bernoulli.log_prob(0.5, 0.5), "x"),
        (lambda: bernoulli.log_prob(1, 0.5), "x"),
        (lambda: bernoulli.log_prob(1.0, 1.5), "probs"),
        (lambda: bernoulli.log_prob_logits(1.0, np.inf), "logits"),
        (lambda: bernoulli.entropy(-0.1), "probs"),
        (lambda: bernoulli.sample(1.5, 0.5), "noise"),
        (lambda: categorical.log_prob(2, np.array([0.5, 0.5])), "x"),
        (lambda: categorical.log_prob(-1, np.array([0.5, 0.5])), "x"),
        (lambda: categorical.log_prob(1.0, np.array([0.5, 0.5])), "x"),
        (lambda: categorical.log_prob(0, np.array([0.5, 0.6])), "probs"),
        (lambda: categorical.log_prob(0, np.empty(0)), "probs"),
        (lambda: categorical.log_prob_logits(0, np.array([0.5, np.nan])), "logits"),
        (lambda: categorical.log_prob_logits(0, np.empty((2, 0))), "logits"),
        (lambda: categorical.sample(np.array(-0.1), np.array([1.0])), "noise"),
        (lambda: categorical.sample(0.5, np.array([0.5, 0.6])), "probs"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ValueError, match=rf"\b{name} must"):
        call()


@pytest.mark.parametrize(
    ("module", "probs"), [(bernoulli, np.full(2, 0.5)), (categorical, np.full((2, 4), 0.25))]
)
def test_noise_that_does_not_broadcast_is_named(module, probs):
    with pytest.raises(ValueError, match=r"do not broadcast: noise has shape \(3,\)"):
        module.sample(np.full(3, 0.5), probs)


def test_categorical_rows_are_as_one_by_one():
    logits, labels = np.random.default_rng(5).normal(size=(4, 3)), np.array([2, 0, 1, 1])
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for function, parameter in (
        (categorical.log_prob_logits, logits),
        (categorical.log_prob_logits_grad, logits),
        (categorical.log_prob, probs),
        (categorical.log_prob_grad, probs),
    ):
        whole = np.squeeze(function(labels, parameter))
        np.testing.assert_array_equal(
            whole, [np.squeeze(function(k, row)) for k, row in zip(labels, parameter, strict=True)]
        )
