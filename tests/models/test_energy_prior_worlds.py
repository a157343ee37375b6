"""The energy prior where the truth is known: what it gains, what the misprints would do, how it fails."""

import numpy as np
import pytest
from scipy import stats

from vbref import fit
from vbref.evaluate import energy, exact
from vbref.models import VAE, EnergyPriorVAE
from vbref.nn.optim import Adam
from vbref.systems.energy_prior import doubts

MODES, SPREAD, SIGMA = np.array([-1.2, 0.0, 1.2]), 0.1, 0.15
DIRECTION = np.array([1.0, -0.6, 0.4])


def world(rng, n):
    """x (n, 3): three narrow modes of one latent coordinate, seen through a linear map with noise."""
    z = MODES[rng.integers(0, 3, n)] + SPREAD * rng.standard_normal(n)
    return z[:, None] * DIRECTION + SIGMA * rng.standard_normal((n, 3))


def log_truth(x):
    cov = SPREAD**2 * np.outer(DIRECTION, DIRECTION) + SIGMA**2 * np.eye(3)
    each = [stats.multivariate_normal(mode * DIRECTION, cov).logpdf(x) for mode in MODES]
    return np.logaddexp.reduce(each, axis=0) - np.log(3)


def small(latent=1, **options):
    likelihood = {"likelihood": "gaussian", "scale": "learned", "sigma": 0.5}
    widths = {"decoder_hidden": (), "energy_hidden": (16, 16), "generator_hidden": (16,)}
    return EnergyPriorVAE(3, latent, (8,), **widths, **likelihood, **options)


def decayed(epochs):
    return lambda epoch: min(1.0, 2 * (1 - epoch / epochs))


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    x, held = world(rng, 1500), world(rng, 1000)
    model = small(energy_rate=0.6)
    params, _ = fit(model, x, epochs=50, batch_size=100, learning_rate=0.01, rng=rng, schedule=decayed(50))
    return model, params, x, held


def test_several_modes_are_worth_half_a_nat(fitted):
    """Against the standard prior with the same decoder at its best, the maximum of PPCA's likelihood."""
    model, params, x, held = fitted
    found = model.log_evidence(params, held).mean()
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    noise = values[:2].mean()
    weight = np.sqrt(values[2] - noise) * vectors[:, 2:].T
    standard = exact.linear_gaussian(held, weight, x.mean(axis=0), noise * np.eye(3)).mean()
    truth = log_truth(held).mean()
    assert truth - standard > 0.6
    assert found > standard + 0.5
    assert truth - 0.3 < found < truth + 0.02


def test_the_fitted_posterior_and_log_z(fitted):
    model, params, _, held = fitted
    grid = model.on_grid(params)[0]
    density = model.grid_posterior(params, held[:200])
    mean = np.exp(grid.log_volume) * density.T @ grid.z[:, 0]
    loc, _ = model.encode(params, held[:200])
    assert np.corrcoef(mean, loc[:, 0])[0, 1] > 0.98
    noise = np.random.default_rng(1).standard_normal((100_000, model.noise_dim))
    log_w = model.log_normaliser_weights(params, noise)
    w = np.exp(log_w - model.log_normaliser(params))
    assert abs(w.mean() - 1) < 4 * w.std() / np.sqrt(len(w))
    assert log_w.mean() < model.log_normaliser(params)


# -- a generator alone, against an energy that is known --


def hill(model, height):
    """U = height · a bump at 0, of two tanh: e^−U N(0, 1) has two modes where the bump is high."""
    params = model.init(np.random.default_rng(0))
    params["energy.0.weight"][:] = 2.0
    params["energy.0.bias"][:] = 1.6, -1.6
    params["energy.1.weight"][:, 0] = height, -height
    return params


def generator_of(**options):
    return EnergyPriorVAE(2, 1, (), energy_hidden=(2,), generator_hidden=(16,), **options)


def trained(model, params, steps=500, change=lambda noise, grads: (noise, grads)):
    """The generator raises its own objective; `change` spoils its noise and its gradients."""
    rng, adam, player = np.random.default_rng(0), Adam(0.02), model.players[0]
    own = player.own(params)
    slots = adam.init(own)
    for step in range(steps):
        noise = model.draw_noise(rng, 100)
        noise, _ = change(noise, {})
        grads = player.own(player.objective_and_grad(params, np.zeros((100, 2)), noise)[1])
        _, grads = change(noise, grads)
        ascent = {name: grad / 100 for name, grad in grads.items()}
        adam.step(own, ascent, slots, direction="ascend", schedule=min(1.0, 2 * (1 - step / steps)))
    return model.negatives(params, model.draw_noise(rng, 4000)[0])[:, 0]


def exact_share(model, params, inside):
    grid, log_p, _ = model.on_grid(params)
    return np.exp(log_p[abs(grid.z[:, 0]) < inside] + grid.log_volume).sum()


def test_the_printed_sign_of_u_sends_the_generator_to_the_wrong_modes():
    """evae/D21 prints −U for +U: a generator trained so follows e^(+U), and sits where P is not."""
    model = generator_of(noise_scale=0.2)
    right, printed = hill(model, 2.0), hill(model, -2.0)
    share = exact_share(model, right, 0.5)
    z = trained(model, dict(right))
    z_printed = trained(model, printed)
    assert share < 0.05
    assert abs((abs(z) < 0.5).mean() - share) < 0.1
    assert (abs(z_printed) < 0.5).mean() > 0.5


