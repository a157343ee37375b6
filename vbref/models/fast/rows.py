"""What a step does to rows, each fused into one pass: activations, likelihoods, the posterior, Adam.

The formulas are those of `nn.layers`, `models.likelihood`, `models.posterior` and `nn.optim`, where they are
derived and can be read; these are tested against them.
"""

import math

import numpy as np

from vbref.numerics.jit import elementwise_loop, loop, vector_loop
from vbref.numerics.vectorised import exp_negative, tanh

TANH, RELU = 0, 1
_BLOCK, _BLOCKS = 64, 15  # 2 to the power of 64 is a float32, to that of 64·15 a float64


@elementwise_loop
def _tanh_row(x):
    for i in range(x.size):
        x[i] = tanh(x[i])


@elementwise_loop
def _relu_row(x):
    zero = x.dtype.type(0)
    for i in range(x.size):
        x[i] = zero if x[i] < zero else x[i]


@loop
def activate(activation, room, start, step, rows, width):
    """φ in place on `rows` rows of `width`, and the 1 after each."""
    for row in range(rows):
        x = room[start + row * step : start + row * step + width]
        if activation == TANH:
            _tanh_row(x)
        else:
            _relu_row(x)
        room[start + row * step + width] = 1


@elementwise_loop
def _tanh_backward_row(d, y, c):
    one = d.dtype.type(1)
    for i in range(d.size):
        d[i] *= c * (one - y[i] * y[i])


@elementwise_loop
def _relu_backward_row(d, y, c):
    zero = d.dtype.type(0)
    for i in range(d.size):
        d[i] = c * d[i] if y[i] > zero else zero


@loop
def activate_backward(activation, room, start, y, step, rows, width, c):
    """d ← c φ' d in place on rows from `start`, φ' from the outputs at `y`; c is one factor, or one a row."""
    for row in range(rows):
        d = room[start + row * step : start + row * step + width]
        out = room[y + row * step : y + row * step + width]
        factor = c[row if c.size > 1 else 0]
        if activation == TANH:
            _tanh_backward_row(d, out, factor)
        else:
            _relu_backward_row(d, out, factor)


@vector_loop
def scale(x, c):
    """x ← c x."""
    for i in range(x.size):
        x[i] *= c


@vector_loop
def total(x):
    """Σ x, summed in the order that is fastest."""
    s = x.dtype.type(0)
    for i in range(x.size):
        s += x[i]
    return s


@vector_loop
def _product(x):
    p = x.dtype.type(1)
    for i in range(x.size):
        p *= x[i]
    return p


@loop
def log_product(x):
    """Σ log x of x in [1, 2] in float64: one logarithm for 960 factors, whose product cannot overflow."""
    log_sum, product, blocks = 0.0, 1.0, 0
    for start in range(0, x.size, _BLOCK):
        product *= np.float64(_product(x[start : min(start + _BLOCK, x.size)]))
        blocks += 1
        if blocks == _BLOCKS:
            log_sum += math.log(product)
            product, blocks = 1.0, 0
    return log_sum + math.log(product)


@elementwise_loop
def _bernoulli_terms(logits, x, linear, factor):
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    for i in range(logits.size):
        logit = logits[i]
        linear[i] = x[i] * logit - (zero if logit < zero else logit)
        factor[i] = one + exp_negative(-abs(logit))


@elementwise_loop
def _bernoulli_terms_and_residual(logits, x, linear, factor):
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    for i in range(logits.size):
        logit = logits[i]
        t = exp_negative(-abs(logit))
        linear[i] = x[i] * logit - (zero if logit < zero else logit)
        factor[i] = one + t
        logits[i] = x[i] - (t if logit < zero else one) / (one + t)


@loop
def bernoulli(logits, x, spare, residual):
    """log p(x | logits); with `residual` the logits give way to d log p/d logits = x − p."""
    linear, factor = spare[: x.size], spare[x.size : 2 * x.size]
    if residual:
        _bernoulli_terms_and_residual(logits, x, linear, factor)
    else:
        _bernoulli_terms(logits, x, linear, factor)
    return np.float64(total(linear)) - log_product(factor)


@vector_loop
def _gaussian_squares(mean, x, precision, residual):
    s = mean.dtype.type(0)
    for i in range(mean.size):
        r = x[i] - mean[i]
        s += r * r
        if residual:
            mean[i] = r * precision
    return s


@loop
def gaussian(mean, x, precision, residual):
    """log N(x; mean, I/precision); with `residual` the mean gives way to d log p/d mean."""
    squares = np.float64(_gaussian_squares(mean, x, mean.dtype.type(precision), residual))
    return -0.5 * (precision * squares + x.size * math.log(2 * math.pi / precision))


@elementwise_loop
def adam(theta, g, m, v, factor, rate, beta1, beta2, scale_v, epsilon):
    """Adam's step along `factor` · g, with rate = α/(1 − β₁ᵗ) and scale_v = 1/(1 − β₂ᵗ)."""
    one = g.dtype.type(1)
    for i in range(theta.size):
        slope = factor * g[i]
        m[i] = beta1 * m[i] + (one - beta1) * slope
        v[i] = beta2 * v[i] + (one - beta2) * (slope * slope)
        theta[i] -= rate * m[i] / (np.sqrt(v[i] * scale_v) + epsilon)
