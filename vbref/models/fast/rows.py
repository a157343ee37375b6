"""What a step does to rows, each fused into one pass: activations, likelihoods, the posterior, Adam.

The formulas are those of `nn.layers`, `models.likelihood`, `models.posterior` and `nn.optim`, where they are
derived and can be read; these are tested against them.
"""

import math

import numpy as np

from vbref.numerics.jit import elementwise_loop, loop, vector_loop
from vbref.numerics.vectorised import exp_negative, tanh

TANH, RELU = 0, 1
LANES = 64
_SPAN = 15 * LANES  # 2¹⁵ is a float32, and 2⁹⁶⁰ a float64


@loop
def grid(room, start, step, rows):
    """The activations from `start` on as a matrix of so many rows, `step` wide."""
    return room[start : start + rows * step].reshape(rows, step)


@elementwise_loop
def activate(activation, y, width):
    """φ in place on the first `width` of each row of y, and the 1 after them."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for row in range(len(y)):
        x = y[row, :width]
        if activation == TANH:
            for i in range(x.size):
                x[i] = tanh(x[i])
        else:
            for i in range(x.size):
                x[i] = zero if x[i] < zero else x[i]
        y[row, width] = one


@elementwise_loop
def activate_backward(activation, d_y, y, width, c):
    """d_y ← c φ' d_y in place, φ' from the outputs y; c is one factor, or one a row."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for row in range(len(y)):
        d, out, factor = d_y[row, :width], y[row, :width], c[row if c.size > 1 else 0]
        if activation == TANH:
            for i in range(d.size):
                d[i] *= factor * (one - out[i] * out[i])
        else:
            for i in range(d.size):
                d[i] = factor * d[i] if out[i] > zero else zero


@vector_loop
def scale(x, c):
    """x ← c x."""
    for i in range(x.size):
        x[i] *= c


@vector_loop
def _sum_less_log_product(x, y):
    """Σ x − log Π y in float64."""
    total, product = 0.0, 1.0
    for i in range(x.size):
        total += np.float64(x[i])
        product *= np.float64(y[i])
    return total - math.log(product)


@elementwise_loop
def bernoulli(logits, x, samples, width, begin, end, lanes, residual, log_w):
    """Add log p(x | logits) of rows begin to end to log_w; with `residual` x − p takes the logits' place.

    log p = Σ x l − max(l, 0) − log(1 + e^−|l|), where 1 + e^−|l| is in [1, 2]: one logarithm serves a span of
    960, whose product cannot overflow a float64. Sums and products are by lanes, in the columns' order.
    """
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    linear, factor = lanes
    for row in range(begin, end):
        out, data = logits[row, :width], x[row // samples, :width]
        for span in range(0, width, _SPAN):
            linear[:], factor[:] = 0, 1
            for start in range(span, min(span + _SPAN, width), LANES):
                o, d = out[start : start + LANES], data[start : start + LANES]
                for i in range(o.size):
                    logit = o[i]
                    t = exp_negative(-abs(logit))
                    whole = one + t
                    # What 1 + t has lost of t, at last all of it: log(1 + t) − log whole.
                    linear[i] += d[i] * logit - (zero if logit < zero else logit) - (t - (whole - one))
                    factor[i] *= whole
                    if residual:
                        o[i] = d[i] - (t if logit < zero else one) / whole
            log_w[row] += _sum_less_log_product(linear, factor)


@vector_loop
def _squares(mean, x, precision, residual):
    total = mean.dtype.type(0)
    for i in range(mean.size):
        r = x[i] - mean[i]
        total += r * r
        if residual:
            mean[i] = r * precision
    return np.float64(total)


@loop
def gaussian(mean, x, samples, width, begin, end, precision, residual, log_w):
    """Add log N(x; mean, I/precision) of rows begin to end to log_w; d log p/d mean as in `bernoulli`."""
    constant, narrow = width * math.log(2 * math.pi / precision), mean.dtype.type(precision)
    for row in range(begin, end):
        squares = _squares(mean[row, :width], x[row // samples, :width], narrow, residual)
        log_w[row] -= 0.5 * (precision * squares + constant)


@elementwise_loop
def adam(theta, g, m, v, settings):
    """Adam's step along factor · g, with rate = α/(1 − β₁ᵗ) and scale_v = 1/(1 − β₂ᵗ).

    1 − β comes ready: formed in float32, 1 − β₂ would be off by 1e-5.
    """
    factor, rate, scale_v, epsilon = settings[0], settings[1], settings[2], settings[3]
    beta1, rest1, beta2, rest2 = settings[4], settings[5], settings[6], settings[7]
    for i in range(theta.size):
        slope = factor * g[i]
        m[i] = beta1 * m[i] + rest1 * slope
        v[i] = beta2 * v[i] + rest2 * (slope * slope)
        theta[i] -= rate * m[i] / (np.sqrt(v[i] * scale_v) + epsilon)
