"""Instances for stick-breaking: a stick cut into K pieces, Beta(1, α) breaks, a Kumaraswamy posterior."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from vbref.audit.worlds import Array


@dataclass(frozen=True)
class Sticks:
    """v_k ~ Beta(1, α) for k < K, v_K = 1; p(x|π) = Σ_k π_k lik_k; q(v_k) = Kumaraswamy(a_k, b_k).

    v_as_pi: q is left the density of v where that of π is due.
    """

    alpha: float
    a: Array  # (K − 1,)
    b: Array  # (K − 1,)
    lik: Array  # (K,)
    v_as_pi: bool = False

    def log_prior(self, log_v: Any, log_rest: Any) -> Any:
        """Σ_k log Beta(v_k; 1, α) from log v and log(1 − v), both (…, K − 1)."""
        return np.sum(np.log(self.alpha) + (self.alpha - 1) * log_rest, axis=-1)

    def log_q(self, log_v: Any) -> Any:
        """Σ_k log Kumaraswamy(v_k; a_k, b_k), xu/47."""
        log_power = np.log(-np.expm1(self.a * log_v))
        return np.sum(
            np.log(self.a) + np.log(self.b) + (self.a - 1) * log_v + (self.b - 1) * log_power, axis=-1
        )


def sticks(rng: Generator) -> Sticks:
    """Return a random stick of 2 or 3 pieces."""
    k = int(rng.integers(2, 4))
    a, b = rng.uniform(0.8, 3.0, size=(2, k - 1))
    return Sticks(rng.uniform(0.8, 3.0), a, b, rng.uniform(0.1, 0.9, size=k))
