"""IWAE-K in one kernel: draw, decode, score, carry log Σ w from tile to tile; memory does not grow with K.

A block has one datum and some tiles of its K samples. The tile's hidden layers live in shared memory, units
by samples; a thread computes `_SAMPLES` samples of `_UNITS` units at a time in registers, so that a number
that is read serves several of them. The last layer's logits are scored as they appear and never stored. What
a block leaves is max, Σ e^(log w − max) and Σ e^2(log w − max) of its share; the host adds the shares.

Noise is draw (k N + n) D + j of the stream `seed` for coordinate j of sample k of datum n: the CPU's
`numerics.normals(seed, 0, (K, N, D))`, whatever the batch and the splits.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device, steps
from vbref.cuda.activations import ACTIVATIONS
from vbref.cuda.device import INDEX
from vbref.cuda.network import Flat, Network
from vbref.cuda.noise import NORMAL
from vbref.cuda.training import checked, checked_rows, supported
from vbref.models.vae import VAE

_SAMPLES, _UNITS = 8, 4


def draws(number: Any, samples: int, threads: int) -> Any:
    """A device function: z of a tile into hidden[0], and each sample's log p(z) − log q(z | x) into parts."""
    normal, zero = NORMAL[number], number(0)

    def draw(h, n, row, rows, tile, seed, hidden, parts):
        t, d = cuda.threadIdx.x, h.shape[1] // 2
        for e in range(t, d * samples, threads):
            j, s = e // samples, e % samples
            epsilon = normal(seed, ((tile + s) * rows + row) * d + j)
            z = steps.draw(h[n, j], h[n, d + j], epsilon)
            hidden[0, j, s] = z
            hidden[1, j, s] = steps.log_ratio(z, h[n, d + j], epsilon)
        cuda.syncthreads()
        for s in range(t, samples, threads):
            ratio = zero
            for j in range(d):
                ratio += hidden[1, j, s]
            parts[s, 0] = ratio
        cuda.syncthreads()

    return device.function(draw)


