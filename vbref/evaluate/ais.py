"""Annealed importance sampling: log Z of a density that can be evaluated, from one that can be drawn.

f_β = f_0^(1−β) f_1^β leads from a normalised f_0 to f_1, whose normaliser is Z (Neal 2001). With β_0 = 0 <
… < β_K = 1 and one transition that leaves f_β invariant at each step between,

    forward   z_0 ~ f_0, then z_t from z_t−1 at β_t:  log w = Σ_t (β_t − β_t−1) log f_1/f_0 (z_t−1),  E w = Z
    reverse   z_K ~ f_1/Z, then back along the path:  the same sum,                               E 1/w = 1/Z

By Jensen E log mean w ≤ log Z for the mean of any number of forward chains, and E[−log mean 1/w] ≥ log Z for
reverse ones: a sandwich, wherever an exact draw of f_1 is to be had, as it is for data that the model itself
has made (bidirectional Monte Carlo; Grosse, Ghahramani and Adams 2015; Wu et al. 2017). K = 1 is importance
sampling from f_0.

The transition is Hamiltonian Monte Carlo with a new momentum and Metropolis's test: reversible, so that it is
its own reversal. Its step sizes come from a pilot with draws of its own (`tune`): adapted while the weights
are made they would break invariance, and with it both equalities. Each trajectory draws a factor in [½, 1½]
for its step, since one of a fixed length is in resonance with some normal and leaves it unmixed.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.numerics import check

Array = NDArray[Any]
# z (…, D) to log f (…,) in nats, and its gradient by z (…, D). Rows of data belong to the axis before D.
LogDensity = Callable[[Array], tuple[Array, Array]]

_ACCEPT, _RATE = 0.8, 0.5


@dataclass(frozen=True)
class Point:
    """Where chains are, with the logs of f_0 and f_1 there and their gradients."""

    z: Array
    log_start: Array
    d_start: Array
    log_target: Array
    d_target: Array

    def log_f(self, beta: float) -> Array:
        """(1 − β) log f_0 + β log f_1."""
        return (1 - beta) * self.log_start + beta * self.log_target

    def d_log_f(self, beta: float) -> Array:
        """∇_z log f_β."""
        return (1 - beta) * self.d_start + beta * self.d_target

    def log_ratio(self) -> Array:
        """log f_1/f_0 = ∂ log f_β/∂β."""
        return self.log_target - self.log_start

    def where(self, accepted: Array, other: "Point") -> "Point":
        """This point where `accepted`, the other elsewhere."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Point(*(np.where(accepted[..., *([None] * (a.ndim - accepted.ndim))], a, b) for a, b in pairs))


@dataclass(frozen=True)
class Path:
    """f_β between `start`, normalised, and `target`, with `leapfrog` >= 1 steps of HMC at each β."""

    start: LogDensity
    target: LogDensity
    leapfrog: int = 5

    def __post_init__(self) -> None:
        check.size(leapfrog=self.leapfrog)

    def at(self, z: Array) -> Point:
        """Both densities at z."""
        return Point(z, *self.start(z), *self.target(z))

    def move(self, point: Point, beta: float, step: Array, rng: np.random.Generator) -> tuple[Point, Array]:
        """One transition at β, of step sizes (N,); where it leads, and each probability of acceptance."""
        momentum = rng.standard_normal(point.z.shape).astype(point.z.dtype)
        log_uniform = np.log1p(-rng.random(point.log_start.shape))
        step = step * rng.uniform(0.5, 1.5, point.log_start.shape)
        with np.errstate(all="ignore"):
            # A trajectory that diverges overflows, has no energy, and is refused.
            moved, last = self._trajectory(point, momentum, beta, step[..., None])
            kinetic = ((last * last).sum(axis=-1) - (momentum * momentum).sum(axis=-1)) / 2
            log_accept = moved.log_f(beta) - point.log_f(beta) - kinetic
            log_accept = np.where(np.isfinite(log_accept), np.minimum(log_accept, 0), -np.inf)
        return moved.where(log_uniform < log_accept, point), np.exp(log_accept)

    def _trajectory(self, point: Point, momentum: Array, beta: float, step: Array) -> tuple[Point, Array]:
        """Leapfrog: half a step of momentum, whole steps of z and momentum, half a step of momentum."""
        step = step.astype(point.z.dtype)
        momentum = momentum + step / 2 * point.d_log_f(beta)
        for _ in range(self.leapfrog - 1):
            point = self.at(point.z + step * momentum)
            momentum = momentum + step * point.d_log_f(beta)
        point = self.at(point.z + step * momentum)
        return point, momentum + step / 2 * point.d_log_f(beta)


