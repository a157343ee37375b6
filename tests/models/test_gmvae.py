"""GMVAE: gradients, the identities of xu/42, and bounds against evidence on a grid of x and w."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from vbref import evaluate, fit
from vbref.models import GMVAE
from vbref.models.mixture_prior import MixturePrior
from vbref.nn import check_gradient
from vbref.nn.optim import Adam

WAYS = list(itertools.product(("exact", "decoupled"), ("uniform", "learned"), (0.0, 0.5)))
PARTS = {"stats": (3, 4), "mean": (2,), "var": (2,)}
FULL = ("reconstruction", "conditional prior", "w prior", "z prior")


def setting(data_dim=4, latent_dim=2, components=3, w_dim=1, k=3, seed=0, spread=0.4, **options):
    """A small model away from its initial values, with y and noise."""
    rng = np.random.default_rng(seed)
    model = GMVAE(
        data_dim, latent_dim, components, w_dim=w_dim, **{"hidden": (3,), "prior_hidden": (2,)} | options
    )
    params = {
        name: np.asarray(value + spread * rng.standard_normal(value.shape))
        for name, value in model.init(rng).items()
    }
    y = rng.random((3, data_dim))
    y = y.round() if model.config["likelihood"] == "bernoulli" else y
    return model, params, y, model.draw_noise(rng, 3, k)


def tiny(**options):
    """x and w in one dimension, two clusters."""
    return setting(latent_dim=1, components=2, prior_hidden=(3,), **options)


def net(params, prefix, x):
    hidden = np.tanh(x @ params[f"{prefix}.0.weight"] + params[f"{prefix}.0.bias"])
    return hidden @ params[f"{prefix}.1.weight"] + params[f"{prefix}.1.bias"]


def components_by_scipy(model, params, x, w):
    """log π_k + log N(x; μ_k(w), σ_k²(w)), (…, K), by the docstring's layout and SciPy's density."""
    stats_k = net(params, "prior", w).reshape(*w.shape[:-1], model.components, -1)
    loc, log_var = np.split(stats_k, 2, axis=-1)
    logits = params.get("prior.logits", np.zeros(model.components))
    log_pi = logits - logsumexp(logits)
    return stats.norm.logpdf(x[..., None, :], loc, np.exp(log_var / 2)).sum(axis=-1) + log_pi


def grid_log_joint(model, params, y, span=9.0, count=241):
    """log p(y, x, w) on a grid (x, w, N) for a tiny world, and the log area of a cell."""
    axis, step = np.linspace(-span, span, count, retstep=True)
    x, w = (each[..., None] for each in np.meshgrid(axis, axis, indexing="ij"))
    log_prior = logsumexp(components_by_scipy(model, params, x, w), axis=-1)
    log_prior += stats.norm.logpdf(w[..., 0])
    p = 1 / (1 + np.exp(-net(params, "decoder", axis[:, None])))
    log_lik = stats.bernoulli.logpmf(y, p[:, None]).sum(axis=-1)[:, None]
    return log_lik + log_prior[..., None], 2 * np.log(step), (x[..., 0], w[..., 0])


def normal_rule(axis, mass):
    """Noise (nodes², 3, 2) and weights of a rule for two standard normals."""
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 1, 2)
    return np.tile(grid, (1, 3, 1)), np.outer(mass, mass).ravel()


def fine_rule():
    """The trapezoidal rule, right for any smooth function of the noise."""
    axis, step = np.linspace(-13, 13, 261, retstep=True)
    return normal_rule(axis, stats.norm.pdf(axis) * step)


@pytest.mark.parametrize(("form", "weights", "floor"), WAYS)
def test_every_gradient_by_central_differences(form, weights, floor):
    model, params, y, noise = setting(form=form, weights=weights, min_information=floor)
    value, grads = model.objective_and_grad(params, y, noise)
    assert value == model.objective(params, y, noise)
    assert list(grads) == list(model.shapes())
    check_gradient(lambda p: model.objective(p, y, noise), grads, params)


def test_gradients_with_a_gaussian_likelihood_and_more_of_w():
    model, params, y, noise = setting(w_dim=2, likelihood="gaussian", scale="learned", prior_hidden=())
    grads = model.objective_and_grad(params, y, noise)[1]
    check_gradient(lambda p: model.objective(p, y, noise), grads, params)


def test_the_conditional_prior_does_not_move_the_decoder():
    """With a silent decoder only the prior's terms are left: its weights get exactly nothing from them."""
    model, params, y, noise = setting()
    silent = params | {name: np.zeros_like(params[name]) for name in params if name.startswith("decoder.1")}
    grads = model.objective_and_grad(silent, y, noise)[1]
    assert not grads["decoder.0.weight"].any()
    assert grads["prior.0.weight"].any()


