"""AVB: each player's gradient against differences, values against SciPy, critics whose optimum is known."""

import itertools
import json

import numpy as np
import pytest
from scipy import special, stats

import vbref
from vbref.models import AVB, critic
from vbref.models.avb import _standardised_nodes
from vbref.nn.gradcheck import check_gradient

OPTIONS = [
    {"contrast": contrast, "saddle": saddle} | likelihood
    for contrast, saddle, likelihood in itertools.product(
        (None, "adaptive"),
        ("logistic", "f-divergence"),
        ({"likelihood": "bernoulli"}, {"likelihood": "gaussian", "scale": "per-pixel", "sigma": 0.7}),
    )
]
OURS = ("encoder.", "decoder.", "likelihood.")


def name(options):
    return "-".join(map(str, options.values()))


def setting(options, k=3, seed=0):
    """A small model away from its initial values, with x and noise."""
    rng = np.random.default_rng(seed)
    model = AVB(4, 2, (3,), noise_dim=3, critic_hidden=(5, 4), **options)
    params = {
        key: np.asarray(value + 0.3 * rng.standard_normal(value.shape))
        for key, value in model.init(rng).items()
    }
    return model, params, rng.random((3, 4)).round(), model.draw_noise(rng, 3, k)


def split(params, own):
    return {key: value for key, value in params.items() if key.startswith(own)}


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_the_model_s_gradient_by_central_differences(options):
    model, params, x, noise = setting(options)
    held = model.moments(params, x) if options["contrast"] else None
    value, grads = model.objective_and_grad(params, x, noise, moments=held)
    assert value == model.objective(params, x, noise, moments=held) == model.objective(params, x, noise)
    own, rest = split(params, OURS), split(params, ("critic.",))
    check_gradient(lambda p: model.objective(p | rest, x, noise, moments=held), split(grads, OURS), own)
    assert list(grads) == list(model.shapes())
    assert all((grads[key] == 0).all() for key in rest)
    again = model.objective_and_grad(params, x, noise)[1]
    assert all((again[key] == grads[key]).all() for key in grads)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_the_critic_s_gradient_by_central_differences(options):
    model, params, x, noise = setting(options)
    value, grads = model.critic_objective_and_grad(params, x, noise)
    assert value == model.critic_objective(params, x, noise)
    critic, train = model.players
    assert (critic.name, train.name) == ("critic", "train")
    assert train.objective_and_grad(params, x, noise)[0] == model.objective(params, x, noise)
    own, rest = split(params, ("critic.",)), split(params, OURS)
    check_gradient(lambda p: model.critic_objective(p | rest, x, noise), split(grads, ("critic.",)), own)
    assert all((grads[key] == 0).all() for key in rest)


def test_the_fixed_draws_are_sixteen_in_pairs_of_variance_one():
    nodes = np.sort(_standardised_nodes(3), axis=0)
    assert nodes.shape == (16, 3)
    np.testing.assert_array_equal(nodes, -nodes[::-1])
    np.testing.assert_allclose((nodes * nodes).mean(axis=0), 1, rtol=1e-14)


def test_held_moments_are_not_differentiated():
    """Were r differentiated with q, the slope by the encoder would be another."""
    model, params, x, noise = setting(OPTIONS[-1])
    grads = split(model.objective_and_grad(params, x, noise)[1], ("encoder.",))
    own = split(params, ("encoder.",))
    with pytest.raises(AssertionError, match="relative error"):
        check_gradient(lambda p: model.objective(params | p, x, noise), grads, own)


def net(params, prefix, x):
    layers = sorted(key for key in params if key.startswith(prefix) and key.endswith("weight"))
    for i, key in enumerate(layers):
        x = x @ params[key] + params[key.replace("weight", "bias")]
        x = np.tanh(x) if i + 1 < len(layers) else x
    return x


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_values_from_scipy(options):
    model, params, x, noise = setting(options, k=2)
    eps, other = noise[..., :3], noise[..., 3:]
    xs = np.broadcast_to(x, (2, *x.shape))
    z = net(params, "encoder", np.concatenate([xs, eps], -1))
    np.testing.assert_allclose(model.draw(params, x, eps), z, rtol=1e-13)
    out = net(params, "decoder", z)
    if options["likelihood"] == "bernoulli":
        value = stats.bernoulli.logpmf(x, special.expit(out)).sum(-1)
    else:
        value = stats.norm.logpdf(x, out, np.exp(params["likelihood.log_var"] / 2)).sum(-1)
    u = z
    if options["contrast"]:
        loc, scale = model.moments(params, x)
        u = (z - loc) / scale
        value = value + stats.norm.logpdf(z).sum(-1) - stats.norm.logpdf(z, loc, scale).sum(-1)
    t_q, t_p = (net(params, "critic", np.concatenate([xs, v], -1))[..., 0] for v in (u, other))
    value = value - t_q
    if options["saddle"] == "f-divergence":
        value = value + np.exp(t_p - 1)
        score = t_q - np.exp(t_p - 1)
    else:
        score = np.log(special.expit(t_q)) + np.log(special.expit(-t_p))
    assert model.objective(params, x, noise) == pytest.approx(value.mean(0).sum(), rel=1e-12)
    assert model.critic_objective(params, x, noise) == pytest.approx(score.mean(0).sum(), rel=1e-12)


