"""A VAE on the shipped digits does what a VAE should: seeds agree, IWAE tightens the ELBO, PPCA is beaten."""

import numpy as np
import pytest

import vbref
from vbref import evaluate
from vbref.models import VAE, LinearGaussian

LATENT, TRAIN = 8, 1500


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return vbref.load_digits().x / 16


def _bounds(model: VAE, x: np.ndarray, seed: int, epochs: int) -> tuple[float, float]:
    """Held-out ELBO and IWAE-500 in nats a digit, after training from this seed."""
    train, test = x[:TRAIN], x[TRAIN:]
    rng = np.random.default_rng(seed)
    params, _ = vbref.fit(model, train, epochs=epochs, batch_size=100, rng=rng, learning_rate=2e-3)
    estimates = evaluate.nested(model, params, test, np.random.default_rng(0), ks=(1, 500))
    return tuple(float(each.mean) for each in estimates.values())


def test_three_seeds_land_within_half_a_nat_of_their_mean(grey: np.ndarray) -> None:
    binary = (grey > 0.5).astype(np.float64)
    model = VAE(64, LATENT, (64,))
    elbo, iwae = np.array([_bounds(model, binary, seed, epochs=150) for seed in range(3)]).T
    assert abs(elbo - elbo.mean()).max() < 0.5
    assert abs(iwae - iwae.mean()).max() < 0.5
    assert (iwae > elbo).all()


def test_beats_ppca_of_the_same_latent_size(grey: np.ndarray) -> None:
    """PPCA's held-out evidence is exact; the VAE's IWAE-500 is a lower bound, so the comparison is safe."""
    ppca = LinearGaussian(64, LATENT)
    exact = ppca.log_evidence(ppca.fit_exact(grey[:TRAIN]), grey[TRAIN:]).mean()
    model = VAE(64, LATENT, (64,), likelihood="gaussian", scale="learned", sigma=0.2)
    elbo, iwae = _bounds(model, grey, seed=0, epochs=150)
    assert iwae > exact
    assert iwae > elbo
