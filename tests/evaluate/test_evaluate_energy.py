"""An energy prior's measures on a normal one, N(0, 4 I) without its constant, where all are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from vbref.evaluate import energy, importance

S2 = 4.0
PARAMS = {"variance": np.array(S2, np.float32)}


class NormalPrior:
    def log_prob(self, params, z):
        return -(z * z).sum(-1) / (2 * params["variance"]), (z, params["variance"])

    def backward(self, d_log_p, saved):
        z, variance = saved
        return (-d_log_p[..., None] * z / variance,)


class Model:
    """Codes from N(3 (x, 1), 4 I); the sampler draws N((0, 3), 4 I)."""

    def __init__(self, latent_dim):
        self.latent_dim, self.prior, self.config = latent_dim, NormalPrior(), {"sampler": "generator"}

    def log_normaliser(self, params):
        return self.latent_dim / 2 * np.log(2 * np.pi * float(params["variance"]))

    def draw_noise(self, rng, n, k=1):
        return rng.standard_normal((k, n, self.latent_dim))

    def negatives(self, params, noise):
        return 2 * noise + np.array([0.0, 3.0])

    def encode(self, params, x):
        return np.stack([3 * x, np.full(len(x), 3.0)], -1), np.full((len(x), 2), 2.0)

    def log_normaliser_weights(self, params, noise):
        return np.full(len(noise), float(params["variance"]) / 16)

    def log_weights(self, params, x, noise, log_z):
        return -log_z + 0.1 * noise[..., 0] + x


def test_log_z_on_a_grid_is_exact_and_annealed_within_its_error():
    grid, annealed = (energy.log_normaliser(Model(d), PARAMS, np.random.default_rng(d)) for d in (2, 3))
    assert grid == energy.LogZ(Model(2).log_normaliser(PARAMS), 0.0)
    assert abs(annealed.value - Model(3).log_normaliser(PARAMS)) < 4 * annealed.error
    assert 0 < annealed.error < 0.05


def test_bounds_carry_the_error_of_log_z(monkeypatch):
    monkeypatch.setattr(energy, "log_normaliser", lambda *args: energy.LogZ(1.5, 0.3))
    x = np.linspace(0, 1, 5)
    found = energy.bounds(Model(2), {}, x, np.random.default_rng(0), (1, 4))
    known = SimpleNamespace(
        draw_noise=Model(2).draw_noise, log_weights=lambda *args: Model(2).log_weights(*args, log_z=1.5)
    )
    plain = importance.nested(known, {}, x, np.random.default_rng(0), (1, 4))
    for k, each in found.items():
        np.testing.assert_allclose(each.per_datum, plain[k].per_datum, rtol=1e-14)
        np.testing.assert_allclose(each.noise**2, plain[k].noise ** 2 + 5 * 0.09, rtol=1e-13)


def test_bounds_take_log_z_from_a_grid_where_there_is_one():
    found = energy.bounds(Model(2), PARAMS, np.zeros(3), np.random.default_rng(0), (1, 4))[4]
    assert found.mean == pytest.approx(-np.log(2 * np.pi * S2), abs=0.2)


def test_health_of_a_normal_prior():
    """Half of the codes have the sampler's law, two draws to a code, so that no draw is as near as the fifth
    code with probability 3⁻⁵; the others are far from all draws.
    """
    x = np.where(np.arange(4096) % 2, 8.0, 0.0)
    found = energy.health(Model(2), PARAMS, x, np.random.default_rng(0))
    assert found.departure == pytest.approx(2 * (np.log(2) + 1 / 8 - 1 / 2), abs=0.02)
    assert found.contrast == pytest.approx(576 / 2 / 8, abs=0.58)  # four standard errors
    assert found.generator_gap == pytest.approx(Model(2).log_normaliser(PARAMS) - 0.25, rel=1e-14)
    assert found.coverage == pytest.approx((1 - 3.0**-5) / 2, abs=0.005)
    assert (found.active, found.latent_dim) == (1, 2)


def test_what_a_prior_s_measures_refuse():
    rng, x = np.random.default_rng(0), np.zeros(6)
    with pytest.raises(ValueError, match="model must have an energy prior, is object"):
        energy.log_normaliser(object(), PARAMS, rng)
    for bad in ({"k": 0}, {"chains": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must be an integer >= 1, was 0"):
            energy.log_normaliser(Model(3), PARAMS, rng, **bad)
    with pytest.raises(ValueError, match="variance must be finite"):
        energy.log_normaliser(Model(3), {"variance": np.array(np.nan)}, rng)
    with pytest.raises(ValueError, match="x must have more than 5 rows, has 5"):
        energy.health(Model(2), PARAMS, x[:5], rng)
    for measure in (energy.log_normaliser, lambda *given: energy.health(*given[:2], x, given[2])):
        with pytest.raises(ValueError, match="rng must be"):
            measure(Model(2), PARAMS, None)
    with pytest.raises(ValueError, match="rng must be"):
        energy.bounds(Model(2), PARAMS, x, None, (1,))


def test_a_seed_serves_all_draws_of_the_bounds_in_turn():
    """Not each of them anew: log Z's noise would be that of the weights."""
    model, x = Model(3), np.zeros(3)
    found, expected = (
        energy.bounds(model, PARAMS, x, seed, (1, 4))[4] for seed in (7, np.random.default_rng(7))
    )
    np.testing.assert_array_equal(found.per_datum, expected.per_datum)
