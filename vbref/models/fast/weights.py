"""Log-weights, and IWAE-K of any K, in tiles of samples that stay in the cache: `log_weights`, `iwae`.

The encoder runs once; each tile of one row's samples passes through the decoder in the same small memory, a
thread of its own having its own. log Σ w is carried from tile to tile, so that nothing grows with K.
"""

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from vbref.models import door
from vbref.models.fast import layout, network, posterior, rows, step
from vbref.models.fast.trainer import applies, problem
from vbref.numerics import blas
from vbref.numerics.jit import loop, parallel_loop
from vbref.numerics.random import fill_normals

Array = NDArray[Any]
_TILE = 128  # samples: their outputs and a layer's weights share the cache


@loop
def _tile(problem, params, room, lanes, x, i, h, scale, noise, log_w):
    """log_w of the samples that noise (n, latent) makes of the statistics of row i."""
    first, last, (n, latent) = problem.decoder[0], problem.decoder[-1], noise.shape
    z, out = rows.grid(room, first.x, first.ld_x, n), rows.grid(room, last.y, last.ld_y, n)
    spread, flat = posterior.half_log_det(h, latent, i), noise.reshape(-1)
    for k in range(n):
        log_w[k] = posterior.draw(h, scale, i, flat, k * latent, z, k) + spread
        z[k, latent] = 1
    network.forward(problem.decoder, problem.activation, params, room, 0, n)
    step.likelihoods(problem, out, x[i : i + 1], n, lanes, False, 0, n, log_w)


