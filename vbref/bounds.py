"""Bounds on the evidence from log-weights, and their gradients by these.

log w_k = log p(x, z_k) − log q(z_k | x) with z_k ~ q(z | x), k = 1 … K. Log-weights have their samples on
`axis`, by default the first: (K, N) in, (N,) out, in nats. A weight of zero is a log-weight of −∞. Every
function computes in float64 and returns the dtype it was given.
"""

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.jit import loop
from vbref.numerics.stable import logaddexp

_COMPLETE_BY_DEFAULT = 10
_COMPLETE_AT_MOST = 20


def elbo(log_w: ArrayLike, axis: int = 0) -> Any:
    """The K-sample ELBO, mean_k log w_k: split two of the bound (xu/5, xu/10).

    Its expectation is E_q[log p(x, z) − log q(z | x)] ≤ log p(x) for every K: more samples make it less
    noisy, never tighter. −∞ where some weight is zero. Raises ValueError for NaN, +∞, a dtype other than
    float32 or float64, K < 1.
    """
    w = _samples_first(log_w, axis)
    return _like(log_w, _mean(w))


def elbo_grad(log_w: ArrayLike, axis: int = 0) -> Any:
    """Gradient of `elbo` by each log-weight, 1/K; the shape of `log_w`."""
    w = _samples_first(log_w, axis)
    return _like(log_w, _softmax(w, 0.0), axis)


def elbo_split_one(log_lik: ArrayLike, kl: ArrayLike, axis: int = 0) -> Any:
    """The K-sample ELBO, KL in closed form, mean_k log p(x | z_k) − KL(q(z | x) ‖ p(z)): split one (xu/8).

    `log_lik` has its samples on `axis` and `kl` the shape that remains. The expectation is that of `elbo`;
    the noise is not: `elbo` has none at q = p(z | x), where log w is constant, and split one still has that
    of log p(x | z). Raises as `elbo` does, for `log_lik` and, where +∞ is allowed in place of −∞, for `kl`.
    """
    log_lik, kl = check.one_dtype(log_lik=log_lik, kl=kl)
    lik = _samples_first(log_lik, axis, "log_lik")
    check.shape("kl", kl, lik.shape[1:])
    if not (kl > -np.inf).all():
        raise ValueError(f"kl must be finite or inf, has {kl[~(kl > -np.inf)].flat[0]}")
    return _like(log_lik, _mean(lik) - kl)


def elbo_split_one_grad(log_lik: ArrayLike, kl: ArrayLike, axis: int = 0) -> tuple[Any, Any]:
    """Gradient of `elbo_split_one` by each log-likelihood, 1/K, and by each KL, −1."""
    value = elbo_split_one(log_lik, kl, axis)
    return elbo_grad(log_lik, axis), -np.ones_like(value)


def iwae(log_w: ArrayLike, axis: int = 0) -> Any:
    """The importance-weighted bound's estimate from K samples, log (1/K) Σ_k w_k (xu/13).

    Its expectation is IWAE_K, which grows with K from the ELBO to log p(x) (xu/14 to xu/18), and exp of it
    is unbiased for p(x). Zero weights count in K; −∞ where all are zero. Raises as `elbo` does.
    """
    w = _samples_first(log_w, axis)
    return _like(log_w, _power_mean(w, 1.0))


def iwae_grad(log_w: ArrayLike, axis: int = 0) -> Any:
    """Gradient of `iwae` by each log-weight, the normalised weights w̃_k = w_k / Σ_j w_j; shape of `log_w`.

    Where all weights are zero, 1/K: the limit in which they vanish together.
    """
    w = _samples_first(log_w, axis)
    return _like(log_w, _softmax(w, 1.0), axis)


