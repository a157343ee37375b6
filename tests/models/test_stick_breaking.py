"""Stick-breaking VAE: gradients, and bounds against evidence by quadrature in worlds of few fractions."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_expit, logsumexp

from vbref import fit
from vbref.dist import kumaraswamy
from vbref.models import StickBreakingVAE
from vbref.nn import check_gradient
from vbref.nn.optim import Adam

WAYS = [
    {"posterior": "kumaraswamy", "kl": "exact"},
    {"posterior": "kumaraswamy", "kl": "series"},
    {"posterior": "kumaraswamy", "kl": "sampled"},
    {"posterior": "gauss-logit"},
    {"posterior": "gamma"},
]
EVERY = pytest.mark.parametrize("options", WAYS, ids=lambda options: "-".join(options.values()))
POSTERIORS = pytest.mark.parametrize("posterior", ["kumaraswamy", "gauss-logit", "gamma"])


def setting(k=2, sticks=4, seed=0, **options):
    """A small model away from its initial values, with x and noise."""
    rng = np.random.default_rng(seed)
    model = StickBreakingVAE(4, sticks, (3,), **options)
    params = {
        name: np.asarray(value + 0.4 * rng.standard_normal(value.shape))
        for name, value in model.init(rng).items()
    }
    return model, params, rng.random((3, 4)).round(), model.draw_noise(rng, 3, k)


def test_a_learned_concentration_starts_where_it_is_said_to():
    params = StickBreakingVAE(4, 3, concentration=2.5, learn_concentration=True).init(
        np.random.default_rng(0)
    )
    (start,) = (value for name, value in params.items() if "concentration" in name)
    assert np.exp(start) == pytest.approx(2.5, rel=1e-15)


def rule(count, dims=1):
    """Nodes (count^dims, dims) in (0, 1) and log weights: the trapezoidal rule in the logit."""
    t, step = np.linspace(-84, 36, count, retstep=True)
    nodes = np.stack(np.meshgrid(*[expit(t)] * dims, indexing="ij"), -1).reshape(-1, dims)
    mass = log_expit(t) + log_expit(-t) + np.log(step)
    return nodes, np.sum(np.meshgrid(*[mass] * dims, indexing="ij"), axis=0).ravel()


def log_joint(model, params, x, alpha, v):
    """log p(v, x) (nodes, N): SciPy's prior and likelihood, pieces by hand, the model's decoder."""
    left = np.concatenate([np.ones((len(v), 1)), np.cumprod(1 - v, axis=1)], axis=1)
    pieces = np.concatenate([v, np.ones((len(v), 1))], axis=1) * left
    log_lik = stats.bernoulli.logpmf(x, model.decode(params, pieces)[:, None]).sum(axis=-1)
    return log_lik + stats.beta(1, alpha).logpdf(v).sum(axis=-1)[:, None]


def evidence(model, params, x, alpha):
    """log p(x) (N,) by quadrature over v ~ Beta(1, α)."""
    v, mass = rule(320, model.sticks - 1)
    return logsumexp(log_joint(model, params, x, alpha, v) + mass[:, None], axis=0)


def widened(model, params):
    """q wider than the posterior, so that no mass of it lies where 1 − u is below rounding."""
    statistics = {"gauss-logit": (0.2, 2.4), "gamma": (-0.6, -0.6)}.get(
        model.config["posterior"], (-0.4, 0.3)
    )
    bias = np.repeat(statistics, model.sticks - 1)
    return params | {"encoder.1.bias": bias, "encoder.1.weight": 0.3 * params["encoder.1.weight"]}


@EVERY
def test_every_gradient_by_central_differences(options):
    model, params, x, noise = setting(concentration=2.5, learn_concentration=True, **options)
    value, grads = model.objective_and_grad(params, x, noise)
    assert value == model.objective(params, x, noise)
    assert {name: grad.shape for name, grad in grads.items()} == model.shapes()
    check_gradient(lambda p: model.objective(p, x, noise), grads, params)


@POSTERIORS
@pytest.mark.parametrize(("alpha", "sticks"), [(0.7, 2), (3.0, 2), (3.0, 3)])
def test_weights_integrate_to_the_evidence(posterior, alpha, sticks):
    """∫ w(u) du = p(x) whatever q is."""
    model, params, x, _ = setting(sticks=sticks, posterior=posterior, concentration=alpha)
    if model.noise_dim > 2:
        pytest.skip("two uniforms a fraction: a grid of four dimensions")
    params = widened(model, params)
    nodes, log_mass = rule(320, model.noise_dim)
    log_w = model.log_weights(params, x, np.tile(nodes[:, None], (1, 3, 1)))
    found = logsumexp(log_w + log_mass[:, None], axis=0)
    # the gamma composition's density has a kink, where the rule is of low order
    atol = {"kumaraswamy": 1e-6, "gauss-logit": 5e-6, "gamma": 3e-4}[posterior]
    np.testing.assert_allclose(found, evidence(model, params, x, alpha), atol=atol)


def test_the_bound_is_the_evidence_less_the_kl_to_the_posterior():
    """Both forms of the ELBO have one mean, by quadrature over u, and fall short of log p(x) by a KL."""
    nodes, log_mass = rule(400)
    found = {}
    for kl in ("exact", "sampled"):
        model, params, x, _ = setting(sticks=2, concentration=3.0, kl=kl)
        params = widened(model, params)
        each = [model.objective(params, x, np.full((1, 3, 1), node)) for node in nodes.ravel()]
        found[kl] = np.exp(log_mass) @ each
    truth = evidence(model, params, x, 3.0)
    a, b = model.posterior.shapes(model.encode(params, x)[1])
    log_q = kumaraswamy.log_prob(nodes, a[:, 0], b[:, 0])
    log_posterior = log_joint(model, params, x, 3.0, nodes) - truth
    kl = (np.exp(log_q + log_mass[:, None]) * (log_q - log_posterior)).sum()
    assert found["exact"] == pytest.approx(truth.sum() - kl, abs=1e-6)
    assert found["sampled"] == pytest.approx(truth.sum() - kl, abs=1e-6)
    assert kl > 0.1


def test_what_the_series_of_the_literature_does_to_the_bound():
    """Cut after ten terms, for α₀ = 5, the "bound" exceeds the evidence that the exact form stays below."""
    model, params, x, _ = setting(sticks=2, concentration=5.0, kl="series")
    params = {name: np.zeros_like(value) for name, value in params.items()}
    params["encoder.1.bias"] = np.log([1.0, 5.0])  # Kumaraswamy(1, 5) is the prior, and π does not matter
    noise = model.draw_noise(np.random.default_rng(0), 3, 1)
    exact = StickBreakingVAE(**model.config | {"kl": "exact"})
    truth = evidence(model, params, x, 5.0).sum()
    assert exact.objective(params, x, noise) == pytest.approx(truth, abs=1e-9)
    missing = model.series_error(params, x)
    assert model.objective(params, x, noise) - truth == pytest.approx(-missing.sum(), abs=1e-9)
    assert missing.max() < 0
    model, params, x, noise = setting(sticks=4, concentration=5.0, kl="series")
    exact = StickBreakingVAE(**model.config | {"kl": "exact"})
    gained = model.objective(params, x, noise) - exact.objective(params, x, noise)
    assert gained == pytest.approx(-model.series_error(params, x).sum(), rel=1e-10)


def test_moments_of_the_prior():
    """GEM(α): E π_k = q^(k−1)/(1 + α), q = α/(1 + α); E π_k² = 2 r^(k−1)/((1 + α)(2 + α)), r = α/(2 + α)."""
    alpha, k = 2.5, np.arange(3)
    model = StickBreakingVAE(4, 4, (), likelihood="gaussian", concentration=alpha)
    params = model.init(np.random.default_rng(0))
    params |= {"decoder.0.weight": np.eye(4), "decoder.0.bias": np.zeros(4)}
    pieces = model.sample(params, model.draw_noise(np.random.default_rng(1), 40_000)[0])
    np.testing.assert_allclose(pieces.sum(axis=1), 1, rtol=1e-13)
    first, second = (alpha / (1 + alpha)) ** k / (1 + alpha), (alpha / (2 + alpha)) ** k
    second *= 2 / ((1 + alpha) * (2 + alpha))
    for power, expected in ((1, first), (2, second)):
        drawn = pieces[:, :3] ** power
        z = (drawn.mean(axis=0) - expected) / (drawn.std(axis=0) / np.sqrt(len(drawn)))
        assert abs(z).max() < 4
    last = pieces[:, 3]
    z = (last.mean() - model.prior_unused_mass(params)) / (last.std() / np.sqrt(len(last)))
    assert abs(z) < 4


@POSTERIORS
def test_prior_draws_are_broken_by_one_uniform_a_fraction(posterior):
    """1 − v = u^(1/α₀) of the first uniforms, also where the posterior takes two."""
    model, params, _, noise = setting(posterior=posterior, concentration=2.5)
    left = np.cumprod(noise[..., :3] ** (1 / 2.5), axis=-1)
    edges = np.concatenate([np.ones((2, 3, 1)), left, np.zeros((2, 3, 1))], axis=-1)
    np.testing.assert_allclose(model.sample_pieces(params, noise), -np.diff(edges), rtol=1e-12)


@POSTERIORS
def test_the_fitted_bound_comes_close_to_the_true_evidence(posterior):
    """One fraction, a decoder held fixed: only q is fitted, and its bound is compared with quadrature."""
    model, params, x, _ = setting(sticks=2, posterior=posterior, concentration=2.0)
    truth, rng = evidence(model, params, x, 2.0), np.random.default_rng(0)
    own = {name: value for name, value in params.items() if name.startswith("encoder")}
    optimizer = Adam(2e-2)
    slots = optimizer.init(own)
    for _ in range(400):
        grads = model.objective_and_grad(params, x, model.draw_noise(rng, 3, 10))[1]
        optimizer.step(own, {name: grads[name] for name in own}, slots, direction="ascend")
        params |= own
    log_w = model.log_weights(params, x, model.draw_noise(rng, 3, 20_000))
    gap = truth - log_w.mean(axis=0)
    error = log_w.std(axis=0) / np.sqrt(len(log_w))
    assert (gap > -4 * error).all()
    assert gap.max() < {"gamma": 0.2}.get(posterior, 0.03)


def test_a_learned_concentration_finds_the_truth():
    """With q = Beta(1, 2.5), the ELBO's gradient by log α₀ vanishes where the prior is that too."""
    model = StickBreakingVAE(4, 3, (3,), learn_concentration=True, concentration=4.0)
    params = {name: np.zeros_like(value) for name, value in model.init(np.random.default_rng(0)).items()}
    params["encoder.1.bias"] = np.log([1.0, 1.0, 2.5, 2.5])
    noise = model.draw_noise(np.random.default_rng(0), 2, 1)
    x = np.ones((2, 4))

    def slope(alpha):
        at = params | {"prior.log_concentration": np.array(np.log(alpha))}
        return model.objective_and_grad(at, x, noise)[1]["prior.log_concentration"]

    assert slope(2.0) > 0.1
    assert slope(2.5) == pytest.approx(0, abs=1e-12)
    assert slope(3.0) < -0.1


