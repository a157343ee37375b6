"""VAE-GAN: each player's gradient against differences, what it may not touch, and xu/54's discriminator."""

import itertools
import json

import numpy as np
import pytest
from scipy import special, stats

import vbref
from vbref.models import VAEGAN
from vbref.nn.gradcheck import check_gradient

OPTIONS = [
    {"loss": loss, "fakes": fakes, "feature_layer": layer} | likelihood
    for loss, fakes, layer, likelihood in itertools.product(
        ("non-saturating", "saturating"),
        ("both", "prior"),
        (1, 2),
        ({"likelihood": "bernoulli"}, {"likelihood": "gaussian", "scale": "per-pixel", "sigma": 0.7}),
    )
]
PLAYERS = {
    "critic": ("critic_objective", "critic."),
    "encoder": ("objective", "encoder."),
    "decoder": ("decoder_objective", "decoder."),
    "likelihood": ("likelihood_objective", "likelihood."),
}


def name(options):
    return "-".join(map(str, options.values()))


def setting(options, k=2, seed=0):
    """A small model away from its initial values, with x and noise."""
    rng = np.random.default_rng(seed)
    model = VAEGAN(4, 2, (3,), (5, 4), gamma=0.6, feature_scale=0.8, **options)
    params = {
        key: np.asarray(value + 0.3 * rng.standard_normal(value.shape))
        for key, value in model.init(rng).items()
    }
    return model, params, rng.random((3, 4)).round(), model.draw_noise(rng, 3, k)


@pytest.mark.parametrize("options", [*OPTIONS, OPTIONS[0] | {"activation": "relu"}], ids=name)
def test_every_player_s_gradient_by_central_differences(options):
    model, params, x, noise = setting(options)
    for player in model.players:
        objective = getattr(model, PLAYERS[player.name][0])
        value, grads = player.objective_and_grad(params, x, noise)
        assert value == objective(params, x, noise)
        assert list(grads) == list(model.shapes())
        own = player.own(params)
        check_gradient(lambda p, f=objective: f(params | p, x, noise), player.own(grads), own)
        assert all((grads[key] == 0).all() for key in params.keys() - own.keys())


@pytest.mark.parametrize("options", OPTIONS[:4], ids=name)
def test_players_share_the_parameters_out(options):
    model, params, *_ = setting(options)
    owned = [set(player.own(params)) for player in model.players]
    assert set.union(*owned) == set(params)
    assert sum(map(len, owned)) == len(params)


def test_the_encoder_does_not_see_the_gan_nor_the_critic_the_reconstruction():
    """T reaches neither through the head; γ, which weighs the reconstruction, moves no critic."""
    model, params, x, noise = setting(OPTIONS[0])
    other = {key: value + key.startswith("critic.head") for key, value in params.items()}
    one, two = (model.objective_and_grad(p, x, noise)[1] for p in (params, other))
    assert all((one[key] == two[key]).all() for key in params)
    heavy = VAEGAN(**model.config | {"gamma": 50.0})
    one, two = (m.critic_objective_and_grad(params, x, noise)[1] for m in (model, heavy))
    assert all((one[key] == two[key]).all() for key in params)
    one, two = (m.decoder_objective_and_grad(params, x, noise)[1] for m in (model, heavy))
    assert not np.allclose(one["decoder.0.bias"], two["decoder.0.bias"])


