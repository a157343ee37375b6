"""The data at the door: checked, centred and measured a chunk of rows at a time, never copied whole."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.mixture.statistics import Frame, Statistics, chunks, gather
from vbref.numerics import check

Array = NDArray[np.float64]

_NUMBERS = 2**18  # in a chunk that NumPy works on
_LEAST_EIGENVALUE = 1e-6  # of the correlations in a prior taken from the data


def checked(x: ArrayLike, dim: int | None = None) -> NDArray[Any]:
    """x as rows (N, D), float32 or float64, finite; an array or a memory map is not copied."""
    rows = np.asarray(x)
    check.floats(x=rows[:0])
    check.shape("x", rows, (None, dim))
    if rows.size == 0:
        raise ValueError(f"x must have at least one row and one column, has shape {rows.shape}")
    for part in parts(rows):
        check.floats(x=part)
    return rows


def parts(x: NDArray[Any], width: int | None = None) -> Any:
    """Chunks of rows that make arrays of at most so many numbers, at `width` (default D) a row."""
    return chunks(x, max(1, _NUMBERS // (width or x.shape[1])))


def center_of(x: NDArray[Any]) -> Array:
    """The mean of the rows, as the first row and the mean distance from it: exact for rows that are equal."""
    first = x[0].astype(np.float64)
    total = sum((part.astype(np.float64) - first).sum(axis=0) for part in parts(x))
    return first + np.asarray(total) / len(x)


def overall(x: NDArray[Any], center: Array) -> Statistics:
    """N, mean and dense scatter of all rows, from the centre: one component's statistics."""
    d = x.shape[1]
    zero = np.zeros((1, d))
    return gather(x, center, Frame(zero, np.eye(d)[None], np.zeros(1), zero))


def variances(whole: Statistics, center: Array) -> Array:
    """The variances (D,) of the columns (divisor N − 1), exactly 0 where they are not above rounding."""
    n = whole.count[0]
    found = np.diagonal(whole.scatter[0]) / max(n - 1, 1)
    rounding = np.square(4 * np.finfo(np.float64).eps * center)
    return np.where(found > rounding, found, 0.0)


def spreads(whole: Statistics, center: Array) -> Array:
    """Standard deviations (D,); of a constant column the root mean square of the others, or 1 without any."""
    var = variances(whole, center)
    usual = var[var > 0].mean() if (var > 0).any() else 1.0
    return np.sqrt(np.where(var > 0, var, usual))


def default_inverse_scale(kind: str, whole: Statistics, center: Array) -> Array:
    """C_0 where none is given: the covariance of the rows (divisor N − 1), as scikit-learn has it.

    full and tied the matrix, diag its diagonal, spherical the mean of that. Where the matrix is singular,
    constant columns get a variance as in `spreads`, and eigenvalues of the correlation matrix are raised to
    1e-6.
    """
    scale = spreads(whole, center)
    if kind == "diag":
        return np.square(scale)
    if kind == "spherical":
        mean = variances(whole, center).mean()
        return np.array([mean if mean > 0 else 1.0])
    return _correlations(whole, center, scale) * np.outer(scale, scale)


def _correlations(whole: Statistics, center: Array, scale: Array) -> Array:
    constant = variances(whole, center) == 0
    covariance = whole.scatter[0] / max(whole.count[0] - 1, 1)
    r = np.where(
        constant[:, None] | constant, np.diag(constant.astype(float)), covariance / np.outer(scale, scale)
    )
    values, vectors = np.linalg.eigh(r)
    return (
        r if values[0] > _LEAST_EIGENVALUE else (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    )
