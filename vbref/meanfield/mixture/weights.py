"""The mixing weights: a Dirichlet, or a stick broken again and again (Dirichlet process)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, gammaln

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """q(π): its parameters, its expectations, and log q − log p in addends that do not cancel.

    expected_log (K,) is E[log π_k], mean (K,) is E[π_k]; log_prior and log_posterior are addends of E[log
    p(π)] and E[log q(π)], and kl are those of KL(q(π) ‖ p(π)), where the prior's part of both has been
    taken out.
    """

    parameters: tuple[Array, ...]
    expected_log: Array
    mean: Array
    log_prior: Array
    log_posterior: Array
    kl: Array


@dataclass(frozen=True)
class Dirichlet:
    """π ~ Dirichlet(α_0, …, α_0) over K components; q(π) is Dirichlet(α_0 + N_k) (Bishop 10.57)."""

    components: int
    concentration: float

    def posterior(self, count: Array) -> Weights:
        """q(π) given N_k: E[log π_k] = ψ(α_k) − ψ(Σα) (Bishop 10.66), in the kl times α_k − α_0 = N_k."""
        alpha = self.concentration + count
        total = alpha.sum()
        expected_log = digamma(alpha) - digamma(total)
        log_c = np.concatenate([-gammaln(alpha), [gammaln(total)]])
        alpha_0, k = self.concentration, self.components
        log_c_0 = np.array([math.lgamma(k * alpha_0), -k * math.lgamma(alpha_0)])
        return Weights(
            parameters=(alpha,),
            expected_log=expected_log,
            mean=alpha / total,
            log_prior=np.concatenate([(alpha_0 - 1) * expected_log, log_c_0]),
            log_posterior=np.concatenate([(alpha - 1) * expected_log, log_c]),
            kl=np.concatenate([count * expected_log, log_c, -log_c_0]),
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
        after = np.cumsum(count[::-1])[::-1] - count
        broken = slice(0, self.components - self.whole)
        gamma = self.concentration
        n, rest = count[broken], np.maximum(after[broken], 0)
        a, b = 1 + n, gamma + rest
        log_v, log_left = digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)
        entropy_part, prior_part = -betaln(a, b), np.full(len(a), math.log(gamma))
        return Weights(
            parameters=(a, b),
            expected_log=self._chain(log_v, log_left, 0.0, np.add),
            mean=self._chain(a / (a + b), b / (a + b), 1.0, np.multiply),
            log_prior=np.concatenate([prior_part, (gamma - 1) * log_left]),
            log_posterior=np.concatenate([entropy_part, n * log_v, (b - 1) * log_left]),
            kl=np.concatenate([n * log_v, rest * log_left, entropy_part, -prior_part]),
        )

    def _chain(self, taken: Array, left: Array, unit: float, combine: np.ufunc) -> Array:
        """What each takes of what the ones before have left; all of it for the last one, if `whole`."""
        remaining = combine.accumulate(np.concatenate([[unit], left]))
        own = np.append(taken, unit) if self.whole else taken
        return combine(own, remaining[: self.components])