def renyi(log_w: ArrayLike, alpha: float, axis: int = 0) -> Any:
    """The variational Rényi bound's estimate, (1/(1−α)) log (1/K) Σ_k w_k^(1−α) (Li & Turner 2016).

    α is real or ±∞. It is the logarithm of the power mean of the weights with exponent β = 1 − α, hence
    non-increasing in α: α = −∞ gives max_k log w_k, α = 0 `iwae`, α = 1 `elbo` (the geometric mean), α = +∞
    min_k log w_k.

    For α ≥ 0 its expectation is below log p(x) at every K, since the estimate is at most `iwae`. For α < 0
    the bound itself, log (E w^β)^(1/β), is above log p(x), but by Jensen the estimate falls short of it on
    average (at K = 1 it is the ELBO's), and may lie on either side. Raises as `elbo` does, and for an alpha
    that is NaN.
    """
    w = _samples_first(log_w, axis)
    return _like(log_w, _power_mean(w, _power(alpha)))


def renyi_grad(log_w: ArrayLike, alpha: float, axis: int = 0) -> Any:
    """Gradient of `renyi` by each log-weight, w_k^(1−α) / Σ_j w_j^(1−α); the shape of `log_w`.

    At α = +∞ the whole gradient is on the smallest weight, at −∞ on the largest, shared where several tie.
    """
    w = _samples_first(log_w, axis)
    return _like(log_w, _softmax(w, _power(alpha)), axis)


def iwae_curve(log_w: ArrayLike, axis: int = 0, *, design: str = "auto") -> Any:
    """Unbiased estimates of IWAE_1 … IWAE_K from one set of K weights; the shape of `log_w`.

    Entry m − 1 along `axis` is for IWAE_m. Each m-subset of K iid weights is itself m iid weights, so log
    mean w over it has the expectation IWAE_m, and so has the average over any family of subsets that was
    chosen without looking at the weights (xu/19 to xu/21).

    `design` is that family:
    - "complete": all C(K, m) subsets, the U-statistic, of all such averages the one with the least
      variance. Costs 2^K, K ≤ 20. Non-decreasing in m for whatever weights: the mean over a set of m + 1 is
      the average of the means over its m + 1 subsets of m, then Jensen (xu/20 applied to each set).
    - "cyclic": the K windows k, k+1, …, k+m−1 modulo K. Costs K². Each weight is in m windows, so that by
      the same argument IWAE_1 ≤ IWAE_m ≤ IWAE_K and IWAE_m ≤ IWAE_cm hold between the estimates, for
      whatever weights; between other sizes the order holds in expectation. It depends on the order of the
      samples, up to rotation and reversal.
    - "auto": complete for K ≤ 10, else cyclic.

    The first is `elbo(log_w)` and the last `iwae(log_w)`, to the bit. Raises as `elbo` does, and for
    another design.
    """
    w = _samples_first(log_w, axis)
    curve_loop = _curve_loop(design, len(w))
    pivot, gap = _gaps(w, 1.0)
    columns = np.ascontiguousarray(gap.reshape(len(w), -1).T)
    curve = np.empty_like(columns)
    curve_loop(columns, curve)
    curve = curve.T.reshape(w.shape) + pivot
    curve[0], curve[-1] = _mean(w), _power_mean(w, 1.0)
    return _like(log_w, curve, axis)


def _curve_loop(design: str, samples: int) -> Any:
    if design == "auto":
        design = "complete" if samples <= _COMPLETE_BY_DEFAULT else "cyclic"
    if design not in ("complete", "cyclic"):
        raise ValueError(f'design must be "auto", "complete" or "cyclic", was {design!r}')
    if design == "complete" and samples > _COMPLETE_AT_MOST:
        raise ValueError(
            f'design="complete" visits 2^K subsets: K must be <= {_COMPLETE_AT_MOST}, was {samples}'
        )
    return _complete_loop if design == "complete" else _cyclic_loop


