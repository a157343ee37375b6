"""Implicit reparameterisation: derivatives of a quantile by the shape of its distribution.

F(x; θ) = u held fixed gives dx/dθ = −(∂F/∂θ)/p(x) (Figurnov, Mohamed and Mnih 2018), and
∂F/∂θ = ∫_{t<x} p(t) s(t) dt = −∫_{t>x} p(t) s(t) dt with the score s = ∂log p/∂θ. Of the two tails we take
the one along which t·p(t) falls, so that p(t)/p(x) ≤ 1 and nothing cancels. The callers change variables to
put the tail on [0, ∞) with a concave exponent.
"""

from collections.abc import Callable

import numpy as np

from vbref.numerics.check import FloatArray

_DEPTH = 40.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def tail_integral(
    exponent: Callable[[FloatArray], FloatArray], score: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """∫_0^∞ exp(exponent(s)) score(s) ds, where exponent is concave, 0 at 0 and falls.

    The functions take s of shape (..., nodes), and their parameters broadcast against it. Gauss–Legendre with
    160 nodes on [0, S], exponent(S) ≈ −40: past S the integral is below 1e-17 of its whole.
    """
    reach = _reach(exponent)
    s = reach * _NODES
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        weight = np.exp(exponent(s))
        return np.where(weight > 0, weight * score(s), 0) @ _WEIGHTS * reach[..., 0]


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
