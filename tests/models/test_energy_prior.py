"""EnergyPriorVAE: every player's gradient, the paths that are cut, and numbers that a grid knows exactly."""

import json

import numpy as np
import pytest
from scipy import integrate, stats

from vbref.evaluate import exact
from vbref.models import EnergyPriorVAE
from vbref.models.samplers import Generator
from vbref.nn.gradcheck import check_gradient

KINDS = [
    {},
    {"tilt": False, "energy_activation": "softplus"},
    {"likelihood": "gaussian", "scale": "learned", "sigma": 0.7},
    {"negatives": "plain"},
    {"sampler": "langevin", "langevin_steps": 3},
]
WEIGHTS = {"entropy_weight": 0.6, "posterior_weight": 1.7, "slope_penalty": 0.7}
SMALL = {"energy_hidden": (3, 2), "generator_hidden": (3,)}


def name(options):
    return "-".join(map(str, options.values())) or "default"


def setting(options, latent=2, k=2, spread=0.4, **more):
    rng = np.random.default_rng(0)
    model = EnergyPriorVAE(4, latent, (3,), **SMALL, **options, **more)
    params = {n: p + spread * rng.standard_normal(p.shape) for n, p in model.init(rng).items()}
    params = {n: np.asarray(p) for n, p in params.items()}
    return model, params, rng.random((3, 4)).round(), model.draw_noise(rng, 3, k), rng


def hold_negatives(model, params, noise, monkeypatch):
    """Langevin's draws move with θ, and count as given."""
    if "langevin_steps" in model.config and model.config["sampler"] == "langevin":
        held = model.negatives(params, noise)
        monkeypatch.setattr(model, "_negatives", lambda *arguments: held)


@pytest.mark.parametrize("options", KINDS, ids=name)
def test_every_player_by_differences_and_what_is_not_its_own_is_zero(options, monkeypatch):
    model, params, x, noise, _ = setting(options, **WEIGHTS)
    hold_negatives(model, params, noise, monkeypatch)
    seen = []
    for player in model.players:
        _, grads = player.objective_and_grad(params, x, noise)
        assert {n: g.shape for n, g in grads.items()} == model.shapes()
        own = player.own(grads)
        assert all(not grads[n].any() for n in grads.keys() - own.keys())
        seen += own
        check_gradient(
            lambda p, play=player: play.objective_and_grad(params | p, x, noise)[0],
            own,
            player.own(params),
            atol=1e-10,
        )
    assert sorted(seen) == sorted(model.shapes())


@pytest.mark.parametrize("options", KINDS, ids=name)
def test_the_saddle_by_differences(options, monkeypatch):
    model, params, x, noise, _ = setting(options)
    as_drawn = model.objective(params, x, noise)
    hold_negatives(model, params, noise, monkeypatch)
    value, grads = model.objective_and_grad(params, x, noise)
    assert value == model.objective(params, x, noise) == as_drawn
    assert list(grads) == list(model.shapes())
    check_gradient(lambda p: model.objective(p, x, noise), grads, params, atol=1e-10)


def test_the_energy_s_player_without_a_penalty_by_differences():
    model, params, x, noise, _ = setting({}, k=2)
    player = next(each for each in model.players if each.name == "energy")
    check_gradient(
        lambda p: player.objective_and_grad(params | p, x, noise)[0],
        player.own(player.objective_and_grad(params, x, noise)[1]),
        player.own(params),
        atol=1e-10,
    )


def test_each_weight_is_of_its_own_player():
    model, params, x, noise, _ = setting({}, **WEIGHTS)

    def values(**weights):
        weighed = EnergyPriorVAE(**model.config | weights)
        return {each.name: each.objective_and_grad(params, x, noise)[0] for each in weighed.players}

    of = {"generator": "entropy_weight", "posterior": "posterior_weight", "energy": "slope_penalty"}
    before = values()
    for player, weight in of.items():
        after = values(**{weight: 0.1})
        assert {each for each in before if before[each] != after[each]} == {player}


def test_the_penalty_takes_the_squared_slopes():
    model, params, x, noise, _ = setting({}, **WEIGHTS)
    loc, scale = model.encode(params, x)
    z = loc + scale * noise[..., :2]
    slopes = [tanh_energy(params, z + 1e-30j * axis).imag / 1e-30 for axis in np.eye(2)]
    free = EnergyPriorVAE(**model.config | {"slope_penalty": 0.0})
    taken = free.energy_and_grad(params, x, noise)[0] - model.energy_and_grad(params, x, noise)[0]
    assert taken == pytest.approx(0.7 * np.square(slopes).sum(axis=0).mean(axis=0).sum(), rel=1e-12)


