"""IWAE-K fused on the device, against the CPU's log-weights at the same noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vbref import evaluate
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


def test_weights_of_zero_and_nan():
    model, params, _ = _world((3,), "float64")
    x = np.ones((2, 5))
    impossible, unknown = (params | {"decoder.1.bias": np.full(5, bias)} for bias in (-np.inf, np.nan))
    assert (Evaluator(model, impossible).log_sums(x, 9, 0)[0] == -np.inf).all()
    with pytest.raises(ValueError, match="NaN"):
        evaluate.iwae(model, unknown, x, np.random.default_rng(0), 9, device="cuda")


def _world(hidden, dtype):
    model = VAE(5, 2, hidden, dtype=dtype)
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.3, p.shape).astype(dtype) for n, p in model.init(rng).items()}
    return model, params, (rng.random((3, 5)) < 0.4).astype(dtype)
