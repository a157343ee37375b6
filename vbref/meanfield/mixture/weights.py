"""The mixing weights: a Dirichlet, or a stick broken again and again (Dirichlet process)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from vbref import kl
from vbref.dist import beta, dirichlet

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """q(π): its parameters, its expectations, its entropy and KL(q(π) ‖ p(π)), in nats.

    expected_log (K,) is E[log π_k], mean (K,) is E[π_k].
    """

    parameters: tuple[Array, ...]
    expected_log: Array
    mean: Array
    entropy: float
    kl: float

    @property
    def log_prior(self) -> float:
        """E[log p(π)] = −KL(q ‖ p) − H(q), neither of which cancels where concentrations are large."""
        return -self.kl - self.entropy


@dataclass(frozen=True)
class Dirichlet:
    """π ~ Dirichlet(α_0, …, α_0) over K components; q(π) is Dirichlet(α_0 + N_k) (Bishop 10.57)."""

    components: int
    concentration: float

    def posterior(self, count: Array) -> Weights:
        """q(π) given N_k: E[log π_k] = ψ(α_k) − ψ(Σα) (Bishop 10.66)."""
        alpha = self.concentration + count
        return Weights(
            parameters=(alpha,),
            expected_log=digamma(alpha) - digamma(alpha.sum()),
            mean=alpha / alpha.sum(),
            entropy=float(dirichlet.entropy(alpha)),
            kl=float(kl.dirichlet(alpha, np.full_like(alpha, self.concentration))),
        )


@dataclass(frozen=True)
class Sticks:
    """π_k = v_k Π_{j<k} (1 − v_j) with v_k ~ Beta(1, γ): a Dirichlet process cut to K components.

    With `whole`, the model is cut: the last stick is all that is left, v_K = 1, and q(v_k) = Beta(1 + N_k,
    γ + Σ_{j>k} N_j) for k < K (Blei and Jordan 2006, eqs. 18, 19). Without, q alone is cut: no row is given
    to a component past K, whose sticks keep their prior and cost nothing, and v_K is as random as the
    others, so that the bound is one on the evidence of the process itself and E[π] sums to less than one.
    """

    components: int
    concentration: float
    whole: bool

    def posterior(self, count: Array) -> Weights:
        """q(v) given N_k: E[log π_k] = E[log v_k] + Σ_{j<k} E[log(1 − v_j)]."""
        after = np.append(np.cumsum(count[:0:-1])[::-1], 0.0)  # sums, not differences, of what may be tiny
        broken = slice(0, self.components - self.whole)
        gamma = self.concentration
        a, b = 1 + count[broken], gamma + after[broken]
        log_v, log_left = digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)
        return Weights(
            parameters=(a, b),
            expected_log=self._chain(log_v, log_left, 0.0, np.add),
            mean=self._chain(a / (a + b), b / (a + b), 1.0, np.multiply),
            entropy=float(beta.entropy(a, b).sum()),
            kl=float(kl.beta(a, b, np.ones_like(a), np.full_like(a, gamma)).sum()),
        )

    def _chain(self, taken: Array, left: Array, unit: float, combine: np.ufunc) -> Array:
        """What each takes of what the ones before have left; all of it for the last one, if `whole`."""
        remaining = combine.accumulate(np.concatenate([[unit], left]))
        own = np.append(taken, unit) if self.whole else taken
        return combine(own, remaining[: self.components])
