"""`vbref train gmvae` and `stick-breaking`: from a folder back to its numbers, and what they warn of."""

import os

import numpy as np
import pytest

from vbref import runs
from vbref.cli import main
from vbref.systems import SYSTEMS, gmvae

SMALL = ["--epochs", "1", "--hidden", "8", "--latent", "3", "--test-size", "50"]
RUNS = {
    "gmvae": ["--components", "3", "--w-dim", "1", "--weights", "learned", "--min-information", "0.5"],
    "stick-breaking": ["--fraction", "gamma", "--concentration", "2", "--concentration-is", "learned"],
}
PICTURES = {
    "gmvae": {"clusters", "latent-clusters", "shares"},
    "stick-breaking": {"sticks"},
}


@pytest.fixture
def small(monkeypatch):
    """Cheaper bounds and a shorter start: the same code with fewer samples and epochs."""
    monkeypatch.setattr(runs, "KS", (1, 5))
    monkeypatch.setattr(gmvae, "_PRETRAIN_EPOCHS", 1)
    monkeypatch.setattr(gmvae, "_STARTS", 1)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_and_its_numbers_again(tmp_path, capsys, small, name):
    out = str(tmp_path / "run")
    assert main(["train", name, "--out", out, *SMALL, *RUNS[name]]) == 0
    printed = capsys.readouterr().out
    drawn = {file.removesuffix(".png") for file in os.listdir(out) if file.endswith(".png")}
    common = {"reconstructions", "samples", "latent", "bounds", "history"}
    assert drawn == common | PICTURES[name]
    assert main(["evaluate", out]) == 0
    assert capsys.readouterr().out.strip() in printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["stick-breaking", "--posterior", "full"], "no setting 'posterior'"),
        (["gmvae", "--concentration", "2"], "no setting 'concentration'"),
        (["vae", "--components", "3"], "no setting 'components'"),
        (["stick-breaking", "--fraction", "gamma", "--kl", "exact"], "must go with posterior='kumaraswamy'"),
    ],
)
def test_settings_of_another_system_are_refused(tmp_path, capsys, argv, message):
    assert main(["train", *argv, "--out", str(tmp_path / "run")]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1


def warned(name, change, **given):
    """The warnings of an untrained model whose parameters `change` spoils."""
    given = {"hidden": [8], "latent": 3, "test_size": 60} | given
    task = runs.task(name, given)
    params = task.model.init(np.random.default_rng(0))
    change(task.model, params)
    return " | ".join(SYSTEMS[name].warnings(task, params, np.random.default_rng(0)))


def constant_encoder(model, params):
    params["encoder.1.weight"][:] = 0


def one_cluster(model, params):
    params["prior.logits"][:] = [20.0, 0.0, 0.0]


def equal_clusters(model, params):
    params[model.prior.last_bias][:] = 0
    params[model.prior.last_bias.replace("bias", "weight")][:] = 0


def test_gmvae_says_what_collapsed():
    small = {"components": 3, "weights": "learned"}
    assert "posterior collapse: 0 of 3 units" in warned("gmvae", constant_encoder, **small)
    assert "collapsed clusters: 1.0 of 3" in warned("gmvae", one_cluster, **small)
    assert "clusters overlap (mean certainty 0.33)" in warned("gmvae", equal_clusters, **small)
    said = warned("gmvae", lambda model, params: params["w_encoder.1.weight"].fill(0), **small)
    assert "w says nothing" in said


def test_sticks_say_what_is_left_and_what_is_dead():
    assert "posterior collapse" in warned("stick-breaking", constant_encoder)
    assert "left at the truncation" in warned("stick-breaking", lambda *_: None, latent=2)
    assert "left at the truncation" not in warned("stick-breaking", lambda *_: None, latent=30)
    assert "is no bound" in warned("stick-breaking", lambda *_: None, kl="series")


def test_the_start_places_components_where_codes_lie():
    task = runs.task("gmvae", {"hidden": [8], "latent": 2, "components": 2, "w_dim": 1})
    codes = np.array([[0.0, 1], [0, 3], [5, 5], [7, 5]])
    params = gmvae.placed(
        task.model, task.model.init(np.random.default_rng(0)), codes, np.array([0, 0, 1, 1])
    )
    loc, log_var = np.split(params[task.model.prior.last_bias].reshape(2, 4), 2, axis=-1)
    np.testing.assert_allclose(loc, [[0, 2], [6, 5]])
    np.testing.assert_allclose(np.exp(log_var), [[0.05, 1.05], [1.05, 0.05]], rtol=1e-5)