def test_the_unused_mass_is_the_last_piece():
    model, params, x, noise = setting()
    h = model.encode(params, x)[1]
    (_, log_rest, _), _ = model.posterior.sample(h, noise)
    np.testing.assert_allclose(model.unused_mass(params, x, noise), np.exp(log_rest.sum(axis=-1)))
    assert model.prior_unused_mass(params) == 0.5**3


def test_training_is_free_of_nan_and_repeats():
    x = (np.random.default_rng(0).random((40, 6)) < 0.3).astype(np.float32)
    for seed in range(20):
        posterior = ("kumaraswamy", "gauss-logit", "gamma")[seed % 3]
        model = StickBreakingVAE(6, 5, (8,), posterior=posterior, concentration=3.0, dtype="float32")
        settings = {"epochs": 8, "batch_size": 10, "learning_rate": 2e-2}
        params, history = fit(model, x, rng=np.random.default_rng(seed), **settings)
        assert np.isfinite(history["train"]).all()
    again, _ = fit(model, x, rng=np.random.default_rng(seed), **settings)
    assert all(np.array_equal(again[name], params[name]) for name in params)


def test_config_samples_and_dtype():
    model, params, x, noise = setting()
    assert StickBreakingVAE(**json.loads(json.dumps(model.config))).config == model.config
    narrow = StickBreakingVAE(**model.config | {"dtype": "float32"})
    params32 = {name: value.astype(np.float32) for name, value in params.items()}
    value, grads = narrow.objective_and_grad(params32, x.astype("f4"), noise.astype("f4"))
    assert value == pytest.approx(model.objective(params, x, noise), rel=1e-4)
    assert {grad.dtype for grad in grads.values()} == {np.dtype("f4")}
    own = np.random.default_rng(0).random((2, 3, 4))
    drawn = model.sample(params, noise, own)
    assert (drawn == (own < model.sample(params, noise))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sticks": 1}, "sticks must be >= 2"),
        ({"posterior": "beta"}, "posterior must be one of"),
        ({"posterior": "gamma", "kl": "exact"}, "must go with posterior='kumaraswamy'"),
        ({"concentration": 0.0}, "concentration must be a finite number > 0"),
        ({"sigma": 2.0}, "sigma"),
        ({"terms": 0}, "terms"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        StickBreakingVAE(**{"data_dim": 4, "sticks": 3} | options)


def test_encode_gives_the_pieces_of_the_medians():
    model, params, x, _ = setting()
    pieces, h = model.encode(params, x)
    a, b = np.exp(np.split(h, 2, axis=-1))
    v = (1 - 0.5 ** (1 / b)) ** (1 / a)
    np.testing.assert_allclose(pieces[:, 0], v[:, 0], rtol=1e-12)
    np.testing.assert_allclose(pieces[:, 1], v[:, 1] * (1 - v[:, 0]), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_is_inside_even_where_rounding_would_put_it_on_the_edge(dtype):
    class Extremes(np.random.Generator):
        def random(self, shape):
            return np.tile([0.0, 1 - 2.0**-53], (*shape[:-1], shape[-1] // 2))

    model = StickBreakingVAE(4, 3, (3,), dtype=dtype)
    noise = model.draw_noise(Extremes(np.random.PCG64()), 2)
    assert ((noise > 0) & (noise < 1)).all()
    params = model.init(np.random.default_rng(0))
    assert np.isfinite(model.log_weights(params, np.ones((2, 4), dtype), noise)).all()


def test_bad_noise_and_bad_calls_are_named():
    model, params, x, noise = setting()
    with pytest.raises(ValueError, match="noise must be strictly between 0 and 1"):
        model.objective(params, x, np.zeros_like(noise))
    with pytest.raises(ValueError, match="noise"):
        model.objective(params, x, noise[..., :1])
    params["encoder.1.bias"][:] = 800
    with pytest.raises(ValueError, match="params must stay within"):
        model.objective(params, x, noise)
    other, params, x, _ = setting(posterior="gamma")
    with pytest.raises(ValueError, match="posterior must be 'kumaraswamy'"):
        other.series_error(params, x)
