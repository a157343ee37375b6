"""Student's t, what normal means with gamma or Wishart precisions predict, at any degrees of freedom."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from vbref.numerics import log_beta


def log_gamma_step(x: ArrayLike, step: ArrayLike) -> np.ndarray:
    """log Γ(x + step) − log Γ(x) for x, step > 0, as log Γ(step) − log B(x, step).

    The two log Γ agree in most digits where x is large: at 1e12 their difference would be off by 1e-3.
    """
    x, step = np.asarray(x, np.float64), np.asarray(step, np.float64)
    return np.asarray(gammaln(step) - log_beta(x, step))


def log_student(distance: ArrayLike, log_det: ArrayLike, df: ArrayLike, dim: int) -> np.ndarray:
    """log St = log Γ(½(t+D)) − log Γ(½t) − ½D log tπ − ½ log|Σ| − ½(t+D) log(1 + Δ²/t).

    `distance` is Δ²/t, with Δ² = (x − m)ᵀ Σ⁻¹ (x − m); `log_det` log|Σ|; `df` t. All broadcast.
    """
    t = np.asarray(df, np.float64)
    constant = log_gamma_step(t / 2, dim / 2) - dim / 2 * np.log(t * math.pi)
    return constant - np.asarray(log_det) / 2 - (t + dim) / 2 * np.log1p(distance)