def test_the_negative_side_is_the_log_of_the_mean_weight_or_the_plain_mean():
    model, params, x, noise, _ = setting({})
    plain = EnergyPriorVAE(**model.config | {"negatives": "plain"})
    log_w = model.log_normaliser_weights(params, noise)
    log_p = model.prior.log_prob(params, model.negatives(params, noise))[0]
    difference = model.energy_and_grad(params, x, noise)[0] - plain.energy_and_grad(params, x, noise)[0]
    expected = np.mean(log_p, axis=0).sum() - 3 * np.log(np.exp(log_w).mean())
    assert difference == pytest.approx(expected, rel=1e-12)


def log_normal(z):
    return stats.norm.logpdf(z).sum(axis=-1)


def tanh_energy(params, z):
    """f of SMALL's widths."""
    for i in range(3):
        z = z @ params[f"energy.{i}.weight"] + params[f"energy.{i}.bias"]
        z = np.tanh(z) if i < 2 else z
    return z[..., 0]


def test_log_z_and_evidence_by_adaptive_quadrature():
    model, params, x, _, _ = setting({}, latent=1)

    def prior(z):
        return float(np.exp(log_normal(np.array([z])) - tanh_energy(params, np.array([z]))))

    def joint(z, row):
        p = model.decode(params, np.array([z]))
        return prior(z) * np.prod(p**row * (1 - p) ** (1 - row))

    z_exact = integrate.quad(prior, -12, 12, epsabs=0, epsrel=1e-12)[0]
    assert model.log_normaliser(params) == pytest.approx(np.log(z_exact), abs=1e-10)
    evidence = [np.log(integrate.quad(joint, -12, 12, args=(row,), epsrel=1e-12)[0] / z_exact) for row in x]
    np.testing.assert_allclose(model.log_evidence(params, x), evidence, atol=1e-10)
    grid = model.on_grid(params)[0]
    density = model.grid_posterior(params, x)
    at = int(np.argmin(abs(grid.z[:, 0] - 0.5)))
    z = grid.z[at, 0]
    expected = [joint(z, row) / z_exact / np.exp(e) for row, e in zip(x, evidence, strict=True)]
    np.testing.assert_allclose(density[at], expected, rtol=1e-8)


@pytest.mark.parametrize("options", KINDS[:2], ids=name)
def test_evidence_by_log_weights_on_another_rule(options):
    """Gauss–Hermite in the posterior's noise knows nothing of the grid but log Z."""
    model, params, x, _, _ = setting(options, spread=0.2)
    params["encoder.1.weight"][:] = 0
    params["encoder.1.bias"][:] = 0, 0, 0.2, 0.2

    class Posterior:
        def draw_noise(self, rng, n):
            return np.zeros((1, n, 2))

        def log_weights(self, params, x, noise):
            rest = np.zeros((*noise.shape[:2], model.sampler.noise_dim))
            return model.log_weights(params, x, np.concatenate([noise, rest], axis=-1))

    quadrature = exact.quadrature(Posterior(), params, x, nodes=60)
    np.testing.assert_allclose(model.log_evidence(params, x), quadrature, atol=1e-6)
    np.testing.assert_allclose(model.log_evidence(params, x, nodes=501), quadrature, atol=1e-6)


@pytest.mark.parametrize("options", [KINDS[0], KINDS[1], KINDS[-1]], ids=name)
def test_weights_have_the_mean_z(options):
    model, params, _, _, rng = setting(
        options, spread=0.15, **({} if "sampler" in options else {"noise_scale": 0.5})
    )
    w = np.exp(model.log_normaliser_weights(params, rng.standard_normal((200_000, model.noise_dim))))
    error = w.std() / np.sqrt(len(w))
    assert error < 0.1 * w.mean()
    assert abs(w.mean() - np.exp(model.log_normaliser(params))) < 4 * error


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_log_z_by_draws_where_the_energy_is_a_plane(slope):
    """U = a·z + b: log Z = ½‖a‖² − b, and weights of normal starts vary by e^‖a‖² − 1; two tiles."""
    options = {"energy_hidden": (), "sampler": "langevin", "langevin_steps": 1}
    model = EnergyPriorVAE(2, 3, (), **options)
    plane = {"energy.0.weight": np.full((3, 1), slope), "energy.0.bias": np.array([0.7])}
    params = model.init(np.random.default_rng(0)) | plane
    square, draws = 3 * slope**2, 5000
    error = model.log_normaliser(params, draws=draws) - (square / 2 - 0.7)
    assert abs(error) < 4 * np.sqrt(np.expm1(square) / draws) + 1e-13
    # One more than a tile, and U a constant: each of the draws has the weight Z.
    flat = params | {"energy.0.weight": np.zeros((3, 1))}
    assert model.log_normaliser(flat, draws=4097) == pytest.approx(-0.7, rel=1e-13)


