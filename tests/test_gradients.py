"""Each estimator's expectation, computed exactly, against the derivative of the bound that it claims to
estimate.

Two settings. Finite: z in {0, 1, 2} with softmax logits, all K-tuples enumerated. Gaussian: a scalar
linear-Gaussian model, the expectation over K noises by the trapezoid rule (exponentially accurate on these
integrands). The bound's own derivative is by complex step, through sums over z in which φ enters by the
densities alone: no score, no path.
"""

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vbref import bounds, gradients

LOGITS = np.array([0.4, -0.3, 0.9])
JOINT = np.array([0.05, 0.3, 0.12])


def complex_step(function, point):
    steps = 1e-30j * np.eye(len(point))
    return np.array([function(point + step).imag / 1e-30 for step in steps])


# --- Finite


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def tuples(k):
    return np.array(list(itertools.product(range(3), repeat=k))).T


def finite_iwae(logits, k):
    q, z = softmax(logits), tuples(k)
    return np.sum(q[z].prod(axis=0) * np.log((JOINT / q)[z].mean(axis=0)))


def finite_draws(k):
    """Probability (T,), log_w (K, T), score (K, T, 3) of every K-tuple."""
    q, z = softmax(LOGITS), tuples(k)
    return q[z].prod(axis=0), np.log(JOINT / q)[z], (np.eye(3) - q)[z]


def finite_expectation(estimator, k):
    probability, log_w, score = finite_draws(k)
    return probability @ estimator(log_w, score)


def check_finite(estimator, k, target):
    want = complex_step(lambda logits: finite_iwae(logits, target), LOGITS)
    np.testing.assert_allclose(finite_expectation(estimator, k), want, rtol=1e-12, atol=1e-14)


# --- Gaussian: p(z) = N(0, 1), p(x | z) = N(az + c, s²), q = N(μ, σ²), φ = (μ, log σ)

X, A, C, S = 1.3, 0.8, 0.2, 0.9
PHI = np.array([0.1, -0.2])


def log_normal(value, loc, log_scale):
    return -0.5 * ((value - loc) / np.exp(log_scale)) ** 2 - log_scale - 0.5 * np.log(2 * np.pi)


def log_weight(z, phi):
    return log_normal(z, 0, 0) + log_normal(X, A * z + C, np.log(S)) - log_normal(z, *phi)


def trapezoid(k, nodes=60, reach=8.5):
    """Every K-tuple of nodes (K, T), and the product of their spacings."""
    line = np.linspace(-reach, reach, nodes)
    grid = np.stack(np.meshgrid(*[line] * k, indexing="ij")).reshape(k, -1)
    return grid, (line[1] - line[0]) ** k


def gaussian_iwae(phi, k):
    z, cell = trapezoid(k)
    density = np.exp(log_normal(z, *phi).sum(axis=0))
    return cell * np.sum(density * np.log(np.exp(log_weight(z, phi)).mean(axis=0)))


def gaussian_draws(noise, phi=PHI):
    """log_w (K, T), path and score (K, T, 2) at z = μ + σε."""
    scale = np.exp(phi[1])
    z = phi[0] + scale * noise
    slope = -z + A * (X - A * z - C) / S**2 + noise / scale
    path = slope[..., None] * np.stack([np.ones_like(noise), scale * noise], axis=-1)
    score = np.stack([noise / scale, noise**2 - 1], axis=-1)
    return log_weight(z, phi), path, score


def gaussian_moments(estimator, k, phi=PHI):
    noise, cell = trapezoid(k)
    probability = cell * np.exp(log_normal(noise, 0, 0).sum(axis=0))
    estimate = estimator(*gaussian_draws(noise, phi))
    mean = probability @ estimate
    return mean, probability @ (estimate - mean) ** 2


def posterior():
    precision = 1 + A**2 / S**2
    return np.array([A * (X - C) / S**2 / precision, -0.5 * np.log(precision)])


def check_gaussian(estimator, k, target):
    want = complex_step(lambda phi: gaussian_iwae(phi, target), PHI)
    np.testing.assert_allclose(gaussian_moments(estimator, k)[0], want, rtol=1e-9)


