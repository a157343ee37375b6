"""How well clusters found without labels agree with labels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.mixture.start import seeds
from vbref.numerics import check

_MOST_ROUNDS = 300


def exemplar_labels(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.generic]:
    """The label of each cluster (C,): that of the row which belongs to it most, argmax_i scores[i, k].

    The rule of Dilokthanakul et al. (2016), after Makhzani et al. (2015). `scores` (N, C) are
    responsibilities, or for k-means minus the distances; `labels` (N,). Raises ValueError for no rows.
    """
    scores, labels = _labelled(scores, labels)
    return labels[scores.argmax(axis=0)]


def clustering_accuracy(scores: ArrayLike, labels: ArrayLike, cluster_labels: ArrayLike) -> float:
    """The share of rows whose best cluster, argmax_k scores[i, k], has their label.

    `scores` (N, C), `labels` (N,), `cluster_labels` (C,). Raises ValueError for no rows and no clusters.
    """
    scores, labels = _labelled(scores, labels)
    check.size(clusters=scores.shape[1])
    own = np.asarray(cluster_labels)
    check.shape("cluster_labels", own, (scores.shape[1],))
    return float((own[scores.argmax(axis=1)] == labels).mean())


def _labelled(scores: ArrayLike, labels: ArrayLike) -> tuple[check.FloatArray, NDArray[np.generic]]:
    (scores,) = check.floats(scores=scores)
    check.shape("scores", scores, (None, None))
    labels = np.asarray(labels)
    check.shape("labels", labels, (len(scores),))
    if len(scores) == 0:
        raise ValueError("scores must have at least one row, has none")
    return scores, labels


def k_means(x: ArrayLike, k: int, rng: np.random.Generator, *, restarts: int = 10) -> NDArray[np.float64]:
    """Centres (k, D) of the rows x (N, D), with the least squared distance of `restarts` runs from k-means++.

    Raises ValueError for k > N, and for rows so far apart that the squares overflow.
    """
    (x,) = check.floats(x=x)
    check.shape("x", x, (None, None))
    check.size(k=k, restarts=restarts)
    if k > len(x):
        raise ValueError(f"k must be at most the {len(x)} rows of x, was {k}")
    rng = check.generator(rng)
    rows = x.astype(np.float64)
    try:
        with np.errstate(over="raise"):
            found = [_settled(rows, _seeded(rows, k, rng)) for _ in range(restarts)]
    except FloatingPointError:
        raise ValueError("x must have rows whose squared distances stay within float64") from None
    return min(found, key=lambda centres: -centre_scores(rows, centres).max(axis=1).sum())


def centre_scores(x: ArrayLike, centres: ArrayLike) -> NDArray[np.float64]:
    """Minus the squared distance of each row x (N, D) to each centre (C, D): (N, C), float64."""
    from scipy.spatial.distance import cdist

    (rows,), (centres,) = check.floats(x=x), check.floats(centres=centres)
    check.shape("x", rows, (None, None))
    check.shape("centres", centres, (None, rows.shape[1]))
    return -cdist(rows, centres, "sqeuclidean")


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
