"""Hyperparameters at the door, and the prior that they and the rows make."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.mixture.components import ComponentPrior, Gammas, Precision, Wishart
from vbref.meanfield.mixture.rows import default_inverse_scale
from vbref.meanfield.mixture.state import Prior
from vbref.meanfield.mixture.statistics import Statistics
from vbref.meanfield.mixture.weights import Dirichlet, Sticks
from vbref.numerics import check

Array = NDArray[np.float64]

KINDS = ("full", "tied", "diag", "spherical")
TRUNCATIONS = ("model", "posterior")


def check_words(covariance: str, truncation: str) -> None:
    """Raise ValueError for a word that is not one of those known."""
    if covariance not in KINDS:
        raise ValueError(f"covariance must be one of {', '.join(KINDS)}, was {covariance!r}")
    if truncation not in TRUNCATIONS:
        raise ValueError(f"truncation must be one of {', '.join(TRUNCATIONS)}, was {truncation!r}")


def positive_number(name: str, value: Any) -> float:
    """The value as a float; ValueError unless it is a finite real number > 0."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number > 0, was {value!r}")
    return float(value)


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
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        number = positive_number("inverse_scale", array.item())
        return {"diag": np.full(d, number), "spherical": np.array([number])}.get(kind, number * np.eye(d))
    if kind == "spherical":
        raise ValueError(f"inverse_scale must be a number for spherical covariances, has shape {array.shape}")
    check.floats(inverse_scale=array)
    if kind == "diag":
        check.shape("inverse_scale", array, (d,))
        check.positive(inverse_scale=array)
    else:
        check.shape("inverse_scale", array, (d, d))
        _check_definite(array)
    return array


def _check_definite(matrix: Array) -> None:
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
        raise ValueError("inverse_scale must be symmetric, is not")
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError("inverse_scale must be positive definite, is not") from None


def _vector(name: str, value: ArrayLike, d: int) -> Array:
    array = np.asarray(value, np.float64)
    check.floats(**{name: array})
    check.shape(name, array, (d,))
    return array
