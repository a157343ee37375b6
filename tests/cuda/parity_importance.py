"""IWAE-K fused on the device, against the CPU's log-weights at the same noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vbref import evaluate, fit
from vbref.cuda import device
from vbref.cuda.importance import Evaluator
from vbref.models import VAE
from vbref.numerics import normals


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("hidden", "k"), [((), 1), ((3,), 7), ((3, 4), 8), ((5, 2, 17), 19)])
def test_log_sums(hidden, k, dtype):
    model, params, x = _world(hidden, dtype)
    log_w = model.log_weights(params, x, normals(9, 0, (k, len(x), 2), dtype)).astype(np.float64)
    log_sum, log_sum_sq = Evaluator(model, params).log_sums(x, k, 9, batch_size=2)
    tolerance = 3e-5 if dtype == "float32" else 1e-12
    assert_allclose(log_sum, np.logaddexp.reduce(log_w), rtol=0, atol=tolerance)
    assert_allclose(log_sum_sq, np.logaddexp.reduce(2 * log_w), rtol=0, atol=2 * tolerance)


def test_evaluate_says_the_same_for_any_batch():
    model, params, x = _world((3,), "float64")
    one, three = (
        evaluate.iwae(model, params, x, np.random.default_rng(3), 5, batch_size=size, device="cuda")
        for size in (1, 3)
    )
    assert_allclose(one.per_datum, three.per_datum, rtol=1e-13)
    seed = int(np.random.default_rng(3).integers(2**63))
    log_w = model.log_weights(params, x, normals(seed, 0, (5, 3, 2)))
    assert_allclose(one.mean, np.mean(np.logaddexp.reduce(log_w) - np.log(5)), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's
def test_weights_of_zero_and_nan():
    model, params, _ = _world((3,), "float64")
    x = np.ones((2, 5))
    impossible = params | {"decoder.1.bias": np.full(5, -np.finfo(float).max)}
    unknown = params | {"encoder.1.bias": np.full(4, 3000.0)}  # z is infinite, and a logit ∞ − ∞
    assert (Evaluator(model, impossible).log_sums(x, 9, 0)[0] == -np.inf).all()
    assert np.isnan(Evaluator(model, unknown).log_sums(x, 9, 0)[0]).all()
    for bad in (impossible, unknown):
        with pytest.raises(ValueError, match="params must stay within what their dtype can hold"):
            evaluate.iwae(model, bad, x, np.random.default_rng(0), 9, device="cuda")


X = np.ones((3, 5))


@pytest.mark.parametrize(
    ("x", "change", "message"),
    [
        (np.ones((3, 6)), {}, "x must"),
        (np.ones((3, 4)), {}, "x must"),
        (np.ones(5), {}, "x must"),
        (X + 6, {}, "x must"),
        (-X, {}, "x must"),
        (X.astype(np.float32), {}, "float32"),
        (X.astype(int), {}, "int64"),
        (X * np.nan, {}, "x must"),
        (X, {"decoder.0.bias": np.zeros(2)}, "decoder.0.bias must"),
        (X, {"decoder.0.bias": np.full(3, np.inf)}, "decoder.0.bias must"),
        (X, {"decoder.0.bias": np.zeros(3, np.float32)}, "float32"),
        (X, {"decoder.0.bias": None}, "decoder.0.bias"),
        (X, {"more": np.zeros(3)}, "more"),
    ],
)
def test_what_is_refused_on_the_cpu_is_refused_here(x, change, message):
    model, params, _ = _world((3,), "float64")
    params = {name: value for name, value in (params | change).items() if value is not None}
    rng = {"rng": np.random.default_rng(0)}
    for name in ("cpu", "cuda"):
        with pytest.raises(ValueError, match=message):
            evaluate.iwae(model, params, x, **rng, k=3, device=name)
        with pytest.raises(ValueError, match=message):
            fit(model, x, params=params, epochs=1, batch_size=2, **rng, device=name)


def test_memory_does_not_grow_with_k():
    model, params, _ = _world((3,), "float64")
    evaluator = Evaluator(model, params)
    rooms = [evaluator.room(rows, 10**6).shape for rows in (1, 7)]
    assert rooms == [(1, device.BUSY, 3), (7, -(-device.BUSY // 7), 3)]
    assert evaluator.room(1, 3).shape == (1, 1, 3)


def _world(hidden, dtype):
    model = VAE(5, 2, hidden, dtype=dtype)
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.3, p.shape).astype(dtype) for n, p in model.init(rng).items()}
    return model, params, (rng.random((3, 5)) < 0.4).astype(dtype)