def test_without_noise_the_generator_shrinks_for_nothing():
    """evae/D21's square alone, at fixed σ: E = G⁻¹ makes it zero whatever G's scale, and U wins."""
    right = generator_of(noise_scale=0.3)
    z = trained(right, hill(right, 0.0), 800)
    assert abs(z.std() - 1) < 0.1

    def noise_free(noise, grads):
        noise = noise.copy()
        noise[..., 2] = 0
        fixed = {name: grad.copy() for name, grad in grads.items()}
        for name in fixed.keys() & {"inverse.1.weight", "inverse.1.bias"}:
            fixed[name][..., 1] = 0
        return noise, fixed

    shrunk = trained(right, hill(right, 0.0), 800, noise_free)
    assert shrunk.std() < 0.7


def encoded(printed):
    """The scale of q when φ alone is trained, or is with evae/D22's −H for +H; and the exact posterior's."""
    rng, adam = np.random.default_rng(0), Adam(0.02)
    model = EnergyPriorVAE(3, 1, (), decoder_hidden=(), likelihood="gaussian", sigma=0.5)
    params, x = model.init(rng), world(rng, 200)
    params["decoder.0.weight"] = DIRECTION[None]
    player = model.players[-1]
    own = player.own(params)
    slots = adam.init(own)
    for _ in range(400):
        grads = player.own(player.objective_and_grad(params, x, model.draw_noise(rng, len(x)))[1])
        if printed:
            # H is ½ log var up to a constant, for each row; −H for +H takes it away twice.
            grads["encoder.0.bias"] = grads["encoder.0.bias"] - np.array([0.0, len(x)])
            grads["encoder.0.weight"] = grads["encoder.0.weight"] - np.outer(x.sum(axis=0), [0.0, 1.0])
        ascent = {name: grad / len(x) for name, grad in grads.items()}
        adam.step(own, ascent, slots, direction="ascend")
    return model.encode(params, x)[1].mean(), 1 / np.sqrt(1 + DIRECTION @ DIRECTION / 0.25)


def test_the_printed_sign_of_the_entropy_shrinks_the_posterior_towards_a_point():
    scale, expected = encoded(printed=False)
    assert abs(scale - expected) < 0.05 * expected
    assert encoded(printed=True)[0] < 0.5 * expected


# -- failures, measured and said --


def test_a_generator_that_lost_a_mode_is_measured_and_said(fitted):
    model, params, x, _ = fitted
    rng = np.random.default_rng(2)
    healthy = energy.health(model, params, x[:400], rng)
    last = "generator.1"
    lost = params | {f"{last}.weight": 0 * params[f"{last}.weight"], f"{last}.bias": np.array([9.0])}
    found = energy.health(model, lost, x[:400], rng)
    assert healthy.coverage > 0.8
    assert found.coverage < 0.3
    assert found.generator_gap > healthy.generator_gap + 1
    said = "\n".join(doubts(found, 0.0))
    assert "mode collapse" in said
    assert "the generator lags" in said
    assert not any("mode collapse" in line for line in doubts(healthy, 0.0))


def test_a_collapsed_posterior_is_said():
    rng = np.random.default_rng(3)
    model = small(4)
    params = model.init(rng)
    params["encoder.1.weight"][:] = 0
    found = energy.health(model, params, world(rng, 100), rng)
    assert found.active == 0
    assert "posterior collapse: 0 of 4" in "\n".join(doubts(found, 0.0))
    # At the start U = 0: annealed, exactly known, and no departure.
    assert found.departure == pytest.approx(0, abs=0.1)


def test_an_energy_that_diverges_is_said():
    """Plain negatives, an energy quicker than its generator, no penalty: V runs away from both."""
    rng = np.random.default_rng(4)
    x = world(rng, 500)
    model = small(negatives="plain", energy_rate=10.0)
    params, _ = fit(model, x, epochs=30, batch_size=100, learning_rate=0.01, rng=rng)
    found = energy.health(model, params, x, rng)
    assert "the energy diverges" in "\n".join(doubts(found, 0.0))
    assert found.departure > 10


def test_bounds_with_an_annealed_log_z():
    """Three latent dimensions whose energy is a sum over two: the grid of two knows log Z."""
    rng = np.random.default_rng(5)
    flat = small(2)
    params = {n: np.asarray(p + 0.5 * rng.standard_normal(p.shape)) for n, p in flat.init(rng).items()}
    deep = small(3)
    wide = deep.init(rng) | {n: p for n, p in params.items() if n.startswith("energy")}
    wide["energy.0.weight"] = np.concatenate([params["energy.0.weight"], np.zeros((1, 16))])
    exact_z = flat.log_normaliser(params)
    found = energy.log_normaliser(deep, wide, rng)
    assert 0 < found.error < 0.05
    assert abs(found.value - exact_z) < 4 * found.error
    x = world(rng, 6)
    bounds = energy.bounds(deep, wide, x, rng, (1, 10))
    assert bounds[10].mean >= bounds[1].mean
    assert bounds[10].monte_carlo_error > found.error / 2


def test_the_start_is_a_vae_of_the_same_decoder():
    """U = 0: the evidence is that of the VAE whose parameters they share."""
    rng = np.random.default_rng(6)
    options = {"likelihood": "gaussian", "scale": "learned", "sigma": 0.5}
    model, vae = EnergyPriorVAE(3, 1, (4,), **options), VAE(3, 1, (4,), **options)
    params, x = model.init(rng), world(rng, 5)
    shared = {name: params[name] for name in vae.shapes()}
    by_vae = exact.quadrature(vae, shared, x, nodes=120)
    np.testing.assert_allclose(model.log_evidence(params, x), by_vae, atol=1e-3)
