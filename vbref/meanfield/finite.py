"""Mean field for any finite joint table, by the equation q̂_j(z_j) ∝ exp E_{−j} log p(x, z) (meanfield/D30).

A table holds log p(x, z) for the one x observed, an axis a variable of z. Its size is the product of the
variables' sizes, so log p(x), the posterior and the gap between them and mean field are known by enumeration.

An impossible state has log p = −∞, and 0 · (−∞) = 0. Where every state of z_j meets impossible ones, the
bound is −∞ for any q_j; the update is then the limit, M → ∞, of that with −M in place of −∞: q_j lives on the
states that meet the least impossible mass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.engine import Ascent, Bound, Update, ascend, best_of, check_limits
from vbref.meanfield.limits import within_float64
from vbref.numerics import check, logsumexp

Array = NDArray[np.float64]


@dataclass
class FiniteField:
    """q(z) = Π_j q_j(z_j) for a table of log p(x, z): its factors, its bound, and what enumeration says.

    `finite` is log p with zeros for −∞, and `impossible` is 1 in those places and 0 elsewhere.
    """

    log_joint: Array
    factors: list[Array]
    ascent: Ascent = field(default_factory=Ascent)

    def __post_init__(self) -> None:
        self.impossible = np.isneginf(self.log_joint).astype(np.float64)
        self.finite = np.where(self.impossible, 0.0, self.log_joint)

    @property
    def elbo(self) -> float:
        """The bound E_q[log p(x, z) − log q(z)] ≤ log p(x), in nats (meanfield/D26)."""
        return self.evidence_bound().value

    @property
    def bound(self) -> float:
        """The same, by the engine's name."""
        return self.elbo

    @property
    def history(self) -> list[Update]:
        """The bound after every update: (sweep, factor, bound)."""
        return self.ascent.history

    @property
    def converged(self) -> bool:
        """Whether the last sweep changed the bound by less than the tolerance."""
        return self.ascent.converged

    @property
    def log_evidence(self) -> float:
        """log p(x) = log Σ_z p(x, z), in nats, by enumeration."""
        return float(logsumexp(self.log_joint))

    @property
    def gap(self) -> float:
        """KL(q(z) ‖ p(z | x)) = log p(x) − bound ≥ 0, in nats (meanfield/D2)."""
        return self.log_evidence - self.elbo

    @property
    def marginals(self) -> list[Array]:
        """p(z_j | x) of each variable, by enumeration: what the factors stand in for."""
        posterior = np.exp(self.log_joint - self.log_evidence)
        axes = range(posterior.ndim)
        return [posterior.sum(axis=tuple(k for k in axes if k != j)) for j in axes]

    def expected(self, j: int) -> tuple[Array, Array]:
        """E_{−j} of log p(x, z) for each z_j (its finite part), and the impossible mass that z_j meets."""
        return self._without(j, self.finite), self._without(j, self.impossible)

    def update(self, j: int) -> None:
        """q_j ← q̂_j ∝ exp E_{−j} log p(x, z) (meanfield/D30)."""
        log_q, mass = self.expected(j)
        log_q = np.where(mass == mass.min(), log_q, -np.inf)
        self.factors[j] = np.exp(log_q - logsumexp(log_q))

    def evidence_bound(self) -> Bound:
        """E_q log p + Σ_j H(q_j), with the size of its addends; q_j sums to 1 ± ulps, hence 1 a factor."""
        if self.impossible_mass > 0:
            return Bound(-np.inf, np.inf)
        entropies = [_entropy(q) for q in self.factors]
        value = self._mean(self.finite) + sum(entropies)
        return Bound(value, self._mean(abs(self.finite)) + sum(entropies) + len(entropies))

    @property
    def impossible_mass(self) -> float:
        """q of all states whose p is zero; the bound is finite where this is 0."""
        return self._mean(self.impossible)

    def _mean(self, table: Array) -> float:
        return float(self.factors[0] @ self._without(0, table))

    def _without(self, j: int, table: Array) -> Array:
        """Σ_{z_−j} q_{−j}(z_−j) table(z), (states of z_j,): one axis after another, from the last."""
        for k in reversed(range(len(self.factors))):
            if k != j:
                table = np.tensordot(table, self.factors[k], axes=(k, 0))
        return table


