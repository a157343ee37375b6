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

from vbref.models.fast import network
from vbref.models.fast import rows as fused
from vbref.numerics.jit import elementwise_loop, loop, parallel_loop, vector_loop

BERNOULLI, GAUSSIAN = 0, 1
_TILE = 1 << 16  # elements of a gradient that Adam meets while they are in the cache


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
    c: NDArray[Any]  # an element a decoder row
    log_w: NDArray[np.float64]
    spare: NDArray[Any]  # (threads, 2 data_dim)


@loop
def gather(layer, room, x, order, begin, end):
    """Rows order[begin:end] of x, each with a 1 after it, to where the first layer reads them."""
    for i in range(begin, end):
        start = layer.x + i * layer.ld_x
        room[start : start + layer.fan_in] = x[order[i]]
        room[start + layer.fan_in] = 1


@vector_loop
def draw(loc, scale, noise, z):
    """z = loc + σ ε, and ½ Σ ε² − z², what log p(z)/q(z) holds beside ½ Σ log σ²."""
    squares = 0.0
    for j in range(loc.size):
        z[j] = loc[j] + scale[j] * noise[j]
        squares += np.float64(noise[j]) * noise[j] - np.float64(z[j]) * z[j]
    return 0.5 * squares


@vector_loop
def moments(loc, log_var, scale):
    """½ Σ log σ², and ½ Σ μ² + σ² − 1, whose difference is −KL; σ is left in `scale`."""
    half = loc.dtype.type(0.5)
    for j in range(loc.size):
        scale[j] = math.exp(half * log_var[j])
    spread, squares = 0.0, 0.0
    for j in range(loc.size):
        spread += np.float64(log_var[j])
        squares += np.float64(loc[j]) * loc[j] + np.float64(scale[j]) * scale[j]
    return 0.5 * spread, 0.5 * (squares - loc.size)


@loop
def sample(problem, memory, noise, n, begin, end):
    """z to the decoder's input, and to log_w the log p(z)/q(z) of each row, −KL of the image for the ELBO.

    σ waits for `statistics_backward` in the second half of d_h.
    """
    room, last, first = memory.room, problem.encoder[-1], problem.decoder[0]
    latent, samples = first.fan_in, problem.samples
    for i in range(begin, end):
        h, d_h = last.y + i * last.ld_y, last.d_y + i * last.ld_y
        loc, scale = room[h : h + latent], room[d_h + latent : d_h + 2 * latent]
        spread, squares = moments(loc, room[h + latent : h + 2 * latent], scale)
        for k in range(samples):
            row = i * samples + k
            start = first.x + row * first.ld_x
            own = noise[(k * n + i) * latent : (k * n + i + 1) * latent]
            log_ratio = draw(loc, scale, own, room[start : start + latent])
            room[start + latent] = 1
            memory.log_w[row] = log_ratio + spread if problem.iwae else spread - squares


@loop
def likelihood(problem, out, x, spare, residual):
    """log p(x | z) of one row; with `residual` its gradient takes the place of the decoder's outputs."""
    if problem.likelihood == BERNOULLI:
        return fused.bernoulli(out, x, spare, residual)
    return fused.gaussian(out, x, problem.precision, residual)


@loop
def likelihoods(problem, memory, spare, begin, end):
    """Add log p(x | z) to each row of log_w, and put its gradient where the outputs were."""
    room, last, first = memory.room, problem.decoder[-1], problem.encoder[0]
    for i in range(begin, end):
        x = room[first.x + i * first.ld_x : first.x + i * first.ld_x + first.fan_in]
        for row in range(i * problem.samples, (i + 1) * problem.samples):
            out = room[last.y + row * last.ld_y : last.y + row * last.ld_y + last.fan_out]
            memory.log_w[row] += likelihood(problem, out, x, spare, True)


@loop
def combine(log_w, c, iwae):
    """The objective of one image's weights, and its gradient by them: their mean, or log mean of e^log w."""
    if not iwae:
        c[:] = 1 / log_w.size
        return log_w.mean()
    top = log_w.max()
    mass = 0.0
    for k in range(log_w.size):
        mass += math.exp(log_w[k] - top)
    for k in range(log_w.size):
        c[k] = math.exp(log_w[k] - top) / mass
    return top + math.log(mass / log_w.size)


@elementwise_loop
def _gather_statistics(d_z, z, c, noise, d_loc, d_scale):
    for j in range(z.size):
        d = d_z[j] - c * z[j]
        d_loc[j] += d
        d_scale[j] += d * noise[j]


@elementwise_loop
def _finish_statistics(loc, d_scale, iwae, d_loc, d_log_var):
    """d_log_var holds σ before."""
    half, one, zero = loc.dtype.type(0.5), loc.dtype.type(1), loc.dtype.type(0)
    for j in range(loc.size):
        scale = d_log_var[j]
        d_loc[j] -= zero if iwae else loc[j]
        d_log_var[j] = half * (scale * (d_scale[j] - (zero if iwae else scale)) + one)


