"""Estimators of gradients of the bounds, as pure functions of arrays, so that any framework can call them.

Notation. z_k ~ q_φ, k = 1 … K; log w_k = log p(x, z_k) − log q_φ(z_k | x); L = log (1/K) Σ w_k, with
expectation IWAE_K (the ELBO for K = 1); w̃_k = w_k / Σ w_j. With z_k = g(ε_k, φ), the derivative of log w_k
has two parts,

    d log w_k / dφ = path_k − score_k,
    path_k = (∂ log w_k / ∂z)(∂g / ∂φ),    score_k = ∂ log q_φ(z_k | x) / ∂φ at fixed z,

for parameters φ of q alone. `log_w` and `signal` are (K, N), `score` and `path` (K, N, P), and an estimate
(N, P): the gradient to ascend, one a row. Where p has parameters θ, their derivative is taken at fixed z: the
mean of ∂ log p(x, z_k) / ∂θ for the ELBO, Σ w̃_k ∂ log p(x, z_k) / ∂θ for IWAE_K; both by `weighted`.

Each estimate is Σ_k c_k score_k + Σ_k d_k path_k with coefficients (K, N) that count as constants. A model
that goes backward through its own network needs these alone:

    estimator                      on score                       on path
    score_function (f = log w)     (log w_k − b_k) / K            –
    pathwise                       −1/K                           1/K
    sticking_the_landing           –                              1/K
    iwae_pathwise                  −w̃_k                           w̃_k
    doubly_reparameterised         –                              w̃_k²
    vimco                          L − L_{−k} − w̃_k               –

What none of them estimates is a value. The surrogates whose automatic derivative they are, such as Σ w̃_k
log w_k with w̃ held fixed, are not bounds: that one is L + KL(w̃ ‖ uniform), up to log K above. Report
`vbref.bounds`.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref import bounds
from vbref.numerics import check
from vbref.numerics.check import FloatArray

_BASELINES = ("none", "leave_one_out", "optimal", "optimal_leave_one_out")
_CONTROLS = ("geometric", "arithmetic")


def weighted(coefficients: ArrayLike, derivatives: ArrayLike) -> Any:
    """Σ_k c_k g_k: coefficients (K, N) on per-sample derivatives (K, N, P), giving (N, P).

    Raises ValueError for NaN, infinities, K < 1, shapes or dtypes that do not fit; so do the estimators
    below.
    """
    return _weighted_sum(*_paired(coefficients=coefficients, derivatives=derivatives))


def leave_one_out(signal: ArrayLike) -> Any:
    """The mean of the other samples' signal, b_k = (1/(K−1)) Σ_{j≠k} f_j: independent of z_k. Needs K ≥ 2."""
    (f,) = check.floats(signal=signal)
    _at_least_two("signal", f)
    return _over_others(np.add, f) / (len(f) - 1)


def optimal_baseline(signal: ArrayLike, score: ArrayLike, *, leave_out: bool = False) -> Any:
    """The baseline of each coordinate that minimises variance, b* = E[f s²] / E[s²], from samples: (K, N, P).

    Var[(f − b) s] = E[(f − b)² s²] − E[f s]², whose second term is free of b as E[s] = 0; the first has its
    minimum where E[(f − b) s²] = 0. The moments are over all samples, the same b for each k, or with
    `leave_out` over the others, which makes b_k independent of z_k and needs K ≥ 2. Where every s² that
    enters is 0, b = 0.
    """
    f, s = _paired(signal=signal, score=score)
    if leave_out:
        _at_least_two("signal", f)
    squared = _relative_square(s)
    moment, weight = (_total_of(x, leave_out) for x in (f[..., None] * squared, squared))
    ratio = np.divide(moment, weight, out=np.zeros_like(moment), where=weight > 0)
    return np.broadcast_to(ratio, s.shape)


def _relative_square(s: FloatArray) -> FloatArray:
    """s² up to a factor a coordinate, which cancels from b*: the largest is 1, so that none overflows."""
    largest = abs(s).max(axis=0)
    return np.square(s / np.where(largest > 0, largest, 1))


def _total_of(x: FloatArray, leave_out: bool) -> FloatArray:
    return _over_others(np.add, x) if leave_out else x.sum(axis=0, keepdims=True)


