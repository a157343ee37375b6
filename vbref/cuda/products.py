"""The product of two matrices, three times: plain, in tiles of shared memory, in blocks of registers.

C = A B needs 2 R C D operations on R D + D C + R C numbers. The plain form reads a number an operation, from
memory. A tile that a block loads once serves `side` rows or columns; micro × micro sums in a thread's
registers use each number that leaves shared memory `micro` times.

The third form also is a layer: y = φ(x W + b) forward, and backward (d_y Wᵀ) φ'(y of the layer below) and
xᵀ d_y, with A or B read as it lies, turned.
"""

import functools
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device
from vbref.cuda.activations import ACTIVATIONS
from vbref.cuda.device import INDEX, Tile


def plain(a, b, out):
    """One thread an output, all from memory."""
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        total = a[row, 0] * b[0, column]
        for i in range(1, a.shape[1]):
            total += a[row, i] * b[i, column]
        out[row, column] = total


def tiled(side: int, number: Any) -> Any:
    """One thread an output; a block loads side × side of A and B at a time, and reads each `side` times."""
    zero = number(0)

    def product(a, b, out):
        left = cuda.shared.array((side, side), number)
        right = cuda.shared.array((side, side), number)
        column, row = cuda.grid(2)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        total = zero
        for start in range(0, a.shape[1], side):
            inside = row < a.shape[0] and start + x < a.shape[1]
            left[y, x] = a[row, start + x] if inside else zero
            inside = start + y < b.shape[0] and column < b.shape[1]
            right[y, x] = b[start + y, column] if inside else zero
            cuda.syncthreads()
            for i in range(side):
                total += left[y, i] * right[i, x]
            cuda.syncthreads()
        if row < out.shape[0] and column < out.shape[1]:
            out[row, column] = total

    return product


