"""Small triangular matrices, a component at a time: the factors of C_k."""

import math

import numpy as np

from vbref.numerics.jit import loop


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
def add_outer(tril, weight, v):
    """L ← the factor of LLᵀ + weight v vᵀ, by rotations of (L, √weight v), which keep a small L's digits.

    In C itself they would be lost where v is large: 1 + 10¹⁷ − 10¹⁷ is no longer 1.
    """
    x = math.sqrt(weight) * v
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
def entry_sensitivity(base, weights, gaps, inverse):
    """Σ_ij |C⁻¹_ij| |base_ij| + Σ_g w_g Σ_i |C⁻¹ gap_g|_i |gap_g|_i: what rounding does to log|C|."""
    precision = inverse.T @ inverse
    total = (np.abs(precision) * np.abs(base)).sum()
    for g in range(len(weights)):
        pulled = precision @ gaps[g]
        total += weights[g] * (np.abs(pulled) * np.abs(gaps[g])).sum()
    return total


@loop
def factor(base, weights, gaps, tril, inverse, log_det, sensitivity):
    """L, L⁻¹, log|C|, `entry_sensitivity` of base_g + Σ_k w_gk gap_gk gap_gkᵀ, (G, …); False as above."""
    for g in range(base.shape[0]):
        if not cholesky(base[g], tril[g]):
            return False
        for k in range(weights.shape[1]):
            add_outer(tril[g], weights[g, k], gaps[g, k])
        invert(tril[g], inverse[g])
        log_det[g] = 0.0
        for d in range(base.shape[1]):
            log_det[g] += 2 * math.log(tril[g, d, d])
        sensitivity[g] = entry_sensitivity(base[g], weights[g], gaps[g], inverse[g])
    return True
