"""Hyperparameters at the door, and the prior that they and the rows make."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.mixture.components import ComponentPrior, Gammas, Precision, Wishart
from vbref.meanfield.mixture.door import numbers, positive_number
from vbref.meanfield.mixture.rows import default_inverse_scale
from vbref.meanfield.mixture.state import Prior
from vbref.meanfield.mixture.statistics import Statistics
from vbref.meanfield.mixture.weights import Dirichlet, Sticks
from vbref.numerics import check

Array = NDArray[np.float64]

KINDS = ("full", "tied", "diag", "spherical")
TRUNCATIONS = ("model", "posterior")
_ASYMMETRY = 1e-8  # of √(C_ii C_jj): well above what an inverse leaves, well below what a slip does


def check_words(covariance: str, truncation: str) -> None:
    """Raise ValueError for a word that is not one of those known."""
    if covariance not in KINDS:
        raise ValueError(f"covariance must be one of {', '.join(KINDS)}, was {covariance!r}")
    if truncation not in TRUNCATIONS:
        raise ValueError(f"truncation must be one of {', '.join(TRUNCATIONS)}, was {truncation!r}")


def make_prior(model: Any, whole: Statistics, center: Array) -> Prior:
    """The prior of a `GaussianMixture` over rows with these overall statistics, from their centre."""
    d = len(center)
    mean = np.zeros(d) if model.mean is None else _vector("mean", model.mean, d) - center
    weights = (
        Sticks(model.n_components, model.concentration, model.truncation == "model")
        if model.process
        else Dirichlet(model.n_components, model.concentration)
    )
    return Prior(
        center, weights, ComponentPrior(mean, model.mean_precision, _precision(model, whole, center))
    )


def _precision(model: Any, whole: Statistics, center: Array) -> Precision:
    d, kind = len(center), model.covariance
    least = d - 1 if kind in ("full", "tied") else 0
    df = float(d) if model.df is None else model.df
    if not df > least:
        raise ValueError(f"df must be > {least} for {kind} covariances in {d} dimensions, was {df}")
    given = model.inverse_scale
    scale = default_inverse_scale(kind, whole, center) if given is None else _inverse_scale(given, kind, d)
    if kind in ("full", "tied"):
        return Wishart(df, scale, kind == "tied")
    return Gammas(df, scale, kind == "spherical", d)


def _inverse_scale(value: ArrayLike, kind: str, d: int) -> Array:
    """A matrix, a vector or a number as the kind asks; a number stands for so many times the identity."""
    array = numbers("inverse_scale", value)
    if array.ndim == 0:
        number = positive_number("inverse_scale", array.item())
        return {"diag": np.full(d, number), "spherical": np.array([number])}.get(kind, number * np.eye(d))
    if kind == "spherical":
        raise ValueError(f"inverse_scale must be a number for spherical covariances, has shape {array.shape}")
    if kind == "diag":
        check.shape("inverse_scale", array, (d,))
        check.positive(inverse_scale=array)
        return array
    check.shape("inverse_scale", array, (d, d))
    return _definite(array)


def _definite(matrix: Array) -> Array:
    """Its symmetric part: np.linalg.inv is symmetric but for rounding, relative to √(C_ii C_jj)."""
    size = np.sqrt(np.abs(np.diagonal(matrix)))
    if not (matrix - matrix.T <= _ASYMMETRY * size * size[:, None]).all():
        raise ValueError("inverse_scale must be symmetric, is not")
    symmetric = matrix / 2 + matrix.T / 2
    try:
        np.linalg.cholesky(symmetric)
    except np.linalg.LinAlgError:
        raise ValueError("inverse_scale must be positive definite, is not") from None
    return symmetric


def _vector(name: str, value: ArrayLike, d: int) -> Array:
    array = numbers(name, value)
    check.shape(name, array, (d,))
    return array
