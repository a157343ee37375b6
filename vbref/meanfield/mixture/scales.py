"""C of full and tied covariances, by its triangular factor, and how many digits rounding leaves of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.mixture.factors import factor

Array = NDArray[np.float64]

# Of the conditions below: a bound has nine digits up to the first, six up to the second.
_COARSE, _WORST = 1e6, 1e-6 / np.finfo(np.float64).eps


class Unresolved(FloatingPointError):
    """C_0 cannot be seen beside the rows' scatter, or their distance from the prior's mean."""

    def __init__(self) -> None:
        super().__init__(
            "a scale matrix has too few digits in float64: "
            "inverse_scale is too small beside the data, or mean too far from them"
        )


@dataclass(frozen=True)
class Scales:
    """C = LLᵀ = C_0 + `added`, (G, D, D), and L⁻¹.

    `rounding` (G,) is by how much, to first order, log|C| moves when all entries of what it is made of do by
    a relative unit: of C_0 + scatter in `condition`, of C_0 and the scatter's root where that is used;
    `pulled` that of the means' distances.
    """

    tril: Array
    inverse: Array
    added: Array
    condition: Array
    rounding: Array
    pulled: Array

    def coarse(self, df: Array) -> bool:
        """Whether the scatter itself, without its root, is too coarse beside C_0 (D for one like C_0)."""
        return _relative(self.condition, df, self) > _COARSE

    def check(self, df: Array, refinable: bool) -> None:
        """Raise `Unresolved` where the bound would have too few digits, or could have more."""
        coarse = refinable and _relative(self.rounding, df, self) > _COARSE
        if coarse or _relative(self.rounding + self.pulled, df, self) > _WORST:
            raise Unresolved


def _relative(sensitivity: Array, df: Array, scales: Scales) -> float:
    return float(df @ sensitivity / df.sum()) / scales.tril.shape[1]


def factored(c_0: Array, scatter: Array, roots: Array | None, pulls: Array) -> Scales:
    """Of C_g = C_0 + scatter_g + Σ_k v_gk v_gkᵀ, with v in pulls (G, K, D).

    scatter (G, D, D); `roots` (G, J, D, D) are such that the sum of their squares is the scatter, or None.
    """
    gram = c_0 + scatter
    base, rows = (gram, gram[:, None][:, :0]) if roots is None else (np.zeros_like(gram) + c_0, roots)
    tril, inverse = np.zeros_like(gram), np.zeros_like(gram)
    condition, rounding, pulled = np.empty((3, len(gram)))
    if not factor(gram, base, np.ascontiguousarray(rows), pulls, tril, inverse, condition, rounding, pulled):
        raise Unresolved
    return Scales(tril, inverse, scatter + pulls.swapaxes(1, 2) @ pulls, condition, rounding, pulled)
