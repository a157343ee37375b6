"""What else the docstrings of the gradient estimators say: values, variances, baselines, limits, errors."""

import itertools

import mpmath
import numpy as np
import pytest
from gradient_oracles import (
    JOINT,
    LOGITS,
    PHI,
    A,
    C,
    S,
    X,
    by_score,
    complex_step,
    dreg,
    finite_draws,
    finite_expectation,
    finite_iwae,
    gaussian_draws,
    gaussian_moments,
    log_normal,
    log_weight,
    plain,
    posterior,
    softmax,
    stl,
    trapezoid,
    tuples,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vbref import bounds, gradients


def test_iwae_surrogate_has_the_gradient_but_not_the_value():
    """Σ w̃ log w exceeds L by KL(w̃ ‖ uniform), and L's derivative at fixed noise is Σ w̃ d log w."""
    noise = np.random.default_rng(5).normal(size=(4, 6))
    log_w, path, score = gaussian_draws(noise)
    weight = gradients.iwae_weights(log_w)
    excess = (weight * log_w).sum(axis=0) - bounds.iwae(log_w)
    np.testing.assert_allclose(excess, (weight * np.log(4 * weight)).sum(axis=0), rtol=1e-12)
    assert excess.min() > 1e-3

    def value(phi):
        return np.log(np.exp(log_weight(phi[0] + np.exp(phi[1]) * noise, phi)).mean(axis=0)).sum()

    np.testing.assert_allclose(
        gradients.iwae_pathwise(log_w, path, score).sum(axis=0), complex_step(value, PHI), rtol=1e-13
    )


def test_pathwise_is_the_derivative_of_elbo_at_fixed_noise_and_sticking_the_landing_is_not():
    noise = np.random.default_rng(6).normal(size=(4, 3))
    log_w, path, score = gaussian_draws(noise)

    def value(phi):
        return log_weight(phi[0] + np.exp(phi[1]) * noise, phi).mean(axis=0).sum()

    want = complex_step(value, PHI)
    np.testing.assert_allclose(plain(log_w, path, score).sum(axis=0), want, rtol=1e-13)
    assert abs(stl(log_w, path, score).sum(axis=0) - want).min() > 1e-2


def test_elbo_gradient_in_closed_form():
    """ELBO = ½ log σ² − ½(1 + a²/s²)σ² − ½μ² − (x − aμ − c)²/2s² + a constant."""
    mean, scale = PHI[0], np.exp(PHI[1])
    want = [-mean + A * (X - A * mean - C) / S**2, 1 - (1 + A**2 / S**2) * scale**2]
    np.testing.assert_allclose(gaussian_moments(stl, 2)[0], want, rtol=1e-12)


def test_pathwise_without_score_for_a_function_of_z_alone():
    """f = z²: E_q f = μ² + σ², with gradient (2μ, 2σ²) by (μ, log σ)."""
    noise, cell = trapezoid(1)
    scale = np.exp(PHI[1])
    path = (2 * (PHI[0] + scale * noise))[..., None] * np.stack([np.ones_like(noise), scale * noise], axis=-1)
    probability = cell * np.exp(log_normal(noise, 0, 0)[0])
    np.testing.assert_allclose(probability @ gradients.pathwise(path), [2 * PHI[0], 2 * scale**2], rtol=1e-13)


@pytest.mark.parametrize("k", [1, 2])
def test_at_the_posterior_sticking_the_landing_and_dreg_have_no_variance(k):
    for estimator in (stl, dreg):
        mean, variance = gaussian_moments(estimator, k, posterior())
        np.testing.assert_allclose(mean, 0, atol=1e-15)
        np.testing.assert_allclose(variance, 0, atol=1e-30)
    assert gaussian_moments(plain, k, posterior())[1].min() > 0.1


def test_dreg_has_less_variance_near_the_posterior_and_may_have_more_far_from_it():
    near, far = posterior() + 0.1, posterior() + np.array([0.0, -1.2])
    variance = {
        (name, where): gaussian_moments(estimator, 2, phi)[1].sum()
        for name, estimator in (("plain", gradients.iwae_pathwise), ("dreg", dreg))
        for where, phi in (("near", near), ("far", far))
    }
    assert variance["dreg", "near"] < variance["plain", "near"] / 10
    assert variance["dreg", "far"] > variance["plain", "far"]


def test_signal_to_noise_falls_with_k_for_iwae_and_grows_for_dreg():
    """SNR at K = 64 over SNR at K = 4 is ¼ and 4 in the limit; z-scores of its log over batches."""
    rng = np.random.default_rng(7)
    ratios = np.array([np.log(signal_to_noise(rng, 64) / signal_to_noise(rng, 4)) for _ in range(12)])
    plain_z, dreg_z = ratios.mean(axis=0) / (ratios.std(axis=0, ddof=1) / np.sqrt(len(ratios)))
    assert plain_z < -5
    assert dreg_z > 5


def signal_to_noise(rng, k):
    """(plain, DReG), by μ; DReG's mean is the signal of both, since plain's own has a noise floor."""
    draws = gaussian_draws(rng.normal(size=(k, 3000)))
    signal = abs(dreg(*draws)[:, 0].mean())
    return signal / np.array([estimator(*draws)[:, 0].std() for estimator in (gradients.iwae_pathwise, dreg)])


def test_optimal_baseline_from_the_same_samples_has_a_bias_of_order_1_over_k():
    want = complex_step(lambda logits: finite_iwae(logits, 1), LOGITS)
    four, eight = (np.linalg.norm(finite_expectation(by_score("optimal"), k) - want) for k in (4, 8))
    assert 0.4 < eight / four < 0.6


@pytest.mark.parametrize("k", [1, 2, 4])
def test_parameters_of_p_by_normalised_weights(k):
    """θ = log p(x, z), one a state: the derivative of log p(x, z_k) is an indicator."""
    probability, log_w, _ = finite_draws(k)
    estimate = gradients.weighted(gradients.iwae_weights(log_w), np.eye(3)[tuples(k)])

    def value(theta):
        q, z = softmax(LOGITS), tuples(k)
        return np.sum(q[z].prod(axis=0) * np.log((np.exp(theta) / q)[z].mean(axis=0)))

    np.testing.assert_allclose(probability @ estimate, complex_step(value, np.log(JOINT)), rtol=1e-13)


def test_optimal_baseline_minimises_variance_coordinate_by_coordinate():
    probability, log_w, score = finite_draws(1)
    weights = probability * 3  # importance of each state, as copies of a uniform sample
    moment = (weights[:, None] * log_w[0][:, None] * score[0] ** 2).sum(axis=0)
    best = moment / (weights[:, None] * score[0] ** 2).sum(axis=0)

    def variance(baseline):
        estimate = (log_w[0][:, None] - baseline) * score[0]
        return probability @ estimate**2 - (probability @ estimate) ** 2

    assert np.all(variance(best) < np.minimum(variance(best + 1e-3), variance(best - 1e-3)))


def test_optimal_baseline_from_samples_is_the_minimiser_on_them():
    rng = np.random.default_rng(8)
    signal, score = rng.normal(size=(6, 2)), rng.normal(size=(6, 2, 3))
    got = gradients.optimal_baseline(signal, score)
    left_out = gradients.optimal_baseline(signal, score, leave_out=True)
    for n, p in itertools.product(range(2), range(3)):
        s, f = score[:, n, p], signal[:, n]
        np.testing.assert_allclose(got[:, n, p], np.linalg.lstsq(s[:, None], f * s)[0][0], rtol=1e-13)
        for k in range(6):
            others = np.arange(6) != k
            want = np.linalg.lstsq(s[others, None], (f * s)[others])[0][0]
            assert left_out[k, n, p] == pytest.approx(want, rel=1e-12)


def test_optimal_baseline_of_huge_tiny_and_zero_scores():
    signal = np.array([[2.0], [4.0]])
    for size in [1e-200, 1e200]:
        np.testing.assert_allclose(gradients.optimal_baseline(signal, np.full((2, 1, 1), size)), 3.0)
    np.testing.assert_array_equal(gradients.optimal_baseline(signal, np.zeros((2, 1, 1))), 0.0)
    np.testing.assert_array_equal(
        gradients.score_function(signal[:1], np.ones((1, 1, 2)), baseline="optimal"), 0
    )


@given(st.integers(2, 6).flatmap(lambda k: arrays(np.float64, (k, 2), elements=st.floats(-50, 50))))
def test_leave_one_out_is_the_centred_estimate_with_k_minus_1(signal):
    score = np.sin(np.arange(signal.size * 3.0)).reshape(*signal.shape, 3)
    centred = (signal - signal.mean(axis=0))[..., None] * score
    got = gradients.score_function(signal, score, baseline="leave_one_out")
    np.testing.assert_allclose(got, centred.sum(axis=0) / (len(signal) - 1), atol=1e-12)
    constant = gradients.score_function(signal, score, baseline=gradients.leave_one_out(signal))
    np.testing.assert_array_equal(constant, got)


@pytest.mark.parametrize("control", ["geometric", "arithmetic"])
@given(log_w=st.integers(2, 5).flatmap(lambda k: arrays(np.float64, k, elements=st.floats(-300, 300))))
def test_vimco_signal_against_mpmath(control, log_w):
    """The other way, log(S − w_k), has no digits left where w_k dominates."""
    got = gradients.vimco_signal(log_w, control=control)
    with mpmath.workdps(400):
        w = [mpmath.exp(mpmath.mpf(float(x))) for x in log_w]
        for k in range(len(w)):
            others = w[:k] + w[k + 1 :]
            mean = mpmath.fsum(others) / len(others)
            if control == "geometric":
                mean = mpmath.exp(mpmath.fsum(map(mpmath.log, others)) / len(others))
            want = mpmath.log(mpmath.fsum(w) / (mpmath.fsum(others) + mean))
            assert abs(got[k] - want) <= 1e-15 * (10 + 4 * abs(log_w).max())


def test_vimco_signal_of_zero_and_huge_weights():
    np.testing.assert_array_equal(gradients.vimco_signal(np.full(3, -np.inf)), 0)
    assert gradients.vimco_signal(np.array([-np.inf, 0.0, -np.inf]))[1] == np.inf
    two = gradients.vimco_signal(np.array([-np.inf, 0.0, 0.0]))
    np.testing.assert_allclose(two, [np.log(2 / 3), np.log(2), np.log(2)])
    assert np.isfinite(gradients.vimco_signal(np.array([1e300, -1e300, 1e300]))).all()
    with pytest.raises(ValueError, match="log_w must have no column in which one weight alone is not zero"):
        gradients.vimco(np.array([-np.inf, 0.0]), np.zeros((2, 1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(dtype):
    noise = np.random.default_rng(9).normal(size=(3, 4, 2))
    log_w, path, score = (a.astype(dtype) for a in gaussian_draws(noise))
    baselines = (*gradients._BASELINES, 0.5, log_w[:1])
    estimates = [
        *(gradients.score_function(log_w, score, baseline=baseline) for baseline in baselines),
        gradients.pathwise(path, score),
        gradients.sticking_the_landing(path),
        gradients.iwae_pathwise(log_w, path, score),
        gradients.doubly_reparameterised(log_w, path),
        gradients.vimco(log_w, score),
    ]
    for estimate in estimates:
        assert estimate.shape == (4, 2, 2)
        assert estimate.dtype == dtype
    assert gradients.vimco(log_w[:, :0], score[:, :0]).shape == (0, 2, 2)
    for coefficients in (gradients.iwae_weights, gradients.dreg_weights, gradients.vimco_signal):
        assert coefficients(log_w).shape == log_w.shape
        assert coefficients(log_w).dtype == dtype


LOG_W, SCORE = np.zeros((3, 2)), np.zeros((3, 2, 5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradients.leave_one_out(LOG_W[:1]), "signal must have K >= 2 samples"),
        (
            lambda: gradients.optimal_baseline(LOG_W[:1], SCORE[:1], leave_out=True),
            "signal must have K >= 2 samples",
        ),
        (lambda: gradients.vimco(LOG_W[:1], SCORE[:1]), "log_w must have K >= 2 samples"),
        (
            lambda: gradients.vimco_signal(LOG_W, control="mean"),
            "control must be one of geometric, arithmetic",
        ),
        (
            lambda: gradients.score_function(LOG_W, SCORE, baseline="mean"),
            "baseline must be an array or one of",
        ),
        (lambda: gradients.score_function(LOG_W, SCORE, baseline=np.zeros(7)), "do not broadcast"),
        (lambda: gradients.score_function(LOG_W, SCORE[:2]), r"score must have shape \(3, 2, \*\)"),
        (lambda: gradients.score_function(LOG_W[:0], SCORE[:0]), "signal must have at least one sample"),
        (lambda: gradients.score_function(LOG_W * np.nan, SCORE), "signal must be finite, has nan"),
        (lambda: gradients.iwae_pathwise(LOG_W, SCORE, SCORE[..., :4]), "score must have shape"),
        (lambda: gradients.iwae_pathwise(LOG_W[:, :1], SCORE, SCORE), "path must have shape"),
        (
            lambda: gradients.doubly_reparameterised(LOG_W, SCORE.astype("f")),
            "log_w is float64, path is float32",
        ),
        (lambda: gradients.sticking_the_landing(SCORE[:0]), "path must have shape .* with K >= 1"),
        (lambda: gradients.weighted(LOG_W, SCORE[0]), "derivatives must have shape"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_each_baseline_is_what_it_says_to_the_bit():
    rng = np.random.default_rng(5)
    f, s = rng.normal(size=(4, 3)), rng.normal(size=(4, 3, 2))
    baselines = {
        "none": np.zeros_like(s),
        "optimal": gradients.optimal_baseline(f, s),
        "optimal_leave_one_out": gradients.optimal_baseline(f, s, leave_out=True),
    }
    for name, b in baselines.items():
        want = np.mean((f[..., None] - b) * s, axis=0)
        np.testing.assert_array_equal(gradients.score_function(f, s, baseline=name), want)


@pytest.mark.parametrize("scores", [(1.0, 1e200), (-1e200, -1e199)])
def test_optimal_baseline_of_scores_whose_squares_overflow(scores):
    f, s = np.array([[1.0], [2.0]]), np.array(scores)[:, None, None]
    r = np.array(scores) / 1e200
    want = (r[0] ** 2 + 2 * r[1] ** 2) / (r**2).sum()
    assert gradients.optimal_baseline(f, s)[0, 0, 0] == pytest.approx(want, rel=1e-15)
