"""The small kernels of a training step, between the products: rows, draws, likelihood, weights, Adam.

Row r = k N + n of a batch is sample k of datum n. `clock` is on the device, so that one recorded graph serves
every step: [steps taken, first row of the batch in the epoch's order, draws of noise used, draws of the
data's stream used]. A step takes the next draws of each stream, and no draw is used twice.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device
from vbref.cuda.device import INDEX
from vbref.cuda.noise import NORMAL, UNIFORM
from vbref.kl.normal import standard_normal_kl, standard_normal_kl_grad
from vbref.numerics.jit import scalar
from vbref.numerics.stable import log1pexp, sigmoid


@scalar
def draw(loc, log_var, epsilon):
    """z = μ + σ ε."""
    return loc + math.exp(type(loc)(0.5) * log_var) * epsilon


@scalar
def log_ratio(z, log_var, epsilon):
    """log p(z) − log q(z | x) of a coordinate: ½(ε² + log σ² − z²)."""
    return type(z)(0.5) * (epsilon * epsilon + log_var - z * z)


@scalar
def log_bernoulli(x, logit):
    """x l − log(1 + e^l)."""
    return x * logit - log1pexp(logit)


@scalar
def exponential(x):
    """eˣ."""
    return math.exp(x)


@scalar
def logarithm(x):
    """log x."""
    return math.log(x)


@scalar
def adam_change(m, v, correction_1, correction_2, epsilon):
    """m̂/(√v̂ + ε)."""
    return m * correction_1 / (math.sqrt(v * correction_2) + epsilon)


@scalar
def power(base, exponent):
    """base^exponent."""
    return math.pow(base, exponent)


@scalar
def added(a, b):
    """a + b."""
    return a + b


@scalar
def larger(a, b):
    """The larger of two."""
    return a if a > b else b


def over_block(threads: int, combine: Any) -> Any:
    """A device function: each thread's number, combined in pairs over a block; all threads get the result.

    `parts` is shared, and `threads` is a power of two.
    """

    def result(own, parts, t):
        cuda.syncthreads()  # `parts` may still be read by whoever had it before
        parts[t] = own
        cuda.syncthreads()
        half = threads // 2
        while half > 0:
            if t < half:
                parts[t] = combine(parts[t], parts[t + half])
            cuda.syncthreads()
            half //= 2
        return parts[0]

    return device.function(result)


def gather(number: Any, binarise: bool) -> Any:
    """out[i, j] = data[order[first + i], j], or that made 1 with this probability, else 0."""
    uniform, zero, one = UNIFORM[number], number(0), number(1)

    def rows(data, order, clock, seed, out):
        i = cuda.grid(1)
        if i < out.shape[0] * out.shape[1]:
            n, j = i // out.shape[1], i % out.shape[1]
            value = data[order[clock[1] + n], j]
            if binarise:
                value = one if uniform(seed, clock[3] + i) < value else zero
            out[n, j] = value

    return rows


def sample(number: Any) -> Any:
    """z[r] = μ_n + σ_n ε_r, with h_n = (μ_n, log σ_n²)."""
    normal = NORMAL[number]

    def posterior_draw(h, clock, seed, z):
        i = cuda.grid(1)
        if i < z.shape[0] * z.shape[1]:
            d = z.shape[1]
            r, j = i // d, i % d
            n = r % h.shape[0]
            z[r, j] = draw(h[n, j], h[n, d + j], normal(seed, clock[2] + i))

    return posterior_draw


def weights(number: Any, threads: int, weighted: bool) -> Any:
    """log p(x_n | z_r), a block a row; with `weighted` log p(x, z) − log q(z | x), the log-weight."""
    normal, zero, summed = NORMAL[number], number(0), over_block(threads, added)

    def log_weights(logits, x, h, z, clock, seed, out):
        parts = cuda.shared.array(threads, number)
        r, t = cuda.blockIdx.x, cuda.threadIdx.x
        n, d = r % x.shape[0], z.shape[1]
        total, j = zero, INDEX(t)
        while j < INDEX(logits.shape[1]):
            total += log_bernoulli(x[INDEX(n), j], logits[INDEX(r), j])
            j += INDEX(threads)
        if weighted:
            for i in range(t, d, threads):
                epsilon = normal(seed, clock[2] + r * d + i)
                total += log_ratio(z[r, i], h[n, d + i], epsilon)
        total = summed(total, parts, t)
        if t == 0:
            out[r] = total

    return log_weights


def iwae_bound(number: Any, threads: int) -> Any:
    """value_n = log mean_k w and c = ∂value/∂log w = w/Σ w, in place of log w; a block a datum."""
    zero, lowest = number(0), number(-np.inf)
    summed, largest = over_block(threads, added), over_block(threads, larger)

    def bound(log_w, h, value):
        parts = cuda.shared.array(threads, number)
        n, t, rows = cuda.blockIdx.x, cuda.threadIdx.x, value.shape[0]
        first, step = n + t * rows, threads * rows
        top = lowest
        for r in range(first, log_w.shape[0], step):
            top = larger(top, log_w[r])
        top = largest(top, parts, t)
        total = zero
        for r in range(first, log_w.shape[0], step):
            w = exponential(log_w[r] - top)
            log_w[r] = w
            total += w
        total = summed(total, parts, t)
        for r in range(first, log_w.shape[0], step):
            log_w[r] /= total
        if t == 0:
            value[n] = top + logarithm(total / number(log_w.shape[0] // rows))

    return bound


def elbo_bound(number: Any, threads: int) -> Any:
    """value_n = mean_k log p(x | z_k) − KL(q ‖ p), and c = 1/K in place of log p; a block a datum."""
    zero, one, summed = number(0), number(1), over_block(threads, added)

    def bound(log_lik, h, value):
        parts = cuda.shared.array(threads, number)
        n, t, rows = cuda.blockIdx.x, cuda.threadIdx.x, value.shape[0]
        d, share = h.shape[1] // 2, one / number(log_lik.shape[0] // rows)
        total = zero
        for r in range(n + t * rows, log_lik.shape[0], threads * rows):
            total += share * log_lik[r]
            log_lik[r] = share
        for j in range(t, d, threads):
            total -= standard_normal_kl(h[n, j], h[n, d + j])
        total = summed(total, parts, t)
        if t == 0:
            value[n] = total

    return bound


def cotangent(logits, x, c):
    """logits[r, j] ← c_r (x_nj − σ(logits[r, j])), the slope of Σ c_r log p(x_n | z_r); a block a row."""
    r, j = INDEX(cuda.blockIdx.x), INDEX(cuda.threadIdx.x)
    n, share = INDEX(cuda.blockIdx.x % x.shape[0]), c[r]
    while j < INDEX(logits.shape[1]):
        logits[r, j] = share * (x[n, j] - sigmoid(logits[r, j]))
        j += INDEX(cuda.blockDim.x)


def posterior(number: Any, weighted: bool, width: int, height: int) -> Any:
    """d_h_n from d_z and c: for the ELBO plus −dKL/dh; `weighted` plus that of c (log p(z) − log q(z)).

    A block has `width` coordinates of latent variables, and `height` threads each for the samples.
    """
    normal, zero, half = NORMAL[number], number(0), number(0.5)

    def backward(d_z, c, z, h, clock, seed, d_h):
        locs = cuda.shared.array((height, width), number)
        log_vars = cuda.shared.array((height, width), number)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        i = cuda.blockIdx.x * width + x
        d, rows = z.shape[1], h.shape[0]
        n, j = i // d, i % d
        d_loc = d_log_var = zero
        if n < rows:
            scale = exponential(half * h[n, d + j])
            for r in range(n + y * rows, z.shape[0], height * rows):
                slope = d_z[r, j]
                if weighted:
                    slope -= c[r] * z[r, j]
                    d_log_var += half * c[r]
                d_loc += slope
                epsilon = normal(seed, clock[2] + r * d + j)
                d_log_var += slope * half * scale * epsilon
        locs[y, x] = d_loc
        log_vars[y, x] = d_log_var
        cuda.syncthreads()
        if y == 0 and n < rows:
            for u in range(1, height):
                d_loc += locs[u, x]
                d_log_var += log_vars[u, x]
            if not weighted:
                by_loc, by_log_var = standard_normal_kl_grad(h[n, j], h[n, d + j])
                d_loc -= by_loc
                d_log_var -= by_log_var
            d_h[n, j] = d_loc
            d_h[n, d + j] = d_log_var

    return backward


def close(threads: int) -> Any:
    """Add the batch's values to the epoch's total, in float64, move the clock, set Adam's 1/(1 − βᵗ)."""
    zero, one, summed = np.float64(0), np.float64(1), over_block(threads, added)

    def tick(values, draws, data_draws, total, clock, betas, corrections):
        parts = cuda.shared.array(threads, np.float64)
        t = cuda.threadIdx.x
        own = zero
        for n in range(t, values.shape[0], threads):
            own += values[n]
        own = summed(own, parts, t)
        if t == 0:
            total[0] += own
            clock[0] += 1
            clock[1] += values.shape[0]
            clock[2] += draws
            clock[3] += data_draws
            steps = np.float64(clock[0])
            corrections[0] = one / (one - power(betas[0], steps))
            corrections[1] = one / (one - power(betas[1], steps))

    return tick


def adam(number: Any) -> Any:
    """θ ← θ + rate m̂/(√v̂ + ε) along g = factor share d_θ, up the bound; rates = [rate, factor, β₁, β₂, ε]."""
    one = number(1)

    def step(theta, d_theta, m, v, share, rates, corrections):
        i = cuda.grid(1)
        if i < theta.shape[0]:
            g = d_theta[i] * (rates[1] * share)
            m[i] = rates[2] * m[i] + (one - rates[2]) * g
            v[i] = rates[3] * v[i] + (one - rates[3]) * (g * g)
            theta[i] += rates[0] * adam_change(m[i], v[i], corrections[0], corrections[1], rates[4])

    return step


@functools.cache
def compiled(make: Any, *options: Any) -> Any:
    """The kernel that `make` gives for these options, or `make` itself where it is a kernel."""
    return device.kernel(make(*options) if options else make)


def reducers() -> int:
    """Threads of a block that sums: a power of two."""
    return 4 if device.SIMULATED else 128


def strip() -> tuple[int, int]:
    """A block that sums along columns: threads side by side, and threads a column."""
    return (4, 2) if device.SIMULATED else (32, 8)
