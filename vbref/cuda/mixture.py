"""The mixture's E-step and its sufficient statistics in one pass over rows that stay on the device.

The forms are those of `vbref.meanfield.mixture.kernels`, in float64. A thread has a row, and leaves its
responsibilities in shared memory; then the block's threads share out the statistics, each a sum over the
tile's rows. Every block adds to places of its own, so that the order of sums is fixed. No array of rows ×
components is ever stored.
"""

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device, steps
from vbref.cuda.device import INDEX
from vbref.meanfield.mixture.statistics import Frame, Statistics, from_origins, gather_roots


def responsible(k: int, d: int, dense: bool) -> Any:
    """A device function: a row's responsibilities, and their entropy, log Σ w − Σ w log w / Σ w."""
    number = np.float64
    half, zero, lowest = number(0.5), number(0), number(-np.inf)

    def respond(gaps, origins, shifts, roots, offsets, resp, here):
        t, top = INDEX(cuda.threadIdx.x), lowest
        for c in range(k):
            of = INDEX(c)
            rho = offsets[of]
            for i in range(d):
                y = shifts[of, INDEX(i)]
                j, root = INDEX(0 if dense else i), INDEX(i * d if dense else i)
                while j <= INDEX(i):
                    y += roots[of, root] * (gaps[t, j] - origins[of, j])
                    j += INDEX(1)
                    root += INDEX(1)
                rho -= half * y * y
            resp[t, of] = rho
            top = rho if rho > top else top
        total = slope = zero
        for c in range(k):
            gap = resp[t, INDEX(c)] - top
            w = steps.exponential(gap)
            resp[t, INDEX(c)] = w
            total += w
            slope += w * gap
        for c in range(k):
            resp[t, INDEX(c)] = resp[t, INDEX(c)] / total if here else zero
        return steps.logarithm(total) - slope / total if here else zero

    return device.function(respond)


def placed(d: int, dense: bool) -> Any:
    """A device function: (i, j) of an entry. 0 is Σ r, the next d are Σ r v_i, the rest Σ r v_i v_j, j ≤ i.

    Where roots are diagonal, there is i = j alone.
    """

    def place(at):
        if at <= d:
            i = at - 1 if at > 0 else 0
            return i, i
        i = j = at - 1 - d
        if dense:
            i = 0
            while (i + 1) * (i + 2) // 2 <= j:
                i += 1
            j -= i * (i + 1) // 2
        return i, j

    return device.function(place)


def summed(d: int, rows: int, slices: int) -> Any:
    """A device function: an entry's sum of r, r v_i or r v_i v_j over a slice's rows, v from the origin."""
    zero = np.float64(0)

    def add(gaps, origins, resp, slice, c, at, i, j):
        of, first, second = INDEX(c), INDEX(i), INDEX(j)
        first_origin, second_origin = origins[of, first], origins[of, second]
        total, u = zero, INDEX(slice)
        while u < INDEX(rows):
            value = resp[u, of]
            if at > 0:
                value *= gaps[u, first] - first_origin
            if at > d:
                value *= gaps[u, second] - second_origin
            total += value
            u += INDEX(slices)
        return total

    return device.function(add)