@loop
def _given_share(problem, params, room, lanes, x, h, scale, noise, log_w, share, shares):
    """The tiles of one thread, every `shares`-th, with their noise given."""
    k, n, latent = noise.shape
    tile = min(problem.samples, k)
    own, values = np.empty((tile, latent), room.dtype), np.empty(tile)
    tiles = -(-k // tile)
    for task in range(share, n * tiles, shares):
        i, start = task // tiles, task % tiles * tile
        size = min(tile, k - start)
        for j in range(size):
            own[j] = noise[start + j, i]
        _tile(problem, params, room, lanes, x, i, h, scale, own[:size], values[:size])
        for j in range(size):
            log_w[start + j, i] = values[j]


@loop
def carry(sums, log_w):
    """Add weights to (top, Σ e^(log w − top), Σ e^2(log w − top)); a NaN among them is never lost."""
    top = sums[0]
    for each in log_w:
        if each > top or math.isnan(each):
            top = each
    if top == -math.inf:
        return
    shrink = math.exp(sums[0] - top)
    sums[0], sums[1], sums[2] = top, sums[1] * shrink, sums[2] * shrink * shrink
    for each in log_w:
        w = math.exp(each - top)
        sums[1] += w
        sums[2] += w * w


@loop
def _drawn_share(problem, params, room, lanes, x, h, scale, seed, k, sums, share, shares):
    """As `_given_share`, with noise drawn here: that of row i, sample k, axis j is draw (i K + k) D + j."""
    n, latent = len(h), h.shape[1] // 2
    tile = min(problem.samples, k)
    noise, values = np.empty((tile, latent), room.dtype), np.empty(tile)
    tiles = -(-k // tile)
    for task in range(share, n * tiles, shares):
        i, start = task // tiles, task % tiles * tile
        size = min(tile, k - start)
        fill_normals(seed, (i * k + start) * latent, noise[:size].reshape(-1))
        _tile(problem, params, room, lanes, x, i, h, scale, noise[:size], values[:size])
        carry(sums[i], values[:size])


@parallel_loop
def _given(problem, params, rooms, lanes, x, h, scale, noise, log_w):
    for share in numba.prange(len(rooms)):
        s = np.int64(share)
        _given_share(problem, params, rooms[s], lanes[s], x, h, scale, noise, log_w, s, len(rooms))


@parallel_loop
def _drawn(problem, params, rooms, lanes, x, h, scale, seed, k, sums):
    for share in numba.prange(len(rooms)):
        s = np.int64(share)
        _drawn_share(problem, params, rooms[s], lanes[s], x, h, scale, seed, k, sums[s], s, len(rooms))


@loop
def _encode(problem, params, room, x):
    """The statistics h of each row, and σ."""
    last = problem.encoder[-1]
    step.gather(problem.encoder[0], room, x, np.arange(len(x)), 0, len(x))
    network.forward(problem.encoder, problem.activation, params, room, 0, len(x))
    h = np.empty((len(x), last.fan_out), room.dtype)
    for i in range(len(x)):
        h[i] = room[last.y + i * last.ld_y : last.y + i * last.ld_y + last.fan_out]
    scale = np.empty((len(x), last.fan_out // 2), room.dtype)
    posterior.deviations(h, 0, len(x), scale)
    return h, scale


class Weights:
    """Log-weights of a VAE at given parameters, for any number of samples in the memory of a tile.

    `threads` share the tiles (all of Numba's by default). Raises ValueError where `applies(model)` does not
    hold, for sizes below 1, and for params that are not the model's.
    """

    def __init__(
        self, model: Any, params: Mapping[str, Array], *, tile: int = _TILE, threads: int | None = None
    ) -> None:
        if not applies(model):
            raise ValueError("model must be one that vbref.models.fast.applies to")
        threads = numba.get_num_threads() if threads is None else threads
        door.size(tile=tile, threads=threads)
        self.model = model
        flat, room, self._widths = layout.Stack(), layout.Stack(), model.inference.encoder.widths
        decoder = layout.network(model.decoder.widths, tile, flat, room, in_place=True, input_grad=False)
        encoder = layout.network(self._widths, 1, flat, layout.Stack(), in_place=True, input_grad=False)
        self._problem = problem(model, encoder, decoder, tile)
        self._params = layout.aligned(flat.size, model.dtype)
        named = layout.views(self._params, "encoder", encoder.layers)
        layout.copy_into(named | layout.views(self._params, "decoder", decoder.layers), params)
        self._rooms = layout.aligned(threads * room.size, model.dtype).reshape(threads, room.size)
        self._lanes = np.zeros((threads, 2, rows.LANES), model.dtype)

    def log_weights(self, x: Array, noise: Array) -> Array:
        """log w (K, N) for x (N, data_dim) and noise (K, N, latent_dim), as `VAE.log_weights`."""
        self._check(x)
        door.noise(noise, len(x), self.model.latent_dim)
        door.dtypes(self.model.dtype, noise=noise)
        log_w = np.empty(noise.shape[:2], x.dtype)
        with blas.single_threaded():
            share = (
                self._problem,
                self._params,
                self._rooms,
                self._lanes,
                x,
                *self._encoded(x),
                noise,
                log_w,
            )
            if len(self._rooms) == 1:
                _given_share(*share[:2], self._rooms[0], self._lanes[0], *share[4:], 0, 1)
            else:
                _given(*share)
        return log_w

    def iwae(self, x: Array, k: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """log mean w (N,) of k samples a row, and its standard error by the delta method, in nats.

        The noise is `numerics.random.normals(seed, 0, (N, k, latent_dim))`, a tile of it at a time.
        """
        door.size(k=k)
        self._check(x)
        sums = np.zeros((len(self._rooms), len(x), 3))
        sums[..., 0] = -np.inf
        with blas.single_threaded():
            drawn = (x, *self._encoded(x), np.uint64(seed), k)
            if len(self._rooms) == 1:
                room, lanes = self._rooms[0], self._lanes[0]
                _drawn_share(self._problem, self._params, room, lanes, *drawn, sums[0], 0, 1)
            else:
                _drawn(self._problem, self._params, self._rooms, self._lanes, *drawn, sums)
        return _merged(sums, k)

    def _check(self, x: Array) -> None:
        door.batch(x, self.model.data_dim)
        door.dtypes(self.model.dtype, x=x)

    def _encoded(self, x: Array) -> tuple[Array, Array]:
        room = layout.Stack()
        encoder = layout.network(
            self._widths, len(x), layout.Stack(), room, in_place=True, input_grad=False
        ).layers
        encoder["weight"] = self._problem.encoder["weight"]
        place = layout.aligned(room.size, self.model.dtype)
        return _encode(self._problem._replace(encoder=encoder), self._params, place, x)


def _merged(sums: Array, k: int) -> tuple[Array, Array]:
    """The threads' sums as one, in order: log mean w, and √((E w²/(E w)² − 1)/(K − 1))."""
    top = sums[..., 0].max(axis=0)
    shrink = np.exp(sums[..., 0] - np.where(top == -np.inf, 0, top))
    first, second = (sums[..., 1] * shrink).sum(axis=0), (sums[..., 2] * shrink**2).sum(axis=0)
    with np.errstate(divide="ignore"):  # no weight at all has log mean −inf
        value = top + np.log(first / k)
    if k == 1:
        return value, np.full(len(top), np.inf)
    ratio = np.divide(k * second, first**2, out=np.full(len(top), np.inf), where=first != 0)
    return value, np.sqrt(np.maximum(ratio - 1, 0) / (k - 1))