@within_float64("log_joint")
def coordinate_ascent(
    log_joint: ArrayLike,
    *,
    init: Sequence[ArrayLike] | None = None,
    rng: np.random.Generator | int | None = None,
    tol: float = 1e-12,
    max_iter: int = 1000,
    n_init: int = 1,
    progress: bool = False,
) -> FiniteField:
    """Mean field for a finite table: set each q_j ∝ exp E_{−j} log p(x, z) until the bound stands still.

    `log_joint` has an axis a variable; entries are log p(x, z), need not be normalised, and may be −∞. It
    starts at the factors `init`, one array of probabilities a variable; or at random ones drawn from `rng`,
    the best of `n_init` such starts; else at uniform ones, which may be a saddle point where p is symmetric.
    The optimum found is local. `tol` and `max_iter` end a run as in `engine.ascend`; factors are named "q0",
    "q1", …

    Raises ValueError for NaN, +∞, dtypes other than float32 and float64, no states, no possible state,
    factors that do not fit, and a start from which no sweep leads to a q without impossible states.
    """
    check_limits(tol, max_iter)
    table = _table(log_joint)
    if init is not None and (rng is not None or n_init != 1):
        raise ValueError("init must come without rng and n_init: it is the only start")
    if init is None and rng is None and n_init != 1:
        raise ValueError(f"n_init must come with rng, was {n_init} without")
    start = _start(table.shape, init, rng is not None)

    def attempt(child: np.random.Generator) -> FiniteField:
        model = FiniteField(table, start(child))
        _settle(model)
        updates = {f"q{j}": lambda j=j: model.update(j) for j in range(table.ndim)}
        model.ascent = ascend(updates, model.evidence_bound, tol=tol, max_iter=max_iter, progress=progress)
        return model

    return best_of(attempt, n_init, check.generator(0 if rng is None else rng))


def _table(log_joint: ArrayLike) -> Array:
    (table,) = check.below_infinity(log_joint=log_joint)
    if table.ndim == 0 or table.size == 0:
        raise ValueError(f"log_joint must have an axis a variable and a state on each, has {table.shape}")
    if not np.isfinite(table).any():
        raise ValueError("log_joint must have a possible state, is -inf everywhere")
    return table.astype(np.float64)


def _start(
    shape: tuple[int, ...], init: Sequence[ArrayLike] | None, random: bool
) -> Callable[[np.random.Generator], list[Array]]:
    if init is not None:
        given = _factors(shape, init)
        return lambda rng: list(given)
    if random:
        return lambda rng: [rng.dirichlet(np.ones(size)) for size in shape]
    return lambda rng: [np.full(size, 1 / size) for size in shape]


def _factors(shape: tuple[int, ...], init: Sequence[ArrayLike]) -> list[Array]:
    if not isinstance(init, Sequence) and np.ndim(init) == 0:
        raise ValueError(f"init must be a list of factors, one an axis of log_joint, was {init!r}")
    if len(init) != len(shape):
        raise ValueError(f"init must have {len(shape)} factors, one an axis of log_joint, has {len(init)}")
    named: dict[str, Any] = {f"init[{j}]": q for j, q in enumerate(init)}
    arrays = dict(zip(named, check.floats(**named), strict=True))
    for (name, array), size in zip(arrays.items(), shape, strict=True):
        check.shape(name, array, (size,))
    check.probabilities(**arrays)
    return [array.astype(np.float64) for array in arrays.values()]


def _settle(model: FiniteField) -> None:
    """Sweep until q has no impossible state; each sweep must lower their mass."""
    mass = model.impossible_mass
    while mass > 0:
        for j in range(len(model.factors)):
            model.update(j)
        before, mass = mass, model.impossible_mass
        if not mass < before:
            raise ValueError(
                f"the start must lead to a q without impossible states, keeps a mass {mass:.3g} of them:"
                " give other factors as init, or rng for random ones"
            )


def _entropy(q: Array) -> float:
    return -float(q @ np.log(np.where(q > 0, q, 1.0)))
