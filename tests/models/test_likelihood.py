"""The likelihoods where arithmetic is hard, and their backward passes alone."""

import mpmath
import numpy as np
import pytest
from scipy import stats

from vbref.models.likelihood import Bernoulli, Gaussian
from vbref.nn.gradcheck import check_gradient

LOGITS = [-1e4, -40.0, -1.0, 0.0, 1e-9, 1.0, 40.0, 1e4]


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("logit", LOGITS)
def test_bernoulli_at_any_logit(logit, x):
    log_prob, saved = Bernoulli(1).log_prob({}, np.array([[[logit]]]), np.array([[x]]))
    slope = Bernoulli(1).backward(np.ones((1, 1)), saved)[0]
    with mpmath.workdps(60):
        exact = mpmath.mpf(x) * logit - mpmath.log1p(mpmath.exp(logit))
        exact_slope = x - 1 / (1 + mpmath.exp(-logit))
    assert log_prob[0, 0] == pytest.approx(float(exact), rel=1e-15, abs=1e-300)
    assert slope[0, 0, 0] == pytest.approx(float(exact_slope), rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("scale", ["fixed", "learned", "per-pixel", "head"])
@pytest.mark.parametrize("sigma", [1e-150, 1.0, 1e150])
def test_gaussian_keeps_its_normaliser_at_any_scale(scale, sigma):
    model = Gaussian(3, scale, sigma)
    x, z_score = np.zeros((1, 3)), np.array([0.5, -1.0, 2.0])
    log_var = np.full((1, 1, 3), 2 * np.log(sigma))
    out = np.concatenate([z_score[None, None] * sigma, log_var], axis=-1)[..., : model.width]
    log_prob, _ = model.log_prob(model.init(), out, x)
    # exp of a log variance near 690 has its rounding times 345 as its relative error
    assert log_prob[0, 0] == pytest.approx(stats.norm.logpdf(z_score).sum() - 3 * np.log(sigma), rel=1e-13)


@pytest.mark.parametrize("scale", ["fixed", "learned", "per-pixel", "head"])
def test_gaussian_backward_alone(scale):
    rng = np.random.default_rng(0)
    model = Gaussian(3, scale, 0.7)
    x, d = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    point = {"out": rng.standard_normal((2, 4, model.width))} | model.init()

    def total(p):
        return (d * model.log_prob(p, p["out"], x)[0]).sum()

    d_out, d_params = model.backward(d, model.log_prob(point, point["out"], x)[1])
    check_gradient(total, {"out": d_out} | d_params, point)


def test_uniform_noise_is_demanded_for_bits():
    with pytest.raises(ValueError, match="observation_noise must be in"):
        Bernoulli(1).sample({}, np.zeros((1, 1)), np.full((1, 1), -0.1))


@pytest.mark.parametrize("scale", ["fixed", "learned", "per-pixel", "head"])
def test_a_gaussian_sample_is_its_mean_and_scaled_noise(scale):
    rng = np.random.default_rng(1)
    model = Gaussian(3, scale, 0.7)
    out, noise = rng.standard_normal((4, model.width)), rng.standard_normal((4, 3))
    sigma = np.exp(out[:, 3:] / 2) if scale == "head" else 0.7
    np.testing.assert_allclose(model.sample(model.init(), out, noise), out[:, :3] + sigma * noise, rtol=1e-13)
