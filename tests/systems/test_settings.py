"""Options of single systems: shared flags, zeros that are allowed, values that are refused."""

import pytest

from vbref import runs
from vbref.cli import main
from vbref.systems import SYSTEMS


@pytest.mark.parametrize(
    ("system", "name"), [("vaegan", "gamma"), ("energy-prior", "slope_penalty"), ("gmvae", "min_information")]
)
def test_zero_is_a_weight(tmp_path, capsys, system, name):
    """What is refused is the next setting: the zero before it was taken."""
    argv = ["train", system, "--out", str(tmp_path / "run"), "--" + name.replace("_", "-"), "0"]
    assert main([*argv, "--data", "nowhere.npy"]) == 2
    assert "nowhere.npy" in capsys.readouterr().err
    task = runs.task(system, {name: 0.0, "likelihood": "gaussian"})
    assert task.model.config[name] == 0


@pytest.mark.parametrize(
    ("system", "given", "message"),
    [
        ("gmvae", {"weights": "process"}, "weights must be one of 'uniform', 'learned', was 'process'"),
        ("avb", {"noise_dim": 2.5}, "noise_dim must be int > 0, was 2.5"),
        ("stick-breaking", {"concentration_is": "free"}, "concentration_is must be one of"),
        ("stick-breaking", {"concentration": 0.0}, "concentration must be float > 0, was 0.0"),
        ("energy-prior", {"energy_form": "bent"}, "energy_form must be one of"),
        ("vaegan", {"gamma": float("inf")}, "gamma must be float >= 0, was inf"),
    ],
)
def test_a_bad_value_is_named(system, given, message):
    """By hand in a config.json as well as on the command line."""
    with pytest.raises(ValueError, match=message):
        SYSTEMS[system].completed(runs.DEFAULTS, given)


@pytest.mark.parametrize("system", ["gmvae", "vaegan", "avb"])
def test_a_sigma_that_would_do_nothing_is_refused(tmp_path, capsys, system):
    argv = ["train", system, "--likelihood", "bernoulli", "--sigma", "0.5", "--out", str(tmp_path / "run")]
    assert main(argv) == 2
    assert "sigma must be left alone for likelihood='bernoulli'" in capsys.readouterr().err.replace(
        "scale and ", ""
    )
