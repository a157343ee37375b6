"""A training step in compiled code: the bound and its gradient on a share of the batch, then Adam.

What `VAE.objective_and_grad` and `Adam.step` say in plain NumPy, for a diagonal posterior and a standard
prior: the ELBO with its KL in closed form, or IWAE with the pathwise gradient. Each step has two phases that
threads share without writing to the same place: the rows of the batch, each thread taking its images forward
and back; then the rows of the weights, each thread forming its gradients and moving its parameters. So the
sums, and the bits, are those of the number of threads and of nothing else.

Rows behind the posterior are in the order image, sample: image i's k-th is row i K + k. In the decoder's
backward pass c_k = ∂objective/∂log w_k does not multiply the wide x − p, but the narrow arrays on both sides
of it: d_in = c ∘ (R Wᵀ), d_W = (c ∘ in)ᵀ R.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from vbref.models.fast import network, posterior
from vbref.models.fast import rows as fused
from vbref.numerics.jit import loop, parallel_loop

BERNOULLI, GAUSSIAN = 0, 1
SETTINGS = 8  # numbers that Adam takes


class Problem(NamedTuple):
    """What does not change from step to step."""

    encoder: NDArray[Any]
    decoder: NDArray[Any]
    activation: int
    samples: int
    likelihood: int
    precision: float
    iwae: bool


class Memory(NamedTuple):
    """All that a step writes to."""

    params: NDArray[Any]
    grads: NDArray[Any]
    m: NDArray[Any]
    v: NDArray[Any]
    room: NDArray[Any]
    scale: NDArray[Any]  # (batch, latent_dim)
    c: NDArray[Any]  # an element a decoder row
    log_w: NDArray[np.float64]
    lanes: NDArray[Any]  # (threads, 2, rows.LANES)


@loop
def gather(layer, room, x, order, begin, end):
    """Rows order[begin:end] of x, each with a 1 after it, to where the first layer reads them."""
    for i in range(begin, end):
        start, row = layer.x + i * layer.ld_x, order[i]
        for j in range(layer.fan_in):
            room[start + j] = x[row, j]
        room[start + layer.fan_in] = 1


@loop
def sample(problem, memory, noise, n, begin, end):
    """z to the decoder's input, and to log_w the log p(z)/q(z) of each row, −KL of the image for the ELBO."""
    last, first = problem.encoder[-1], problem.decoder[0]
    latent, samples, scale = first.fan_in, problem.samples, memory.scale
    h = fused.grid(memory.room, last.y, last.ld_y, n)
    z = fused.grid(memory.room, first.x, first.ld_x, n * samples)
    posterior.deviations(h, begin, end, scale)
    for i in range(begin, end):
        shared = posterior.half_log_det(h, latent, i) if problem.iwae else posterior.minus_kl(h, scale, i)
        for k in range(samples):
            row, start = i * samples + k, (k * n + i) * latent
            log_ratio = posterior.draw(h, scale, i, noise, start, z, row)
            memory.log_w[row] = shared + log_ratio if problem.iwae else shared
            z[row, latent] = 1


@loop
def likelihoods(problem, out, x, samples, lanes, residual, begin, end, log_w):
    """Add log p(x | z) of rows begin to end of the outputs to log_w, each image of x having so many rows.

    With `residual` its gradient takes the outputs' place.
    """
    width = problem.decoder[-1].fan_out
    if problem.likelihood == BERNOULLI:
        fused.bernoulli(out, x, samples, width, begin, end, (lanes[0], lanes[1]), residual, log_w)
    else:
        fused.gaussian(out, x, samples, width, begin, end, problem.precision, residual, log_w)


@loop
def combined(problem, memory, begin, end):
    """The objective of images begin to end, its gradient by their log-weights into c."""
    samples = problem.samples
    own = slice(begin * samples, end * samples)
    if not problem.iwae:
        memory.c[own] = 1 / samples
        return memory.log_w[own].sum() / samples
    value = 0.0
    for i in range(begin, end):
        own = slice(i * samples, (i + 1) * samples)
        value += log_mean(memory.log_w[own], memory.c[own])
    return value


@loop
def log_mean(log_w, c):
    """The log mean of e^log w over one image's samples, and its gradient by log w, into c."""
    top = log_w.max()
    mass = 0.0
    for k in range(log_w.size):
        mass += math.exp(log_w[k] - top)
    for k in range(log_w.size):
        c[k] = math.exp(log_w[k] - top) / mass
    return top + math.log(mass / log_w.size)


@loop
def statistics_backward(problem, memory, noise, n, begin, end):
    """d_h of each image from d_z."""
    last, first = problem.encoder[-1], problem.decoder[0]
    z = fused.grid(memory.room, first.x, first.ld_x, n * problem.samples)
    d_z = fused.grid(memory.room, first.d_x, first.ld_x, n * problem.samples)
    h, d_h = fused.grid(memory.room, last.y, last.ld_y, n), fused.grid(memory.room, last.d_y, last.ld_y, n)
    posterior.statistics_backward(d_z, z, h, memory.scale[:n], noise, memory.c, problem.iwae, begin, end, d_h)


