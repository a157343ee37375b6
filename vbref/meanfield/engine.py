"""Coordinate ascent for every mean-field model: sweep over the factors until the bound stands still.

With q(z) = Π_j q_j(z_j), the bound as a function of q_j alone is −KL(q_j ‖ q̂_j) + constant
(meanfield/D28), largest at q̂_j ∝ exp E_{−j} log p(x, z) (meanfield/D30). An update that sets q_j to q̂_j
can therefore not lower the bound, and one that does has a mistake in it: `ascend` looks after every single
update, and says which.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

# Units in the last place, of the sum of all addends' sizes, by which a computed bound may miss the exact
# one. A sum of n addends in blocks errs by at most (n_block + n_blocks) ulp of that sum in the worst case
# and by about √n ulp as rounding errors do fall; each addend brings a few ulp of its own (a logarithm, a
# digamma, a triangular solve). 256 = 2⁸ covers √n for the 2¹⁶ addends of one chain of sums with those few.
ROUNDING_ULPS = 256


class Bound(NamedTuple):
    """A bound in nats, and the sum of the absolute values of its addends, which rounding is relative to.

    The magnitude may be a function, which is called only where a bound seems to have fallen.
    """

    value: float
    magnitude: float | Callable[[], float]

    @property
    def rounding(self) -> float:
        """How far the value may be from the exact one: ROUNDING_ULPS · ε · magnitude, with ε = 2⁻⁵²."""
        magnitude = self.magnitude() if callable(self.magnitude) else self.magnitude
        return ROUNDING_ULPS * sys.float_info.epsilon * max(magnitude, abs(self.value))


class BoundFell(ArithmeticError):
    """An update lowered the bound by more than rounding can; names the factor and both bounds."""

    def __init__(self, factor: str, before: float, after: float) -> None:
        super().__init__(f"the update of {factor!r} lowered the bound from {before!r} to {after!r}")
        self.factor, self.before, self.after = factor, before, after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.factor, self.before, self.after)


class Update(NamedTuple):
    """One row of a history: the sweep (from 1), the factor that was updated, the bound after it in nats."""

    sweep: int
    factor: str
    bound: float


@dataclass
class Ascent:
    """What `ascend` did: every update in order, and whether the last sweep moved less than the tolerance."""

    history: list[Update] = field(default_factory=list)
    converged: bool = False

    @property
    def bound(self) -> float:
        """The last bound, in nats; −inf where nothing was updated."""
        return self.history[-1].bound if self.history else -np.inf

    @property
    def sweeps(self) -> int:
        """The number of sweeps begun."""
        return self.history[-1].sweep if self.history else 0


def ascend(
    updates: Mapping[str, Callable[[], None]],
    bound: Callable[[], Bound | float],
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    monotone: bool = True,
    progress: bool = False,
) -> Ascent:
    """Update the factors in order until a sweep changes the bound by ≤ tol · max(|bound|, 1).

    `updates` maps a factor's name to a function that sets that factor to its optimum given the others;
    `bound()` is the bound in nats at the present state, as a float or as a `Bound` that knows its own
    rounding. `tol` ≥ 0 and `max_iter` ≥ 1 sweeps end it; with `tol` = 0 only a sweep that changes nothing
    does. `progress` shows a bar where tqdm is installed and stderr is a terminal.

    Returns an `Ascent`. Raises `BoundFell` where an update lowers the bound beyond the rounding of both
    values (not with `monotone=False`, for updates that are not exact, such as damped or parallel ones),
    FloatingPointError where it is not finite, ValueError for no updates and for limits out of range.
    """
    check_limits(tol, max_iter)
    if not updates:
        raise ValueError("updates must name at least one factor, was empty")
    ascent, last = Ascent(), None
    with _bar(progress, max_iter) as show:
        for sweep in range(1, max_iter + 1):
            start = last
            for factor, update in updates.items():
                update()
                now = _looked_at(factor, bound(), last if monotone else None)
                ascent.history.append(Update(sweep, factor, now.value))
                last = now
            show(ascent.bound)
            if start is not None and abs(ascent.bound - start.value) <= tol * max(abs(ascent.bound), 1.0):
                ascent.converged = True
                break
    return ascent


def _looked_at(factor: str, value: Bound | float, before: Bound | None) -> Bound:
    now = value if isinstance(value, Bound) else Bound(float(value), 0.0)
    if not np.isfinite(now.value):
        raise FloatingPointError(f"the bound was {now.value} after the update of {factor!r}")
    if before is not None and _fell(before, now):
        raise BoundFell(factor, before.value, now.value)
    return now


def _fell(before: Bound, now: Bound) -> bool:
    drop = before.value - now.value
    return drop > 0 and drop > before.rounding + now.rounding


class Scored(Protocol):
    """Anything that has a bound to be compared by."""

    @property
    def bound(self) -> float: ...


T = TypeVar("T", bound=Scored)


def best_of(attempt: Callable[[np.random.Generator], T], n_init: int, rng: np.random.Generator) -> T:
    """The attempt with the highest `.bound` of `n_init` ≥ 1, each with a generator spawned from `rng`.

    The i-th attempt's draws do not depend on how many the others take; the first of equals is kept, and at
    most two attempts are alive at a time.
    """
    check_count(n_init=n_init)
    best: T | None = None
    for child in rng.spawn(n_init):
        now = attempt(child)
        best = now if best is None or now.bound > best.bound else best
    assert best is not None
    return best


def check_limits(tol: float, max_iter: int) -> None:
    """Raise ValueError unless tol is a number ≥ 0 and max_iter an integer ≥ 1."""
    if isinstance(tol, bool) or not isinstance(tol, int | float | np.floating) or not 0 <= tol < np.inf:
        raise ValueError(f"tol must be a number >= 0, was {tol!r}")
    check_count(max_iter=max_iter)


def check_count(**counts: int) -> None:
    """Raise ValueError unless every argument is an integer ≥ 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, was {value!r}")


@contextmanager
def _bar(progress: bool, total: int) -> Iterator[Callable[[float], None]]:
    """A function that moves a progress bar and shows the bound, where there is a terminal to show it on."""
    if not (progress and sys.stderr.isatty() and importlib.util.find_spec("tqdm")):
        yield lambda bound: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="sweep", dynamic_ncols=True) as bar:

        def show(bound: float) -> None:
            bar.set_postfix(bound=f"{bound:.4f}", refresh=False)
            bar.update()

        yield show
