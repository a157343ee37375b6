"""IWAE-K of each datum, in memory that does not grow with K, with its two kinds of error."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    rng: np.random.Generator,
    k: int,
    *,
    repeats: int = 1,
    batch_size: int = 100,
    tile: int = 10,
) -> Estimate:
    """IWAE_K(x) = E log (1/K) Σ_k w_k ≤ log p(x) of each row of x, in nats (xu/18); k = 1 is the ELBO.

    w_k = p(x, z_k)/q(z_k|x) come from `model.log_weights`, `tile` samples of `batch_size` rows at a time, and
    log Σ w is carried from tile to tile, so that K is free. The estimate is the mean of `repeats` independent
    ones, and its Monte Carlo error is theirs; of a single one it is that of log mean w by the delta method,
    √((E w²/(E w)² − 1)/(K − 1)), and inf for a single weight, which has nothing to be compared with.

    Raises ValueError for k, repeats, batch_size or tile below 1, for no rows, and where a log-weight is NaN.
    """
    sizes = {"k": k, "repeats": repeats, "batch_size": batch_size, "tile": tile, "rows of x": len(x)}
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be >= 1, was {value}")
    batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    parts = [_repeated(model, params, batch, rng, k, repeats, tile) for batch in batches]
    return Estimate(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _repeated(
    model: Any, params: Any, x: NDArray[Any], rng: np.random.Generator, k: int, repeats: int, tile: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    runs = [_once(model, params, x, rng, k, tile) for _ in range(repeats)]
    if repeats == 1:
        return runs[0]
    values = np.stack([value for value, _ in runs])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(repeats)


def _once(
    model: Any, params: Any, x: NDArray[Any], rng: np.random.Generator, k: int, tile: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    log_sum = log_sum_sq = np.full(len(x), -np.inf)
    for done in range(0, k, tile):
        noise = model.draw_noise(rng, len(x), min(tile, k - done))
        log_w = np.asarray(model.log_weights(params, x, noise), np.float64)
        if np.isnan(log_w).any():
            raise ValueError("model.log_weights must not be NaN, is")
        log_sum = np.logaddexp(log_sum, np.logaddexp.reduce(log_w, axis=0))
        log_sum_sq = np.logaddexp(log_sum_sq, np.logaddexp.reduce(2 * log_w, axis=0))
    return log_sum - math.log(k), _delta_error(log_sum, log_sum_sq, k)


def _delta_error(log_sum: NDArray[Any], log_sum_sq: NDArray[Any], k: int) -> NDArray[np.float64]:
    """√((E w²/(E w)² − 1)/(k − 1)); rounding may take the variance of equal weights below zero."""
    if k == 1:
        return np.full(len(log_sum), np.inf)
    some = np.isfinite(log_sum)
    variance = np.expm1(np.where(some, log_sum_sq, np.inf) - 2 * np.where(some, log_sum, 0) + math.log(k))
    return np.sqrt(np.maximum(variance, 0) / (k - 1))
