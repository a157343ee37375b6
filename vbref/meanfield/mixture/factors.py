"""Small triangular matrices, a component at a time: the factors of C_k."""

import math

import numpy as np

from vbref.numerics.jit import loop
from vbref.numerics.special import lgamma_bregman


@loop
def cholesky(c, tril):
    """Lower triangular L with LLᵀ = C; False where C is not positive definite in float64."""
    for i in range(c.shape[0]):
        for j in range(i + 1):
            total = c[i, j]
            for m in range(j):
                total -= tril[i, m] * tril[j, m]
            if i == j and not total > 0:
                return False
            tril[i, j] = math.sqrt(total) if i == j else total / tril[j, j]
    return True


@loop
def add_outer(tril, v):
    """L ← the factor of LLᵀ + v vᵀ, by rotations of (L, v), which keep a small L's digits.

    In C itself they would be lost where v is large: 1 + 10¹⁷ − 10¹⁷ is no longer 1.
    """
    x = v.copy()
    for j in range(tril.shape[0]):
        r = math.hypot(tril[j, j], x[j])
        cosine, sine = tril[j, j] / r, x[j] / r
        tril[j, j] = r
        for i in range(j + 1, tril.shape[0]):
            tril[i, j], x[i] = cosine * tril[i, j] + sine * x[i], cosine * x[i] - sine * tril[i, j]


@loop
def invert(tril, inverse):
    """L⁻¹ by forward substitution."""
    for j in range(tril.shape[0]):
        inverse[j, j] = 1 / tril[j, j]
        for i in range(j + 1, tril.shape[0]):
            total = 0.0
            for m in range(j, i):
                total += tril[i, m] * inverse[m, j]
            inverse[i, j] = -total / tril[i, i]


@loop
def row_sensitivity(rows, inverse):
    """Σ_j |L⁻¹ v_j| · |L⁻¹| s over the rows v_j of R, where s_i is the length of column i.

    What rounding of R, of which entries of column i have ulps of s_i, does to log|C| and to |L⁻¹Rᵀ|².
    """
    size = np.abs(inverse) @ np.sqrt((rows * rows).sum(axis=0))
    return (np.abs(inverse @ rows.T).sum(axis=1) * size).sum()


@loop
def factor(gram, base, rows, pulls, tril, inverse, condition, rounding, pulled):
    """L, L⁻¹ of C_g = base_g + Σ_j R_gjᵀR_gj + Σ_k v_gk v_gkᵀ, (G, …); False where base is not definite.

    R in rows (G, J, D, D), v in pulls (G, K, D); gram_g = base_g + Σ_j R_gjᵀR_gj. With P = C⁻¹, what rounding
    of its parts does to log|C|: `condition` Σ_ij |P_ij| |gram_ij|, of gram; `rounding` the same of base, and
    of the rows; `pulled` Σ_k Σ_i |P v_k|_i |v_k|_i.
    """
    for g in range(base.shape[0]):
        if not cholesky(base[g], tril[g]):
            return False
        for j in range(rows.shape[1]):
            for d in range(rows.shape[2]):
                add_outer(tril[g], rows[g, j, d])
        for k in range(pulls.shape[1]):
            add_outer(tril[g], pulls[g, k])
        invert(tril[g], inverse[g])
        precision = inverse[g].T @ inverse[g]
        condition[g] = (np.abs(precision) * np.abs(gram[g])).sum()
        rounding[g] = (np.abs(precision) * np.abs(base[g])).sum()
        for j in range(rows.shape[1]):
            rounding[g] += row_sensitivity(rows[g, j], inverse[g])
        pulled[g] = 0.0
        for k in range(pulls.shape[1]):
            pulled[g] += (np.abs(precision @ pulls[g, k]) * np.abs(pulls[g, k])).sum()
    return True


@loop
def shape_divergences(nu, count, dim, out):
    """Σ_d [log Γ(a_d − ½N) − log Γ(a_d) + ½N ψ(a_d)] ≥ 0 with a_d = ½(ν − d), d = 0 … D − 1, (G,)."""
    for g in range(len(nu)):
        out[g] = 0.0
        for d in range(dim):
            out[g] += lgamma_bregman((nu[g] - d) / 2, -count[g] / 2)