def one_pass(k: int, d: int, dense: bool, rows: int) -> Any:
    """The kernel for K, D, full or diagonal roots (K, D D or D), of blocks of `rows` threads.

    Where there are fewer sums than threads, slices of a tile's rows are added apart, as blocks are.
    """
    number, zero = np.float64, np.float64(0)
    entries, slices = sums_and_slices(k, d, dense, rows)
    # Rows of odd length: threads that read one place of their rows meet different banks.
    gap_pitch, resp_pitch = d | 1, k | 1
    respond, place, add = responsible(k, d, dense), placed(d, dense), summed(d, rows, slices)

    def gather(x, center, origins, shifts, roots, offsets, counts, firsts, seconds, entropies):
        gaps = cuda.shared.array((rows, gap_pitch), number)
        resp = cuda.shared.array((rows, resp_pitch), number)
        parts = cuda.shared.array(rows, number)
        t, b = cuda.threadIdx.x, cuda.blockIdx.x
        entropy, width = zero, seconds.shape[2]
        for s in range(b * slices, (b + 1) * slices):
            for e in range(t, k, rows):
                counts[s, e] = zero
            for e in range(t, k * d, rows):
                firsts[s, e // d, e % d] = zero
            for e in range(t, k * width, rows):
                seconds[s, e // width, e % width] = zero
        cuda.syncthreads()
        for start in range(b * rows, x.shape[0], cuda.gridDim.x * rows):
            here = start + t < x.shape[0]
            for j in range(d):
                gaps[t, j] = x[start + t, j] - center[j] if here else zero
            entropy += respond(gaps, origins, shifts, roots, offsets, resp, here)
            cuda.syncthreads()
            for e in range(t, k * entries * slices, rows):
                slice, c, at = e // (k * entries), e // entries % k, e % entries
                i, j = place(at)
                share, s = add(gaps, origins, resp, slice, c, at, i, j), b * slices + slice
                if at == 0:
                    counts[s, c] += share
                elif at <= d:
                    firsts[s, c, i] += share
                else:
                    seconds[s, c, i * d + j if dense else i] += share
            cuda.syncthreads()
        parts[t] = entropy
        cuda.syncthreads()
        if t == 0:
            for u in range(1, rows):
                entropy += parts[u]
            entropies[b] = entropy

    return device.kernel(gather)


def sums_and_slices(k: int, d: int, dense: bool, rows: int) -> tuple[int, int]:
    """(sums a component, slices of a tile's rows): one slice, or as many as give each thread a sum."""
    entries = 1 + d + (d * (d + 1) // 2 if dense else d)
    return entries, max(1, rows // (k * entries))


@functools.cache
def compiled(k: int, d: int, dense: bool, rows: int) -> Any:
    """`one_pass`, compiled."""
    return one_pass(k, d, dense, rows)


def over_blocks(parts, out):
    """out[i] = Σ_b parts[b, i], in the order of blocks."""
    i = cuda.grid(1)
    if i < out.shape[0]:
        total = parts[0, i]
        for b in range(1, parts.shape[0]):
            total += parts[b, i]
        out[i] = total


def rows_a_block(k: int, d: int) -> int:
    """The most rows a block whose gaps and responsibilities fit into shared memory; ValueError where none."""
    for rows in (4,) if device.SIMULATED else (128, 64, 32):
        if 8 * rows * ((k | 1) + (d | 1) + 1) <= device.SHARED_BYTES:
            return rows
    raise ValueError(f"device='cuda' has no room for {k} components in {d} dimensions: K + D must be < 154")


class Rows:
    """Rows on the device, with `statistics.gather` over them: what a run calls for its E-step."""

    def __init__(self, x: Any) -> None:
        device.require()
        self.x = device.put(np.asarray(x))

    def __call__(self, x: Any, center: Any, frame: Frame) -> Statistics:
        """The statistics under the responsibilities of `frame`; x is the run's, which is on the device.

        Refining them, for few rows beside a small prior, is the CPU's.
        """
        launch, sums = self.prepared(center, frame)
        launch()
        count, first, second, entropy = (array.copy_to_host() for array in sums)
        first, second = first.reshape(frame.means.shape), second.reshape(frame.roots.shape)
        found = from_origins(count, first, second, float(entropy[0]), frame.origins)
        return replace(found, refine=functools.partial(gather_roots, x, center, frame))

    def prepared(self, center: Any, frame: Frame) -> tuple[Any, list[Any]]:
        """What launches the kernels, on a stream if given, and what they fill: the four sums, flat."""
        k, d = frame.means.shape
        dense, rows = frame.roots.ndim == 3, rows_a_block(k, d)
        blocks = min(device.blocks(len(self.x), rows), 3 if device.SIMULATED else device.BUSY)
        shifts = frame.whitened(frame.origins - frame.means)
        fixed = (center, frame.origins, shifts, frame.roots.reshape(k, -1), frame.offsets)
        arguments = [self.x, *(device.put(a) for a in fixed)]
        shapes = ((k,), (k, d), (k, frame.roots[0].size), ())
        _, slices = sums_and_slices(k, d, dense, rows)
        many = (blocks * slices, blocks * slices, blocks * slices, blocks)
        parts = [device.empty((n, *shape), np.float64) for n, shape in zip(many, shapes, strict=True)]
        sums = [device.empty(math.prod(shape), np.float64) for shape in shapes]
        run, add = compiled(k, d, dense, rows), steps.compiled(over_blocks)

        def launch(stream: Any = 0) -> None:
            run[blocks, rows, stream](*arguments, *parts)
            for part, out in zip(parts, sums, strict=True):
                flat = part.reshape(part.shape[0], out.size)
                add[device.blocks(out.size), device.threads(), stream](flat, out)

        return launch, sums
