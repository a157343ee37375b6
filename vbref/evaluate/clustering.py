"""How well clusters found without labels agree with labels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.mixture.start import seeds
from vbref.numerics import check

_MOST_ROUNDS = 300


def exemplar_labels(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.generic]:
    """The label of each cluster (C,): that of the row which belongs to it most, argmax_i scores[i, k].

    The rule of Dilokthanakul et al. (2016), after Makhzani et al. (2015). `scores` (N, C) are
    responsibilities, or for k-means minus the distances; `labels` (N,).
    """
    (scores,) = check.floats(scores=scores)
    check.shape("scores", scores, (None, None))
    labels = np.asarray(labels)
    check.shape("labels", labels, (len(scores),))
    if len(scores) == 0:
        raise ValueError("scores must have at least one row, has none")
    return labels[scores.argmax(axis=0)]


def clustering_accuracy(scores: ArrayLike, labels: ArrayLike, cluster_labels: ArrayLike) -> float:
    """The share of rows whose best cluster, argmax_k scores[i, k], has their label."""
    return float((np.asarray(cluster_labels)[np.argmax(scores, axis=1)] == np.asarray(labels)).mean())


def k_means(x: ArrayLike, k: int, rng: np.random.Generator, *, restarts: int = 10) -> NDArray[np.float64]:
    """Centres (k, D) of the rows x (N, D), with the least squared distance of `restarts` runs from k-means++.

    ValueError for k > N.
    """
    (x,) = check.floats(x=x)
    check.shape("x", x, (None, None))
    if not 1 <= k <= len(x):
        raise ValueError(f"k must be between 1 and the {len(x)} rows of x, was {k}")
    rows = x.astype(np.float64)
    found = [_settled(rows, _seeded(rows, k, rng)) for _ in range(restarts)]
    return min(found, key=lambda centres: -centre_scores(rows, centres).max(axis=1).sum())


def centre_scores(x: ArrayLike, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the squared distance of each row to each centre, (N, C)."""
    rows = np.asarray(x, np.float64)
    cross = 2 * rows @ centres.T
    return cross - np.square(rows).sum(axis=1)[:, None] - np.square(centres).sum(axis=1)


def _seeded(x: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return seeds(x, k, np.zeros(x.shape[1]), np.ones(x.shape[1]), rng)


def _settled(x: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lloyd's rounds: each row to its nearest centre, each centre to the mean of its rows."""
    for _ in range(_MOST_ROUNDS):
        nearest = centre_scores(x, centres).argmax(axis=1)
        moved = np.stack(
            [x[nearest == c].mean(axis=0) if (nearest == c).any() else old for c, old in enumerate(centres)]
        )
        if (moved == centres).all():
            break
        centres = moved
    return centres
