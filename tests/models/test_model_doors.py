"""What every model refuses at its door, each by the name of the argument."""

import numpy as np
import pytest

from vbref.models import AVB, GMVAE, VAE, VAEGAN, EnergyPriorVAE, LinearGaussian, StickBreakingVAE

KINDS = {
    "VAE": (VAE, (4, 2, (3,)), {}),
    "LinearGaussian": (LinearGaussian, (4, 2), {}),
    "GMVAE": (GMVAE, (4, 2, 3), {}),
    "StickBreakingVAE": (StickBreakingVAE, (4, 3), {}),
    "AVB": (AVB, (4, 2, (3,)), {}),
    "VAEGAN": (VAEGAN, (4, 2, (3,)), {"likelihood": "bernoulli"}),
    "EnergyPriorVAE": (EnergyPriorVAE, (4, 2, (3,)), {}),
}
X = np.random.default_rng(1).random((5, 4)).round()
METHODS = ("objective", "objective_and_grad", "log_weights", "critic_objective", "critic_logits", "terms")
OF_ROWS = ("encode", "moments", "log_evidence", "fit_exact", "grid_posterior", "encode_w")


@pytest.fixture(params=KINDS)
def world(request):
    kind, arguments, options = KINDS[request.param]
    model = kind(*arguments, **options)
    return model, model.init(0), model.draw_noise(0, 5, 2)


def refused(function, *arguments, match):
    with pytest.raises(ValueError, match=match):
        function(*arguments)


def test_rows_and_noise_that_do_not_fit(world):
    model, params, noise = world
    for name in METHODS:
        if not hasattr(model, name) or (isinstance(model, AVB) and name == "log_weights"):
            continue
        method = getattr(model, name)
        for x in (X[0], X[:, :3], X[:, :1]):
            refused(method, params, x, noise, match="x must have shape")
        refused(method, params, X[:0], noise[:, :0], match="x must have at least one row")
        if isinstance(model, LinearGaussian):
            continue  # it knows its bound without noise, and every x has a density
        refused(method, params, X + 3, noise, match=r"x must be in \[0, 1\]")
        for bad in (noise[0], noise[:, :1], noise[..., :1]):
            refused(method, params, X, bad, match="noise must have shape")
        refused(method, params, X, noise[:0], match="noise must have K >= 1")


def test_rows_that_do_not_fit_where_there_is_no_noise(world):
    model, params, _ = world
    for name in OF_ROWS:
        if hasattr(model, name):
            given = () if name == "fit_exact" else (params,)
            refused(getattr(model, name), *given, X[0], match="x must have shape")
            refused(getattr(model, name), *given, X[:, :3], match="x must have shape")
            refused(getattr(model, name), *given, X[:0], match="x must have at least one row")
    if hasattr(model, "log_evidence") and not isinstance(model, LinearGaussian):
        refused(model.log_evidence, params, X + 3, match=r"x must be in \[0, 1\]")


def test_sizes_and_words_that_there_are_not(world):
    model, params, noise = world
    for sizes in ((0,), (2, 0), (2.0,)):
        refused(model.draw_noise, 0, *sizes, match="must be an integer >= 1")
    wide = np.concatenate([noise[0], noise[0]], axis=-1)
    refused(model.sample, params, wide, match="noise must have shape")
    if hasattr(model, "decode"):
        refused(model.decode, params, np.ones((2, 9)), match="must have shape")
    if hasattr(model, "discriminate"):
        refused(model.discriminate, params, X[:, :3], match="x must have shape")
    if hasattr(model, "sample_pieces"):
        refused(model.sample_pieces, params, wide, match="noise must have shape")
    if hasattr(model, "negatives"):
        refused(model.negatives, params, wide, match="noise must have shape")
    kind, (_, *others), options = KINDS[type(model).__name__]
    with pytest.raises(ValueError, match="data_dim must be an integer >= 1, was 0"):
        kind(0, *others, **options)
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float64', was 'float16'"):
        kind(4, *others, **options | {"dtype": "float16"})


def test_a_linear_gaussian_s_proposal_and_steps():
    model = LinearGaussian(4, 2)
    params = model.init(0)
    mean, cov = model.posterior(params, X)
    for bad in (mean[0], mean[:1]):
        refused(model.elbo, params, X, bad, cov, match="q_mean must have shape")
    for bad in (cov[0], np.stack([cov] * 3)):
        refused(model.elbo, params, X, mean, bad, match="q_cov must have shape")
    with pytest.raises(ValueError, match="iterations must be an integer >= 1, was 0"):
        model.fit_em(X, params, iterations=0)


def test_words_and_sizes_of_one_model_alone():
    with pytest.raises(
        ValueError, match="kl must be one of 'auto', 'exact', 'series', 'sampled', was 'none'"
    ):
        StickBreakingVAE(4, 3, kl="none")
    with pytest.raises(ValueError, match="rows must be an integer >= 1, was 0"):
        VAE(4, 2, inference="per-point", rows=0)
    with pytest.raises(ValueError, match="prior must be one of"):
        VAE(4, 2, prior="flat")