# -- critics whose optimum is known --

Q, P = np.array([[6, 3, 1, 2], [1, 1, 9, 1]]) / 12, np.array([3, 3, 3, 3]) / 12


def ascend(objective, steps=4000, rate=2.0):
    """A table T(x, z), raised by its own slope under q and p."""
    t = np.zeros(Q.shape)
    for _ in range(steps):
        _, d_q, d_p = objective(t, t)
        t = t + rate * (Q * d_q + P * d_p)
    return t


@pytest.mark.parametrize(("saddle", "shift"), [("logistic", 0), ("f-divergence", 1)])
def test_a_table_critic_finds_the_log_ratio(saddle, shift):
    t = ascend(critic.OBJECTIVES[saddle], rate=2.0 if shift == 0 else 0.5)
    np.testing.assert_allclose(t - shift, np.log(Q / P), atol=1e-9)


def test_the_f_divergence_is_the_kl_at_its_top_and_below_elsewhere():
    kl = (Q * np.log(Q / P)).sum(-1)

    def value(t):
        at, _, _ = critic.f_divergence(t, t)
        weight = np.exp(t - 1)
        np.testing.assert_allclose(at, t - weight, rtol=1e-12)
        return (Q * t - P * weight).sum(-1)

    np.testing.assert_allclose(value(np.log(Q / P) + 1), kl, rtol=1e-12)
    rng = np.random.default_rng(0)
    assert all((value(rng.normal(size=Q.shape)) < kl).all() for _ in range(100))


def test_the_printed_saddle_of_xu_53_learns_no_ratio():
    """min over T of −E_q log σ(T) + E_p log(1 − σ(T)): no minimum, and as T grows it forgets q."""

    def printed(t_q, t_p):
        return None, special.expit(-t_q), special.expit(t_p)

    few, many = ascend(printed, steps=400), ascend(printed, steps=800)
    assert few.min() > 50
    np.testing.assert_allclose((many - few) / (2.0 * 400), np.broadcast_to(P, Q.shape), rtol=1e-12)


def test_the_logistic_objective_is_no_kl_at_its_top():
    """Put inside the ELBO, as xu/53b does, its maximum is 2 JS − log 4 where a KL is due."""
    t = np.log(Q / P)
    value = (Q * np.log(special.expit(t)) + P * np.log(special.expit(-t))).sum(-1)
    middle = (Q + P) / 2
    js = (Q * np.log(Q / middle) + P * np.log(P / middle)).sum(-1)
    np.testing.assert_allclose(value, js - np.log(4), rtol=1e-12)
    assert ((Q * np.log(Q / P)).sum(-1) - value > np.log(4)).all()


class OnlyCritic:
    """AVB with its model held: a linear encoder, so that q is normal and T* a quadratic."""

    def __init__(self, **options):
        self.avb = AVB(1, 1, (), noise_dim=1, critic_hidden=(24, 24), likelihood="gaussian", **options)
        self.players = self.avb.players[:1]
        self.init, self.draw_noise = self.avb.init, self.avb.draw_noise


def gaussian_world(**options):
    game = OnlyCritic(**options)
    rng = np.random.default_rng(0)
    params = game.init(rng)
    params["encoder.0.weight"] = np.array([[0.6], [0.7]])
    params["encoder.0.bias"] = np.array([0.2])
    x = rng.choice([-1.0, 1.0], size=(2000, 1))
    kept, _ = vbref.fit(
        game,
        x,
        epochs=60,
        batch_size=250,
        rng=rng,
        params=params,
        learning_rate=3e-3,
        k=4,
        schedule=lambda epoch: 0.96**epoch,
    )
    return game.avb, kept


@pytest.mark.parametrize(("saddle", "shift", "atol"), [("logistic", 0, 0.12), ("f-divergence", 1, 0.25)])
def test_between_gaussians_the_critic_is_the_known_quadratic(saddle, shift, atol):
    model, params = gaussian_world(saddle=saddle)
    for x in (-1.0, 1.0):
        loc, var = 0.6 * x + 0.2, 0.49
        z = np.random.default_rng(1).normal(loc, np.sqrt(var), 4000)
        inputs = np.column_stack([np.full_like(z, x), z])
        t = model.critic.apply(params, inputs)[:, 0] - shift
        found = np.polynomial.polynomial.polyfit(z, t, 2)
        true = [-np.log(var) / 2 - loc**2 / (2 * var), loc / var, (1 - 1 / var) / 2]
        np.testing.assert_allclose(found, true, atol=atol)
        kl = vbref.kl.normal(loc, np.sqrt(var), 0.0, 1.0)
        assert t.mean() == pytest.approx(kl, abs=0.03)