def test_the_generator_is_below_log_z_by_two_divergences():
    """z = aw + δε and V quadratic: q(z), q(w | z) and all of the bound are Gaussian."""
    a, delta = 1.6, 0.5
    model = EnergyPriorVAE(2, 1, (), energy_hidden=(), generator_hidden=(), noise_scale=delta)
    params = model.init(np.random.default_rng(0))
    params["generator.0.weight"][:] = a - 1
    slope, log_var = a / (a * a + delta**2), np.log(0.3)
    params["inverse.0.weight"][0, 0] = slope - 1
    params["inverse.0.bias"][1] = log_var
    nodes, mass = np.polynomial.hermite_e.hermegauss(8)
    noise = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 1, 2)
    noise = np.concatenate([np.zeros_like(noise[..., :1]), noise], axis=-1)
    values = [model.generator_and_grad(params, np.zeros((1, 2)), each[None])[0] for each in noise]
    bound = np.outer(mass, mass).ravel() @ values / mass.sum() ** 2
    var, var_w = a * a + delta**2, delta**2 / (a * a + delta**2)
    kl = (var - 1 - np.log(var)) / 2
    kl_inverse = (var_w / 0.3 - 1 - np.log(var_w / 0.3)) / 2
    assert bound == pytest.approx(-kl - kl_inverse, abs=1e-12)
    assert min(kl, kl_inverse) > 0.05


def test_the_entropy_bound_is_one():
    """H(q) of a generator on the line, by its density on a grid of codes."""
    rng = np.random.default_rng(2)
    generator = Generator(1, (3,), "tanh", 0.3)
    params = {n: p + 0.5 * rng.standard_normal(p.shape) for n, p in generator.init(rng).items()}
    w, mass = np.polynomial.hermite_e.hermegauss(120)
    mass = mass / mass.sum()
    centres = generator.sample(params, np.stack([w, 0 * w], -1))[0][:, 0]
    z = np.linspace(centres.min() - 3, centres.max() + 3, 4001)
    q = stats.norm.pdf(z[:, None], centres, 0.3) @ mass
    entropy = -np.sum(q * np.log(np.maximum(q, 1e-300))) * (z[1] - z[0])
    noise = rng.standard_normal((200_000, 2))
    drawn = generator.sample(params, noise)[0]
    log_inverse = generator.log_inverse(params, drawn, noise)[0]
    bound, error = log_inverse.mean() + generator.fixed_entropy(), log_inverse.std() / np.sqrt(len(noise))
    assert bound < entropy + 4 * error
    moved = generator.sample(params, noise * [1, 0])[0] + 0.3 * noise[:, 1:]
    np.testing.assert_allclose(drawn, moved, rtol=1e-13)
    assert Generator(2, (3,), "tanh", 0.3).fixed_entropy() == pytest.approx(2 * generator.fixed_entropy())
    # The mean of −log q(w) q(z | w) is that of the fixed entropies.
    fixed = generator.log_draw(noise)
    assert abs(fixed.mean() + generator.fixed_entropy()) < 4 * fixed.std() / np.sqrt(len(noise))


def test_langevin_comes_near_the_prior_and_is_not_there():
    """With many small steps the chain has P's mean energy; with the few that training takes it has not."""
    rng = np.random.default_rng(3)
    found = {}
    for steps, size in ((3, 0.3), (120, 0.3)):
        model, params, *_ = setting({"sampler": "langevin"}, 1, langevin_steps=steps, langevin_step=size)
        params["energy.2.weight"] *= 6
        grid, log_p, _ = model.on_grid(params)
        exact_mean = np.exp(log_p + grid.log_volume) @ grid.z[:, 0]
        z = model.negatives(params, rng.standard_normal((20_000, model.noise_dim)))[:, 0]
        found[steps] = abs(z.mean() - exact_mean) / (z.std() / np.sqrt(len(z)))
    assert found[3] > 10
    assert found[120] < found[3] / 3


def test_langevin_without_an_energy_is_autoregressive():
    """V = ½z²: z_T = a^T z_0 + s Σ a^(T−t) ξ_t with a = 1 − ½s², one noise at a time."""
    s, steps = 0.8, 3
    model = EnergyPriorVAE(2, 1, (), sampler="langevin", langevin_steps=steps, langevin_step=s)
    unit = np.concatenate([np.zeros((4, 1)), np.eye(4)], axis=1)
    found = model.negatives(model.init(np.random.default_rng(0)), unit)[:, 0]
    a = 1 - s * s / 2
    np.testing.assert_allclose(found, [a**3, s * a**2, s * a, s], rtol=1e-14)