@loop
def images(problem, memory, x, order, noise, begin, end, lanes):
    """Phase one for images begin to end of the batch: their objective, and all cotangents."""
    room, samples, n = memory.room, problem.samples, order.size
    rows, first_row = (end - begin) * samples, begin * samples
    gather(problem.encoder[0], room, x, order, begin, end)
    network.forward(problem.encoder, problem.activation, memory.params, room, begin, end - begin)
    sample(problem, memory, noise, n, begin, end)
    network.forward(problem.decoder, problem.activation, memory.params, room, first_row, rows)
    first, last = problem.encoder[0], problem.decoder[-1]
    data, out = fused.grid(room, first.x, first.ld_x, n), fused.grid(room, last.y, last.ld_y, n * samples)
    likelihoods(problem, out, data, samples, lanes, True, first_row, first_row + rows, memory.log_w)
    value = combined(problem, memory, begin, end)
    c = memory.c[first_row : first_row + rows]
    network.backward(problem.decoder, problem.activation, memory.params, room, first_row, rows, c, True)
    statistics_backward(problem, memory, noise, n, begin, end)
    if samples > 1:
        start = last.x + first_row * last.ld_x
        network.scale_rows(room, start, last.ld_x, last.fan_in + 1, rows, c)
    ones = memory.c[:1] * room.dtype.type(0) + room.dtype.type(1)
    network.backward(
        problem.encoder, problem.activation, memory.params, room, begin, end - begin, ones, False
    )
    return value


@loop
def _weights(layers, memory, rows, share, shares, update, settings):
    for i in range(layers.size):
        layer = layers[i]
        begin, end = share * (layer.fan_in + 1) // shares, (share + 1) * (layer.fan_in + 1) // shares
        network.weight_gradient(layer, memory.room, memory.grads, rows, begin, end)
        if update:
            own = slice(layer.weight + begin * layer.fan_out, layer.weight + end * layer.fan_out)
            fused.adam(memory.params[own], memory.grads[own], memory.m[own], memory.v[own], settings)


@loop
def weights(problem, memory, n, share, shares, update, settings):
    """Phase two for a share of each layer's weights: their gradients, and with `update` Adam's step."""
    _weights(problem.decoder, memory, n * problem.samples, share, shares, update, settings)
    _weights(problem.encoder, memory, n, share, shares, update, settings)


@loop
def alone(problem, memory, x, order, noise, update, settings):
    """Both phases for rows `order` of x, in this thread; the objective's sum over them."""
    value = images(problem, memory, x, order, noise, 0, order.size, memory.lanes[0])
    weights(problem, memory, order.size, 0, 1, update, settings)
    return value


@parallel_loop
def shared(problem, memory, x, order, noise, update, settings):
    """As `alone`, each thread taking an equal share of the rows, then of the weights."""
    shares, n = len(memory.lanes), order.size
    values = np.zeros(shares)
    for s in numba.prange(shares):
        share = np.int64(s)
        begin, end = share * n // shares, (share + 1) * n // shares
        if begin < end:
            values[share] = images(problem, memory, x, order, noise, begin, end, memory.lanes[share])
    for s in numba.prange(shares):
        weights(problem, memory, n, np.int64(s), shares, update, settings)
    return values.sum()


@loop
def adam_settings(t, factor, learning_rate, beta1, beta2, epsilon, settings):
    """What `rows.adam` takes at step t, from 1, of a run that goes up `factor` times the gradient."""
    settings[0], settings[1] = -factor, learning_rate / (1 - beta1**t)
    settings[2], settings[3] = 1 / (1 - beta2**t), epsilon
    settings[4], settings[5] = beta1, 1 - beta1
    settings[6], settings[7] = beta2, 1 - beta2


@loop
def steps(problem, memory, x, order, noise, batch, scale, done, learning_rate, beta1, beta2, epsilon, values):
    """Adam up the objective of one minibatch after another, in this thread.

    The gradient's factor is `scale` over the batch's size; `done` steps went before. Stops at an objective
    that is not finite.
    """
    width = noise.size // order.size
    settings = np.empty(SETTINGS, memory.params.dtype)
    for b in range(values.size):
        rows = order[b * batch : (b + 1) * batch]
        adam_settings(done + b + 1, scale / rows.size, learning_rate, beta1, beta2, epsilon, settings)
        own = noise[b * batch * width : (b * batch + rows.size) * width]
        values[b] = alone(problem, memory, x, rows, own, True, settings)
        if not math.isfinite(values[b]):
            break
