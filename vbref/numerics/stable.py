"""Elementary functions in forms that neither overflow nor cancel, on scalars, for kernels."""

import math

from vbref.numerics.jit import scalar

_LOG_2 = 0.6931471805599453


@scalar
def log1pexp(x):
    """log(1 + eˣ), softplus: max(x, 0) + log1p(e^−|x|)."""
    positive_part = x if x > 0 else type(x)(0)
    return positive_part + math.log1p(math.exp(-abs(x)))


@scalar
def log1mexp(x):
    """log(1 − e^−x) for x ≥ 0; −inf at 0.

    The small one of 1 − e^−x and e^−x must be formed without rounding: `expm1` below log 2, `log1p` above.
    """
    if x == 0:
        return type(x)(-math.inf)
    if x < type(x)(_LOG_2):
        return math.log(-math.expm1(-x))
    return math.log1p(-math.exp(-x))


@scalar
def sigmoid(x):
    """1 / (1 + e^−x), by the exponential of −|x|."""
    small = math.exp(-abs(x))
    one = type(x)(1)
    return one / (one + small) if x >= 0 else small / (one + small)


@scalar
def log_sigmoid(x):
    """log(1 / (1 + e^−x)) = −softplus(−x)."""
    return -log1pexp(-x)


@scalar
def logaddexp(x, y):
    """log(eˣ + eʸ), where −inf stands for an addend of zero."""
    high, low = (x, y) if x > y else (y, x)
    if low == type(x)(-math.inf):
        return high
    return high + math.log1p(math.exp(low - high))