def test_terms_by_scipy():
    model, params, y, noise = setting(weights="learned")
    found = model.terms(params, y, noise)
    loc, scale = model.encode(params, y)
    loc_w, scale_w = model.encode_w(params, y)
    x, w = loc + scale * noise[..., :2], loc_w + scale_w * noise[..., 2:]
    s = components_by_scipy(model, params, x, w)
    r = np.exp(s - logsumexp(s, axis=-1, keepdims=True))
    log_pi = params["prior.logits"] - logsumexp(params["prior.logits"])
    entropy = stats.norm(loc, scale).entropy().sum(axis=-1)
    np.testing.assert_allclose(
        found["conditional prior"], (r * (s - log_pi)).sum(axis=-1).mean(axis=0) + entropy, rtol=1e-11
    )
    np.testing.assert_allclose(
        found["z prior"], -stats.entropy(r, np.exp(log_pi), axis=-1).mean(axis=0), rtol=1e-11
    )
    np.testing.assert_allclose(
        found["w prior"], ((np.log(scale_w**2) + 1 - scale_w**2 - loc_w**2) / 2).sum(axis=-1), rtol=1e-11
    )
    np.testing.assert_allclose(sum(found[name] for name in FULL), found["elbo"], rtol=1e-12)
    assert found["elbo"].sum() == pytest.approx(model.objective(params, y, noise), rel=1e-12)
    np.testing.assert_allclose(found["gap"], found["elbo"] - found["decoupled"], atol=1e-12)
    np.testing.assert_allclose(model.responsibilities(params, y, noise), r.mean(axis=0), rtol=1e-11)
    np.testing.assert_array_equal(model.cluster(params, y, noise), r.mean(axis=0).argmax(axis=-1))
    by_hand = 1 / (1 + np.exp(-net(params, "decoder", x)))
    np.testing.assert_allclose(model.decode(params, x), by_hand, rtol=1e-12)


def test_the_decoupled_term_by_normal_kls():
    """xu/42's last line, Σ_k r_k KL(q(x | y) ‖ p(x | w, k)), by `vbref.kl`."""
    from vbref import kl

    model, params, y, noise = setting(form="decoupled")
    loc, scale = model.encode(params, y)
    loc_w, scale_w = model.encode_w(params, y)
    w = loc_w + scale_w * noise[..., 2:]
    loc_k, log_var_k = np.split(net(params, "prior", w).reshape(*w.shape[:-1], 3, 4), 2, axis=-1)
    divergence = kl.diag_normal(loc[:, None], scale[:, None], loc_k, np.exp(log_var_k / 2))
    s = components_by_scipy(model, params, loc + scale * noise[..., :2], w)
    r = np.exp(s - logsumexp(s, axis=-1, keepdims=True))
    found = model.terms(params, y, noise)
    expected = -(r * divergence).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(found["decoupled conditional prior"], expected, rtol=1e-10)
    assert found["decoupled"].sum() == pytest.approx(model.objective(params, y, noise), rel=1e-12)


def test_the_weights_average_to_the_evidence_of_the_grid():
    model, params, y, _ = tiny(weights="learned")
    log_joint, cell, _ = grid_log_joint(model, params, y)
    exact = logsumexp(log_joint + cell, axis=(0, 1))
    nodes, mass = fine_rule()
    averaged = mass @ np.exp(model.log_weights(params, y, nodes) - exact)
    np.testing.assert_allclose(averaged, 1, atol=1e-6)
    noise = model.draw_noise(np.random.default_rng(0), 3, 20_000)
    weights = np.exp(model.log_weights(params, y, noise) - exact)
    z = (weights.mean(axis=0) - 1) / (weights.std(axis=0) / np.sqrt(len(noise)))
    assert abs(z).max() < 4


