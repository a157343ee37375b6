"""An energy prior's measures on a normal one, N(0, 4 I) without its constant, where all are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from vbref.evaluate import energy, importance

S2 = 4.0


class NormalPrior:
    def log_prob(self, params, z):
        return -(z * z).sum(-1) / (2 * S2), z

    def backward(self, d_log_p, z):
        return (-d_log_p[..., None] * z / S2,)


class Model:
    """Codes at (±3, 3) with scale ½; the sampler draws N(0, I)."""

    def __init__(self, latent_dim):
        self.latent_dim, self.prior, self.config = latent_dim, NormalPrior(), {"sampler": "generator"}

    def log_normaliser(self, params):
        return self.latent_dim / 2 * np.log(2 * np.pi * S2)

    def draw_noise(self, rng, n, k=1):
        return rng.standard_normal((k, n, self.latent_dim))

    def negatives(self, params, noise):
        return noise

    def encode(self, params, x):
        return np.stack([3 * x, np.full(len(x), 3.0)], -1), np.full((len(x), 2), 0.5)

    def log_normaliser_weights(self, params, noise):
        return np.full(len(noise), 0.25)

    def log_weights(self, params, x, noise, log_z):
        return -log_z + 0.1 * noise[..., 0] + x


def test_log_z_on_a_grid_is_exact_and_annealed_within_its_error():
    grid, annealed = (energy.log_normaliser(Model(d), {}, np.random.default_rng(d)) for d in (2, 3))
    assert grid == energy.LogZ(Model(2).log_normaliser({}), 0.0)
    assert abs(annealed.value - Model(3).log_normaliser({})) < 4 * annealed.error
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


def test_health_of_a_normal_prior():
    x = np.where(np.arange(4096) % 2, 1.0, -1.0)
    found = energy.health(Model(2), {}, x, np.random.default_rng(0))
    assert found.departure == pytest.approx(2 * (np.log(2) + 1 / 8 - 1 / 2), abs=0.02)
    assert found.contrast == pytest.approx(18.5 / 8 - 0.25, abs=0.035)  # four standard errors
    assert found.generator_gap == pytest.approx(Model(2).log_normaliser({}) - 0.25, rel=1e-14)
    assert found.coverage < 0.5
    assert (found.active, found.latent_dim) == (1, 2)
