"""VAE: values against SciPy's densities, gradients against central differences, bounds on an exact model."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from vbref.models import VAE
from vbref.nn.gradcheck import check_gradient

LIKELIHOODS = [{"likelihood": "bernoulli"}] + [
    {"likelihood": "gaussian", "scale": scale, "sigma": 0.7}
    for scale in ("fixed", "learned", "per-pixel", "head")
]
BOUNDS = [{"kl": "analytic"}, {"kl": "sampled"}, {"objective": "iwae"}]
INFERENCES = [{}, {"inference": "per-point", "rows": 3}]
OPTIONS = [
    likelihood | {"prior": prior, "posterior": posterior} | bound | inference
    for likelihood, prior, posterior, bound, inference in itertools.product(
        LIKELIHOODS, ("standard", "learned"), ("diagonal", "full"), BOUNDS, INFERENCES
    )
]


def name(options):
    return "-".join(map(str, options.values()))


def setting(options, k=3, seed=0):
    """A small model away from its initial values, with x and noise."""
    rng = np.random.default_rng(seed)
    model = VAE(4, 2, (3,), **options)
    params = {key: value + 0.3 * rng.standard_normal(value.shape) for key, value in model.init(rng).items()}
    return (
        model,
        {key: np.asarray(value) for key, value in params.items()},
        rng.random((3, 4)).round(),
        model.draw_noise(rng, 3, k),
    )


def tanh_net(params, prefix, x):
    hidden = np.tanh(x @ params[f"{prefix}.0.weight"] + params[f"{prefix}.0.bias"])
    return hidden @ params[f"{prefix}.1.weight"] + params[f"{prefix}.1.bias"]


def log_joint_and_q(options, params, x, noise):
    """(log p(x, z) − log q(z), log p(x | z), q) of one row and one noise, by SciPy."""
    if "inference" in options:
        row, x = x
        h = np.concatenate([params[key][row] for key in params if key.startswith("posterior")])
    else:
        h = tanh_net(params, "encoder", x)
    if options["posterior"] == "full":
        L = np.array([[np.exp(h[2]), 0.0], [h[3], np.exp(h[4])]])
    else:
        L = np.diag(np.exp(h[2:] / 2))
    q = stats.multivariate_normal(h[:2], L @ L.T)
    z = h[:2] + L @ noise
    out = tanh_net(params, "decoder", z)
    if options["likelihood"] == "bernoulli":
        log_lik = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-out))).sum()
    else:
        log_var = params.get("likelihood.log_var", out[4:] if options["scale"] == "head" else 2 * np.log(0.7))
        log_lik = stats.norm.logpdf(x, out[:4], np.exp(log_var / 2)).sum()
    loc, log_var = params.get("prior.loc", np.zeros(2)), params.get("prior.log_var", np.zeros(2))
    prior = stats.multivariate_normal(loc, np.diag(np.exp(log_var)))
    return log_lik + prior.logpdf(z) - q.logpdf(z), log_lik, (q, prior)


def dense_kl(q, p):
    """KL of two SciPy normals by ½[tr(P⁻¹Q) + dᵀP⁻¹d − D − log|P⁻¹Q|]."""
    ratio = np.linalg.solve(p.cov, q.cov)
    d = q.mean - p.mean
    return (np.trace(ratio) + d @ np.linalg.solve(p.cov, d) - len(d) - np.linalg.slogdet(ratio)[1]) / 2


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_values_from_scipy(options):
    model, params, x, noise = setting(options)
    rows = list(enumerate(x)) if "inference" in options else list(x)
    cells = [[log_joint_and_q(options, params, row, eps[i]) for i, row in enumerate(rows)] for eps in noise]
    log_w = np.array([[cell[0] for cell in row] for row in cells])
    log_lik = np.array([[cell[1] for cell in row] for row in cells])
    np.testing.assert_allclose(model.log_weights(params, x, noise), log_w, rtol=1e-11)
    if options.get("objective") == "iwae":
        expected = np.log(np.exp(log_w).mean(0)).sum()
    elif options["kl"] == "sampled":
        expected = log_w.mean(0).sum()
    else:
        expected = log_lik.mean(0).sum() - sum(dense_kl(*cell[2]) for cell in cells[0])
    assert model.objective(params, x, noise) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_every_gradient_by_central_differences(options):
    model, params, x, noise = setting(options)
    value, grads = model.objective_and_grad(params, x, noise)
    assert value == model.objective(params, x, noise)
    assert list(grads) == list(model.shapes())
    assert {key: grad.shape for key, grad in grads.items()} == model.shapes()
    check_gradient(lambda p: model.objective(p, x, noise), grads, params)


@pytest.mark.parametrize("activation", ["relu", "softplus", "sigmoid"])
def test_other_activations(activation):
    model, params, x, noise = setting({"activation": activation})
    grads = model.objective_and_grad(params, x, noise)[1]
    check_gradient(lambda p: model.objective(p, x, noise), grads, params)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_per_point_touches_only_its_rows(posterior):
    model = VAE(4, 2, (3,), inference="per-point", rows=6, posterior=posterior)
    rng = np.random.default_rng(0)
    params = {key: value + rng.standard_normal(value.shape) for key, value in model.init(rng).items()}
    x, noise, index = rng.random((3, 4)).round(), model.draw_noise(rng, 3), np.array([4, 1, 4])
    grads = model.objective_and_grad(params, x, noise, index=index)[1]
    check_gradient(lambda p: model.objective(p, x, noise, index=index), grads, params)
    for key in (key for key in grads if key.startswith("posterior")):
        assert set(np.flatnonzero(grads[key].any(axis=1))) == {1, 4}


def test_batches_of_a_partition_sum_to_the_whole():
    model, params, x, noise = setting({"inference": "per-point", "rows": 3})
    whole, grads = model.objective_and_grad(params, x, noise)
    parts = [model.objective_and_grad(params, x[[i]], noise[:, [i]], index=np.array([i])) for i in range(3)]
    assert sum(value for value, _ in parts) == pytest.approx(whole, rel=1e-13)
    for key, grad in grads.items():
        np.testing.assert_allclose(sum(part[key] for _, part in parts), grad, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_float32_stays(options):
    model, params, x, noise = setting(options)
    small = VAE(**model.config | {"dtype": "float32"})
    params32 = {key: value.astype(np.float32) for key, value in params.items()}
    x32, noise32 = x.astype(np.float32), noise.astype(np.float32)
    value, grads = small.objective_and_grad(params32, x32, noise32)
    arrays = [*grads.values(), *small.init(np.random.default_rng(0)).values(), *small.encode(params32, x32)]
    arrays += [small.log_weights(params32, x32, noise32), small.sample(params32, noise32)]
    arrays += [small.draw_noise(np.random.default_rng(0), 2), small.sample(params32, noise32[0], x32)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    wide_value, wide = model.objective_and_grad(params, x, noise)
    assert value == pytest.approx(wide_value, rel=1e-5)
    for key, grad in wide.items():
        np.testing.assert_allclose(grads[key], grad, rtol=1e-3, atol=2e-5)


def test_config_rebuilds_the_model():
    model, params, x, noise = setting(LIKELIHOODS[2] | {"posterior": "full", "prior": "learned"})
    again = VAE(**json.loads(json.dumps(model.config)))
    assert again.config == model.config
    assert json.dumps(VAE(np.int64(3), 2, (np.int64(4),)).config) == json.dumps(VAE(3, 2, (4,)).config)
    assert again.objective(params, x, noise) == model.objective(params, x, noise)


def test_init_is_the_same_draw_in_both_dtypes():
    wide, narrow = (VAE(4, 2, dtype=dtype).init(np.random.default_rng(3)) for dtype in ("float64", "float32"))
    assert all((narrow[key] == value.astype(np.float32)).all() for key, value in wide.items())


def test_decode_and_sample():
    rng = np.random.default_rng(0)
    model, params, _, _ = setting({"prior": "learned"})
    noise = rng.standard_normal((200_000, 2))
    mean = model.sample(params, noise)
    z = params["prior.loc"] + np.exp(params["prior.log_var"] / 2) * noise
    np.testing.assert_allclose(mean, 1 / (1 + np.exp(-tanh_net(params, "decoder", z))), rtol=1e-12)
    np.testing.assert_array_equal(mean, model.decode(params, z))
    own = model.sample(params, noise, rng.random(mean.shape))
    assert set(np.unique(own)) == {0.0, 1.0}
    z_score = (own - mean).mean(0) / np.sqrt((mean * (1 - mean)).sum(0)) * len(mean)
    assert abs(z_score).max() < 4.5


def test_observation_noise_leaves_the_prior_draw_as_it_was():
    rng = np.random.default_rng(2)
    model = VAE(3, 2, (4,), likelihood="gaussian", sigma=0.7, scale="fixed")
    params, noise, own = model.init(rng), rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    want = model.sample(params, noise) + 0.7 * own
    np.testing.assert_allclose(model.sample(params, noise, own), want, rtol=1e-13)


X, MODEL = np.zeros((2, 3)), VAE(3, 2, (4,))
PARAMS, EPS = MODEL.init(np.random.default_rng(0)), np.zeros((1, 2, 2))
POINTS = VAE(3, 2, (), inference="per-point", rows=5)
TABLES = POINTS.init(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VAE(3, 0), "latent_dim must be"),
        (lambda: VAE(3, 2, (4, 0)), r"hidden\[1\] must be"),
        (lambda: VAE(3, 2, 4), "hidden must be a sequence"),
        (lambda: VAE(3, 2, likelihood="poisson"), "likelihood must be one of"),
        (lambda: VAE(3, 2, likelihood="gaussian", scale="big"), "scale must be one of"),
        (lambda: VAE(3, 2, likelihood="gaussian", sigma=0.0), "sigma must be"),
        (lambda: VAE(3, 2, sigma=0.5), "scale and sigma must be left alone"),
        (lambda: VAE(3, 2, activation="gelu"), "activation must be one of"),
        (lambda: VAE(3, 2, inference="per-point"), "rows must be given"),
        (lambda: VAE(3, 2, rows=3), "rows must be given"),
        (lambda: VAE(3, 2, gradient="dreg"), "gradient='dreg' must"),
        (lambda: VAE(3, 2, gradient="sticking-the-landing"), "gradient='sticking-the-landing' must"),
        (lambda: VAE(3, 2, gradient="sticking-the-landing", objective="iwae"), "sticking-the-landing' must"),
        (lambda: MODEL.objective(PARAMS, X + 2, EPS), r"x must be in \[0, 1\]"),
        (lambda: MODEL.objective(PARAMS, X[:, :2], EPS), "x must have shape"),
        (lambda: MODEL.objective(PARAMS, X[:0], EPS), "at least one row"),
        (lambda: MODEL.objective(PARAMS, X.astype("f4"), EPS), "share one dtype"),
        (lambda: MODEL.objective(PARAMS, X.astype(int), EPS), "x must be float32 or float64"),
        (lambda: MODEL.objective(PARAMS, X * np.nan, EPS), "x must be finite"),
        (lambda: MODEL.objective(PARAMS, X, EPS[:0]), "K >= 1"),
        (lambda: MODEL.objective(PARAMS, X, EPS[0]), "noise must have shape"),
        (lambda: MODEL.objective(PARAMS | {"mean": X}, X, EPS), r"unknown \['mean'\]"),
        (lambda: MODEL.objective({}, X, EPS), "missing"),
        (lambda: MODEL.objective(None, X, EPS), "params must be a dict of arrays, was NoneType"),
        (lambda: MODEL.objective(PARAMS | {"decoder.0.bias": X}, X, EPS), "decoder.0.bias must have shape"),
        (
            lambda: MODEL.objective(PARAMS | {"encoder.1.bias": np.full(4, 1500.0)}, X, EPS),
            "params must stay",
        ),
        (lambda: MODEL.decode(PARAMS, X), r"z must have shape \(..., 2\)"),
        (lambda: MODEL.sample(PARAMS, X), r"noise must have shape \(..., 2\)"),
        (lambda: MODEL.sample(PARAMS, EPS, X), "observation_noise must have shape"),
        (lambda: MODEL.draw_noise(np.random.default_rng(0), 0), "n must be"),
        (lambda: POINTS.objective(TABLES, X, EPS), "index must be 2 integers"),
        (lambda: POINTS.objective(TABLES, X, EPS, index=[0, 5]), r"index must be in \[0, 5\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
