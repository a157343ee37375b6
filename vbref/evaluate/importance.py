"""IWAE-K of each datum, in memory that does not grow with K, with its two kinds of error."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.models import door
from vbref.numerics import check
from vbref.numerics.device import choice

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]

_MANY = 256  # log-weights a row from which compiled code is worth its compilation


@dataclass(frozen=True)
class Estimate:
    """A bound of each datum, and the Monte Carlo standard error of each: both (N,), float64, in nats."""

    per_datum: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The bound per datum."""
        return float(self.per_datum.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, over draws of the data and of the noise; inf for a single datum."""
        n = len(self.per_datum)
        return float(self.per_datum.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf

    @property
    def monte_carlo_error(self) -> float:
        """Of the mean, over draws of the noise alone, the data held fixed."""
        return float(np.sqrt((self.noise**2).sum()) / len(self.noise))


def iwae(
    model: Any,
    params: Mapping[str, Any],
    x: NDArray[Any],
    rng: np.random.Generator | int,
    k: int,
    *,
    repeats: int = 1,
    batch_size: int = 100,
    tile: int = 10,
    device: str = "cpu",
) -> Estimate:
    """IWAE_K(x) = E log (1/K) Σ_k w_k ≤ log p(x) of each row of x, in nats (xu/18); k = 1 is the ELBO.

    w_k = p(x, z_k)/q(z_k|x) come from `model.log_weights`, `tile` samples of `batch_size` rows at a time, and
    log Σ w is carried from tile to tile, so that K is free. The estimate is the mean of `repeats` independent
    ones, and its Monte Carlo error is theirs; of a single one it is that of log mean w by the delta method,
    √((E w²/(E w)² − 1)/(K − 1)), and inf for a single weight, which has nothing to be compared with.

    `device="cuda"` does it in one GPU kernel for a VAE with Bernoulli likelihood, with noise from a seed that
    `rng` gives.

    Raises ValueError for k, repeats, batch_size or tile below 1, for no rows, and where a log-weight is NaN.
    """
    check.size(k=k, repeats=repeats, batch_size=batch_size, tile=tile, rows=len(x))
    rng = check.generator(rng)
    batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    if choice(device):
        return Estimate(*_repeated(_sums_on_cuda(model, params, x, rng, k, batch_size), k, repeats))
    parts = [_repeated(partial(_sums, model, params, batch, rng, k, tile), k, repeats) for batch in batches]
    return Estimate(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def nested(
    model: Any,
    params: Mapping[str, Any],
    x: NDArray[Any],
    rng: np.random.Generator | int,
    ks: Sequence[int],
    *,
    batch_size: int = 100,
    tile: int = 10,
) -> dict[int, Estimate]:
    """IWAE_K for each K of `ks` from one set of weights, as many as the largest K.

    `ks` grow, and each divides the next. Each estimate is the mean over disjoint groups of K weights. A
    group's log mean is at least the mean of its parts' log means (Jensen, as in xu/20), so that for every
    datum the estimates never fall from one K to the next, as the bounds themselves do not. Arguments,
    errors and exceptions are those of `iwae`.
    """
    check.size(batch_size=batch_size, tile=tile, rows=len(x))
    ks, rng = door.widths("ks", ks), check.generator(rng)
    if len(ks) == 0 or any(larger % k or larger == k for k, larger in itertools.pairwise(ks)):
        raise ValueError(f"each of ks must divide the next and be less, was {list(ks)}")
    parts: dict[int, list[Any]] = {k: [] for k in ks}
    for start in range(0, len(x), batch_size):
        tiles = _weights(model, params, x[start : start + batch_size], rng, ks[-1], tile)
        log_w = np.concatenate(list(tiles))
        for k in ks:
            parts[k].append(_grouped(log_w, k))
    return {k: Estimate(*map(np.concatenate, zip(*parts[k], strict=True))) for k in ks}


def _grouped(log_w: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    groups = log_w.reshape(-1, k, log_w.shape[1])
    log_sum = np.logaddexp.reduce(groups, axis=1)
    if len(groups) == 1:
        log_sum_sq = np.logaddexp.reduce(2 * log_w, axis=0)
        return log_sum[0] - math.log(k), _delta_error(log_sum[0], log_sum_sq, k)
    return _mean_of_repeats(log_sum - math.log(k))


def _repeated(sums: Callable[[], Sums], k: int, repeats: int) -> Sums:
    """The mean over `repeats` draws of log mean w, from `sums`, and its Monte Carlo error."""
    runs = [sums() for _ in range(repeats)]
    if repeats == 1:
        log_sum, log_sum_sq = runs[0]
        return log_sum - math.log(k), _delta_error(log_sum, log_sum_sq, k)
    return _mean_of_repeats(np.stack([log_sum - math.log(k) for log_sum, _ in runs]))


def _mean_of_repeats(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))


def _sums(model: Any, params: Any, x: NDArray[Any], rng: np.random.Generator, k: int, tile: int) -> Sums:
    """log Σ w and log Σ w² (N,) of k weights a row."""
    log_sum = log_sum_sq = np.full(len(x), -np.inf)
    for log_w in _weights(model, params, x, rng, k, tile):
        log_sum = np.logaddexp(log_sum, np.logaddexp.reduce(log_w, axis=0))
        log_sum_sq = np.logaddexp(log_sum_sq, np.logaddexp.reduce(2 * log_w, axis=0))
    return log_sum, log_sum_sq


def _sums_on_cuda(
    model: Any, params: Any, x: NDArray[Any], rng: np.random.Generator, k: int, batch_size: int
) -> Callable[[], Sums]:
    from vbref.cuda.importance import Evaluator

    evaluator = Evaluator(model, params)

    def sums() -> Sums:
        log_sum, log_sum_sq = evaluator.log_sums(x, k, int(rng.integers(2**63)), batch_size)
        if not np.isfinite(log_sum).all():
            raise door.Overflow(
                "params must stay within what their dtype can hold: a weight's log is not finite"
            )
        return log_sum, log_sum_sq

    return sums


def _weights(
    model: Any, params: Any, x: NDArray[Any], rng: np.random.Generator, k: int, tile: int
) -> Iterator[NDArray[np.float64]]:
    """k log-weights of each row, `tile` at a time."""
    log_weights = _compiled(model, params, x, k) or partial(model.log_weights, params)
    for done in range(0, k, tile):
        noise = model.draw_noise(rng, len(x), min(tile, k - done))
        log_w = np.asarray(log_weights(x, noise), np.float64)
        if np.isnan(log_w).any():
            raise ValueError("model.log_weights must not be NaN, is")
        yield log_w


def _compiled(model: Any, params: Any, x: NDArray[Any], k: int) -> Callable[..., NDArray[Any]] | None:
    """`model.log_weights` in compiled code, where there is such and enough to do for it; else None."""
    if k < _MANY:
        return None
    from vbref.models import fast

    if not fast.applies(model):
        return None
    model.log_weights(params, x, model.draw_noise(np.random.default_rng(0), len(x)))  # its checks
    if any(getattr(array, "dtype", None) != model.dtype for array in (x, *params.values())):
        return None
    weights = fast.Weights(model, params)

    def log_weights(x: NDArray[Any], noise: NDArray[Any]) -> NDArray[Any]:
        log_w = weights.log_weights(x, noise)
        # What overflows is named by the plain form.
        return log_w if np.isfinite(log_w).all() else model.log_weights(params, x, noise)

    return log_weights


def _delta_error(log_sum: NDArray[Any], log_sum_sq: NDArray[Any], k: int) -> NDArray[np.float64]:
    """√((E w²/(E w)² − 1)/(k − 1)); rounding may take the variance of equal weights below zero."""
    if k == 1:
        return np.full(len(log_sum), np.inf)
    some = np.isfinite(log_sum)
    variance = np.expm1(np.where(some, log_sum_sq, np.inf) - 2 * np.where(some, log_sum, 0) + math.log(k))
    return np.sqrt(np.maximum(variance, 0) / (k - 1))