@loop
def statistics_backward(problem, memory, spare, noise, n, begin, end):
    """d_h of each image from d_z: Σ_k d_z, and ½ Σ_k d_z ε σ, with what prior and entropy add."""
    room, last, first = memory.room, problem.encoder[-1], problem.decoder[0]
    latent, samples = first.fan_in, problem.samples
    d_scale = spare[:latent]
    for i in range(begin, end):
        h, d_h = last.y + i * last.ld_y, last.d_y + i * last.ld_y
        d_loc, d_log_var = room[d_h : d_h + latent], room[d_h + latent : d_h + 2 * latent]
        d_loc[:], d_scale[:] = 0, 0
        for k in range(samples):
            row = i * samples + k
            own = noise[(k * n + i) * latent : (k * n + i + 1) * latent]
            z, d_z = first.x + row * first.ld_x, first.d_x + row * first.ld_x
            # The ELBO has its prior in the closed form.
            c = memory.c[row] if problem.iwae else room.dtype.type(0)
            _gather_statistics(room[d_z : d_z + latent], room[z : z + latent], c, own, d_loc, d_scale)
        _finish_statistics(room[h : h + latent], d_scale, problem.iwae, d_loc, d_log_var)


@loop
def images(problem, memory, x, order, noise, begin, end, spare):
    """Phase one for images begin to end of the batch: their objective, and all cotangents."""
    room, samples, n = memory.room, problem.samples, order.size
    rows, first_row = (end - begin) * samples, begin * samples
    gather(problem.encoder[0], room, x, order, begin, end)
    network.forward(problem.encoder, problem.activation, memory.params, room, begin, end - begin)
    sample(problem, memory, noise, n, begin, end)
    network.forward(problem.decoder, problem.activation, memory.params, room, first_row, rows)
    likelihoods(problem, memory, spare, begin, end)
    value = 0.0
    for i in range(begin, end):
        own = slice(i * samples, (i + 1) * samples)
        value += combine(memory.log_w[own], memory.c[own], problem.iwae)
    c = memory.c[first_row : first_row + rows]
    network.backward(problem.decoder, problem.activation, memory.params, room, first_row, rows, c, True)
    statistics_backward(problem, memory, spare, noise, n, begin, end)
    last = problem.decoder[-1]
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
        fan_out = layer.fan_out
        begin, end = share * (layer.fan_in + 1) // shares, (share + 1) * (layer.fan_in + 1) // shares
        tile = max(16, _TILE // fan_out)
        for start in range(begin, end, tile):
            stop = min(start + tile, end)
            network.weight_gradient(layer, memory.room, memory.grads, rows, start, stop)
            if update:
                a, b = layer.weight + start * fan_out, layer.weight + stop * fan_out
                fused.adam(memory.params[a:b], memory.grads[a:b], memory.m[a:b], memory.v[a:b], settings[0],
                           settings[1], settings[2], settings[3], settings[4], settings[5])  # fmt: skip


@loop
def weights(problem, memory, n, share, shares, update, settings):
    """Phase two for a share of each layer's weights: their gradients, and with `update` Adam's step."""
    _weights(problem.decoder, memory, n * problem.samples, share, shares, update, settings)
    _weights(problem.encoder, memory, n, share, shares, update, settings)


@loop
def alone(problem, memory, x, order, noise, update, settings):
    """Both phases for rows `order` of x, in this thread; the objective's sum over them."""
    value = images(problem, memory, x, order, noise, 0, order.size, memory.spare[0])
    weights(problem, memory, order.size, 0, 1, update, settings)
    return value


@parallel_loop
def shared(problem, memory, x, order, noise, update, settings):
    """As `alone`, each thread taking an equal share of the rows, then of the weights."""
    shares, n = len(memory.spare), order.size
    values = np.zeros(shares)
    for s in numba.prange(shares):
        share = np.int64(s)
        begin, end = share * n // shares, (share + 1) * n // shares
        if begin < end:
            values[share] = images(problem, memory, x, order, noise, begin, end, memory.spare[share])
    for s in numba.prange(shares):
        weights(problem, memory, n, np.int64(s), shares, update, settings)
    return values.sum()


@loop
def adam_settings(t, factor, learning_rate, beta1, beta2, epsilon, settings):
    """What `rows.adam` takes at step t, from 1, of a run that goes up `factor` times the gradient."""
    settings[0], settings[1] = -factor, learning_rate / (1 - beta1**t)
    settings[2], settings[3] = beta1, beta2
    settings[4], settings[5] = 1 / (1 - beta2**t), epsilon


@loop
def steps(problem, memory, x, order, noise, batch, scale, done, learning_rate, beta1, beta2, epsilon, values):
    """Adam up the objective of one minibatch after another, in this thread.

    The gradient's factor is `scale` over the batch's size; `done` steps went before. Stops at an objective
    that is not finite.
    """
    width = noise.size // order.size
    settings = np.empty(6, memory.params.dtype)
    for b in range(values.size):
        rows = order[b * batch : (b + 1) * batch]
        adam_settings(done + b + 1, scale / rows.size, learning_rate, beta1, beta2, epsilon, settings)
        own = noise[b * batch * width : (b * batch + rows.size) * width]
        values[b] = alone(problem, memory, x, rows, own, True, settings)
        if not math.isfinite(values[b]):
            break