def layer(number: Any, activate: Any, groups: int, lanes: int) -> Any:
    """A device function: hidden[below] through one layer into the other half, or the last layer's scores.

    A thread has a group of samples, and every `lanes`-th unit; so many of both at a time lie in registers.
    """

    def forward(x, n, flat, weight, bias, fan_in, fan_out, below, last, hidden, scores):
        acc = cuda.local.array((_UNITS, _SAMPLES), number)
        places = cuda.local.array(_UNITS, np.uint32)
        coming = cuda.local.array(_UNITS, number)
        t, row = cuda.threadIdx.x, np.uint32(fan_out)
        base, source, target = INDEX(t % groups * _SAMPLES), INDEX(below), INDEX(1 - below)
        for first in range(t // groups, fan_out, lanes * _UNITS):
            for u in range(_UNITS):
                # Past the last unit its weights are read again, and what comes of them is not used.
                unit = first + u * lanes
                column = INDEX(unit if unit < fan_out else fan_out - 1)
                places[u] = np.uint32(INDEX(weight) + column)
                coming[u] = flat[places[u]]
                for i in range(_SAMPLES):
                    acc[u, i] = flat[INDEX(bias) + column]
            j = INDEX(0)
            while j < INDEX(fan_in):
                # The next weights are on their way while these are multiplied; after the last, those again.
                step = row if j + INDEX(1) < INDEX(fan_in) else np.uint32(0)
                for u in range(_UNITS):
                    w = coming[u]
                    places[u] = np.uint32(places[u] + step)
                    coming[u] = flat[places[u]]
                    for i in range(_SAMPLES):
                        acc[u, i] += w * hidden[source, j, base + INDEX(i)]
                j += INDEX(1)
            for u in range(_UNITS):
                unit = first + u * lanes
                if unit < fan_out:
                    for i in range(_SAMPLES):
                        if last:
                            scores[i] += steps.log_bernoulli(x[n, unit], acc[0, i])
                        else:
                            hidden[target, INDEX(unit), base + INDEX(i)] = activate(acc[0, i])
                # The next unit moves to the front: registers have no index that is found at run time.
                for v in range(1, _UNITS):
                    for i in range(_SAMPLES):
                        acc[v - 1, i] = acc[v, i]
        cuda.syncthreads()

    return device.function(forward)


def gathered(number: Any, samples: int, threads: int) -> Any:
    """A device function: the threads' scores, added into parts[:, 0]."""
    zero, groups = number(0), samples // _SAMPLES

    def gather(scores, parts):
        t = cuda.threadIdx.x
        for i in range(_SAMPLES):
            parts[t % groups * _SAMPLES + i, t] = scores[i]
        cuda.syncthreads()
        for s in range(t, samples, threads):
            log_w = zero
            for u in range(s // _SAMPLES, threads, groups):
                log_w += parts[s, u]
            parts[s, 0] = log_w
        cuda.syncthreads()

    return device.function(gather)


def carried(number: Any) -> Any:
    """A device function: max, Σ e^(log w − max) and Σ e^2(log w − max) with so many more log-weights."""
    one, lowest = number(1), number(-np.inf)

    def carry(parts, count, top, total, squares):
        for s in range(count):
            log_w = parts[s, 0]
            if log_w > top:
                shrink = steps.exponential(top - log_w)
                total = total * shrink + one
                squares = squares * shrink * shrink + one
                top = log_w
            elif log_w != lowest:  # true for NaN, which the sums must show
                w = steps.exponential(log_w - top)
                total += w
                squares += w * w
        return top, total, squares

    return device.function(carry)


def fused(number: Any, activate: Any, width: int, samples: int, threads: int) -> Any:
    """The kernel for hidden layers of at most `width` units, `samples` a tile, a multiple of _SAMPLES."""
    zero, lowest, groups = number(0), number(-np.inf), samples // _SAMPLES
    pitch = threads + 1  # threads that read one place of their rows meet different banks
    draw, gather, carry = draws(number, samples, threads), gathered(number, samples, threads), carried(number)
    forward = layer(number, activate, groups, threads // groups)

    def log_sums(x, h, flat, widths, offsets, seed, first, total_rows, count, out):
        hidden = cuda.shared.array((2, width, samples), number)
        parts = cuda.shared.array((samples, pitch), number)
        scores = cuda.local.array(_SAMPLES, number)
        n, split, t = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        top, total, squares = lowest, zero, zero
        last = widths.shape[0] - 2
        for tile in range(split * samples, count, cuda.gridDim.y * samples):
            draw(h, n, first + n, total_rows, tile, seed, hidden, parts)
            for i in range(_SAMPLES):
                scores[i] = parts[t * _SAMPLES + i, 0] if t < groups else zero
            cuda.syncthreads()
            for i in range(last + 1):
                weight, bias = offsets[2 * i], offsets[2 * i + 1]
                forward(x, n, flat, weight, bias, widths[i], widths[i + 1], i % 2, i == last, hidden, scores)
            gather(scores, parts)
            if t == 0:
                left = count - tile
                top, total, squares = carry(parts, left if left < samples else samples, top, total, squares)
            cuda.syncthreads()
        if t == 0:
            out[n, split, 0] = top
            out[n, split, 1] = total
            out[n, split, 2] = squares

    return device.kernel(log_sums)


@functools.cache
def compiled(number: Any, activation: str, width: int, samples: int, threads: int) -> Any:
    """`fused`, compiled."""
    return fused(number, ACTIVATIONS[activation][0], width, samples, threads)


def shape(number: Any, width: int) -> tuple[int, int]:
    """(samples a tile, threads a block) that fit into shared memory; ValueError where none do."""
    threads = 4 if device.SIMULATED else 128
    # Twice the samples in float64 would take more registers than there are.
    for samples in (2 * _SAMPLES, _SAMPLES) if number is np.float32 and not device.SIMULATED else (_SAMPLES,):
        if np.dtype(number).itemsize * samples * (2 * width + threads + 1) <= device.SHARED_BYTES:
            return samples, threads
    raise ValueError(f"device='cuda' has no room for a hidden layer or latent space of {width}")


class Evaluator:
    """A model's parameters on the device, and log Σ w of rows at K samples each."""

    def __init__(self, model: VAE, params: Mapping[str, Any]) -> None:
        device.require()
        supported(model)
        self.model = model
        self.number: Any = np.dtype(model.dtype).type
        given = checked(model, params)
        self.params = Flat({name: given[name] for name in model.shapes()}, self.number)
        widths = model.decoder.widths
        names = [f"decoder.{i}.{part}" for i in range(len(widths) - 1) for part in ("weight", "bias")]
        self.widths = device.put(np.array(widths, np.int64))
        self.offsets = device.put(np.array([self.params.offsets[name] for name in names], np.int64))
        self.samples, self.threads = shape(self.number, max(widths[:-1]))

    def shares(self, x: Any, h: Any, k: int, seed: int, first: int, total_rows: int) -> Any:
        """max, Σ e^(log w − max), Σ e^2(log w − max) (rows, splits, 3) on the device; x, h are there."""
        out = self.room(x.shape[0], k)
        self.launch(x, h, k, seed, first, total_rows, out)
        return out

    def room(self, rows: int, k: int) -> Any:
        """What `launch` fills: for each row as many splits of its k samples as keep the device busy."""
        splits = min(device.blocks(k, self.samples), device.blocks(device.BUSY, rows))
        return device.empty((rows, splits, 3), self.number)

    def launch(
        self, x: Any, h: Any, k: int, seed: int, first: int, total_rows: int, out: Any, stream: Any = 0
    ) -> None:
        """Set `out` as `shares` gives it."""
        decoder = self.model.decoder
        run = compiled(self.number, decoder.activation, max(decoder.widths[:-1]), self.samples, self.threads)
        run[out.shape[:2], self.threads, stream](
            x, h, self.params.flat, self.widths, self.offsets, np.uint64(seed),
            np.int64(first), np.int64(total_rows), np.int64(k), out,
        )  # fmt: skip

    def log_sums(self, x: Any, k: int, seed: int, batch_size: int = 100) -> tuple[Any, Any]:
        """log Σ_k w and log Σ_k w² (N,), float64, of rows x (N, data_dim)."""
        x, parts = checked_rows(self.model, x), []
        for first in range(0, len(x), batch_size):
            rows = device.put(x[first : first + batch_size])
            encoder = Network(self.model.inference.encoder, len(rows), self.params, self.params)  # type: ignore[union-attr]
            h = encoder.forward(rows)
            parts.append(_added(self.shares(rows, h, k, seed, first, len(x)).copy_to_host()))
        return tuple(np.concatenate(both) for both in zip(*parts, strict=True))  # type: ignore[return-value]


def _added(shares: Any) -> tuple[Any, Any]:
    """The sums of all splits, from the largest of their maxima."""
    top, total, squares = np.moveaxis(shares.astype(np.float64), -1, 0)
    largest = top.max(axis=1)
    largest[largest == -np.inf] = 0  # all weights zero, or NaN
    scale = np.exp(top - largest[:, None])
    with np.errstate(divide="ignore"):  # the log of no weight is −inf
        return (
            largest + np.log((total * scale).sum(axis=1)),
            2 * largest + np.log((squares * scale**2).sum(axis=1)),
        )
