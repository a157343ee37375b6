"""`vbref train mixture`: what it prints, what it leaves in its folder, what it refuses."""

import json

import numpy as np
import pytest

import vbref
from vbref import cli
from vbref.meanfield import GaussianMixture


def test_old_faithful(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    assert (
        cli.main(["train", "mixture", "--data", "faithful", "--components", "3", "--out", str(tmp_path)]) == 0
    )
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "mixture.json").read_text())
    expected = GaussianMixture(3, concentration=0.1).fit(vbref.load_faithful(), rng=0, n_init=5)
    assert result["elbo"] == pytest.approx(expected.elbo, rel=1e-12)
    assert f"{expected.elbo:.4f}" in printed
    assert sum(result["terms"].values()) == pytest.approx(result["elbo"], rel=1e-9)
    np.testing.assert_array_equal(np.load(tmp_path / "posterior.npz")["mean"], expected.posterior["mean"])
    for name in ("bound.png", "mixture.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--epochs", "3"), ("--latent", "2"), ("--covariance", "round"), ("--weights", "uniform")],
)
def test_bad_usage(option, value, tmp_path, capsys):
    assert cli.main(["train", "mixture", "--out", str(tmp_path / "run"), option, value]) == 2
    assert option.strip("-") in capsys.readouterr().err


def test_a_dirichlet_process(tmp_path):
    """Its word for the weights stands beside the other ones that `--weights` has elsewhere."""
    few = ["--data", "faithful", "--components", "3", "--restarts", "1"]
    assert cli.main(["train", "mixture", *few, "--weights", "process", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "mixture.json").read_text())
    expected = GaussianMixture(3, concentration=0.1, process=True).fit(vbref.load_faithful(), rng=0, n_init=1)
    assert result["elbo"] == pytest.approx(expected.elbo, rel=1e-12)
