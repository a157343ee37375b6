"""Naive mean field for a field of binary spins: Ising's model, the Boltzmann machine.

    p(s) = exp(½ sᵀJs + hᵀs + c)/Z,   s ∈ {−1, +1}^D,   J symmetric with a zero diagonal.

For q(s) = Π_i q_i(s_i) with means m_i, E_{−i} log p(s) = s_i (Σ_j J_ij m_j + h_i) + constant, so that by
meanfield/D30

    m_i = tanh(Σ_j J_ij m_j + h_i)   and   ½ mᵀJm + hᵀm + c + Σ_i H(m_i) ≤ log Z

with H(m) = −Σ_± ½(1 ± m) log ½(1 ± m). As a function of one m_i the bound is a line plus H, which is concave:
going only part of the way to the optimum (damping) raises it too. Setting all m_i at once (a parallel sweep)
need not.

A Boltzmann machine of v ∈ {0, 1}^D, p(v) ∝ exp(½ vᵀWv + bᵀv), is this with v = ½(1 + s): J = W/4, h = ½ b + ¼
W1 and c = ½ 1ᵀb + ⅛ 1ᵀW1.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.engine import Ascent, Bound, Update, ascend, best_of
from vbref.meanfield.limits import number, within_float64
from vbref.meanfield.spins import Enumeration, enumerate_spins
from vbref.numerics import check

Array = NDArray[np.float64]
_ROUNDING = 1e-14  # relative, of the bound: changes below it are not seen


class BinaryField:
    """Spins ±1 with `couplings` J (D, D), symmetric, zero on the diagonal, and `fields` h (D,).

    `constant` is c, which adds to the bound and to log Z. Raises ValueError for anything else.
    """

    def __init__(self, couplings: ArrayLike, fields: ArrayLike, *, constant: float = 0.0) -> None:
        self.couplings, self.fields = _pairs_and_singles(couplings=couplings, fields=fields)
        self.constant = number("constant", constant)
        self._fitted: _Run | None = None

    @classmethod
    @within_float64("weights and biases")
    def from_boltzmann(cls, weights: ArrayLike, biases: ArrayLike) -> "BinaryField":
        """The field of a machine p(v) ∝ exp(½ vᵀWv + bᵀv) on v ∈ {0, 1}^D, with the same log Z and bound.

        Means of v are ½(1 + those of s). `weights` (D, D) is symmetric with a zero diagonal, `biases` (D,).
        """
        w, b = _pairs_and_singles(weights=weights, biases=biases)
        return cls(w / 4, b / 2 + w.sum(axis=1) / 4, constant=float(b.sum() / 2 + w.sum() / 8))

    @classmethod
    def curie_weiss(cls, n: int, coupling: float, field: float = 0.0) -> "BinaryField":
        """n ≥ 2 spins in a field βh, each coupled to all others by βJ/(n − 1).

        Mean field with all means equal is m = tanh(coupling · m + field) for every n, `coupling` being βJ and
        `field` βh: one solution up to βJ = 1, and in no field three above it.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
            raise ValueError(f"n must be an integer >= 2, was {n!r}")
        pair = number("coupling", coupling) / (n - 1)
        return cls(pair * (1 - np.eye(n)), np.full(n, number("field", field)))

    @within_float64("couplings and fields")
    def fit(
        self,
        *,
        init: ArrayLike | None = None,
        rng: np.random.Generator | int | None = None,
        sweep: str = "sequential",
        damping: float = 0.0,
        tol: float = 1e-12,
        max_iter: int = 1000,
        n_init: int = 1,
        progress: bool = False,
    ) -> "BinaryField":
        """Iterate m_i ← damping m_i + (1 − damping) tanh(Σ_j J_ij m_j + h_i); returns itself.

        From means `init` (D,) in [−1, 1], or from ones uniform there drawn from `rng`, the best of `n_init`,
        or from tanh h. `sweep` is "sequential", spin after spin, which cannot lower the bound, or "parallel",
        all at once, which can, and may oscillate; `damping` is in [0, 1). `tol` and `max_iter` as in
        `engine.ascend`. Raises ValueError for arguments out of range.
        """
        if sweep not in ("sequential", "parallel"):
            raise ValueError(f"sweep must be 'sequential' or 'parallel', was {sweep!r}")
        if not 0 <= number("damping", damping) < 1:
            raise ValueError(f"damping must be in [0, 1), was {damping!r}")
        if sum(given is not None for given in (init, rng)) > 1 or (rng is None and n_init != 1):
            raise ValueError("a fit must start from init or from rng, and n_init must come with rng")
        first = np.tanh(self.fields) if init is None else self._checked(init=init)

        def attempt(child: np.random.Generator) -> _Run:
            start = first if rng is None else child.uniform(-1, 1, len(self.fields))
            run = _Run(self, start, damping)
            run.climb(sweep, tol, max_iter, progress)
            return run

        self._fitted = best_of(attempt, n_init, check.generator(0 if rng is None else rng))
        return self

    def _checked(self, **named: ArrayLike) -> Array:
        (name,), (m,) = named, check.floats(**named)
        check.shape(name, m, self.fields.shape)
        if not (abs(m) <= 1).all():
            raise ValueError(f"{name} must be in [-1, 1], has {m[abs(m) > 1].flat[0]}")
        return m.astype(np.float64)

    @within_float64("couplings and fields")
    def bound_at(self, means: ArrayLike) -> float:
        """The bound on log Z at any means (D,) in [−1, 1], in nats."""
        return _Run(self, self._checked(means=means), 0.0).evidence_bound().value

    @within_float64("couplings and fields")
    def exact(self) -> Enumeration:
        """log Z in nats, the means and the correlations E[s_i s_j], by all 2^D states; D ≤ 20.

        Raises ValueError for more spins.
        """
        return enumerate_spins(self.couplings, self.fields, self.constant)

    @property
    def _run(self) -> "_Run":
        if self._fitted is None:
            raise ValueError("the field must be fitted first")
        return self._fitted

    @property
    def elbo(self) -> float:
        """The bound on log Z, in nats."""
        return self._run.bound

    @property
    def ascent(self) -> Ascent:
        """The history, and whether the bound stood still in the end."""
        return self._run.ascent

    @property
    def history(self) -> list[Update]:
        """The bound after every update: (sweep, factor, bound)."""
        return self._run.ascent.history

    @property
    def means(self) -> Array:
        """m (D,), the means of the spins under q."""
        return self._run.means

    @property
    def residual(self) -> float:
        """max_i |m_i − tanh(Σ_j J_ij m_j + h_i)|: how far from solving the equations."""
        return self._run.residual

    @property
    def converged(self) -> bool:
        """Whether the bound stands still at a solution; in a parallel sweep's two-cycle it does so at none.

        An update that moves m_i by δ raises the bound by ½ δ² or more, as −H″ ≥ 1: hence the root for m.
        """
        run = self._run
        size = max(abs(run.bound), 1.0)
        return run.ascent.converged and run.residual <= 4 * np.sqrt((run.tol + _ROUNDING) * size)


