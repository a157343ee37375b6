"""`vbref train mixture`: what it prints, what it leaves in its folder, what it refuses."""

import json

import numpy as np
import pytest

import vbref
from vbref import cli
from vbref.meanfield import GaussianMixture
from vbref.systems import mixture


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


def test_the_folder_is_whole_before_the_report(tmp_path):
    """Whoever reads it may leave after the first lines, as head does."""

    def gone(line):
        if "rows of" not in line:
            raise BrokenPipeError

    few = {"components": 2, "restarts": 1}
    with pytest.raises(BrokenPipeError):
        mixture.train(few, tmp_path / "run", gone)
    assert {"mixture.json", "posterior.npz", "bound.png"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_without_matplotlib_the_report_comes_all_the_same(tmp_path, monkeypatch, capsys):
    def missing(*arguments):
        raise ImportError("pictures need matplotlib")

    monkeypatch.setattr(mixture, "draw", missing)
    assert cli.main(["train", "mixture", "--components", "2", "--restarts", "1", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "ELBO" in printed.out
    assert "pictures need matplotlib" in printed.err


def test_evaluate_says_that_nothing_is_held_out(tmp_path, capsys):
    mixture.train({"components": 1, "restarts": 1}, tmp_path, lambda line: None)
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds a mixture" in said
    assert "mixture.json" in said


@pytest.mark.parametrize("value", ["0", "-1", "nan", "many"])
def test_one_rule_for_the_concentration(value, capsys):
    assert cli.main(["train", "mixture", "--concentration", value]) == 2
    assert f"argument --concentration: must be a number > 0, was '{value}'" in capsys.readouterr().err


def test_other_files_are_told_what_is_read(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("1.0,2.0\n")
    assert cli.main(["train", "mixture", "--data", str(tmp_path / "a.csv")]) == 2
    assert "(data are read from .npz, .npy, idx and idx.gz files)" in capsys.readouterr().err


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