def mover(tile: Tile, number: Any, inner_first: bool) -> tuple[Any, Any]:
    """Device functions: a block's next share of a matrix into registers, and from there into shared memory.

    Consecutive threads take what lies side by side in memory: numbers of the inner axis, unless that comes
    first. What comes next is on its way from memory while the block multiplies what it has.
    """
    side, depth, threads, share, zero = tile.side, tile.depth, tile.threads, tile.share, number(0)

    @device.function
    def place(e):
        return (e // side, e % side) if inner_first else (e % depth, e // depth)

    def fetch(matrix, start, inner, first, limit, t, mine):
        for g in range(share):
            i, r = place(g * threads + t)
            inside = start + i < inner
            # Past the last the last is read again: of the output, what comes of that is not written.
            i, r = INDEX(start + i), INDEX(first + r if first + r < limit else limit - 1)
            if inner_first:
                mine[g] = matrix[i, r] if inside else zero
            else:
                mine[g] = matrix[r, i] if inside else zero

    def keep(mine, t, shared):
        for g in range(share):
            i, r = place(g * threads + t)
            shared[INDEX(i), INDEX(r)] = mine[g]

    return device.function(fetch), device.function(keep)


def multiplier(tile: Tile) -> tuple[Any, Any]:
    """Device functions: a slice's products of what lies in shared memory, and the sum of all slices.

    A thread's rows lie side by side, and are read as fours; its columns are `step` apart, so that those of
    its neighbours lie side by side in the output.
    """
    micro, step, turns, slices = tile.micro, tile.side // tile.micro, tile.depth // tile.slices, tile.slices

    def multiply(left, right, sums):
        row, column = INDEX(cuda.threadIdx.y * micro), INDEX(cuda.threadIdx.x)
        q = INDEX(cuda.threadIdx.z * turns)
        end = q + INDEX(turns)
        while q < end:
            for i in range(micro):
                for j in range(micro):
                    sums[i, j] += left[q, row + INDEX(i)] * right[q, column + INDEX(j * step)]
            q += INDEX(1)

    def add_slices(shared, sums):
        x, y, z = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z
        for other in range(1, slices):
            if z == other:
                for i in range(micro):
                    for j in range(micro):
                        shared[y * micro + i, x + j * step] = sums[i, j]
            cuda.syncthreads()
            if z == 0:
                for i in range(micro):
                    for j in range(micro):
                        sums[i, j] += shared[y * micro + i, x + j * step]
            cuda.syncthreads()

    return device.function(multiply), device.function(add_slices)


def writer(tile: Tile, with_bias: bool, activate: Any, slope: Any) -> Any:
    """A device function: out = φ(sums + bias) φ'(gate), where a bias and a gate are given."""
    micro, step = tile.micro, tile.side // tile.micro

    def write(sums, row, column, bias, gate, out):
        for i in range(micro):
            for j in range(micro):
                r, c = row + cuda.threadIdx.y * micro + i, column + cuda.threadIdx.x + j * step
                if r < out.shape[0] and c < out.shape[1]:
                    r, c = INDEX(r), INDEX(c)
                    value = sums[0, j]
                    if with_bias and bias.shape[0] > 0:
                        value += bias[c]
                    value = activate(value)
                    if gate.shape[0] > 0:
                        value *= slope(gate[r, c])
                    out[r, c] = value
            # The next row moves to the front: registers have no index that is found at run time.
            for v in range(1, micro):
                for j in range(micro):
                    sums[v - 1, j] = sums[v, j]

    return device.function(write)


def blocked(tile: Tile, number: Any, turn_a: bool, turn_b: bool, activate: Any, slope: Any) -> Any:
    """out = φ(A B + bias) φ'(gate), where a bias and a gate are given; A and B turned as said.

    A bias or a gate of length 0 is none. With A turned the product is a gradient by weights, and a bias is
    not read but set: to the sum of the rows of B, the gradient by it, which pass through the block anyway.
    """
    side, depth, micro, threads, share = tile.side, tile.depth, tile.micro, tile.threads, tile.share
    pitch, zero = side + 4, number(0)  # threads that write a column meet different banks
    (fetch_a, keep_a), (fetch_b, keep_b) = mover(tile, number, turn_a), mover(tile, number, not turn_b)
    (multiply, add_slices), write = multiplier(tile), writer(tile, not turn_a, activate, slope)

    def product(a, b, bias, gate, out):
        left = cuda.shared.array((depth, pitch), number)
        right = cuda.shared.array((depth, pitch), number)
        sums = cuda.local.array((micro, micro), number)
        next_a = cuda.local.array(share, number)
        next_b = cuda.local.array(share, number)
        x, y, z = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z
        t = (z * cuda.blockDim.y + y) * cuda.blockDim.x + x
        # Rows lie along the grid's first axis, the only one with room for millions of blocks.
        row, column = cuda.blockIdx.x * side, cuda.blockIdx.y * side
        inner = a.shape[0] if turn_a else a.shape[1]
        own = zero
        for i in range(micro):
            for j in range(micro):
                sums[i, j] = zero
        for start in range(0, inner + depth, depth):
            fetch_a(a, start, inner, row, out.shape[0], t, next_a)
            fetch_b(b, start, inner, column, out.shape[1], t, next_b)
            if start > 0:
                multiply(left, right, sums)
            cuda.syncthreads()
            keep_a(next_a, t, left)
            keep_b(next_b, t, right)
            for g in range(share):
                own += next_b[g]  # with B as it lies a thread has one column: t % side
            cuda.syncthreads()
        add_slices(left, sums)
        if z == 0:
            write(sums, row, column, bias, gate, out)
        if turn_a:
            left[t // side, t % side] = own
            cuda.syncthreads()
            if row == 0 and t < bias.shape[0] - column and t < side:
                for u in range(1, threads // side):
                    own += left[u, t]
                bias[column + t] = own

    return product


@functools.cache
def compiled(tile: Tile, number: Any, turned: tuple[bool, bool], activation: str, below: str) -> Any:
    """`blocked`, compiled, with φ of `activation` and φ' of `below`."""
    return device.kernel(blocked(tile, number, *turned, ACTIVATIONS[activation][0], ACTIVATIONS[below][1]))


def layer(x: Any, weight: Any, bias: Any, activation: str, out: Any, stream: Any = 0) -> None:
    """out = φ(x W + b)."""
    _launch(x, weight, bias, None, out, (False, False), (activation, "identity"), stream)


def layer_backward(d: Any, weight: Any, below: Any, activation: str, out: Any, stream: Any = 0) -> None:
    """out = (d Wᵀ) φ'(below), with `below` the output of the layer below, or None where there is none."""
    _launch(d, weight, None, below, out, (False, True), ("identity", activation), stream)


def weight_gradient(x: Any, d: Any, d_weight: Any, d_bias: Any, stream: Any = 0) -> None:
    """d_weight = xᵀ d, d_bias = Σ_n d."""
    _launch(x, d, d_bias, None, d_weight, (True, False), ("identity", "identity"), stream)


def _launch(
    a: Any,
    b: Any,
    bias: Any,
    gate: Any,
    out: Any,
    turned: tuple[bool, bool],
    names: tuple[str, str],
    stream: Any,
) -> None:
    number = np.dtype(out.dtype).type
    tile = device.tile(*out.shape)
    bias = _none(number, 1) if bias is None else bias
    gate = _none(number, 2) if gate is None else gate
    compiled(tile, number, turned, *names)[tile.grid(*out.shape), tile.block, stream](a, b, bias, gate, out)


@functools.cache
def _none(number: Any, dimensions: int) -> Any:
    """What stands for no bias or no gate."""
    return device.empty((0,) + (1,) * (dimensions - 1), number)
