"""The array-level door to the special and the stable functions: same names, checked arguments, any shape."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check, special, stable
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise
from vbref.numerics.jit import loop


@loop
def _digamma_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = special.digamma(x[i])


@loop
def _trigamma_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = special.trigamma(x[i])


@loop
def _digamma_difference_loop(x, d, out):
    for i in range(out.shape[0]):
        out[i] = special.digamma_difference(x[i], x[i] + d[i], d[i])


@loop
def _log_beta_loop(a, b, out):
    for i in range(out.shape[0]):
        out[i] = special.log_beta(a[i], b[i])


@loop
def _log1pexp_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = stable.log1pexp(x[i])


@loop
def _log1mexp_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = stable.log1mexp(x[i])


@loop
def _sigmoid_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = stable.sigmoid(x[i])


@loop
def _log_sigmoid_loop(x, out):
    for i in range(out.shape[0]):
        out[i] = stable.log_sigmoid(x[i])


def digamma(x: ArrayLike) -> Any:
    """ψ(x) = d/dx log Γ(x) of each element, x > 0, to 1e-13 relative."""
    return _at_positive(_digamma_loop, x=x)


def trigamma(x: ArrayLike) -> Any:
    """ψ′(x) of each element, x > 0, to 1e-13 relative; inf where 1/x² is."""
    return _at_positive(_trigamma_loop, x=x)


def digamma_difference(x: ArrayLike, d: ArrayLike) -> Any:
    """ψ(x + d) − ψ(x) of each element, x, d > 0, broadcast, to 1e-13 relative, be d far below x.

    Raises ValueError where x + d overflows.
    """
    first, step = check.floats(x=x, d=d)
    check.sums_finite(x=first, d=step)
    return _at_positive(_digamma_difference_loop, x=first, d=step)


def log_beta(a: ArrayLike, b: ArrayLike) -> Any:
    """log B(a, b) = log Γ(a) + log Γ(b) − log Γ(a + b) of each element, a, b > 0, broadcast."""
    return _at_positive(_log_beta_loop, a=a, b=b)


def log1pexp(x: ArrayLike) -> Any:
    """log(1 + eˣ) of each element, softplus."""
    return elementwise(_log1pexp_loop, x=check.floats(x=x)[0])


def log1mexp(x: ArrayLike) -> Any:
    """log(1 − e^−x) of each element for x ≥ 0 (mind the sign); −inf at 0."""
    (x,) = check.floats(x=x)
    if not (x >= 0).all():
        raise ValueError(f"x must be >= 0, has {x.min()}")
    return elementwise(_log1mexp_loop, x=x)


def sigmoid(x: ArrayLike) -> Any:
    """1 / (1 + e^−x) of each element."""
    return elementwise(_sigmoid_loop, x=check.floats(x=x)[0])


def log_sigmoid(x: ArrayLike) -> Any:
    """log(1 / (1 + e^−x)) of each element."""
    return elementwise(_log_sigmoid_loop, x=check.floats(x=x)[0])


def logsumexp(x: ArrayLike, axis: int | tuple[int, ...] | None = None) -> Any:
    """log Σ eˣ over `axis` (all axes by default): m + log Σ e^(x − m) with m the largest.

    −inf stands for an addend of zero; all −inf gives −inf. Raises ValueError for NaN, +inf, and an empty
    axis.
    """
    (array,) = check.below_infinity(x=x)
    largest = _amax(array, axis)
    largest = np.where(largest == -np.inf, largest.dtype.type(0), largest)
    with np.errstate(divide="ignore", under="ignore", over="ignore"):  # log 0 = −inf and e^−inf are meant
        total = np.log(np.exp(array - largest).sum(axis=axis, keepdims=True))
    return np.squeeze(total + largest, axis=axis)[()]


def log_mean_exp(x: ArrayLike, axis: int | tuple[int, ...] | None = None) -> Any:
    """log of the mean of eˣ over `axis`: logsumexp less the log of the number of addends."""
    total = logsumexp(x, axis)
    count = np.asarray(x).size // max(np.size(total), 1)
    return total - total.dtype.type(math.log(max(count, 1)))


def _at_positive(loop: Any, **named: ArrayLike) -> Any:
    arrays = dict(zip(named, check.floats(**named), strict=True))
    check.positive(**arrays)
    return elementwise(loop, **arrays)


def _amax(array: FloatArray, axis: int | tuple[int, ...] | None) -> FloatArray:
    axes = range(array.ndim) if axis is None else np.atleast_1d(axis)
    if not all(-array.ndim <= i < array.ndim for i in axes):
        raise ValueError(f"axis must be an axis of x, which has shape {array.shape}; was {axis}")
    if any(array.shape[i] == 0 for i in axes):
        raise ValueError(f"x must have at least one entry along axis {axis}, has shape {array.shape}")
    return array.max(axis=axis, keepdims=True)
