"""Quantiles that SciPy's inverses miss, and their derivatives by the shape of the distribution.

F(x; θ) = u held fixed gives dx/dθ = −(∂F/∂θ)/p(x) (Figurnov, Mohamed and Mnih 2018), and
∂F/∂θ = ∫_{t<x} p(t) s(t) dt = −∫_{t>x} p(t) s(t) dt with the score s = ∂log p/∂θ. Of the two tails we take
the one along which t·p(t) falls, so that p(t)/p(x) ≤ 1 and nothing cancels. The callers change variables to
put the tail on [0, ∞) with a concave exponent.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.numerics.check import FloatArray

_DEPTH = 40.0
_BEND = 40.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def tail_integral(
    exponent: Callable[[FloatArray], FloatArray],
    score: Callable[[FloatArray], FloatArray],
    bend: FloatArray | float = 0.0,
) -> FloatArray:
    """∫_0^∞ exp(exponent(s)) score(s) ds, where exponent is concave, 0 at 0 and falls.

    The functions take s of shape (..., nodes), and their parameters broadcast against it, as does `bend`: the
    s about which they bend, within some units, while elsewhere they are nearly straight. Gauss–Legendre with
    160 nodes each on [0, bend], past it, and on what is left of [0, S], exponent(S) ≈ −40: past S the
    integral is below 1e-17 of its whole.
    """
    reach = _reach(exponent)
    edges = [np.zeros_like(reach), *(np.minimum(edge, reach) for edge in (bend, bend + _BEND)), reach]
    panels = [(low, high) for low, high in pairwise(edges) if (low < high).any()]
    return sum((_on(low, high, exponent, score) for low, high in panels), np.zeros(reach.shape[:-1]))


def _on(low: FloatArray, high: FloatArray, exponent: Any, score: Any) -> FloatArray:
    s = low + (high - low) * _NODES
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        return (np.exp(exponent(s)) * score(s)) @ _WEIGHTS * (high - low)[..., 0]


def _reach(exponent: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """S > 0 with exponent(S) ≈ −40, by bisection on log₂ S: 15 halvings of 2^±1000 leave 6 %."""
    with np.errstate(over="ignore", under="ignore"):
        low = np.full(np.shape(exponent(np.ones(1))), -1000.0)
        high = -low
        for _ in range(15):
            middle = (low + high) / 2
            deep = exponent(np.exp2(middle)) < -_DEPTH
            low, high = np.where(deep, low, middle), np.where(deep, middle, high)
    return np.exp2(high)


def astray(u: FloatArray, tails: tuple[FloatArray, ...]) -> NDArray[np.bool_]:
    """Where F or 1 − F, the smaller, is not that of u by more than rounding of the quantile explains.

    `tails` are F, 1 − F, and by how much F moves as the quantile moves by a share of itself.
    """
    below, above, slope = tails
    off = abs(_smaller(u, below - u, above - (1 - u)))
    rounding = np.finfo(np.float64).eps * slope
    near = off <= 1e-11 * np.minimum(u, 1 - u) + 32 * rounding  # not where F is NaN
    return np.asarray(~near | (_smaller(u, below, above) == 0))  # whose slope is elsewhere's


def refined(
    v: FloatArray, u: FloatArray, tails: Callable[[FloatArray], tuple[FloatArray, ...]]
) -> FloatArray:
    """Newton on the logarithm of the smaller tail, F or 1 − F, from v; tails(v) gives F, 1 − F, dF/dv.

    In a variable in which both are log-concave; six steps from within a standard deviation. Where a tail is
    not to be had, v stays.
    """
    for _ in range(6):
        below, above, slope = tails(v)
        step = _smaller(u, below * np.log(below / u), above * np.log((1 - u) / above)) / slope
        v = v - np.where(np.isfinite(step), step, 0)
    return v


def _smaller(u: FloatArray, below: FloatArray, above: FloatArray) -> FloatArray:
    return np.where(u <= 0.5, below, above)
