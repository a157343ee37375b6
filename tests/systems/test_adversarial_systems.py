"""`vbref train avb` and `vaegan`: runs of several players resume to the bit, stay finite, say what failed."""

from types import SimpleNamespace

import numpy as np
import pytest

import vbref
from vbref.cli import main
from vbref.models import AVB, VAEGAN
from vbref.systems import SYSTEMS

MODELS = {
    "avb": lambda **more: AVB(64, 3, (16,), noise_dim=4, dtype="float32", **more),
    "vaegan": lambda **more: VAEGAN(
        64, 3, (16,), (16, 16), scale="learned", sigma=0.3, feature_scale=0.2, dtype="float32", **more
    ),
}
VARIANTS = [
    ("avb", {"contrast": "adaptive"}),
    ("avb", {"saddle": "f-divergence"}),
    ("vaegan", {}),
    ("vaegan", {"loss": "saturating"}),
]


def digits(n=200):
    return np.round(vbref.load_digits().x[:n] / 16).astype(np.float32)


def fitted(model, seed=0, **more):
    rng = np.random.default_rng(seed)
    options = {"epochs": 4, "batch_size": 50, "learning_rate": 2e-3} | more
    return vbref.fit(model, digits(), rng=rng, **options)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_resumed_game_has_the_same_bits(name, options, tmp_path):
    model, file = MODELS[name](**options), tmp_path / "run.npz"
    whole, history = fitted(model)
    fitted(model, epochs=2, checkpoint=file)
    resumed, again = fitted(model, seed=9, checkpoint=file, resume=True)
    assert all((whole[key] == resumed[key]).all() for key in whole)
    names = {player.name for player in model.players}
    assert names <= history.keys()
    assert all((history[key] == again[key]).all() for key in names)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_twenty_seeds_are_finite(name, options):
    model = MODELS[name](**options)
    for seed in range(20):
        params, history = fitted(model, seed, epochs=2, batch_size=25, learning_rate=5e-3)
        assert all(np.isfinite(value).all() for value in (*params.values(), *history.values()))


def doubts(name, model, params):
    task = SimpleNamespace(model=model, test=digits(100), config={"likelihood": "bernoulli"})
    return " | ".join(SYSTEMS[name].warnings(task, params, np.random.default_rng(0)))


def test_a_saturated_critic_is_seen():
    """Without contrast a q that is far from the prior and narrow is told from it at once."""
    model = MODELS["avb"]()
    params = model.init(np.random.default_rng(0))
    params["encoder.1.bias"] += 6
    game = SimpleNamespace(players=model.players[:1], draw_noise=model.draw_noise)
    trained, _ = fitted(game, params=params, epochs=40, learning_rate=1e-2)
    assert "try --contrast adaptive" in doubts("avb", model, trained)
    assert "no slope left" not in doubts("avb", model, params)


def test_a_critic_that_wins_is_seen():
    model = MODELS["vaegan"]()
    params = model.init(np.random.default_rng(0))
    params["decoder.1.bias"] += 3
    game = SimpleNamespace(players=model.players[:1], draw_noise=model.draw_noise)
    trained, _ = fitted(game, params=params, epochs=40, learning_rate=1e-2)
    assert "the critic is sure of 100 %" in doubts("vaegan", model, trained)


@pytest.mark.parametrize("name", ["avb", "vaegan"])
def test_collapse_is_seen(name):
    """A decoder that ignores z has one mode, an encoder that ignores x no active unit."""
    model = MODELS[name]()
    params = model.init(np.random.default_rng(0))
    for key in params:
        if key in ("decoder.1.weight", "encoder.0.weight"):
            params[key][: 64 if key.startswith("e") else None] = 0
    params["decoder.1.bias"] -= 2 * (name == "avb")
    found = doubts(name, model, params)
    assert "posterior collapse: 0 of 3 latent units" in found
    assert "mode collapse: samples come near" in found


@pytest.mark.parametrize("name", ["avb", "vaegan"])
def test_train_and_evaluate(name, tmp_path, capsys):
    folder = tmp_path / name
    small = ["--epochs", "1", "--hidden", "8", "--latent", "2", "--test-size", "20", "--out", str(folder)]
    assert main(["train", name, *small]) == 0
    assert "1 (prior)" in capsys.readouterr().out
    assert main(["evaluate", str(folder)]) == 0
    assert main(["train", name, "--prior", "learned", "--out", str(tmp_path / "other")]) == 2