def net(params, prefix, x, last=False):
    layers = sorted(key for key in params if key.startswith(prefix) and key.endswith("weight"))
    for i, key in enumerate(layers):
        x = x @ params[key] + params[key.replace("weight", "bias")]
        x = np.tanh(x) if last or i + 1 < len(layers) else x
    return x


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_values_from_scipy(options):
    model, params, x, noise = setting(options)
    bernoulli, both = options["likelihood"] == "bernoulli", options["fakes"] == "both"
    loc, log_var = np.split(net(params, "encoder", x), 2, axis=-1)
    q = stats.norm(loc, np.exp(log_var / 2))
    z = loc + np.exp(log_var / 2) * noise[..., :2]
    rec, made = (net(params, "decoder", v) for v in (z, noise[..., 2:]))
    out = rec
    if bernoulli:
        rec, made = special.expit(rec), special.expit(made)
    features = [net(params, "critic.trunk", v, last=True) for v in (x, rec, made)]
    t, t_rec, t_made = (net(params, "critic.head", f)[..., 0] for f in features)
    log_f = stats.norm.logpdf(features[0], features[1], 0.8).sum(-1)
    kl = vbref.kl.diag_normal(loc, np.exp(log_var / 2), np.zeros((3, 2)), np.ones((3, 2)))
    assert model.objective(params, x, noise) == pytest.approx((log_f.mean(0) - kl).sum(), rel=1e-11)
    d, d_rec, d_made = map(special.expit, (t, t_rec, t_made))
    score = np.log(d) + np.log(1 - d_made).mean(0) + both * np.log(1 - d_rec).mean(0)
    assert model.critic_objective(params, x, noise) == pytest.approx(score.sum(), rel=1e-11)
    fooled = np.log if options["loss"] == "non-saturating" else (lambda v: -np.log(1 - v))
    value = 0.6 * log_f + fooled(d_made) + both * fooled(d_rec)
    assert model.decoder_objective(params, x, noise) == pytest.approx(value.mean(0).sum(), rel=1e-11)
    if bernoulli:
        log_lik = stats.bernoulli.logpmf(x, rec).sum(-1)
    else:
        log_lik = stats.norm.logpdf(x, out, np.exp(params["likelihood.log_var"] / 2)).sum(-1)
    log_w = log_lik + stats.norm.logpdf(z).sum(-1) - q.logpdf(z).sum(-1)
    np.testing.assert_allclose(model.log_weights(params, x, noise), log_w, rtol=1e-11)
    assert model.likelihood_objective(params, x, noise) == pytest.approx(log_lik.mean(0).sum(), rel=1e-11)


def test_a_blind_generator_has_a_slope_by_one_loss_alone():
    """Where D(x') is e^−30, −log(1 − D) has nearly no slope, and log D a slope of one."""
    slopes = {}
    for loss in ("non-saturating", "saturating"):
        model, params, x, noise = setting({"loss": loss, "fakes": "prior"})
        params["critic.head.1.bias"] = np.array([-30.0])
        no_reconstruction = VAEGAN(**model.config | {"gamma": 0.0})
        grads = no_reconstruction.decoder_objective_and_grad(params, x, noise)[1]
        slopes[loss] = max(abs(grads[key]).max() for key in grads)
    assert slopes["saturating"] < 1e-11
    assert slopes["non-saturating"] > 0.1


# -- the misprints --


def feature_distance(model, params, x, noise):
    real = model.discriminate(params, x)[0]
    made = model.discriminate(params, model.decode(params, model.encode(params, x)[0]))[0]
    return float(((real - made) ** 2).sum())


def test_the_printed_sign_of_xu_28_drives_reconstructions_away():
    """Minimising −d, as its second line says, is climbing the reconstruction term backwards."""
    model, params, x, noise = setting({})
    model = VAEGAN(**model.config | {"gamma": 1.0})
    blind = params | {key: np.zeros_like(v) for key, v in params.items() if key.startswith("critic.head")}
    before = feature_distance(model, blind, x, noise)
    after = {}
    for sign in (1, -1):
        moved = {key: value.copy() for key, value in blind.items()}
        for _ in range(50):
            grads = model.decoder_objective_and_grad(moved, x, noise)[1]
            moved = {key: value + sign * 0.02 * grads[key] for key, value in moved.items()}
        after[sign] = feature_distance(model, moved, x, noise)
    assert after[1] < 0.9 * before < 1.1 * before < after[-1]


def test_a_discriminator_that_learns_from_the_reconstruction_makes_all_features_alike():
    """xu/U2: then ½‖f(x) − f(x̃)‖² falls by blinding f, and x and its neighbours look the same too."""
    model, params, x, _ = setting({})
    rec = model.decode(params, model.encode(params, x)[0])
    both = np.concatenate([x, rec])

    def spread(params):
        f = model.discriminate(params, both)[0]
        return f.var(axis=0).sum(), ((f[:3] - f[3:]) ** 2).sum()

    trained = {key: value.copy() for key, value in params.items()}
    for _ in range(2000):
        f, t, saved = model.critic.forward(trained, both)
        r = f[:3] - f[3:]
        grads = model.critic.backward(np.concatenate([-r, r]), np.zeros_like(t), saved)[1]
        for key, grad in grads.items():
            trained[key] += 0.05 * grad
    assert spread(trained)[1] < 0.02 * spread(params)[1]
    assert spread(trained)[0] < 0.3 * spread(params)[0]


# -- the discriminator of xu/54 --


