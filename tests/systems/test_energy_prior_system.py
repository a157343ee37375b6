"""`vbref train energy-prior`: a run with its pictures that evaluates to the same numbers, and its doubts."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from vbref import runs
from vbref.cli import main
from vbref.evaluate import energy
from vbref.models import EnergyPriorVAE
from vbref.plot.energy import energy_map
from vbref.systems import SYSTEMS

SMALL = ["--epochs", "2", "--hidden", "8", "--energy-width", "8", "--latent", "3"]


@pytest.mark.parametrize("own", [[], ["--sampler", "langevin"], ["--energy-form", "whole"]])
def test_train_and_evaluate(tmp_path, capsys, monkeypatch, own):
    monkeypatch.setattr(runs, "KS", (1, 5, 10))
    out = tmp_path / "run"
    assert main(["train", "energy-prior", "--out", str(out), *SMALL, *own]) == 0
    printed = capsys.readouterr().out
    assert "log Z" in printed
    assert "annealed" in printed
    pictures = {"bounds", "energy", "history", "latent", "reconstructions", "samples"}
    assert {name[:-4] for name in os.listdir(out) if name.endswith("png")} == pictures
    players = {"energy", "decoder", "posterior"} | (set() if "langevin" in own else {"generator"})
    assert set(json.loads((out / "history.json").read_text())) == players | {"seconds"}
    assert main(["evaluate", str(out)]) == 0


def test_a_setting_of_another_system_is_refused(capsys):
    assert main(["train", "energy-prior", "--prior", "learned"]) == 2
    assert "prior" in capsys.readouterr().err
    assert main(["train", "energy-prior", "--noise-scale", "0"]) == 2


@pytest.mark.parametrize("latent", [1, 2, 4])
def test_the_map_of_any_latent_space(latent):
    rng = np.random.default_rng(0)
    model = EnergyPriorVAE(4, latent, (3,))
    params = model.init(rng)
    codes = rng.standard_normal((50, latent))
    figure = energy_map(model, params, codes, model.negatives(params, model.draw_noise(rng, 60)[0]))
    assert figure.axes[0].get_title()


def test_a_log_z_that_is_not_known_is_said():
    """An energy so steep that annealing loses it."""
    rng = np.random.default_rng(0)
    model = EnergyPriorVAE(4, 6, (3,), energy_hidden=(40,))
    params = model.init(rng)
    params["energy.0.weight"] = params["energy.0.weight"] * 6
    params["energy.1.weight"] = 40 * rng.standard_normal((40, 1))
    task = SimpleNamespace(model=model, test=rng.random((30, 4)).round())
    assert energy.log_normaliser(model, params, rng).error > 0.1
    said = "\n".join(SYSTEMS["energy-prior"].warnings(task, params, rng))
    assert "log Z is known to" in said
    assert "the energy diverges" in said
