"""Kernels over more than one block, and in more than one turn: what no size of the simulator reaches."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vbref.cuda import device, importance, mixture, noise, training
from vbref.meanfield.mixture.statistics import Frame, moments, responsibilities
from vbref.models import VAE
from vbref.nn.optim import Adam
from vbref.numerics import normals, random

ROWS, K = 21, 7  # 147 samples of 3 latent numbers are 441, in blocks of 256 threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws(dtype):
    draws = noise.filled(noise.UNIFORM[dtype], 5, 3, 700, dtype).copy_to_host()
    assert_array_equal(draws, random.uniforms(5, 3, 700, dtype), strict=True)


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_objective_and_gradient(objective):
    model, params, x = _world(objective)
    value, grads = training.objective_and_grad(model, params, x, 11, K)
    expected, on_cpu = model.objective_and_grad(params, x, normals(11, 0, (K, ROWS, 3)))
    assert_allclose(value, expected, rtol=1e-13)
    for name, grad in on_cpu.items():
        assert_allclose(grads[name], grad, rtol=1e-10, atol=1e-12, err_msg=name)


def test_recorded_steps_are_the_steps_themselves():
    model, params, x = _world("elbo")
    ends = []
    for graph in (False, True):
        fitted, history = _fitted(model, params, x, graph)
        ends.append((fitted, history["train"]))
    assert_array_equal(ends[0][1], ends[1][1])
    for name, array in ends[0][0].items():
        assert_array_equal(array, ends[1][0][name])
        assert (array != params[name]).any()


def _fitted(model, params, x, graph):
    return training.fit(
        model, x, epochs=4, batch_size=8, rng=np.random.default_rng(0), optimizer=Adam(),
        schedule=lambda epoch: 1 / (1 + epoch), k=1, scale="mean", prepare=None, params=params, reports=(),
        graph=graph,
    )  # fmt: skip


@pytest.mark.parametrize("width", [3, 200])
def test_importance_weights_over_many_tiles_of_one_block(width, monkeypatch):
    monkeypatch.setattr(device, "BUSY", 1)
    model, params, x = _world("iwae", width, np.float32)
    log_w = model.log_weights(params, x[:2], normals(9, 0, (40, 2, 3), np.float32)).astype(np.float64)
    log_sum, _ = importance.Evaluator(model, params).log_sums(x[:2], 40, 9)
    assert_allclose(log_sum, np.logaddexp.reduce(log_w), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("number", "width", "samples"), [(np.float32, 248, 16), (np.float32, 560, 8), (np.float64, 248, 8)]
)
def test_the_widest_layers_that_fit(number, width, samples):
    assert importance.shape(number, width) == (samples, 128)
    if samples == 8:
        with pytest.raises(ValueError, match="no room"):
            importance.shape(number, width + 1)
    model, params, x = _world("iwae", width, number)
    got, _ = importance.Evaluator(model, params).log_sums(x[:1], 3, 9)
    log_w = model.log_weights(params, x[:1], normals(9, 0, (3, 1, 3), number)).astype(np.float64)
    assert_allclose(got, np.logaddexp.reduce(log_w), rtol=0, atol=1e-3 if number is np.float32 else 1e-11)


@pytest.mark.parametrize(("k", "d", "blocks"), [(3, 2, 2), (100, 53, 2), (5, 5, 528)])
def test_mixture_over_many_tiles_of_one_block(k, d, blocks, monkeypatch):
    monkeypatch.setattr(device, "BUSY", blocks)
    rng = np.random.default_rng(k)
    n = 700 if blocks > 2 else 2 * blocks * mixture.rows_a_block(k, d) + 5
    x, means = rng.standard_normal((n, d)), rng.standard_normal((k, d))
    frame = Frame(means, rng.uniform(0.5, 1, (k, d)), rng.standard_normal(k), means)
    expected = moments(x, responsibilities(x, frame), False)
    got = mixture.Rows(x)(x, np.zeros(d), frame)
    for name in ("count", "mean", "scatter", "entropy"):
        assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-11, atol=1e-12, err_msg=name)


def _world(objective, width=5, dtype=np.float64):
    model = VAE(13, 3, (width,), objective=objective, dtype=np.dtype(dtype).name)
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.1, p.shape).astype(dtype) for n, p in model.init(rng).items()}
    return model, params, (rng.random((ROWS, 13)) < 0.4).astype(dtype)
