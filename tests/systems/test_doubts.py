"""Warnings one by one, from measures given, and where the gmvae's components are put."""

import dataclasses

import numpy as np
import pytest

from vbref.evaluate.energy import Health
from vbref.models import GMVAE
from vbref.systems import energy_prior, gmvae

HEALTHY = Health(departure=1.0, contrast=1.0, generator_gap=0.1, coverage=0.8, active=3, latent_dim=4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"departure": 41.0}, "the energy diverges"),
        ({"contrast": 11.0}, "the energy diverges"),
        ({"generator_gap": 1.3}, "the generator lags"),
        ({"coverage": 0.2}, "mode collapse"),
        ({"active": 1}, "posterior collapse"),
    ],
)
def test_each_measure_has_its_warning_and_no_other(change, said):
    assert energy_prior.doubts(HEALTHY, 0.01) == []
    (line,) = energy_prior.doubts(dataclasses.replace(HEALTHY, **change), 0.01)
    assert line.startswith(said)
    assert "try" in line


def test_a_log_z_that_is_not_known_is_said():
    (line,) = energy_prior.doubts(HEALTHY, 0.2)
    assert line.startswith("log Z is known to 0.20 nats only")


def test_components_start_at_the_mean_and_variance_of_their_codes():
    rng = np.random.default_rng(0)
    model = GMVAE(4, 2, 3, w_dim=1, prior_hidden=(5,))
    codes, clusters = rng.normal(size=(60, 2)) * [0.5, 2.0], np.arange(60) % 2
    params = gmvae.placed(model, model.init(rng), codes, clusters)
    loc, log_var = np.split(params[model.prior.last_bias].reshape(3, 4), 2, axis=-1)
    for k, part in enumerate(
        (codes[::2], codes[1::2], codes)
    ):  # no row is in the third: all of them stand in
        np.testing.assert_allclose(loc[k], part.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(np.exp(log_var[k]), part.var(axis=0) + 0.05, rtol=1e-12)
