"""Where a run starts: means by k-means on a sample of the rows, then each row given to the nearest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.mixture.statistics import Frame, Statistics, centred, gather

Array = NDArray[np.float64]

_SAMPLE, _ROUNDS = 4096, 10
_FAR = 1e3  # standard deviations of the data from its centre
_NARROW = 1e3  # standard deviations of the data to one of a starting component, so that it takes rows whole


def seeds(x: NDArray[Any], k: int, center: Array, scale: Array, rng: np.random.Generator) -> Array:
    """K means (K, D) from the centre: k-means++ (Arthur and Vassilvitskii 2007) and ten rounds of k-means.

    On at most 4096 rows drawn without replacement, with columns divided by `scale`.
    """
    index = np.sort(rng.choice(len(x), _SAMPLE, replace=False)) if len(x) > _SAMPLE else slice(None)
    rows = centred(x[index], center) / scale
    means = _spread_out(rows, k, rng)
    for _ in range(_ROUNDS):
        nearest = _distances(rows, means).argmin(axis=1)
        means = np.stack(
            [rows[nearest == c].mean(axis=0) if (nearest == c).any() else means[c] for c in range(k)]
        )
    return means * scale


def _spread_out(rows: Array, k: int, rng: np.random.Generator) -> Array:
    """Rows drawn in turn, each with a chance proportional to its squared distance from the nearest drawn."""
    chosen = [rows[rng.integers(len(rows))]]
    nearest = np.square(rows - chosen[0]).sum(axis=1)
    while len(chosen) < k:
        total = nearest.sum()
        share = nearest / total if total > 0 else np.full(len(rows), 1 / len(rows))
        chosen.append(rows[rng.choice(len(rows), p=share)])
        nearest = np.minimum(nearest, np.square(rows - chosen[-1]).sum(axis=1))
    return np.stack(chosen)


def _distances(rows: Array, means: Array) -> Array:
    return np.stack([np.square(rows - mean).sum(axis=1) for mean in means], axis=1)


def nearest_mean(x: NDArray[Any], center: Array, means: Array, scale: Array, dense: bool) -> Statistics:
    """The statistics when each row belongs to the nearest of the means, columns divided by `scale`.

    An E-step with components so narrow that a row's responsibilities are 0 and 1; rows between equal means
    are shared between them. Moments are taken from the means, or from where these come nearest to the rows,
    as from far off they would lose their digits. Raises ValueError for means so far from all rows that their
    distances are not in float64.
    """
    roots = np.tile(_NARROW / scale, (len(means), 1))
    roots = roots[:, :, None] * np.eye(means.shape[1]) if dense else roots
    origins = np.clip(means, -_FAR * scale, _FAR * scale)
    found = gather(x, center, Frame(means, roots, np.zeros(len(means)), origins))
    if not np.isfinite(found.count).all():
        raise ValueError("means must be nearer to the rows: squares of the distances overflow float64")
    return found