def score_function(signal: ArrayLike, score: ArrayLike, *, baseline: str | ArrayLike = "none") -> Any:
    """Score-function estimate of ∂ E_q[f(z)] / ∂φ, (1/K) Σ_k (f_k − b_k) score_k (Williams 1992).

    Unbiased for any b_k independent of z_k, since E[score] = 0, and for f = log w too, as E[∂ log w / ∂φ at
    fixed z] = −E[score] = 0: then it estimates the gradient of the ELBO. The baselines:
    - "none": b = 0;
    - an array that broadcasts to (K, N): a constant, or whatever does not depend on z_k;
    - "leave_one_out": the mean of the others (K ≥ 2); it makes the estimate
      Σ (f_k − f̄) score_k / (K − 1). Unbiased;
    - "optimal": `optimal_baseline` from these same samples. Biased, by O(1/K); at K = 1 it is 0, always;
    - "optimal_leave_one_out": the same from the others (K ≥ 2). Unbiased.
    """
    f, s = _paired(signal=signal, score=score)
    return np.mean((f[..., None] - _baseline(f, s, baseline)) * s, axis=0)


def _baseline(f: FloatArray, s: FloatArray, baseline: str | ArrayLike) -> Any:
    if not isinstance(baseline, str):
        return _constant_baseline(f, baseline)[..., None]
    match baseline:
        case "none":
            return f.dtype.type(0)
        case "leave_one_out":
            return leave_one_out(f)[..., None]
        case "optimal":
            return optimal_baseline(f, s)
        case "optimal_leave_one_out":
            return optimal_baseline(f, s, leave_out=True)
    raise ValueError(f"baseline must be an array or one of {', '.join(_BASELINES)}; was {baseline!r}")


def _constant_baseline(f: FloatArray, baseline: ArrayLike) -> FloatArray:
    _, b = check.floats(signal=f, baseline=baseline)
    check.broadcast(signal=f, baseline=b)
    return np.broadcast_to(b, f.shape)


def pathwise(path: ArrayLike, score: ArrayLike | None = None) -> Any:
    """Pathwise (reparameterised) estimate, (1/K) Σ_k (path_k − score_k).

    With f = log w: unbiased for ∂ ELBO / ∂φ, and the very derivative of the value `bounds.elbo(log_w)` at
    fixed noise. Without `score`: unbiased for ∂ E_q[f(z)] / ∂φ where f depends on φ through z alone.
    """
    return _average(path if score is None else _total(path, score))


def sticking_the_landing(path: ArrayLike) -> Any:
    """`pathwise` without its score term, (1/K) Σ_k path_k (Roeder, Wu & Duvenaud 2017).

    Unbiased for ∂ ELBO / ∂φ, since E[score] = 0, though not the derivative of `bounds.elbo` at fixed noise.
    At q = p(z | x), log w is constant in z, so every path_k is 0: no variance, where `pathwise` keeps that
    of the score. With K > 1 it is still the ELBO's: Σ w̃_k path_k would be biased for IWAE_K, whose dropped
    term E[Σ w̃_k score_k] is not 0; `doubly_reparameterised` is what replaces it.
    """
    return _average(path)


def iwae_weights(log_w: ArrayLike) -> Any:
    """w̃_k, the coefficient of d log w_k in dL: `bounds.iwae_grad`."""
    return bounds.iwae_grad(log_w)


def iwae_pathwise(log_w: ArrayLike, path: ArrayLike, score: ArrayLike) -> Any:
    """Pathwise estimate Σ_k w̃_k (path_k − score_k) for IWAE_K (Burda, Grosse & Salakhutdinov 2016).

    Unbiased for ∂ IWAE_K / ∂φ, and the derivative of `bounds.iwae(log_w)` at fixed noise; for K = 1 it is
    `pathwise`. As K grows its mean falls faster than its deviation: the signal-to-noise ratio is O(1/√K)
    (Rainforth et al. 2018).
    """
    return _weighted_sum(*_paired(log_w=iwae_weights(log_w), path=_total(path, score)))


def dreg_weights(log_w: ArrayLike) -> Any:
    """w̃_k², the coefficient of path_k in `doubly_reparameterised`."""
    return np.square(bounds.iwae_grad(log_w))