@loop
def _cyclic_loop(columns, curve):
    samples = columns.shape[1]
    for n in range(columns.shape[0]):
        window = columns[n].copy()
        for size in range(1, samples + 1):
            curve[n, size - 1] = window.mean() - math.log(size)
            for k in range(samples):
                window[k] = logaddexp(window[k], columns[n, (k + size) % samples])


@loop
def _complete_loop(columns, curve):
    """Subsets are bit masks: those with highest bit k are k joined to each mask below 2^k."""
    samples = columns.shape[1]
    total = np.empty(1 << samples)
    members = np.zeros(1 << samples, np.int64)
    total[0] = -math.inf
    for n in range(columns.shape[0]):
        subsets = np.zeros(samples)
        curve[n] = 0
        for k in range(samples):
            for rest in range(1 << k):
                mask = rest + (1 << k)
                total[mask] = logaddexp(total[rest], columns[n, k])
                members[mask] = members[rest] + 1
                curve[n, members[mask] - 1] += total[mask]
                subsets[members[mask] - 1] += 1
        for size in range(1, samples + 1):
            curve[n, size - 1] = curve[n, size - 1] / subsets[size - 1] - math.log(size)


def _mean(w: FloatArray) -> FloatArray:
    """Mean over the first axis; an exact power of two keeps a sum of huge log-weights from overflowing."""
    step = 0.5 ** (len(w) - 1).bit_length()
    return (w * step).sum(axis=0) / (len(w) * step)


def _power_mean(w: FloatArray, power: float) -> FloatArray:
    """(1/β) log mean w^β, the extreme weight taken out; at β = 0 its limit."""
    if power == 0:
        return _mean(w)
    pivot, gap = _gaps(w, power)
    return pivot + _log_mean_exp(gap) / power


def _softmax(w: FloatArray, power: float) -> FloatArray:
    """w^β / Σ w^β."""
    if power == 0:
        return np.full_like(w, 1 / len(w))
    weight = np.exp(_gaps(w, power)[1])
    return weight / weight.sum(axis=0)


def _gaps(w: FloatArray, power: float) -> tuple[FloatArray, FloatArray]:
    """The log-weight that dominates w^β, and β(log w − it) ≤ 0: 0 where equal, be they −∞ or β = ±∞."""
    pivot = w.max(axis=0) if power > 0 else w.min(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        return pivot, np.where(w == pivot, 0.0, power * (w - pivot))


def _log_mean_exp(gap: FloatArray) -> FloatArray:
    """log mean exp of numbers ≤ 0 of which one is 0.

    Near 0 by log1p and expm1: relative accuracy there is what carries Rényi's bound through β → 0 onto the
    ELBO.
    """
    deficit = np.expm1(gap).mean(axis=0)
    return np.where(deficit > -0.5, np.log1p(deficit), np.log(np.exp(gap).mean(axis=0)))


def _power(alpha: float) -> float:
    if not isinstance(alpha, Real) or isinstance(alpha, bool) or math.isnan(alpha):
        raise ValueError(f"alpha must be a real number or an infinity, was {alpha!r}")
    return 1.0 - float(alpha)


def _samples_first(log_w: ArrayLike, axis: int, name: str = "log_w") -> FloatArray:
    (w,) = check.below_infinity(**{name: log_w})
    whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
    if not whole or not -w.ndim <= axis < w.ndim:
        raise ValueError(f"axis must be an axis of {name}, which has shape {w.shape}; was {axis!r}")
    if w.shape[axis] < 1:
        raise ValueError(f"{name} must have at least one sample on axis {axis}, has shape {w.shape}")
    return np.moveaxis(w, axis, 0).astype(np.float64, copy=False)


def _like(log_w: ArrayLike, value: FloatArray, axis: int | None = None) -> Any:
    """`value` in the dtype of `log_w`, its first axis moved to where the samples were."""
    value = value if axis is None else np.moveaxis(value, 0, axis)
    return np.asarray(value, np.asarray(log_w).dtype)[()]
