"""The zero-noise limit, by Gauss–Hermite expectation over the noise."""

import numpy as np
import pytest
from scipy import stats

from vbref.models import VAE, LinearGaussian
from vbref.models.autoencoder import autoencoder_constant, autoencoder_loss

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def setting(posterior="diagonal"):
    rng = np.random.default_rng(0)
    model = VAE(
        3, 1, (4,), likelihood="gaussian", sigma=0.6, inference="per-point", rows=2, posterior=posterior
    )
    params = {key: value + rng.standard_normal(value.shape) for key, value in model.init(rng).items()}
    return model, params, rng.standard_normal((2, 3))


def negative_elbo(model, params, x):
    values = [model.objective(params, x, np.full((1, 2, 1), node)) for node in NODES]
    return -(WEIGHTS @ values) / WEIGHTS.sum()


def at_scale(params, s):
    log_scale = np.full((2, 1), np.log(s))
    return (
        params | {"posterior.log_var": 2 * log_scale}
        if "posterior.log_var" in params
        else params | {"posterior.tril": log_scale}
    )


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_the_error_falls_as_the_square_of_the_scale(posterior):
    model, params, x = setting(posterior)
    scales = 0.02 / 2.0 ** np.arange(4)
    errors = []
    for s in scales:
        p = at_scale(params, s)
        limit = autoencoder_loss(model, p, x) + autoencoder_constant(model, p, x)
        errors.append(negative_elbo(model, p, x) - limit)
    assert abs(errors[0]) > 1e-5
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.01)


def test_the_coefficient_is_half_the_curvature():
    model, params, x = setting()
    h, s = 1e-3, 1e-2

    def reconstruction(shift):
        moved = params | {"posterior.loc": params["posterior.loc"] + shift}
        return autoencoder_loss(model, moved, x) - (moved["posterior.loc"] ** 2).sum() / 2

    curvature = (reconstruction(h) - 2 * reconstruction(0.0) + reconstruction(-h)) / h**2
    p = at_scale(params, s)
    error = negative_elbo(model, p, x) - autoencoder_loss(model, p, x) - autoencoder_constant(model, p, x)
    assert error / s**2 == pytest.approx(curvature / 2, rel=1e-2)


def test_the_constant_diverges_but_ignores_the_mean():
    model, params, x = setting()
    moved = params | {"posterior.loc": params["posterior.loc"] + 1.0}
    assert autoencoder_constant(model, params, x) == autoencoder_constant(model, moved, x)
    halved = [autoencoder_constant(model, at_scale(params, s), x) for s in (1e-4, 0.5e-4)]
    assert halved[1] - halved[0] == pytest.approx(2 * np.log(2), rel=1e-6)


def test_the_constant_by_scipy():
    """−log p(x | its mean), −log p(z) less ½ ‖z‖², and what q adds, of two rows in two dimensions."""
    model = VAE(3, 2, (4,), likelihood="gaussian", sigma=0.6, inference="per-point", rows=2)
    params = model.init(0)
    params = params | {"posterior.log_var": np.log([[0.3, 0.5], [0.2, 0.9]])}
    var = np.exp(params["posterior.log_var"])
    at_means = 2 * (3 * stats.norm.logpdf(0, 0, 0.6) + 2 * stats.norm.logpdf(0))
    expected = -at_means + var.sum() / 2 - stats.norm.entropy(0, np.sqrt(var)).sum()
    assert autoencoder_constant(model, params, np.zeros((2, 3))) == pytest.approx(expected, rel=1e-14)


def test_the_loss_is_the_formula():
    model, params, x = setting()
    mean = np.tanh(params["posterior.loc"] @ params["decoder.0.weight"] + params["decoder.0.bias"])
    mean = mean @ params["decoder.1.weight"] + params["decoder.1.bias"]
    expected = ((x - mean) ** 2).sum() / (2 * 0.6**2) + (params["posterior.loc"] ** 2).sum() / 2
    assert autoencoder_loss(model, params, x) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    "options",
    [{}, {"likelihood": "gaussian", "scale": "learned"}, {"likelihood": "gaussian", "prior": "learned"}],
)
def test_other_models_are_refused(options):
    model = VAE(3, 1, **options)
    with pytest.raises(ValueError, match="model must be a VAE with a Gaussian"):
        autoencoder_loss(model, model.init(np.random.default_rng(0)), np.zeros((1, 3)))


def test_models_of_other_kinds_are_refused_and_lists_of_rows_are_not():
    other = LinearGaussian(3, 1)
    for term in (autoencoder_loss, autoencoder_constant):
        with pytest.raises(ValueError, match=r"model must be a VAE with a Gaussian .*, is LinearGaussian"):
            term(other, other.init(np.random.default_rng(0)), np.zeros((1, 3)))
    model, params, x = setting()
    assert autoencoder_loss(model, params, x.tolist()) == autoencoder_loss(model, params, x)
    for term in (autoencoder_loss, autoencoder_constant):
        with pytest.raises(ValueError, match="x must have shape"):
            term(model, params, x[:, :2])
