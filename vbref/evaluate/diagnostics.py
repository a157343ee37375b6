"""Small measures of what goes wrong in training, for warnings and tests."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.numerics import check
from vbref.numerics.check import FloatArray

_ACTIVE = 0.01


def unit_activity(means: ArrayLike) -> NDArray[np.floating]:
    """Var_x E[z_d | x] of each latent coordinate, (D,), from posterior means (N, D), N >= 1."""
    (means,) = check.floats(means=means)
    check.shape("means", means, (None, None))
    _some("means", means)
    return means.var(axis=0)


def active_units(means: ArrayLike, threshold: float = _ACTIVE) -> int:
    """How many latent coordinates move with x: Var_x E[z_d | x] > 0.01 (Burda et al. 2016), of means (N, D).

    Where a posterior has collapsed to the prior, q(z_d | x) is the same for all x and its unit is not active.
    """
    return int((unit_activity(means) > threshold).sum())


def effective_clusters(responsibilities: ArrayLike) -> float:
    """e^H of the clusters' mean shares, between 1 (all in one) and C (all alike), from r (N, C)."""
    shares = _rows(responsibilities).mean(axis=0)
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum()))


def confidence(responsibilities: ArrayLike) -> float:
    """The mean largest responsibility of a row: 1/C where all clusters are alike, 1 where all are sure."""
    return float(_rows(responsibilities).max(axis=-1).mean())


def _rows(responsibilities: ArrayLike) -> FloatArray:
    (r,) = check.floats(responsibilities=responsibilities)
    check.shape("responsibilities", r, (None, None))
    check.probabilities(responsibilities=r)
    _some("responsibilities", r)
    return r


def _some(name: str, rows: FloatArray) -> None:
    if len(rows) == 0:
        raise ValueError(f"{name} must have at least one row, has none")