def test_the_elbo_is_the_evidence_less_the_kl_to_the_posterior_of_the_grid():
    model, params, y, _ = tiny()
    log_joint, cell, (x, w) = grid_log_joint(model, params, y)
    exact = logsumexp(log_joint + cell, axis=(0, 1))
    (loc, scale), (loc_w, scale_w) = model.encode(params, y), model.encode_w(params, y)
    log_q = stats.norm.logpdf(x[..., None], loc[:, 0], scale[:, 0])
    log_q = log_q + stats.norm.logpdf(w[..., None], loc_w[:, 0], scale_w[:, 0])
    kl = (np.exp(log_q + cell) * (log_q - log_joint + exact)).sum()
    nodes, mass = fine_rule()
    assert (mass @ model.log_weights(params, y, nodes)).sum() == pytest.approx(exact.sum() - kl, abs=1e-6)
    assert kl > 0.1


def test_entropies_in_closed_form_leave_the_mean_as_it_is():
    """The objective and Σ log w differ by quadratics in the noise, which the rule integrates exactly."""
    model, params, y, _ = tiny()
    axis, mass = np.polynomial.hermite_e.hermegauss(8)
    nodes, mass = normal_rule(axis, mass / mass.sum())
    mean = mass @ [model.objective(params, y, each[None]) for each in nodes]
    assert mean == pytest.approx((mass @ model.log_weights(params, y, nodes)).sum(), rel=1e-12)


def trained(model, params, y, steps=600, owns=("",), seed=0):
    """Ascend the objective by the parameters owned; the rest stay."""
    rng, optimizer = np.random.default_rng(seed), Adam(1e-2)
    own = {name: value.copy() for name, value in params.items() if name.startswith(owns)}
    slots = optimizer.init(own)
    for _ in range(steps):
        grads = model.objective_and_grad(params | own, y, model.draw_noise(rng, len(y), 8))[1]
        optimizer.step(own, {name: grads[name] for name in own}, slots, direction="ascend")
    return params | own


def test_the_fitted_bound_and_what_the_printed_form_does_to_it():
    """Encoders alone, on a true model whose log p(y) the grid knows: exact, close; as printed, farther."""
    gaps = {}
    for form in ("exact", "decoupled"):
        model, params, y, _ = tiny(form=form, spread=0.8, seed=3)
        log_joint, cell, _ = grid_log_joint(model, params, y)
        exact = logsumexp(log_joint + cell, axis=(0, 1)).sum()
        params = trained(model, params, y, owns=("encoder", "w_encoder"))
        noise = model.draw_noise(np.random.default_rng(9), 3, 4000)
        gaps[form] = exact - model.terms(params, y, noise)["elbo"].sum()
        printed = model.terms(params, y, noise)["decoupled"].sum()
        assert printed < exact - gaps[form]
    assert 0 <= gaps["exact"] < 0.5
    assert gaps["decoupled"] > gaps["exact"] + 0.02


def test_min_information_takes_from_the_bound_what_is_missing():
    model, params, y, noise = setting()
    floored = GMVAE(**model.config | {"min_information": 5.0})
    kl_z = -model.terms(params, y, noise[:1])["z prior"]
    taken = model.objective(params, y, noise[:1]) - floored.objective(params, y, noise[:1])
    assert taken == pytest.approx((5.0 - kl_z).sum(), rel=1e-12)


def test_samples_choose_their_cluster_as_often_as_its_weight():
    model, params, _, _ = setting(weights="learned", w_dim=1, latent_dim=1, hidden=())
    params["prior.logits"] = np.log([0.2, 0.5, 0.3])
    eps = np.random.default_rng(0).standard_normal((20_000, 1))
    z, left = model.prior.draw_component(params, eps)
    counts = np.bincount(z, minlength=3)
    assert stats.chisquare(counts, len(z) * np.array([0.2, 0.5, 0.3])).pvalue > 1e-3
    assert all(stats.kstest(left[z == k, 0], "norm").pvalue > 1e-3 for k in range(3))
    noise = np.random.default_rng(1).standard_normal((5, 2))
    assert model.sample(params, noise).shape == (5, 4)
    with pytest.raises(ValueError, match="component must be integers"):
        model.sample(params, noise, component=3)


