"""VAEs whose evidence and posterior are known, and expectations over the noise taken by quadrature."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vbref.models import VAE, LinearGaussian

SIGMA, D, N = 0.8, 2, 5


def linear_setting(**options):
    """A linear VAE and the LinearGaussian that is its generative half, with data."""
    rng = np.random.default_rng(0)
    vae = VAE(4, D, (), likelihood="gaussian", sigma=SIGMA, posterior="full", **options)
    exact = LinearGaussian(4, D)
    theta = {"weight": rng.standard_normal((D, 4)), "mean": rng.standard_normal(4)}
    theta["log_var"] = np.array(2 * np.log(SIGMA))
    return vae, exact, theta, 2 * rng.standard_normal((N, 4)), rng


def linear_params(vae, theta, loc_weight, loc_bias, factor):
    """VAE parameters for q(z|x) = N(x loc_weight + loc_bias, factor factorᵀ)."""
    tril = np.array([np.log(factor[0, 0]), factor[1, 0], np.log(factor[1, 1])])
    return {
        "encoder.0.weight": np.concatenate([loc_weight, np.zeros((4, 3))], axis=1),
        "encoder.0.bias": np.concatenate([loc_bias, tril]),
        "decoder.0.weight": theta["weight"],
        "decoder.0.bias": theta["mean"],
    }


def at_posterior(vae, exact, theta):
    """The encoder that is Bayes' rule: E[z|x] = (x − mean) C⁻¹ Wᵀ, Cov[z|x] = I − W C⁻¹ Wᵀ."""
    W = theta["weight"]
    gain = np.linalg.solve(W.T @ W + SIGMA**2 * np.eye(4), W.T)
    factor = np.linalg.cholesky(np.eye(D) - W @ gain)
    return linear_params(vae, theta, gain, -theta["mean"] @ gain, factor)


def hermite(count, dim=1):
    """Nodes (count^dim, dim) and weights that sum to one, for standard normal noise."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    grid = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), -1).reshape(-1, dim)
    product = np.prod(np.meshgrid(*[weights / weights.sum()] * dim, indexing="ij"), axis=0)
    return grid, product.ravel()


def repeated(nodes):
    """Nodes (Q, D) as noise (1, N, D), the same for each row."""
    return [np.tile(node, (1, N, 1)) for node in nodes]


@pytest.mark.parametrize("options", [{"kl": "sampled"}, {"objective": "iwae"}])
def test_no_gap_at_the_posterior_whatever_the_noise(options):
    vae, exact, theta, x, rng = linear_setting(**options)
    params, noise = at_posterior(vae, exact, theta), vae.draw_noise(rng, N, 6)
    evidence = exact.log_evidence(theta, x)
    np.testing.assert_allclose(vae.log_weights(params, x, noise), np.tile(evidence, (6, 1)), rtol=1e-12)
    assert vae.objective(params, x, noise) == pytest.approx(evidence.sum(), rel=1e-13)
    dense = multivariate_normal(theta["mean"], theta["weight"].T @ theta["weight"] + SIGMA**2 * np.eye(4))
    assert vae.objective(params, x, noise) == pytest.approx(dense.logpdf(x).sum(), rel=1e-12)


@pytest.mark.parametrize("options", [{"kl": "analytic"}, {"kl": "sampled"}])
def test_elbo_and_gap_add_up_to_the_evidence(options):
    """log p(x | z) is quadratic in the noise, so that three nodes a coordinate give its exact expectation."""
    vae, exact, theta, x, rng = linear_setting(**options)
    factor = np.array([[0.9, 0.0], [-0.4, 0.6]])
    loc_weight, loc_bias = rng.standard_normal((4, D)), rng.standard_normal(D)
    params = linear_params(vae, theta, loc_weight, loc_bias, factor)
    nodes, weights = hermite(3, D)
    elbo = weights @ [vae.objective(params, x, noise) for noise in repeated(nodes)]
    mean, cov = exact.posterior(theta, x)
    r, ratio = x @ loc_weight + loc_bias - mean, np.linalg.solve(cov, factor @ factor.T)
    gap = (N * (np.trace(ratio) - D - np.linalg.slogdet(ratio)[1]) + (r @ np.linalg.inv(cov) * r).sum()) / 2
    evidence = exact.log_evidence(theta, x).sum()
    assert abs(elbo + gap - evidence) < 1e-12 * (abs(elbo) + gap)
    assert gap > 1


def test_sticking_the_landing_has_no_variance_at_the_posterior():
    vae, exact, theta, x, rng = linear_setting(kl="sampled", gradient="sticking-the-landing")
    params = at_posterior(vae, exact, theta)
    grads = vae.objective_and_grad(params, x, vae.draw_noise(rng, N))[1]
    assert abs(grads["encoder.0.weight"]).max() < 1e-12
    pathwise = VAE(**vae.config | {"gradient": "pathwise"})
    other = pathwise.objective_and_grad(params, x, vae.draw_noise(rng, N))[1]
    assert abs(other["encoder.0.weight"]).max() > 0.1


def one_latent(options, k=1):
    """A nonlinear model of one latent coordinate, and E over its noise of (objective, gradient)."""
    rng = np.random.default_rng(1)
    model = VAE(3, 1, (2,), **options)
    params = {key: value + 0.25 * rng.standard_normal(value.shape) for key, value in model.init(rng).items()}
    x = rng.random((1, 3)).round()
    nodes, weights = hermite(36, k)
    draws = [model.objective_and_grad(params, x, node.reshape(k, 1, 1)) for node in nodes]
    value = weights @ [draw[0] for draw in draws]
    return value, {key: np.tensordot(weights, [draw[1][key] for draw in draws], 1) for key in params}


def assert_same_expectation(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-11)
    for key, grad in one[1].items():
        np.testing.assert_allclose(other[1][key], grad, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_both_splits_and_sticking_the_landing_agree_in_expectation(posterior, prior):
    options = {"posterior": posterior, "prior": prior}
    analytic = one_latent(options | {"kl": "analytic"})
    assert_same_expectation(analytic, one_latent(options | {"kl": "sampled"}))
    sticking = {"kl": "sampled", "gradient": "sticking-the-landing"}
    assert_same_expectation(analytic, one_latent(options | sticking))


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_dreg_agrees_with_pathwise_in_expectation(posterior):
    options = {"posterior": posterior, "prior": "learned", "objective": "iwae"}
    assert_same_expectation(one_latent(options, k=2), one_latent(options | {"gradient": "dreg"}, k=2))


def test_iwae_of_one_sample_is_the_sampled_elbo():
    assert_same_expectation(one_latent({"objective": "iwae"}), one_latent({"kl": "sampled"}))


def test_iwae_grows_with_k_and_stays_below_the_evidence():
    rng = np.random.default_rng(1)
    values = [one_latent({"objective": "iwae"}, k)[0] for k in (1, 2)]
    model = VAE(3, 1, (2,), objective="iwae")
    params = {key: value + 0.25 * rng.standard_normal(value.shape) for key, value in model.init(rng).items()}
    x = rng.random((1, 3)).round()
    nodes, weights = hermite(60)
    p = model.decode(params, nodes)
    evidence = np.log(weights @ (p**x * (1 - p) ** (1 - x)).prod(-1))
    assert values[0] < values[1] < evidence
    log_w = model.log_weights(params, x, nodes[:, None])[:, 0]
    assert np.log(weights @ np.exp(log_w)) == pytest.approx(evidence, rel=1e-8)
