"""device=…: other words, no import of CUDA until asked, and an error that names what is missing."""

import subprocess
import sys

import numpy as np
import pytest

import vbref
from vbref import evaluate, kl
from vbref.models import VAE

MODERATE = (0.0, 1.0, 0.5, 2.0)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', was 'gpu'"):
        kl.normal(*MODERATE, device="gpu")
    with pytest.raises(ValueError, match="device must be"):
        kl.multivariate_normal(np.zeros(1), np.eye(1), np.zeros(1), np.eye(1), device="tpu")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("categorical", (np.array([0.5, 0.5]),) * 2),
        ("dirichlet", (np.ones(3),) * 2),
        ("wishart", (2.0, np.eye(2)) * 2),
    ],
)
def test_another_word_is_refused_of_vectors_and_matrices_too(name, arguments):
    for function in (getattr(kl, name), getattr(kl, f"{name}_grad")):
        with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', was 'gpu'"):
            function(*arguments, device="gpu")


def test_training_refuses_another_word_and_what_the_device_lacks():
    model, x = VAE(5, 2, (3,)), np.ones((2, 5))
    rest = {"epochs": 1, "batch_size": 2, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match="device must be"):
        vbref.fit(model, x, **rest, device="gpu")
    with pytest.raises(ValueError, match="validation must be None for device='cuda'"):
        vbref.fit(model, x, **rest, validation=x, device="cuda")


def test_annealing_refuses_another_word():
    model = VAE(5, 2, (3,))
    for run in (evaluate.annealed, evaluate.sandwich):
        given = (np.ones((2, 5)), 0, (1,)) if run is evaluate.annealed else (2, 0, 1)
        with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', was 'gpu'"):
            run(model, model.init(0), *given, device="gpu")


def test_cuda_is_imported_only_when_asked():
    code = (
        "import sys, vbref; vbref.kl.normal(0.0, 1.0, 0.0, 1.0, device='cpu');"
        "vbref.models.VAE; vbref.evaluate.iwae; vbref.evaluate.annealed; vbref.meanfield.GaussianMixture;"
        "assert not any(name.startswith('vbref.cuda') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_missing_is_named():
    code = (
        "import vbref\n"
        "try: vbref.kl.normal(0.0, 1.0, 0.0, 1.0, device='cuda')\n"
        "except RuntimeError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/nowhere", "CUDA_VISIBLE_DEVICES": "-1", "HOME": "/nowhere"},
    )
    assert done.stdout.startswith("device='cuda' cannot run here: ")
    assert "driver" in done.stdout
