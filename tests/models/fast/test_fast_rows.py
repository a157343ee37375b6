"""The fused likelihoods against the plain ones, at widths around the lanes, a span of them, and several."""

from functools import partial

import numpy as np
import pytest

from vbref.models.fast import rows
from vbref.models.likelihood import Bernoulli, Gaussian

PRECISION = 0.7**-2


def bernoulli(out, x, residual, log_w):
    lanes = tuple(np.full((2, rows.LANES), np.nan, out.dtype))
    rows.bernoulli(out, x, 2, x.shape[1] - 3, 1, 5, lanes, residual, log_w)


def gaussian(out, x, residual, log_w):
    rows.gaussian(out, x, 2, x.shape[1] - 3, 1, 5, PRECISION, residual, log_w)


@pytest.mark.parametrize(
    ("fused", "plain"), [(bernoulli, Bernoulli), (gaussian, partial(Gaussian, sigma=0.7))]
)
@pytest.mark.parametrize("width", [1, 5, 63, 64, 65, 784, 960, 961, 2000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_of_six_rows_of_outputs_of_three_images(fused, plain, width, dtype):
    rng, eps, own = np.random.default_rng(width), np.finfo(dtype).eps, slice(1, 5)
    out = (4 * rng.standard_normal((6, width + 3))).astype(dtype)
    x = rng.random((3, width + 3)).astype(dtype)
    before, images = out.copy(), x[:, :width].repeat(2, axis=0)[own]
    likelihood = plain(width)
    added, saved = likelihood.log_prob({}, out[own, :width].astype(float), images.astype(float))
    d_out = likelihood.backward(np.ones(4), saved)[0]
    for residual in (False, True):
        log_w = np.arange(6.0)
        fused(out, x, residual, log_w)
        np.testing.assert_allclose(log_w, [0, *(added + np.arange(1, 5)), 5], rtol=8 * eps)
        if not residual:
            assert (out == before).all()
    np.testing.assert_allclose(out[own, :width], d_out, atol=4 * eps * abs(d_out).max())
    out[own, :width] = before[own, :width]
    assert (out == before).all()


@pytest.mark.parametrize("width", [960, 1100, 2000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_product_overflows_where_every_logit_is_zero(width, dtype):
    """There 1 + e^−|l| is 2 for each, and log p is −width log 2 whatever x is."""
    out, x, log_w = np.zeros((6, width + 3), dtype), np.ones((3, width + 3), dtype), np.zeros(6)
    bernoulli(out, x, False, log_w)
    np.testing.assert_allclose(log_w[1:5], -width * np.log(2), rtol=1e-14)


@pytest.mark.parametrize("logit", [20.0, 30.0, 36.0, 45.0, 80.0])
def test_a_certain_pixel_keeps_its_digits(logit):
    """log p(x = 1) = −log(1 + e^−l) and log p(x = 0 | −l) the same, of which 1 + e^−l has lost the digits."""
    for sign, pixel in ((1, 1.0), (-1, 0.0)):
        log_w = np.zeros(6)
        bernoulli(np.full((6, 4), sign * logit), np.full((3, 4), pixel), False, log_w)
        np.testing.assert_allclose(log_w[1:5], -np.log1p(np.exp(-logit)), rtol=4 * 2.0**-52)