def test_adaptive_contrast_has_nothing_to_learn_where_q_is_normal():
    """T* = 0 then, and the objective is the ELBO with no critic at all."""
    x = np.random.default_rng(1).random((3, 4)).round()
    linear = AVB(4, 2, (), noise_dim=2, critic_hidden=(3,), contrast="adaptive")
    rng = np.random.default_rng(0)
    params = linear.init(rng)
    params |= {key: np.zeros_like(value) for key, value in params.items() if key.startswith("critic")}
    params["encoder.0.weight"][4:] = np.diag([0.8, 0.5])
    noise = linear.draw_noise(rng, 3, 40000)
    loc, scale = linear.moments(params, x)
    np.testing.assert_allclose(scale, np.broadcast_to([0.8, 0.5], (3, 2)), rtol=1e-5)
    kl = vbref.kl.diag_normal(loc, scale, np.zeros_like(loc), np.ones_like(loc)).sum()
    plain = AVB(4, 2, (), noise_dim=2, critic_hidden=(3,))
    fit_term = plain.objective(params, x, noise)
    assert linear.objective(params, x, noise) - fit_term == pytest.approx(-kl, abs=0.02)


# -- the door --


def test_a_posterior_without_spread_has_the_floor_s():
    model, params, x, noise = setting({"contrast": "adaptive"})
    params["encoder.0.weight"][4:] = 0
    loc, scale = model.moments(params, x)
    np.testing.assert_allclose(scale, 1e-3, rtol=1e-9)
    assert np.isfinite(loc).all()
    assert np.isfinite(model.objective(params, x, noise))


def test_there_are_no_log_weights():
    model, params, x, noise = setting(OPTIONS[0])
    with pytest.raises(NotImplementedError, match="has no density"):
        model.log_weights(params, x, noise)


def test_config_and_players():
    model, params, x, noise = setting(OPTIONS[-1])
    again = AVB(**json.loads(json.dumps(model.config)))
    assert again.objective(params, x, noise) == model.objective(params, x, noise)
    owned = [set(player.own(params)) for player in model.players]
    assert set.union(*owned) == set(params)
    assert not set.intersection(*owned)


def test_the_critic_has_its_steps():
    critic_player, model_player = AVB(4, 2, (3,), critic_steps=5).players
    assert (critic_player.name, critic_player.steps, model_player.steps) == ("critic", 5, 1)


def test_the_ratio_is_what_the_critic_reads():
    """In the adaptive contrast that is u = (z − m)/s, not z."""
    model, params, x, noise = setting(OPTIONS[-1])
    xs = np.broadcast_to(x, (3, *x.shape))
    loc, scale = model.moments(params, x)
    u = (model.draw(params, x, noise[..., :3]) - loc) / scale
    for found, at in zip(model.ratio(params, x, noise), (u, noise[..., 3:]), strict=True):
        np.testing.assert_allclose(
            found, net(params, "critic", np.concatenate([xs, at], -1))[..., 0], rtol=1e-12
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_samples(dtype):
    model = AVB(4, 2, (3,), dtype=dtype, contrast="adaptive")
    rng = np.random.default_rng(0)
    params, x = model.init(rng), rng.random((3, 4)).round().astype(dtype)
    noise = model.draw_noise(rng, 3, 2)
    for found in (model.objective_and_grad, model.critic_objective_and_grad):
        assert {grad.dtype.name for grad in found(params, x, noise)[1].values()} == {dtype}
    assert model.sample(params, noise[0][:, :2]).shape == (3, 4)
    assert model.decode(params, model.draw(params, x, noise[..., :2])).dtype == dtype


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"contrast": "other"}, "contrast must be one of"),
        ({"saddle": "printed"}, "saddle must be one of"),
        ({"noise_dim": 0}, "noise_dim must be an integer >= 1"),
        ({"critic_steps": 0}, "critic_steps must be"),
        ({"critic_hidden": (0,)}, "critic_hidden"),
    ],
)
def test_bad_options(bad, message):
    with pytest.raises(ValueError, match=message):
        AVB(4, 2, **bad)


def test_bad_arrays():
    model, params, x, noise = setting(OPTIONS[0])
    for given in ((params, x[:, :3], noise), (params, x, noise[..., :3]), (params, 0.5 + x, noise)):
        with pytest.raises(ValueError, match=r"x must|noise must"):
            model.objective(*given)