@dataclass(frozen=True)
class StepSizes:
    """Step sizes (len(betas), N) at `betas`, which rise from 0 to 1, and linear in between."""

    betas: Array
    sizes: Array

    def __post_init__(self) -> None:
        _rising(self.betas)
        check.shape("sizes", self.sizes, (len(self.betas), None))

    def __call__(self, beta: float) -> Array:
        """The step size of each row at β."""
        i = max(1, int(np.searchsorted(self.betas, beta)))
        low, high = self.betas[i - 1], self.betas[i]
        t = (beta - low) / (high - low)
        return (1 - t) * self.sizes[i - 1] + t * self.sizes[i]


def schedule(k: int, sharpness: float = 4.0) -> Array:
    """β_0 = 0 … β_K = 1 along a sigmoid from −`sharpness` to `sharpness`: dense where f_β changes fastest.

    Raises ValueError for k < 1 and a `sharpness` that is not > 0.
    """
    check.size(k=k)
    check.positive(sharpness=check.floats(sharpness=float(sharpness))[0])
    s = np.tanh(np.linspace(-sharpness, sharpness, k + 1) / 2)
    return (s - s[0]) / (s[-1] - s[0])


def tune(path: Path, z: Array, rng: np.random.Generator, *, k: int = 100, step: float = 0.3) -> StepSizes:
    """Step sizes for `path` from a pilot of k steps that starts at z (C, N, D), draws of f_0.

    After each transition a row's log step size moves by ½ (its chains' mean acceptance − 0.8). Raises
    ValueError for a z of another shape, k < 1 and a step that is not > 0.
    """
    _chains(z)
    check.positive(step=check.floats(step=float(step))[0])
    betas, point = schedule(k), path.at(z)
    size, sizes = np.full(z.shape[1:-1], step), []
    for beta in betas:
        point, accepted = path.move(point, float(beta), size, rng)
        size = size * np.exp(_RATE * (accepted.mean(axis=0) - _ACCEPT))
        sizes.append(size)
    return StepSizes(betas, np.array(sizes))


def forward(path: Path, z: Array, betas: Array, steps: StepSizes, rng: np.random.Generator) -> Array:
    """log w (C, N) of chains that start at z (C, N, D), draws of f_0: E w = Z. Log mean w: a lower bound.

    Raises ValueError for a z of another shape, and unless betas rise from 0 to 1.
    """
    return _anneal(path, z, betas, steps, rng)


def reverse(path: Path, z: Array, betas: Array, steps: StepSizes, rng: np.random.Generator) -> Array:
    """log w (C, N) of chains that start at z, exact draws of f_1/Z: E 1/w = 1/Z, and log w errs upwards.

    Raises as `forward` does.
    """
    return -_anneal(path, z, betas, steps, rng, order=-1)


def _anneal(
    path: Path, z: Array, betas: Array, steps: StepSizes, rng: np.random.Generator, order: int = 1
) -> Array:
    """Σ (β_t − β_t−1) log f_1/f_0 (z_t−1) along the path, or where `order` is −1 back along it."""
    _chains(z)
    betas = _rising(betas)[::order]
    point = path.at(z)
    log_w = (betas[1] - betas[0]) * point.log_ratio()
    for beta, after in itertools.pairwise(map(float, betas[1:])):
        point, _ = path.move(point, beta, steps(beta), rng)
        log_w = log_w + (after - beta) * point.log_ratio()
    return log_w


def standard_normal(z: Array) -> tuple[Array, Array]:
    """log N(z; 0, I) of z (…, D) and its gradient: the f_0 of a standard prior."""
    (z,) = check.one_dtype(z=z)
    half_log_2pi = z.dtype.type(math.log(2 * math.pi) / 2)
    return -(z * z / 2 + half_log_2pi).sum(axis=-1), -z


def log_mean(log_w: Array) -> tuple[Array, Array]:
    """log mean_c w (N,) of log_w (C, N), and its standard error by the delta method.

    The error is inf for one chain and where no weight is above zero. Raises ValueError for no chains, NaN and
    +inf.
    """
    (log_w,) = check.below_infinity(log_w=log_w)
    check.shape("log_w", log_w, (None, None))
    check.size(chains=len(log_w))
    top = log_w.max(axis=0)
    if len(log_w) == 1:
        return top, np.full(top.shape, np.inf)
    none = top == -np.inf
    w = np.exp(log_w - np.where(none, 0, top))
    mean = np.where(none, 1, w.mean(axis=0))
    error = w.std(axis=0, ddof=1) / mean / math.sqrt(len(log_w))
    return top + np.log(mean), np.where(none, np.inf, error)


def _chains(z: Array) -> None:
    """Raise ValueError unless z is (C, N, D) with at least one chain."""
    (z,) = check.floats(z=z)
    check.shape("z", z, (None, None, None))
    check.size(chains=len(z))


def _rising(betas: Array) -> Array:
    """Return betas; ValueError unless they rise from 0 to 1."""
    (betas,) = check.floats(betas=betas)
    check.shape("betas", betas, (None,))
    if len(betas) < 2 or (betas[0], betas[-1]) != (0, 1) or (np.diff(betas) < 0).any():
        raise ValueError(f"betas must rise from 0 to 1, was {betas}")
    return betas
