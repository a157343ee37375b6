"""An energy prior's bounds carry log Z's error; its generator starts with an inverse of the right width."""

import numpy as np
import pytest

from vbref.evaluate import energy
from vbref.models import EnergyPriorVAE


def test_the_error_of_log_z_is_the_mean_s_whatever_the_number_of_rows(monkeypatch):
    model = EnergyPriorVAE(4, 3, (3,))
    rng = np.random.default_rng(0)
    params, x = model.init(rng), rng.random((7, 4)).round()
    found = []
    for error in (0.0, 0.5):
        known = energy.LogZ(0.25, error)
        monkeypatch.setattr(energy, "log_normaliser", lambda *_, known=known: known)
        found.append(energy.bounds(model, params, x, np.random.default_rng(1), (1, 20))[20])
    assert found[0].mean == found[1].mean
    assert found[1].monte_carlo_error == pytest.approx(np.hypot(found[0].monte_carlo_error, 0.5), rel=1e-12)


def test_the_inverse_starts_at_the_generator_s_noise():
    """σ = δ, so that the weights of an untrained prior are nearly all alike: log Z = 0."""
    model = EnergyPriorVAE(4, 2, (3,), generator_hidden=(5,), noise_scale=0.3)
    params = model.init(np.random.default_rng(0))
    np.testing.assert_allclose(np.exp(params["inverse.1.bias"][2:] / 2), 0.3, rtol=1e-12)
    assert not params["inverse.1.bias"][:2].any()
