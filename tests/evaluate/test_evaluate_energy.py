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
    """Codes from N(3 (x, 1), I); the sampler draws N((0, 3), I)."""

    def __init__(self, latent_dim):
        self.latent_dim, self.prior, self.config = latent_dim, NormalPrior(), {"sampler": "generator"}

    def log_normaliser(self, params):
        return self.latent_dim / 2 * np.log(2 * np.pi * float(params["variance"]))

    def draw_noise(self, rng, n, k=1):
        return rng.standard_normal((k, n, self.latent_dim))

    def negatives(self, params, noise):
        return noise + np.array([0.0, 3.0])

    def encode(self, params, x):
        return np.stack([3 * x, np.full(len(x), 3.0)], -1), np.ones((len(x), 2))

    def log_normaliser_weights(self, params, noise):
        return np.full(len(noise), 0.25)

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
    x = np.where(np.arange(4096) % 2, 4.0, 0.0)
    found = energy.health(Model(2), PARAMS, x, np.random.default_rng(0))
    assert found.departure == pytest.approx(2 * (np.log(2) + 1 / 8 - 1 / 2), abs=0.02)
    assert found.contrast == pytest.approx(144 / 2 / 8, abs=0.15)  # four standard errors
    assert found.generator_gap == pytest.approx(Model(2).log_normaliser(PARAMS) - 0.25, rel=1e-14)
    assert found.coverage == pytest.approx((1 - 3.0**-5) / 2, abs=0.005)
    assert (found.active, found.latent_dim) == (1, 2)
