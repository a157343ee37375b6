"""What q(μ, Λ, π) needs of the data and of q(z): N_k, x̄_k, N_k S_k, and the entropy of q(z).

`gather` takes them in one pass of the kernels; `responsibilities` and `moments` are the same two steps in
plain NumPy, for rows few enough for an array of rows × components: the definition that the kernels are
tested against.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.mixture import kernels

Array = NDArray[np.float64]

# Rows a task, and numbers in a tile of all components (half a megabyte): fixed, so that the order of sums is.
_BLOCK = 2048
_TILE_NUMBERS, _SMALLEST_TILE, _LARGEST_TILE = 2**16, 32, 1024
# Numbers that the tasks of one call may write (32 MB): what bounds the memory for any number of rows.
_CALL_NUMBERS = 2**22


@dataclass(frozen=True)
class Statistics:
    """Sufficient statistics of the rows under q(z).

    count (K,) is N_k; mean (K, D) is x̄_k, from the centre; scatter (K, D, D), or its diagonal (K, D), is
    N_k S_k about x̄_k; entropy is that of q(z) in nats. Natural parameters are linear in N_k, N_k x̄_k and
    Σ r xxᵀ, and so is `blend`.

    A scatter's entries have lost what is below an ulp of the largest: all of the prior's C_0 where that is
    so small, and rows do not span the space. root (K, D, D), with rootᵀ root the scatter, has not; `moments`
    knows it, and `refine` finds it by another pass over the rows.
    """

    count: Array
    mean: Array
    scatter: Array
    entropy: float
    root: Array | None = None
    refine: Callable[[], "Statistics"] | None = None

    def refined(self) -> "Statistics":
        """The same with the root, where that can be had."""
        return self if self.refine is None else self.refine()

    def scaled(self, factor: float) -> "Statistics":
        """Those of `factor` copies of the rows."""
        root = None if self.root is None else math.sqrt(factor) * self.root
        return Statistics(factor * self.count, self.mean, factor * self.scatter, factor * self.entropy, root)

    def blend(self, other: "Statistics", step: float) -> "Statistics":
        """(1 − step) of this and step of the other, 0 ≤ step ≤ 1, with moments about the mean of both."""
        return other if step == 1 else self.scaled(1 - step) + other.scaled(step)

    def __add__(self, other: "Statistics") -> "Statistics":
        """Those of both sets of rows: scatters add, with N_a N_b/(N_a + N_b) (x̄_a − x̄_b)(x̄_a − x̄_b)ᵀ."""
        count = self.count + other.count
        share = np.divide(other.count, count, out=np.zeros_like(count), where=count > 0)[:, None]
        gap = other.mean - self.mean
        between = self.count[:, None] * share
        scatter = self.scatter + other.scatter + _products(between * gap, gap, self.scatter.ndim == 3)
        root = None
        if self.root is not None and other.root is not None:
            apart = (np.sqrt(between) * gap)[:, None]
            root = _triangular(np.concatenate([self.root, other.root, apart], axis=1))
        return Statistics(count, self.mean + share * gap, scatter, self.entropy + other.entropy, root)


@dataclass(frozen=True)
class Frame:
    """What the E-step needs of q(μ, Λ, π): ρ_k(x) = offset_k − ½|A_k (x − c − m_k)|².

    means (K, D), from the centre c; roots A_k with A_kᵀA_k = E[Λ_k], lower triangular (K, D, D) or diagonal
    (K, D); offsets (K,) = E[log π_k] + ½E[log|Λ_k|] − ½D log 2π − ½D/β_k. origins (K, D), from the centre
    too, are where moments are gathered from: any will do, one near the component's rows loses no digits.
    """

    means: Array
    roots: Array
    offsets: Array
    origins: Array

    def whitened(self, gaps: Array) -> Array:
        """A_k v_k of v (..., K, D)."""
        return self.roots * gaps if self.roots.ndim == 2 else np.einsum("kij,...kj->...ki", self.roots, gaps)

    def log_density(self, rows: Array) -> Array:
        """ρ (N, K) of rows (N, D) from the centre."""
        return self.offsets - 0.5 * np.square(self.whitened(rows[:, None, :] - self.means)).sum(axis=-1)


def responsibilities(rows: Array, frame: Frame) -> Array:
    """r (N, K) ∝ exp ρ: Bishop 10.49, of rows from the centre."""
    rho = frame.log_density(rows)
    r = np.exp(rho - rho.max(axis=1, keepdims=True))
    return np.asarray(r / r.sum(axis=1, keepdims=True))


def moments(rows: Array, r: Array, dense: bool) -> Statistics:
    """N_k, x̄_k, N_k S_k (Bishop 10.51–10.53) and −Σ r log r, of rows (N, D) from the centre and r (N, K)."""
    count = r.sum(axis=0)
    mean = np.divide(
        r.T @ rows, count[:, None], out=np.zeros((r.shape[1], rows.shape[1])), where=count[:, None] > 0
    )
    gaps = np.sqrt(r.T)[:, :, None] * (rows - mean[:, None])
    scatter = gaps.swapaxes(1, 2) @ gaps if dense else np.square(gaps).sum(axis=1)
    entropy = float(-(r * np.log(np.where(r > 0, r, 1))).sum())
    return Statistics(count, mean, scatter, entropy, _triangular(gaps) if dense else None)


def _triangular(gaps: Array) -> Array:
    """R (K, D, D) with RᵀR = VᵀV of rows V (K, J, D)."""
    k, j, d = gaps.shape
    root = np.zeros((k, d, d))
    root[:, : min(j, d)] = np.linalg.qr(gaps, mode="r")
    return root


def gather(x: NDArray[Any], center: Array, frame: Frame) -> Statistics:
    """The statistics of x (N, D) under the responsibilities of `frame`, in one pass over the rows."""
    counts, firsts, seconds, entropies = (sum(parts) for parts in zip(*_calls(x, center, frame), strict=True))
    found = from_origins(counts, firsts, seconds, float(entropies), frame.origins)
    return replace(found, refine=partial(gather_roots, x, center, frame))


def gather_roots(x: NDArray[Any], center: Array, frame: Frame) -> Statistics:
    """The same with the scatters' roots, in plain NumPy, a chunk of rows at a time."""
    k, d = frame.means.shape
    total = empty(k, d, frame.roots.ndim == 3)
    for part in chunks(x, max(1, _CALL_NUMBERS // (k * d))):
        rows = centred(part, center)
        total = total + moments(rows, responsibilities(rows, frame), frame.roots.ndim == 3)
    return total


def _calls(x: NDArray[Any], center: Array, frame: Frame) -> Iterator[tuple[Any, ...]]:
    """The kernels' sums over as many rows at a time as their output allows."""
    shifts = frame.whitened(frame.origins - frame.means)
    k, tile = len(frame.means), _tile(frame.means.size)
    blocks = max(1, _CALL_NUMBERS // (frame.roots.size + frame.means.size + k + 1))
    for part in chunks(x, blocks * _BLOCK):
        b = -(-len(part) // _BLOCK)
        out = (
            np.empty((b, k)),
            np.empty((b, *frame.means.shape)),
            np.empty((b, *frame.roots.shape)),
            np.empty(b),
        )
        kernels.one_pass(part, center, frame.origins, shifts, frame.roots, frame.offsets, tile, _BLOCK, *out)
        yield tuple(array.sum(axis=0) for array in out)


def chunks(x: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """Views of so many rows, read-only and in C order: a part that is not is copied, never all of x."""
    for first in range(0, len(x), rows):
        part = np.ascontiguousarray(np.asarray(x[first : first + rows])).view()
        part.flags.writeable = False
        yield part


def _tile(numbers_a_row: int) -> int:
    """The largest power of two of rows whose whitened residuals fit, within limits."""
    rows = 2 ** max(0, (_TILE_NUMBERS // numbers_a_row).bit_length() - 1)
    return min(max(rows, _SMALLEST_TILE), _LARGEST_TILE)


def from_origins(count: Array, first: Array, second: Array, entropy: float, origins: Array) -> Statistics:
    """From Σ r (1, v, vvᵀ) to N, x̄ = o + v̄, Σ r (v − v̄)(v − v̄)ᵀ."""
    gap = np.divide(first, count[:, None], out=np.zeros_like(first), where=count[:, None] > 0)
    if second.ndim == 2:
        return Statistics(count, origins + gap, np.maximum(second - first * gap, 0), entropy)
    scatter = second - _products(first, gap, True)
    lower = np.tril(scatter, -1)
    diagonal = np.maximum(np.diagonal(scatter, axis1=1, axis2=2), 0)
    whole = lower + lower.swapaxes(1, 2) + diagonal[:, :, None] * np.eye(origins.shape[1])
    return Statistics(count, origins + gap, whole, entropy)


def _products(u: Array, v: Array, dense: bool) -> Array:
    return u[:, :, None] * v[:, None, :] if dense else u * v


def centred(x: NDArray[Any], center: Array) -> Array:
    """x − center in float64."""
    return np.asarray(x).astype(np.float64) - center


def empty(k: int, d: int, dense: bool) -> Statistics:
    """Those of no rows: what the prior alone has."""
    none = np.zeros((k, d, d) if dense else (k, d))
    return Statistics(np.zeros(k), np.zeros((k, d)), none, 0.0, none if dense else None)
