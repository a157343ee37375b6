"""Stochastic variational inference (Hoffman, Blei, Wang, Paisley 2013) for the mixture.

In natural parameters the coordinate update of q(π) and q(μ, Λ) is η̂ = η_0 + Σ_n E[t(x_n, z_n)], and the
natural gradient of the bound is η̂ − η. A step along an estimate of it, from B of N rows,

    η ← (1 − ρ) η + ρ (η_0 + (N/B) Σ_batch E[t]),

is a blend of sufficient statistics, since η − η_0 is linear in them. With B = N and ρ = 1 it is the update
itself. Steps with Σ ρ_t = ∞ and Σ ρ_t² < ∞ (Robbins and Monro 1951) come to rest at a stationary point.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vbref.meanfield.engine import Update
from vbref.meanfield.limits import number
from vbref.meanfield.mixture.statistics import gather

DELAY, FORGETTING = 1.0, 0.7


def robbins_monro(t: int) -> float:
    """ρ_t = (t + 1)^−0.7, t = 1, 2, …: for exponents in (½, 1] Σρ diverges and Σρ² does not."""
    return float((t + DELAY) ** -FORGETTING)


def ascend(
    state: Any, batch_size: int, epochs: int, rng: np.random.Generator, step: Callable[[int], float]
) -> Iterator[Update]:
    """Take the steps, an epoch of minibatches in a new order after another; yield estimates of the bound.

    Each estimate, from the batch alone, is unbiased for the bound with the best q(z), at q(π) and q(μ, Λ)
    before the step. Batches of an epoch are disjoint; rows that do not fill the last one wait for another
    order.
    """
    n, t = len(state.x), 0
    size = min(batch_size, n)
    for epoch in range(1, epochs + 1):
        order = rng.permutation(n) if size < n else np.arange(n)
        for first in range(0, n - size + 1, size):
            t += 1
            rho = number(f"step({t})", step(t))
            if not 0 < rho <= 1:
                raise ValueError(f"step must be in (0, 1], was {rho} at t = {t}")
            batch = state.x if size == n else state.x[np.sort(order[first : first + size])]
            seen = gather(batch, state.prior.center, state.frame()).scaled(n / size)
            before, state.statistics = state.statistics, seen
            yield Update(epoch, "assignments", state.evidence_bound().value)
            state.statistics = before.blend(seen, rho)
            state.update_weights()
            state.update_components()
