"""Identities that every conjugate mean-field update obeys: checks of a model from the outside.

If E_{−j} log p(x, z) = η̂ᵀT(z_j) + log h(z_j) + constant, the update (meanfield/D30) is q̂_j = h exp(η̂ᵀT −
A(η̂)), and the bound as a function of q_j's own natural parameters η is, as E_q[T] = ∇A(η),

    L(η) = η̂ᵀ∇A(η) − ηᵀ∇A(η) + A(η) + constant,

from which three identities follow that share nothing with the code of the update but its result:

    moments      E_η[T] = ∇A(η)
    gradient     ∇²A(η)⁻¹ ∇L(η) = η̂ − η              the natural gradient is the update less what there is
    gain         L(η̂) − L(η) = KL(q_η ‖ q_η̂)          (meanfield/D28)

The first two are by central differences of fourth order; the third needs the bound at two places alone. Each
function gives the difference of the two sides, zeros where the identity holds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.families import Family
from vbref.numerics import check

Array = NDArray[Any]
Bound = Callable[[Array], float]


def moment_defect(family: Family, eta: Array, *, step: float = 1e-3) -> Array:
    """E_η[T] − ∇A(η), of the shape of η; ∇A by central differences."""
    return family.moments(eta) - jacobian(family.log_normaliser, eta, step=step)


def natural_gradient(family: Family, bound: Bound, eta: Array, *, step: float = 1e-3) -> Array:
    """∇²A(η)⁻¹ ∇L(η), of the shape of η; both by central differences, ∇²A from the moments."""
    fisher = jacobian(family.moments, eta, step=step)
    return np.linalg.solve((fisher + fisher.T) / 2, jacobian(bound, eta, step=step))


def update_defect(family: Family, bound: Bound, eta: Array, updated: Array, *, step: float = 1e-3) -> Array:
    """∇²A(η)⁻¹ ∇L(η) − (η̂ − η) for the update's η̂ = `updated`, in η's own units."""
    return natural_gradient(family, bound, eta, step=step) - (updated - eta)


def gain_defect(family: Family, bound: Bound, eta: Array, updated: Array) -> float:
    """L(η̂) − L(η) − KL(q_η ‖ q_η̂), in nats, for the update's η̂ = `updated`."""
    return bound(updated) - bound(eta) - divergence(family, eta, updated)


def divergence(family: Family, eta_q: Array, eta_p: Array) -> float:
    """KL(q ‖ p) = (η_q − η_p)ᵀE_q[T] − A(η_q) + A(η_p), in nats: the Bregman divergence of A."""
    linear = float((eta_q - eta_p) @ family.moments(eta_q))
    return linear - family.log_normaliser(eta_q) + family.log_normaliser(eta_p)


def jacobian(function: Callable[[Array], Any], at: Array, *, step: float = 1e-3) -> Array:
    """∂f/∂η (shape of f, D), by (8 (f₊ − f₋) − (f₊₊ − f₋₋))/12h, whose error is O(h⁴).

    Each h is `step` · max(|η_i|, 1). Raises ValueError for an η that is no array (D,) of floats, and for a
    step that is not > 0.
    """
    (at,) = check.floats(eta=at)
    check.shape("eta", at, (None,))
    check.positive(step=check.floats(step=float(step))[0])
    columns = []
    for i, size in enumerate(step * np.maximum(abs(at), 1.0)):
        h = np.zeros_like(at)
        h[i] = size
        near = np.asarray(function(at + h)) - function(at - h)
        far = np.asarray(function(at + 2 * h)) - function(at - 2 * h)
        columns.append((8 * near - far) / (12 * size))
    return np.stack(columns, axis=-1)