class OnlyCritic:
    """A VAE-GAN of which the discriminator alone learns."""

    def __init__(self, **options):
        self.model = VAEGAN(1, 1, (), (16, 16), likelihood="gaussian", **options)
        self.players = self.model.players[:1]
        self.init, self.draw_noise = self.model.init, self.model.draw_noise


@pytest.mark.parametrize("fakes", ["prior", "both"])
def test_the_best_discriminator_is_known(fakes):
    """x ~ ½N(−1, 0.5²) + ½N(1, 0.5²); x' = 0.8 z' + 0.3; x̃ = 0.8 z + 0.3 with q's z ~ N(x/2 + 0.2, 0.6²)."""
    game, rng = OnlyCritic(fakes=fakes), np.random.default_rng(0)
    params = game.init(rng)
    params |= {"decoder.0.weight": np.array([[0.8]]), "decoder.0.bias": np.array([0.3])}
    params |= {"encoder.0.weight": np.array([[0.5, 0.0]]), "encoder.0.bias": np.array([0.2, 2 * np.log(0.6)])}
    x = (rng.choice([-1.0, 1.0], 8000) + 0.5 * rng.standard_normal(8000))[:, None]
    fitted, _ = vbref.fit(
        game,
        x,
        epochs=40,
        batch_size=200,
        rng=rng,
        params=params,
        learning_rate=5e-3,
        k=4,
        schedule=lambda epoch: 0.92**epoch,
    )
    grid = np.linspace(-2, 2, 41)
    real = (stats.norm.pdf(grid, -1, 0.5) + stats.norm.pdf(grid, 1, 0.5)) / 2
    made = stats.norm.pdf(grid, 0.3, 0.8)
    for sign in (-1, 1) if fakes == "both" else ():
        loc = 0.8 * (sign / 2 + 0.2) + 0.3
        made = made + stats.norm.pdf(grid, loc, np.hypot(0.8 * 0.6, 0.4 * 0.5)) / 2
    d = special.expit(game.model.discriminate(fitted, grid[:, None])[1])
    best = real / (real + made)
    weight = (real + made) / (real + made).sum()
    assert abs(d - best).max() < 0.09
    assert (weight * abs(d - best)).sum() < 0.02
    assert best.max() - best.min() > 0.4


# -- the door --


def test_config_survives_json():
    model, params, x, noise = setting(OPTIONS[-1])
    again = VAEGAN(**json.loads(json.dumps(model.config)))
    assert again.objective(params, x, noise) == model.objective(params, x, noise)


@pytest.mark.parametrize("options", OPTIONS[:2], ids=name)
def test_an_observation_is_the_mean_and_its_own_noise(options):
    model, params, _, noise = setting(options)
    z, own = noise[..., :2], np.random.default_rng(1).random((2, 3, 4))
    mean, x = model.decode(params, z), model.sample(params, z, own)
    np.testing.assert_array_equal(model.sample(params, z), mean)
    if options["likelihood"] == "bernoulli":
        assert (x == (own < mean)).all()
    else:
        np.testing.assert_allclose(x, mean + np.exp(params["likelihood.log_var"] / 2) * own, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_samples(dtype):
    model = VAEGAN(4, 2, (3,), (5,), dtype=dtype, scale="learned")
    rng = np.random.default_rng(0)
    params, x = model.init(rng), rng.random((3, 4)).astype(dtype)
    noise = model.draw_noise(rng, 3, 2)
    for player in model.players:
        grads = player.objective_and_grad(params, x, noise)[1]
        assert {grad.dtype.name for grad in grads.values()} == {dtype}
    assert model.sample(params, noise[0][:, :2]).dtype == dtype
    assert model.log_weights(params, x, noise).dtype == dtype


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"loss": "wasserstein"}, "loss must be one of"),
        ({"fakes": "all"}, "fakes must be one of"),
        ({"feature_layer": 2}, "feature_layer must be <= 1, was 2"),
        ({"feature_layer": 0}, "feature_layer must be an integer >= 1"),
        ({"gamma": -1.0}, "gamma must be a finite number >= 0"),
        ({"feature_scale": 0.0}, "feature_scale must be a finite number > 0"),
        ({"scale": "head"}, "scale must not be 'head'"),
    ],
)
def test_bad_options(bad, message):
    with pytest.raises(ValueError, match=message):
        VAEGAN(4, 2, (3,), (5,), **bad)