def test_a_draw_of_the_prior_rises_with_its_noise():
    """With one component nothing is taken from ε; then x is its mean and standard deviations away."""
    prior = MixturePrior(latent_dim=2, w_dim=1, components=1)
    rng = np.random.default_rng(0)
    params = prior.init(rng)
    w, eps = rng.standard_normal((4, 1)), rng.standard_normal((4, 2))
    _, left = prior.draw_component(params, eps)
    np.testing.assert_allclose(left, eps, rtol=1e-12)
    loc, log_var = np.split(prior.forward(params, w)[0][:, 0], 2, axis=-1)
    expected = stats.norm(loc, np.exp(log_var / 2)).ppf(stats.norm.cdf(eps))
    np.testing.assert_allclose(prior.sample(params, w, eps, component=0), expected, rtol=1e-10)


def test_components_are_drawn_by_number_also_at_the_ends_of_the_noise():
    prior = MixturePrior(latent_dim=2, w_dim=1, components=3)
    params = prior.init(np.random.default_rng(0))
    means = np.arange(6.0).reshape(3, 2)
    params["prior.0.weight"][:] = 0
    params["prior.0.bias"] = prior.packed(means, np.full((3, 2), -1400.0))
    far = np.array([[-40.0, 0.0], [0.0, 0.0], [40.0, 0.0]])
    z, left = prior.draw_component(params, far)
    np.testing.assert_array_equal(z, [0, 1, 2])
    assert np.isfinite(left).all()
    # Each place within its interval is uniform again: 0.4 of a third of Φ = ⅓ + 0.4/3.
    middle = np.array([[stats.norm.ppf((1 + 0.4) / 3), 0.3]])
    np.testing.assert_allclose(
        prior.draw_component(params, middle)[1], [[stats.norm.ppf(0.4), 0.3]], rtol=1e-12
    )
    near = np.array([[stats.norm.ppf((1 + 1e-6) / 3), 0.3]])
    np.testing.assert_allclose(prior.draw_component(params, near)[1][0, 0], stats.norm.ppf(1e-6), rtol=1e-9)
    statistics, saved = prior.forward(params, np.zeros((4, 1)))
    assert prior.backward(np.ones_like(statistics), saved)[0].shape == (4, 1)
    for component in range(3):
        drawn = prior.sample(params, np.zeros((1, 1)), far[1:2], component)
        np.testing.assert_allclose(drawn, means[component : component + 1], rtol=1e-14)


def test_a_component_of_no_weight_is_never_drawn():
    prior = MixturePrior(latent_dim=1, w_dim=1, components=3, learned=True)
    far = np.array([[-40.0], [0.0], [9.0], [40.0]])
    for logits, drawn in (([0.0, 0.0, -1000.0], [0, 1, 1, 1]), ([-1000.0, 0.0, 0.0], [1, 2, 2, 2])):
        z, left = prior.draw_component({"prior.logits": np.array(logits)}, far)
        np.testing.assert_array_equal(z, drawn)
        assert np.isfinite(left).all()


def test_weights_that_add_up_to_less_than_one_in_float32_leave_the_tail_alone():
    prior = MixturePrior(latent_dim=1, w_dim=1, components=3, learned=True)
    for seed in range(20):
        logits = np.random.default_rng(seed).standard_normal(3).astype(np.float32)
        z, left = prior.draw_component({"prior.logits": logits}, np.array([[5.0]], np.float32))
        p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
        assert z == 2
        assert left.item() == pytest.approx(-stats.norm.ppf(stats.norm.sf(5.0) / p[2]), rel=1e-6)


