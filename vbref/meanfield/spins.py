"""Log Z, means and correlations of binary spins by all their states, in memory of one number a state.

The spins are cut in two halves l and r. With A and B the states of each, and E the sum of a half's own terms,
all log weights are the matrix

    log p̃(l, r) = E_l + E_r + A J_lr Bᵀ,

of 2^D entries, from three small matrix products; every moment is one more product with it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vbref.numerics import logsumexp

Array = NDArray[Any]
MOST_SPINS = 20


class Enumeration(NamedTuple):
    """log Z in nats; E[s_i] (D,); E[s_i s_j] (D, D)."""

    log_partition: float
    means: Array
    correlations: Array


def enumerate_spins(couplings: Array, fields: Array, constant: float = 0.0) -> Enumeration:
    """All 2^D states of p(s) ∝ exp(½ sᵀJs + hᵀs + c); ValueError for more than 20 spins."""
    d = len(fields)
    if d > MOST_SPINS:
        raise ValueError(f"enumeration must have at most {MOST_SPINS} spins, has {d}")
    left, right = slice(0, d // 2), slice(d // 2, d)
    a, b = _states(d // 2), _states(d - d // 2)
    weights = a @ couplings[left, right] @ b.T
    weights += _energy(a, couplings[left, left], fields[left])[:, None]
    weights += _energy(b, couplings[right, right], fields[right])
    log_partition = float(logsumexp(weights))
    p = np.exp(weights - log_partition, out=weights)
    means = np.concatenate([p.sum(axis=1) @ a, p.sum(axis=0) @ b])
    across = a.T @ p @ b
    own = [(s * w[:, None]).T @ s for s, w in ((a, p.sum(axis=1)), (b, p.sum(axis=0)))]
    correlations = np.block([[own[0], across], [across.T, own[1]]])
    return Enumeration(log_partition + constant, means, correlations)


def _states(d: int) -> Array:
    """All of {−1, +1}^d, (2^d, d)."""
    return 2.0 * (np.arange(2**d)[:, None] >> np.arange(d) & 1) - 1


def _energy(states: Array, couplings: Array, fields: Array) -> Array:
    return ((states @ couplings) * states).sum(axis=1) / 2 + states @ fields
