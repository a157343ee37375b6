"""What only a GPU can show: `python -m pytest -n 0 -m gpu tests/cuda`. Parity with the CPU at stated bounds.

The device contracts products and sums to one rounding and has its own log, exp and tanh, so that no bits are
compared but those of counters and uniforms. Every array that a kernel should fill holds NaN before.

Without one, and with hours of patience, the emulator runs them too: VBREF_CUDA_EMULATED=1 before the command,
and CUDA_HOME=… NUMBA_FORCE_CUDA_CC=9.0.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import vbref
from vbref import evaluate, kl
from vbref.evaluate import exact
from vbref.meanfield import GaussianMixture
from vbref.models import VAE
from vbref.nn.optim import Adam
from vbref.numerics import normals, uniforms

pytestmark = pytest.mark.gpu
SIZES = (1, 31, 257, 100_003)


@pytest.fixture(autouse=True)
def _device(monkeypatch):
    from vbref.cuda import device

    if device.SIMULATED:
        pytest.skip("NO GPU HERE: the simulator is on")
    try:
        device.require()
    except device.Unavailable as missing:
        pytest.skip(f"NO GPU HERE, kernels were not run: {missing}")
    monkeypatch.setattr(device.settings, "poison", True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name", ["normal", "beta", "gamma", "kumaraswamy_beta", "bernoulli", "standard_normal"]
)
def test_kl(name, dtype):
    rng, eps = np.random.default_rng(0), np.finfo(dtype).eps
    count, high = (2, 0.999) if name in ("bernoulli", "standard_normal") else (4, 10.0)
    for n in SIZES:
        arguments = [rng.uniform(0.05, high, (n, 1)).astype(dtype) for _ in range(count)]
        got, expected = (getattr(kl, name)(*arguments, device=where) for where in ("cuda", "cpu"))
        assert_allclose(got, expected, rtol=1000 * eps, atol=1000 * eps)
        both = (getattr(kl, f"{name}_grad")(*arguments, device=where) for where in ("cuda", "cpu"))
        for got, expected in zip(*both, strict=True):
            assert_allclose(got, expected, rtol=5000 * eps, atol=5000 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["categorical", "dirichlet", "wishart"])
def test_kl_of_vectors_and_matrices(name, dtype):
    rng, eps = np.random.default_rng(0), np.finfo(dtype).eps
    for n in SIZES[:3]:
        q, p = rng.uniform(0.05, 5, (2, n, 6)).astype(dtype)
        if name == "categorical":
            q, p = (values / values.sum(axis=-1, keepdims=True) for values in (q, p))
        cov = np.eye(3, dtype=dtype) + q[:, :3, None] * q[:, None, :3]
        arguments = (3 + q[:, 0], cov, 3 + p[:, 0], 2 * cov) if name == "wishart" else (q, p)
        got, expected = (getattr(kl, name)(*arguments, device=where) for where in ("cuda", "cpu"))
        assert_allclose(got, expected, rtol=1000 * eps, atol=1000 * eps)
        both = (getattr(kl, f"{name}_grad")(*arguments, device=where) for where in ("cuda", "cpu"))
        for got, expected in zip(*both, strict=True):
            assert_allclose(got, expected, rtol=5000 * eps, atol=5000 * eps)


@pytest.mark.parametrize("d", [1, 2, 7, 16])
def test_multivariate_normal(d):
    rng = np.random.default_rng(d)
    root = rng.standard_normal((2, 1003, d, d))
    cov, more = root @ root.swapaxes(-1, -2) + np.eye(d)
    mean = rng.standard_normal((1003, d))
    for distance in (0.0, 1e-3, 1.0):
        arguments = (mean, cov, mean + distance, cov + distance * more)
        got, expected = (kl.multivariate_normal(*arguments, device=where) for where in ("cuda", "cpu"))
        assert_allclose(got, expected, rtol=1e-10, atol=1e-13)
        both = (kl.multivariate_normal_grad(*arguments, device=where) for where in ("cuda", "cpu"))
        for got, expected in zip(*both, strict=True):
            assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws(dtype):
    from vbref.cuda import noise

    seed, start, n = 2**64 - 3, 2**40 + 1, 100_003
    got = noise.filled(noise.UNIFORM[dtype], seed, start, n, dtype).copy_to_host()
    assert_array_equal(got, uniforms(seed, start, n, dtype))
    got = noise.filled(noise.NORMAL[dtype], seed, start, n, dtype).copy_to_host()
    assert_allclose(got, normals(seed, start, n, dtype), rtol=0, atol=32 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers(dtype):
    from vbref.cuda import device, products

    rng, eps = np.random.default_rng(1), np.finfo(dtype).eps
    for rows, inner, columns in (
        (1, 1, 1),
        (20, 784, 200),
        (1000, 50, 784),
        (1001, 203, 67),
        (4096, 33, 4097),
    ):
        x, w = (
            rng.standard_normal((rows, inner)).astype(dtype),
            rng.standard_normal((inner, columns)).astype(dtype),
        )
        d = rng.standard_normal((rows, columns)).astype(dtype)
        out = {
            "y": device.empty((rows, columns), dtype),
            "x": device.empty((rows, inner), dtype),
            "w": device.empty((inner, columns), dtype),
            "b": device.empty(columns, dtype),
        }
        x_d, w_d, d_d, bias = (
            device.put(x),
            device.put(w),
            device.put(d),
            device.put(np.zeros(columns, dtype)),
        )
        products.layer(x_d, w_d, bias, "identity", out["y"])
        products.layer_backward(d_d, w_d, None, "identity", out["x"])
        products.weight_gradient(x_d, d_d, out["w"], out["b"])
        wide = [a.astype(np.float64) for a in (x, w, d)]
        pairs = {"y": (wide[0], wide[1]), "x": (wide[2], wide[1].T), "w": (wide[0].T, wide[2])}
        for name, (a, b) in pairs.items():
            bound = eps * (a.shape[1] + 4) * (abs(a) @ abs(b))
            assert (abs(out[name].copy_to_host() - a @ b) <= bound).all(), name
        assert_allclose(out["b"].copy_to_host(), wide[2].sum(axis=0), rtol=0, atol=eps * rows * 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("objective", "rows", "k"), [("elbo", 1, 1), ("elbo", 19, 3), ("iwae", 20, 50)])
def test_objective_and_gradient(objective, rows, k, dtype):
    from vbref.cuda import training

    model, params, x = _world(objective, dtype, rows)
    value, grads = training.objective_and_grad(model, params, x, 5, k)
    expected, on_cpu = model.objective_and_grad(params, x, normals(5, 0, (k, rows, 50), dtype))
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    assert_allclose(value, expected, rtol=tolerance)
    for name, grad in on_cpu.items():
        assert_allclose(
            grads[name], grad, rtol=0, atol=10 * tolerance * max(1, abs(grad).max()), err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_importance(dtype):
    from vbref.cuda.importance import Evaluator

    model, params, x = _world("iwae", dtype, 7)
    for k in (1, 17, 301):
        log_w = model.log_weights(params, x, normals(9, 0, (k, 7, 50), dtype)).astype(np.float64)
        log_sum, log_sum_sq = Evaluator(model, params).log_sums(x, k, 9, batch_size=4)
        tolerance = 5e-3 if dtype == "float32" else 1e-9
        assert_allclose(log_sum, np.logaddexp.reduce(log_w), rtol=0, atol=tolerance)
        assert_allclose(log_sum_sq, np.logaddexp.reduce(2 * log_w), rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("covariance", ["full", "diag", "tied", "spherical"])
def test_mixture(covariance):
    x = np.random.default_rng(0).standard_normal((10_007, 5)) * np.arange(1, 6)
    fits = [
        GaussianMixture(4, covariance=covariance).fit(x, rng=1, max_iter=5, device=where)
        for where in ("cuda", "cpu")
    ]
    assert_allclose(fits[0].elbo, fits[1].elbo, rtol=1e-11)
    assert_allclose(fits[0].means, fits[1].means, rtol=1e-7, atol=1e-8)


def test_annealing_closes_on_the_evidence():
    model, rng = VAE(20, 1, (8,)), np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.3, p.shape) for n, p in model.init(rng).items()}
    x = (rng.random((30, 20)) < 0.4).astype(float)
    at_prior = {name: 0 * value for name, value in params.items() if name.startswith("encoder")}
    true = exact.quadrature(model, params | at_prior, x, nodes=200)
    found = evaluate.annealed(model, params, x, 1, (100,), chains=64, device="cuda")[100]
    z = (found.per_datum - true) / found.noise
    assert found.noise.max() < 0.1
    assert abs(z).max() < 5
    assert abs(z.mean()) < 4 / np.sqrt(len(z))


def test_langevin_moves_reach_the_posterior_of_a_flat_likelihood():
    """With weights of zero p(z | x) = N(0, I), whose variance 1 steps of size s raise to 1/(1 − s²/4)."""
    from vbref.cuda.chains import Chains

    model = VAE(20, 2, (8,))
    params = {name: 0 * value for name, value in model.init(0).items()}
    run = Chains(model, params, np.ones((10, 20)), chains=500, leapfrog=1, seed=3)
    z = run.langevin(60, 0.5)
    n = z.size
    assert abs(z.mean()) < 5 * np.sqrt(1.1 / n)
    assert abs(z.var() - 1 / (1 - 0.25 / 4)) < 5 * 1.1 * np.sqrt(2 / n)


def test_the_sandwich_closes():
    model, params, _ = _world("iwae", "float64", 1)
    gaps = [evaluate.sandwich(model, params, 50, 0, k, device="cuda") for k in (10, 300)]
    wide, narrow = (bounds.upper - bounds.lower for bounds in gaps)
    assert narrow.mean() > -4 * narrow.std() / np.sqrt(50)
    assert narrow.mean() < wide.mean() / 3


def test_a_recorded_graph_takes_the_same_steps():
    from numba import cuda

    from vbref.cuda.training import Trainer

    model, params, x = _world("iwae", "float32", 60)
    ends = []
    for graph in (False, True):
        trainer = Trainer(model, params, x, k=5, seed=3, optimizer=Adam(), stream=cuda.stream())
        trainer.start_epoch(np.arange(60), 1.0)
        for _ in range(6):
            trainer.step(10, graph=graph)
        total = trainer.total()
        ends.append((total, trainer.params.host()))
    assert ends[0][0] == ends[1][0]
    for name, array in ends[0][1].items():
        assert_array_equal(array, ends[1][1][name])


def test_training_reaches_the_bound_of_the_cpu():
    x = (vbref.load_digits().x > 7).astype(np.float32)
    reached = []
    for where in ("cpu", "cuda"):
        model = VAE(64, 8, (64,), dtype="float32")
        rng = np.random.default_rng(0)
        params, _ = vbref.fit(model, x, epochs=60, batch_size=50, rng=rng, learning_rate=3e-3, device=where)
        reached.append(evaluate.iwae(model, params, x, np.random.default_rng(1), 50).per_datum)
    # The noise differs, and so do the runs: by no more than two runs on the CPU with other seeds do.
    assert abs(np.mean(reached[0]) - np.mean(reached[1])) < 0.3


def _world(objective, dtype, rows):
    model = VAE(784, 50, (200, 200), objective=objective, dtype=dtype)
    rng = np.random.default_rng(1)
    return model, model.init(rng), (rng.random((rows, 784)) < 0.3).astype(dtype)
