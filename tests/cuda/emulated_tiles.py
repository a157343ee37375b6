"""The tiles that a GPU gets, each at sizes that fill none of its blocks, some of them, and all."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vbref.cuda import device, products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (130, 70, 17), (16, 129, 140), (128, 64, 128)])
@pytest.mark.parametrize("tile", device.TILES, ids=lambda tile: f"{tile.side}")
def test_a_layer_and_its_gradients(tile, sizes, dtype, monkeypatch):
    monkeypatch.setattr(device, "tile", lambda rows, columns: tile)
    rows, inner, columns = sizes
    rng, eps = np.random.default_rng(0), np.finfo(dtype).eps
    x, weight, d = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((rows, inner), (inner, columns), (rows, columns))
    )
    bias, below = rng.standard_normal(columns).astype(dtype), np.tanh(x)
    y, d_x, d_weight, d_bias = (
        device.empty(shape, dtype) for shape in ((rows, columns), x.shape, weight.shape, columns)
    )
    x_d, weight_d, d_d = (device.put(a) for a in (x, weight, d))
    products.layer(x_d, weight_d, device.put(bias), "identity", y)
    products.layer_backward(d_d, weight_d, device.put(below), "tanh", d_x)
    products.weight_gradient(x_d, d_d, d_weight, d_bias)
    x, weight, d, slope = (a.astype(np.float64) for a in (x, weight, d, 1 - below.astype(np.float64) ** 2))
    for got, a, b, plus, times in (
        (y, x, weight, bias, 1), (d_x, d, weight.T, 0, slope), (d_weight, x.T, d, 0, 1),
    ):  # fmt: skip
        bound = eps * (a.shape[1] + 4) * (abs(a) @ abs(b) + 1)
        assert (abs(got.copy_to_host() - (a @ b + plus) * times) <= bound).all()
    assert_allclose(d_bias.copy_to_host(), d.sum(axis=0), rtol=0, atol=eps * rows * 4)