def test_the_prior_it_samples_is_the_prior_it_scores():
    """Moments of x drawn through an identity decoder against those of the grid."""
    model, params, _, _ = setting(data_dim=1, latent_dim=1, components=2, likelihood="gaussian", hidden=())
    params |= {"decoder.0.weight": np.ones((1, 1)), "decoder.0.bias": np.zeros(1)}
    axis, step = np.linspace(-12, 12, 601, retstep=True)
    x, w = (each[..., None] for each in np.meshgrid(axis, axis, indexing="ij"))
    density = np.exp(logsumexp(components_by_scipy(model, params, x, w), axis=-1))
    density *= stats.norm.pdf(w[..., 0]) * step**2
    drawn = model.sample(params, model.draw_noise(np.random.default_rng(0), 20_000)[0])[:, 0]
    for power in (1, 2):
        expected = (density * x[..., 0] ** power).sum()
        error = (drawn**power).std() / np.sqrt(len(drawn))
        assert abs((drawn**power).mean() - expected) < 4 * error


def clustered(n=150, seed=0):
    """Binary rows of three kinds, with their kinds."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, n)
    means = np.array([[0.9] * 4 + [0.1] * 8, [0.1] * 4 + [0.9] * 4 + [0.1] * 4, [0.1] * 8 + [0.9] * 4])
    return (rng.random((n, 12)) < means[kinds]).astype(np.float64), kinds


def test_clusters_that_are_there_are_found():
    y, kinds = clustered()
    model = GMVAE(12, 2, 3, w_dim=1, hidden=(16,), prior_hidden=(4,))
    settings = {"epochs": 60, "batch_size": 25, "learning_rate": 1e-2}
    params, _ = fit(model, y, rng=np.random.default_rng(1), **settings)
    r = model.responsibilities(params, y, model.draw_noise(np.random.default_rng(0), len(y), 20))
    named = evaluate.clustering.exemplar_labels(r, kinds)
    assert evaluate.clustering.clustering_accuracy(r, kinds, named) > 0.85


def test_training_is_free_of_nan_and_repeats():
    y, _ = clustered(40)
    y = y.astype(np.float32)
    settings = {"epochs": 6, "batch_size": 10, "learning_rate": 2e-2}
    for seed in range(20):
        model = GMVAE(12, 2, 3, w_dim=1, hidden=(8,), prior_hidden=(4,), dtype="float32")
        params, history = fit(model, y, rng=np.random.default_rng(seed), **settings)
        assert np.isfinite(history["train"]).all()
    again, _ = fit(model, y, rng=np.random.default_rng(seed), **settings)
    assert all(np.array_equal(again[name], params[name]) for name in params)


def test_config_and_dtype():
    model, params, y, noise = setting()
    assert GMVAE(**json.loads(json.dumps(model.config))).config == model.config
    narrow = GMVAE(**model.config | {"dtype": "float32"})
    params32 = {name: value.astype("f4") for name, value in params.items()}
    value, grads = narrow.objective_and_grad(params32, y.astype("f4"), noise.astype("f4"))
    assert value == pytest.approx(model.objective(params, y, noise), rel=1e-4)
    assert {grad.dtype for grad in grads.values()} == {np.dtype("f4")}
    assert narrow.sample(params32, noise[0].astype("f4")).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components"),
        ({"w_dim": 0}, "w_dim"),
        ({"weights": "free"}, "weights must be one of"),
        ({"form": "printed"}, "form must be one of"),
        ({"min_information": -1.0}, "min_information must be a finite number >= 0"),
        ({"likelihood": "poisson"}, "likelihood must be one of"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GMVAE(**{"data_dim": 4, "latent_dim": 2, "components": 3} | options)


@pytest.mark.parametrize("batch", [(), (2,), (2, 4, 3)])
def test_backward_of_the_components_normals_for_any_leading_axes(batch):
    rng = np.random.default_rng(0)
    prior = MixturePrior(latent_dim=2, w_dim=1, components=3)
    point = {name: rng.random((*batch, *shape)) for name, shape in PARTS.items()}
    d = rng.standard_normal((*batch, 3))
    grads = prior.log_normals_backward(d, prior.log_normals(**point)[1])
    check_gradient(
        lambda p: (d * prior.log_normals(**p)[0]).sum(), dict(zip(PARTS, grads, strict=True)), point
    )
