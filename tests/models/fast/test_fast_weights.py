"""Log-weights in tiles against the plain form, and IWAE-K with noise drawn inside against noise given."""

import tracemalloc

import numba
import numpy as np
import pytest

from vbref.models import VAE
from vbref.models.fast import Weights
from vbref.models.fast.weights import _merged, carry
from vbref.numerics.random import normals


def world(dtype, **options):
    model = VAE(11, 3, (9, 6), dtype=dtype, **options)
    rng = np.random.default_rng(1)
    params = {n: a + 0.1 * rng.standard_normal(a.shape).astype(dtype) for n, a in model.init(rng).items()}
    return model, params, rng.random((5, 11)).astype(dtype), rng


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"likelihood": "gaussian", "sigma": 0.7, "activation": "relu"}])
@pytest.mark.parametrize("threads", [1, 2])
def test_log_weights_are_the_plain_form_s(dtype, options, threads):
    model, params, x, rng = world(dtype, **options)
    noise = model.draw_noise(rng, 5, 37)
    seen = Weights(model, params, tile=16, threads=threads).log_weights(x, noise)
    expected = model.log_weights(params, x, noise)
    assert seen.dtype == dtype
    np.testing.assert_allclose(seen, expected, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_iwae_draws_the_noise_of_its_seed(dtype, threads):
    model, params, x, _ = world(dtype)
    k = 37
    noise = np.ascontiguousarray(normals(5, 0, (5, k, 3), dtype).transpose(1, 0, 2))
    log_w = model.log_weights(params, x, noise).astype(np.float64)
    w = np.exp(log_w - log_w.max(axis=0))
    value, error = Weights(model, params, tile=16, threads=threads).iwae(x, k, seed=5)
    tolerance = 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(value, log_w.max(axis=0) + np.log(w.mean(axis=0)), rtol=tolerance)
    np.testing.assert_allclose(
        error, w.std(axis=0, ddof=1) / w.mean(axis=0) / np.sqrt(k), rtol=30 * tolerance
    )


def test_one_sample_has_no_standard_error():
    model, params, x, _ = world("float64")
    value, error = Weights(model, params, threads=1).iwae(x, 1, seed=5)
    noise = normals(5, 0, (5, 1, 3), "float64").transpose(1, 0, 2)
    np.testing.assert_allclose(value, model.log_weights(params, x, noise)[0], rtol=1e-13)
    np.testing.assert_array_equal(error, np.inf)


def test_the_sums_of_threads_are_one():
    """One thread alone, 1 beside e^800, no weight; the error's square is (E w²/(E w)² − 1)/3."""
    nothing, one = [-np.inf, 0.0, 0.0], [0.0, 1.0, 1.0]
    other = [[np.log(2), 2.5, 2.25], [800.0, 1.0, 1.0], nothing]
    value, error = _merged(np.array([[nothing, one, nothing], other]), 4)
    np.testing.assert_allclose(value, [np.log(5 / 4), 800 - np.log(4), -np.inf], rtol=1e-14)
    np.testing.assert_allclose(error, [np.sqrt((4 * 9 / 25 - 1) / 3), 1, np.inf], rtol=1e-14)


def test_threads_are_those_asked_for_or_all_of_numba_s():
    model, params, *_ = world("float64")
    assert len(Weights(model, params, threads=3)._rooms) == 3
    assert len(Weights(model, params)._rooms) == numba.get_num_threads()


def test_memory_does_not_grow_with_k():
    model, params, x, _ = world("float64")
    weights = Weights(model, params, tile=16, threads=1)
    peaks = []
    for k in (16, 16, 16_000):
        tracemalloc.start()
        weights.iwae(x, k)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1] + 1000


def test_sums_are_carried_past_tiles_of_no_weight():
    """Weights 0 and 0, then 1 and 2, then 0 and 3: Σ w/3 = 2 and Σ w²/9 = 14/9."""
    sums = np.array([-np.inf, 0.0, 0.0])
    for log_w in ([-np.inf, -np.inf], [0.0, np.log(2)], [-np.inf, np.log(3)]):
        carry(sums, np.array(log_w))
    np.testing.assert_allclose(sums, [np.log(3), 2, 14 / 9], rtol=1e-14)


@pytest.mark.parametrize("before", [[], [0.5, 1.5]])
def test_a_nan_among_the_weights_is_not_lost(before):
    sums = np.array([-np.inf, 0.0, 0.0])
    for tile in (before, [np.nan, 0.0, 1.0], [2.0, 3.0]):
        if tile:
            carry(sums, np.array(tile))
    assert np.isnan(sums).all()


def test_rows_and_noise_of_another_kind_are_refused():
    model, params, x, rng = world("float64")
    weights = Weights(model, params, threads=1)
    with pytest.raises(ValueError, match="x must have shape"):
        weights.iwae(x[:, :5], 3)
    with pytest.raises(ValueError, match="x must be float64, was float32"):
        weights.iwae(x.astype(np.float32), 3)
    with pytest.raises(ValueError, match="noise must have shape"):
        weights.log_weights(x, model.draw_noise(rng, 4, 2))


def test_parameters_of_another_kind_are_refused():
    """A bias of one number would be spread over the layer, and float64 be rounded."""
    model, params, _, _ = world("float64")
    for bad, message in [
        ({}, "encoder.0.weight must be given"),
        (params | {"decoder.0.bias": np.ones(1)}, "decoder.0.bias must have shape"),
        (params | {"decoder.0.bias": params["decoder.0.bias"].astype("f4")}, "must be float64, was float32"),
    ]:
        with pytest.raises(ValueError, match=message):
            Weights(model, bad, threads=1)
