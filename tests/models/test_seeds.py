"""A seed is as good as a generator wherever a model draws, and what is neither is named."""

import numpy as np
import pytest

from vbref.models import AVB, GMVAE, VAE, VAEGAN, EnergyPriorVAE, LinearGaussian, StickBreakingVAE

MODELS = [
    VAE(4, 2, (3,)),
    LinearGaussian(4, 2),
    GMVAE(4, 2, 3),
    StickBreakingVAE(4, 3),
    AVB(4, 2, (3,)),
    VAEGAN(4, 2, (3,)),
    EnergyPriorVAE(4, 2, (3,)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_init_and_draw_noise_take_a_generator_or_a_seed(model):
    by_seed, expected = model.init(5), model.init(np.random.default_rng(5))
    assert all(np.array_equal(by_seed[name], expected[name]) for name in expected)
    np.testing.assert_array_equal(model.draw_noise(5, 3), model.draw_noise(np.random.default_rng(5), 3))
    with pytest.raises(ValueError, match="rng must be"):
        model.init(None)
    with pytest.raises(ValueError, match="rng must be"):
        model.draw_noise("5", 3)