def doubly_reparameterised(log_w: ArrayLike, path: ArrayLike) -> Any:
    """Doubly reparameterised estimate Σ_k w̃_k² path_k for the parameters of q (Tucker et al. 2018).

    The term −E[Σ w̃_k score_k] of `iwae_pathwise` is reparameterised once more: E[h(z_k) score_k] =
    E[∂h/∂z_k ∂g/∂φ] with h = w̃_k, and ∂w̃_k/∂ log w_k = w̃_k − w̃_k², leaves w̃_k − (w̃_k − w̃_k²) = w̃_k²
    on path_k. Unbiased for ∂ IWAE_K / ∂φ; not the derivative of a value at fixed noise. For K = 1 it is
    `sticking_the_landing`; at q = p(z | x) it is 0; its signal-to-noise ratio grows as O(√K). Its variance
    is not always the smaller: far from the posterior that of `iwae_pathwise` may be.
    """
    return _weighted_sum(*_paired(log_w=dreg_weights(log_w), path=path))


def vimco_signal(log_w: ArrayLike, *, control: str = "geometric") -> Any:
    """The learning signal of each sample, L − L_{−k} (Mnih & Rezende 2016): (K, N), for K ≥ 2.

    L_{−k} is L with w_k replaced by a mean of the others: "geometric", as in the paper, or "arithmetic",
    which makes L_{−k} the log mean of the others. Neither knows z_k, so E[L_{−k} score_k] = 0. Formed from
    sums over the others, never by subtraction of w_k, which would lose all digits where one weight
    dominates. +∞ where w_k alone is not zero; 0 where all are.
    """
    (w,) = check.below_infinity(log_w=log_w)
    _at_least_two("log_w", w)
    if control not in _CONTROLS:
        raise ValueError(f"control must be one of {', '.join(_CONTROLS)}; was {control!r}")
    wide = w.astype(np.float64, copy=False)
    value, without = bounds.iwae(wide), _log_mean_without(wide, control)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(value == -np.inf, 0, value - without).astype(w.dtype)


def _log_mean_without(w: FloatArray, control: str) -> FloatArray:
    others, k = _over_others(np.logaddexp, w), len(w)
    if control == "arithmetic":
        return others - np.log(k - 1)
    return np.logaddexp(others, _over_others(np.add, w) / (k - 1)) - np.log(k)


def vimco(log_w: ArrayLike, score: ArrayLike, *, control: str = "geometric") -> Any:
    """VIMCO's estimate for the parameters of q, Σ_k (L − L_{−k} − w̃_k) score_k (Mnih & Rezende 2016).

    Unbiased for ∂ IWAE_K / ∂φ without a reparameterisation: ∂ E[L] = E[L Σ_k score_k] + E[Σ_k w̃_k ∂ log
    w_k], with ∂ log w_k = −score_k at fixed z. The signal sums over k, where that of `score_function`
    averages. Raises ValueError for K < 2 and where a column has one weight that is not zero, for its signal
    is infinite.
    """
    signal = vimco_signal(log_w, control=control)
    if np.isinf(signal).any():
        raise ValueError("log_w must have no column in which one weight alone is not zero, has one")
    return _weighted_sum(*_paired(log_w=signal - iwae_weights(log_w), score=score))


def _average(derivatives: ArrayLike) -> Any:
    (g,) = check.floats(path=derivatives)
    if g.ndim < 2 or len(g) < 1:
        raise ValueError(f"path must have shape (K, ..., P) with K >= 1, has {g.shape}")
    return g.mean(axis=0)


def _total(path: ArrayLike, score: ArrayLike) -> FloatArray:
    p, s = check.floats(path=path, score=score)
    check.shape("score", s, p.shape)
    return p - s


def _paired(**named: ArrayLike) -> list[FloatArray]:
    """The first argument, (K, N), and derivatives (K, N, P) that fit it."""
    first, *derivatives = check.floats(**named)
    name, *others = named
    if first.ndim == 0 or len(first) < 1:
        raise ValueError(f"{name} must have at least one sample (K >= 1), has shape {first.shape}")
    for other, values in zip(others, derivatives, strict=True):
        check.shape(other, values, (*first.shape, None))
    return [first, *derivatives]


def _weighted_sum(c: FloatArray, g: FloatArray) -> Any:
    return np.einsum("k...,k...p->...p", c, g)


def _over_others(ufunc: np.ufunc, x: FloatArray) -> FloatArray:
    """The ufunc over all samples but k, for each k: those before k joined to those after it."""
    before, after = ufunc.accumulate(x[:-1]), ufunc.accumulate(x[:0:-1])[::-1]
    return np.concatenate([after[:1], ufunc(before[:-1], after[1:]), before[-1:]])


def _at_least_two(name: str, array: FloatArray) -> None:
    if array.ndim == 0 or len(array) < 2:
        raise ValueError(f"{name} must have K >= 2 samples to leave one out, has shape {array.shape}")