def _pairs_and_singles(**named: ArrayLike) -> tuple[Array, Array]:
    """Two arguments, (D, D) symmetric with a zero diagonal and (D,), as float64; else ValueError."""
    (of_pairs, of_singles), (pairs, singles) = named, check.floats(**named)
    check.shape(of_singles, singles, (None,))
    check.shape(of_pairs, pairs, (len(singles), len(singles)))
    if len(singles) == 0:
        raise ValueError(f"{of_singles} must have at least one spin, has none")
    if not np.array_equal(pairs, pairs.T) or np.diagonal(pairs).any():
        raise ValueError(f"{of_pairs} must be symmetric with a zero diagonal, are not")
    return pairs.astype(np.float64), singles.astype(np.float64)


@dataclass
class _Run:
    """The means of one ascent, and beside them Jm, so that a spin's update costs D operations, not D²."""

    model: BinaryField
    means: Array
    damping: float
    tol: float = 0.0
    ascent: Ascent = field(default_factory=Ascent)

    def __post_init__(self) -> None:
        self.pull = self.model.couplings @ self.means

    def climb(self, sweep: str, tol: float, max_iter: int, progress: bool) -> None:
        self.tol = tol
        parallel = {"all spins": self.update_all}
        each = {f"spin {i}": lambda i=i: self.update(i) for i in range(len(self.means))}
        self.ascent = ascend(
            parallel if sweep == "parallel" else each,
            self.evidence_bound,
            tol=tol,
            max_iter=max_iter,
            monotone=sweep == "sequential",
            progress=progress,
        )

    def update(self, i: int) -> None:
        """m_i ← tanh(Σ_j J_ij m_j + h_i), or part of the way; the first spin's turn renews Jm in full."""
        if i == 0:
            self.pull = self.model.couplings @ self.means
        optimum = np.tanh(self.pull[i] + self.model.fields[i])
        change = (1 - self.damping) * (optimum - self.means[i])
        self.means[i] += change
        self.pull += change * self.model.couplings[i]

    def update_all(self) -> None:
        """All of them from the same m."""
        self.means += (1 - self.damping) * (np.tanh(self.pull + self.model.fields) - self.means)
        self.pull = self.model.couplings @ self.means

    @property
    def bound(self) -> float:
        return self.evidence_bound().value

    @property
    def residual(self) -> float:
        optimum = np.tanh(self.model.couplings @ self.means + self.model.fields)
        return float(abs(optimum - self.means).max())

    def evidence_bound(self) -> Bound:
        """½ mᵀJm + hᵀm + c + Σ H(m_i)."""
        pair, single = self.means * self.pull / 2, self.means * self.model.fields
        entropy = _entropy(self.means)
        size = sum(float(abs(part).sum()) for part in (pair, single, entropy)) + abs(self.model.constant)
        return Bound(float((pair + single + entropy).sum()) + self.model.constant, size)


def _entropy(means: Array) -> Array:
    """−Σ_± ½(1 ± m) log ½(1 ± m), with 0 log 0 = 0."""
    p = np.stack([1 + means, 1 - means]) / 2
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=0)
