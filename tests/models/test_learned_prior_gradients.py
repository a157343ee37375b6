"""A VAE with a learned prior: the score-function gradient of vlb against the reparameterised one.

Both estimate ∂ E_q[log w]/∂h for the statistics h of q(z | x). The first needs log w alone, the second its
slope along the path; their means agree, their variances do not.
"""

import numpy as np
import pytest

from vbref import gradients
from vbref.models import VAE

K = 20_000


@pytest.fixture(scope="module")
def world():
    """Per-point inference, so that h are parameters: per-draw gradients are those of one sample each."""
    rng = np.random.default_rng(0)
    options = {"prior": "learned", "kl": "sampled", "inference": "per-point", "rows": 1}
    model = VAE(5, 2, (4,), **options)
    params = {
        name: np.asarray(value + 0.4 * rng.standard_normal(value.shape))
        for name, value in model.init(rng).items()
    }
    return model, params, rng.random((1, 5)).round(), model.draw_noise(rng, 1, K)


@pytest.fixture(scope="module")
def score_terms(world):
    """Signal log w (K, 1), and the score ∂ log q(z; h)/∂h at fixed z (K, 1, 4) by the normal's formulas."""
    model, params, x, noise = world
    _, scale = model.encode(params, x, index=[0])
    by_loc, by_log_var = noise / scale, (noise**2 - 1) / 2
    return model.log_weights(params, x, noise), np.concatenate([by_loc, by_log_var], axis=-1)


@pytest.fixture(scope="module")
def pathwise(world):
    """The reparameterised gradient of each of 2000 single draws, (2000, 4)."""
    model, params, x, noise = world
    each = [model.objective_and_grad(params, x, eps[None])[1] for eps in noise[:2000]]
    return np.array([np.concatenate([g["posterior.loc"][0], g["posterior.log_var"][0]]) for g in each])


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
def test_both_estimate_the_same_gradient(score_terms, pathwise, baseline):
    signal, score = score_terms
    b = gradients.leave_one_out(signal) if baseline != "none" else 0.0
    draws = ((signal - b)[..., None] * score)[:, 0]
    estimate = draws.mean(axis=0)
    if baseline == "none":
        np.testing.assert_allclose(gradients.score_function(signal, score)[0], estimate, rtol=1e-12)
    variance = draws.var(axis=0) / K + pathwise.var(axis=0) / len(pathwise)
    z = (estimate - pathwise.mean(axis=0)) / np.sqrt(variance)
    assert abs(z).max() < 4


def test_the_reparameterised_one_has_far_less_variance(score_terms, pathwise):
    """Of the whole gradient; a baseline removes most of the excess, and may win in single coordinates."""
    signal, score = score_terms
    raw = (signal[..., None] * score)[:, 0].var(axis=0)
    centred = ((signal - gradients.leave_one_out(signal))[..., None] * score)[:, 0].var(axis=0)
    assert (raw / pathwise.var(axis=0)).min() > 10
    assert (centred < raw).all()
    assert centred.sum() > 1.5 * pathwise.var(axis=0).sum()


def test_the_score_has_mean_zero(score_terms):
    score = score_terms[1][:, 0]
    assert abs(score.mean(axis=0) / (score.std(axis=0) / np.sqrt(K))).max() < 4


def test_the_prior_gets_the_same_from_both(world):
    """θ enters log w directly: its gradient needs no score, it is the mean of ∂ log p(z; θ)/∂θ."""
    model, params, x, noise = world
    grads = model.objective_and_grad(params, x, noise)[1]
    loc, scale = model.encode(params, x, index=[0])
    z = loc + scale * noise
    by_loc = ((z - params["prior.loc"]) / np.exp(params["prior.log_var"])).mean(axis=(0, 1))
    np.testing.assert_allclose(grads["prior.loc"], by_loc, rtol=1e-10)
