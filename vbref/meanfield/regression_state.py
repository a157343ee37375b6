"""The state of a regression's coordinate ascent: q(w, τ), q(α), their updates and the bound.

The equations are those of `linear_regression`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.engine import Bound
from vbref.meanfield.normal_gamma import LOG_2PI, Gammas, NormalGamma

Array = NDArray[Any]
# Of R above: with a larger one its smallest pivot has fewer than three digits.
WORST_CONDITION = 1e13


@dataclass(frozen=True)
class Design:
    """What the likelihood needs of rows x and targets y: x = Q R, Qᵀy, and the rest of y, ‖y − QQᵀy‖²."""

    n: int
    root: Array
    target: Array
    rest: float

    @classmethod
    def of(cls, x: Array, y: Array) -> "Design":
        q, root = np.linalg.qr(x)
        target = q.T @ y
        return cls(len(x), root, target, float(np.square(y - q @ target).sum()))

    def square(self, m: Array) -> float:
        """‖y − X m‖²."""
        return float(np.square(self.target - self.root @ m).sum()) + self.rest


@dataclass
class State:
    """q(w, τ) and q(α), which is None where α is known; their updates and their bound.

    square is ‖y − Xm‖² + mᵀ diag(E[α]) m, of which a large b has no digit.
    """

    design: Design
    precision: Array
    noise_prior: Gammas
    weight_prior: Gammas | None
    weight_noise: NormalGamma
    weight_law: Gammas | None
    square: float = 0.0

    @property
    def alpha(self) -> Array:
        """E[α] (D,)."""
        d = self.design.root.shape[1]
        return self.precision if self.weight_law is None else np.broadcast_to(self.weight_law.mean, (d,))

    @property
    def updates(self) -> dict[str, Callable[[], None]]:
        """One sweep."""
        first = {"weights and noise": self.update_weights}
        return first if self.weight_prior is None else first | {"weight precision": self.update_precision}

    def update_weights(self) -> None:
        """q(w, τ), by least squares of (Qᵀy, 0) on R above diag √E[α]."""
        design, alpha = self.design, self.alpha
        q, root = np.linalg.qr(np.concatenate([design.root, np.diag(np.sqrt(alpha))]))
        m = np.linalg.solve(root, q[: len(design.root)].T @ design.target)
        self.square = design.square(m) + float(alpha @ m**2)
        prior = self.noise_prior
        noise = Gammas(prior.concentration + design.n / 2, prior.rate + self.square / 2)
        self.weight_noise = NormalGamma(m, root, noise)
        _check_condition(self.weight_noise)

    def update_precision(self) -> None:
        """q(α) of each group, from E[τ w_j²]."""
        prior = self.weight_prior
        assert prior is not None
        squares = self.weight_noise.scaled_squares.reshape(len(prior.rate), -1)
        concentration = prior.concentration + squares.shape[1] / 2
        self.weight_law = Gammas(concentration, prior.rate + squares.sum(axis=1) / 2)

    def terms(self) -> dict[str, float]:
        """The terms of the bound with their signs, so that it is their sum (as Bishop 10.36)."""
        q, noise = self.weight_noise, self.weight_noise.noise
        terms = {
            "E log p(y | w, tau)": self._log_likelihood(),
            "E log p(w | tau, alpha)": self._log_weight_prior(),
            "E log p(tau)": noise.expected_log(self.noise_prior),
            "-E log q(w | tau)": q.entropy,
            "-E log q(tau)": noise.entropy,
        }
        if self.weight_law is None or self.weight_prior is None:
            return terms
        return terms | {
            "E log p(alpha)": self.weight_law.expected_log(self.weight_prior),
            "-E log q(alpha)": self.weight_law.entropy,
        }

    def evidence_bound(self) -> Bound:
        """The sum of the terms, and of their sizes, to which the condition of the least squares adds."""
        terms = self.terms().values()
        sizes = self.design.n + sum(map(abs, terms)) + float(self.alpha @ self.weight_noise.scaled_squares)
        return Bound(math.fsum(terms), sizes + len(self.precision) * self.weight_noise.condition)

    def _log_likelihood(self) -> float:
        """½ N (E log τ − log 2π) − ½ (E[τ] ‖y − Xm‖² + tr X P⁻¹ Xᵀ)."""
        q, design = self.weight_noise, self.design
        square = float(q.noise.mean) * design.square(q.mean)
        trace = float(np.square(design.root @ q.inverse_root).sum())
        return (design.n * (float(q.noise.mean_log) - LOG_2PI) - square - trace) / 2

    def _log_weight_prior(self) -> float:
        """½ Σ_j (E log α_j + E log τ − log 2π − E[α_j] E[τ w_j²])."""
        q = self.weight_noise
        log_alpha = np.log(self.precision) if self.weight_law is None else self.weight_law.mean_log
        square = float(self.alpha @ q.scaled_squares)
        log_scale = float(q.noise.mean_log) - LOG_2PI + np.broadcast_to(log_alpha, q.mean.shape)
        return (float(log_scale.sum()) - square) / 2


def _check_condition(q: NormalGamma) -> None:
    if not q.condition < WORST_CONDITION:
        raise FloatingPointError(
            "the weights' prior cannot be seen in float64 beside x, whose columns depend on each other:"
            " divide the columns by their size, or raise the weights' precision"
        )
