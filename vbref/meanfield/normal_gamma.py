"""The laws that a regression's posterior is made of: normal–gamma for (w, τ), gamma for precisions.

NG(w, τ | m, P, a, b) = N(w | m, (τ P)⁻¹) Gam(τ | a, b), with P = RᵀR and R upper triangular.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref import kl, numerics
from vbref.dist import gamma

Array = NDArray[Any]
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Gammas:
    """Independent Gam(concentration, rate), arrays of one shape."""

    concentration: Array
    rate: Array

    @property
    def mean(self) -> Array:
        """E[α] = c/d."""
        return self.concentration / self.rate

    @cached_property
    def mean_log(self) -> Array:
        """E[log α] = ψ(c) − log d."""
        return numerics.digamma(self.concentration) - np.log(self.rate)

    def copies(self, count: int) -> "Gammas":
        """`count` independent ones, (count,)."""
        return Gammas(np.full(count, self.concentration), np.full(count, self.rate))

    @property
    def entropy(self) -> float:
        """−E log q(α), in nats, of all together."""
        return float(np.sum(gamma.entropy(self.concentration, self.rate)))

    def expected_log(self, prior: "Gammas") -> float:
        """E_q log p(α) = −KL(q ‖ p) − H(q), neither of which cancels where concentrations are large."""
        divergence = kl.gamma(self.concentration, self.rate, prior.concentration, prior.rate)
        return -float(np.sum(divergence)) - self.entropy


@dataclass(frozen=True)
class NormalGamma:
    """q(w, τ): the mean m (D,), the root R (D, D) of P = RᵀR, and q(τ) as Gammas of shape ()."""

    mean: Array
    root: Array
    noise: Gammas

    @cached_property
    def inverse_root(self) -> Array:
        """R⁻¹, so that P⁻¹ = R⁻¹R⁻ᵀ."""
        return np.linalg.solve(self.root, np.eye(len(self.mean)))

    @property
    def condition(self) -> float:
        """max_j ‖R_·j‖/|R_jj|: by how much rounding of R grows in its pivots, whatever the columns' units."""
        return float((np.linalg.norm(self.root, axis=0) / abs(np.diagonal(self.root))).max())

    @property
    def spread(self) -> Array:
        """The diagonal of P⁻¹ (D,): the variance of √τ (w_j − m_j)."""
        return (self.inverse_root**2).sum(axis=1)

    @property
    def scaled_squares(self) -> Array:
        """E[τ w_j²] = E[τ] m_j² + (P⁻¹)_jj, (D,)."""
        return float(self.noise.mean) * self.mean**2 + self.spread

    @property
    def entropy(self) -> float:
        """−E log q(w | τ) = ½ [D (1 + log 2π − E log τ) − log|P|], in nats."""
        log_det = 2 * np.log(abs(np.diagonal(self.root))).sum()
        return float(len(self.mean) * (1 + LOG_2PI - self.noise.mean_log) - log_det) / 2