# --- What each estimator claims: (finite or Gaussian check, estimator, K, the IWAE_m that it estimates)


def by_score(baseline):
    return lambda log_w, score: gradients.score_function(log_w, score, baseline=baseline)


def by_vimco(control):
    return lambda log_w, score: gradients.vimco(log_w, score, control=control)


def stl(log_w, path, score):
    return gradients.sticking_the_landing(path)


def plain(log_w, path, score):
    return gradients.pathwise(path, score)


def dreg(log_w, path, score):
    return gradients.doubly_reparameterised(log_w, path)


UNBIASED = [
    *((check_finite, by_score("none"), k, 1) for k in (1, 2, 3)),
    *((check_finite, by_score(-0.7), k, 1) for k in (1, 3)),
    *((check_finite, by_score("leave_one_out"), k, 1) for k in (2, 3)),
    *((check_finite, by_score("optimal_leave_one_out"), k, 1) for k in (2, 3)),
    *((check_finite, by_vimco(control), k, k) for k in (2, 3, 4) for control in ("geometric", "arithmetic")),
    *((check_gaussian, lambda w, p, s, b=b: by_score(b)(w, s), 2, 1) for b in ("none", "leave_one_out")),
    *((check_gaussian, lambda w, p, s: by_vimco("geometric")(w, s), k, k) for k in (2, 3)),
    *((check_gaussian, estimator, k, 1) for k in (1, 2, 3) for estimator in (plain, stl)),
    *((check_gaussian, estimator, k, k) for k in (1, 2, 3) for estimator in (gradients.iwae_pathwise, dreg)),
]


@pytest.mark.parametrize(("check", "estimator", "k", "target"), UNBIASED)
def test_unbiased(check, estimator, k, target):
    check(estimator, k, target)


# --- Mistakes that published code has made; the checks above must refuse each


def missing_detach(log_w, path, score):
    """The derivative of Σ w̃ log w that also goes through w̃."""
    weight = bounds.iwae_grad(log_w)
    reported = (weight * log_w).sum(axis=0)
    return gradients.weighted(weight * (1 + log_w - reported), path - score)


def own_sample_in_baseline(log_w, score):
    return np.mean((log_w - log_w.mean(axis=0))[..., None] * score, axis=0)


MUTANTS = {
    "DReG with w̃ for w̃² (sticking the landing on IWAE)": (
        check_gaussian,
        lambda w, p, s: gradients.weighted(bounds.iwae_grad(w), p),
    ),
    "mean for sum in IWAE": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, p, s) / len(w)),
    "sum for mean in ELBO": (check_gaussian, lambda w, p, s: len(w) * plain(w, p, s), 1),
    "K ignored: ELBO for IWAE": (check_gaussian, plain),
    "log-mean against mean-log: IWAE for ELBO": (check_gaussian, gradients.iwae_pathwise, 1),
    "weights not detached": (check_gaussian, missing_detach),
    "score term of the wrong sign": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, p, -s)),
    "path term forgotten": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, 0 * p, s)),
    "VIMCO without −w̃": (check_finite, lambda w, s: gradients.weighted(gradients.vimco_signal(w), s)),
    "VIMCO averaged": (check_finite, lambda w, s: by_vimco("geometric")(w, s) / len(w)),
    "VIMCO's signal with the ELBO's baseline": (
        check_finite,
        lambda w, s: gradients.weighted(w - gradients.leave_one_out(w) - bounds.iwae_grad(w), s),
    ),
    "own sample in the mean baseline": (check_finite, own_sample_in_baseline, 1),
    "optimal baseline from the same samples": (check_finite, by_score("optimal"), 1),
    "score function summed": (check_finite, lambda w, s: len(w) * by_score("leave_one_out")(w, s), 1),
}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name, k):
    check, mutant, *target = MUTANTS[name]
    with pytest.raises(AssertionError):
        check(mutant, k, *target or [k])


# --- The rest of what the docstrings say


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
