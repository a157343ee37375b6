"""The factors q(z), q(π), q(μ, Λ) of one run, each updated given the others, and the bound of all three."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.engine import Ascent, Bound
from vbref.meanfield.mixture.components import ComponentPrior, Components
from vbref.meanfield.mixture.scales import Unresolved
from vbref.meanfield.mixture.statistics import Frame, Statistics, gather
from vbref.meanfield.mixture.weights import Dirichlet, Sticks, Weights

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """p(π) and p(μ, Λ), of rows from the centre (D,)."""

    center: Array
    weights: Dirichlet | Sticks
    components: ComponentPrior


@dataclass
class State:
    """Where a run stands; q(z) is there as its sufficient statistics alone."""

    x: NDArray[Any]
    prior: Prior
    statistics: Statistics
    weights: Weights = field(init=False)
    components: Components = field(init=False)
    ascent: Ascent = field(default_factory=Ascent)
    gather: Callable[..., Statistics] = gather

    def __post_init__(self) -> None:
        self.update_weights()
        self.update_components()

    def copy(self) -> "State":
        """Another state at the same place; no array is ever changed, so none is copied."""
        return State(self.x, self.prior, self.statistics, gather=self.gather)

    @property
    def bound(self) -> float:
        """The bound in nats, as `best_of` compares it."""
        return self.evidence_bound().value

    @property
    def updates(self) -> dict[str, Callable[[], None]]:
        """One sweep: the E-step and the two halves of the M-step, which do not depend on each other."""
        return {
            "assignments": self.update_assignments,
            "weights": self.update_weights,
            "components": self.update_components,
        }

    def update_assignments(self) -> None:
        """q(z_n = k) ∝ exp ρ_k(x_n) (Bishop 10.46–10.49), and what the others need of it."""
        found = self.gather(self.x, self.prior.center, self.frame())
        self.statistics = found.refined() if self.components.law.coarse else found

    def update_weights(self) -> None:
        """q(π) given N_k."""
        self.weights = self.prior.weights.posterior(self.statistics.count)

    def update_components(self) -> None:
        """q(μ, Λ) given N_k, x̄_k, S_k, or the root of S_k where its entries do not do."""
        try:
            self.components = self.prior.components.posterior(self.statistics)
        except Unresolved:
            self.statistics = self.statistics.refined()
            self.components = self.prior.components.posterior(self.statistics)

    def frame(self) -> Frame:
        """What the E-step needs of q(π) and q(μ, Λ)."""
        law = self.components.law
        offsets = self.weights.expected_log + self.components.offsets
        return Frame(self.components.means, law.root, offsets, self.statistics.mean)

    def evidence_bound(self) -> Bound:
        """E[log p(X | Z, μ, Λ)] + E[log p(Z | π)] + H(q(Z)) − KL(q(π) ‖ p(π)) − KL(q(μ, Λ) ‖ p(μ, Λ))."""
        s, w, c = self.statistics, self.weights, self.components
        addends = np.concatenate([c.log_likelihood(s), s.count * w.expected_log, [s.entropy, -w.kl], -c.kl])
        return Bound(float(addends.sum()), lambda: float(np.abs(addends).sum()) + c.cancellation(s))

    def terms(self) -> dict[str, float]:
        """The seven terms of the bound with their signs, so that it is their sum (Bishop 10.70–10.77)."""
        s, w, c = self.statistics, self.weights, self.components
        entropy = self.prior.components.entropy(c)
        return {
            "E log p(X | Z, mu, Lambda)": float(c.log_likelihood(s).sum()),
            "E log p(Z | pi)": float(s.count @ w.expected_log),
            "E log p(pi)": w.log_prior,
            "E log p(mu, Lambda)": -float(c.kl.sum()) - entropy,
            "-E log q(Z)": s.entropy,
            "-E log q(pi)": w.entropy,
            "-E log q(mu, Lambda)": entropy,
        }