def test_start_is_a_standard_prior():
    model = EnergyPriorVAE(4, 2, (3,))
    params = model.init(np.random.default_rng(0))
    assert model.log_normaliser(params) == pytest.approx(0, abs=1e-12)
    grid, log_p, _ = model.on_grid(params)
    np.testing.assert_allclose(log_p, log_normal(grid.z), atol=1e-12)


@pytest.mark.parametrize("options", KINDS, ids=name)
def test_twenty_seeds_without_nan_and_the_same_bits(options):
    from vbref import fit

    x = np.random.default_rng(0).random((40, 4)).round()
    model = EnergyPriorVAE(4, 2, (3,), **SMALL, **options)
    for seed in range(20):
        run = {"epochs": 3, "batch_size": 20, "learning_rate": 0.02}
        params, history = fit(model, x, **run, rng=np.random.default_rng(seed))
        assert all(np.isfinite(values).all() for values in history.values())
        assert all(np.isfinite(value).all() for value in params.values())
    again, _ = fit(model, x, **run, rng=np.random.default_rng(seed))
    assert all(np.array_equal(again[n], params[n]) for n in params)
    assert [p.name for p in model.players] == [n for n in history if n != "seconds"]


def test_config_and_float32():
    model, params, x, noise, _ = setting({"tilt": False, "dtype": "float32"})
    assert EnergyPriorVAE(**json.loads(json.dumps(model.config))).config == model.config
    single = {n: p.astype(np.float32) for n, p in params.items()}
    value, grads = model.objective_and_grad(single, x.astype(np.float32), noise)
    assert all(grad.dtype == np.float32 for grad in grads.values())
    double = EnergyPriorVAE(**model.config | {"dtype": "float64"})
    wide = {n: p.astype(np.float64) for n, p in single.items()}
    assert value == pytest.approx(double.objective(wide, x, noise.astype(np.float64)), rel=1e-5)
    mean, own = model.sample(single, noise[0]), np.full((3, 4), 0.5, np.float32)
    assert (mean.dtype, mean.shape) == (np.float32, (3, 4))
    np.testing.assert_array_equal(mean, model.decode(single, model.negatives(single, noise[0])))
    assert (model.sample(single, noise[0], own) == (own < mean)).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"noise_scale": 0.0}, "noise_scale"),
        ({"sampler": "mcmc"}, "sampler"),
        ({"slope_penalty": -1.0}, "slope_penalty"),
        ({"entropy_weight": float("nan")}, "entropy_weight"),
        ({"energy_activation": "relu"}, "energy_activation"),
        ({"energy_hidden": (0,)}, "energy_hidden"),
        ({"tilt": 1}, "tilt"),
        ({"langevin_steps": 0}, "langevin_steps"),
    ],
)
def test_bad_options_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        EnergyPriorVAE(4, 2, **options)


def test_bad_input_is_named():
    model, params, x, noise, _ = setting({})
    for arguments, says in (((params, x[:0], noise), "x"), ((params, x, noise[..., :2]), "noise")):
        with pytest.raises(ValueError, match=says):
            model.objective(*arguments)
    with pytest.raises(ValueError, match="latent_dim"):
        setting({}, latent=3)[0].on_grid(setting({}, latent=3)[1])
    params["energy.2.weight"] = np.full((2, 1), 1.7e308)
    with pytest.raises(ValueError, match="params"):
        model.objective(params, x, noise)


def test_the_energy_s_steps_are_at_its_own_rate():
    rates = {player.name: player.rate for player in EnergyPriorVAE(4, 2, (3,), energy_rate=0.25).players}
    assert rates.pop("energy") == 0.25
    assert set(rates.values()) == {1.0}


def test_what_the_evidence_refuses():
    gaussian = {"likelihood": "gaussian", "sigma": 0.7}
    model, params, x, noise, _ = setting(gaussian)
    for bad, message in [
        (x * np.nan, "x must be finite"),
        (x.astype(int), "x must be float32 or float64"),
        (x[0], "x must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.log_evidence(params, bad)
    np.testing.assert_array_equal(model.log_evidence(params, x.tolist()), model.log_evidence(params, x))
    with pytest.raises(ValueError, match="draws must be an integer >= 1, was 0"):
        model.log_normaliser(params, draws=0)
    for width in (3, 20):
        with pytest.raises(ValueError, match="noise must have shape"):
            model.log_normaliser_weights(params, np.zeros((2, width)))
    with pytest.raises(ValueError, match="log_z must be finite, has nan"):
        model.log_weights(params, x, noise, log_z=np.nan)
