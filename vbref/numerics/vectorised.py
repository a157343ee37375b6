"""Elementary functions without branches or calls, which LLVM runs on several elements at once."""

import math

import numpy as np

from vbref.numerics.jit import inlined

_LOG2_E = math.log2(math.e)
_LOG_2_HIGH = 6.93147180369123816490e-01  # 33 bits, so that n times it is exact
_LOG_2_LOW = 1.90821492927058770002e-10
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1 / math.factorial(i) for i in range(2, 14))
_LOWEST = -708.0  # e^−708 is the last power above the smallest normal number
_BIAS, _MANTISSA_BITS = np.int64(1023), np.int64(52)


@inlined
def exp_decay(x):
    """eˣ of a float64 x ≤ 0 to 2.3e-16 relative; 0 below −708, where eˣ is no longer a normal number.

    eˣ = 2ⁿ e^r with n = round(x/log 2) and |r| ≤ ½ log 2, where Taylor's terms from r¹⁴/14! on are below
    1e-17.
    """
    clipped = x if x > _LOWEST else _LOWEST
    n = np.floor(clipped * _LOG2_E + 0.5)
    r = (clipped - n * _LOG_2_HIGH) - n * _LOG_2_LOW
    p = _C13 * r + _C12
    p = p * r + _C11
    p = p * r + _C10
    p = p * r + _C9
    p = p * r + _C8
    p = p * r + _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = (p * r + 1.0) * r + 1.0
    power = np.int64((np.int64(n) + _BIAS) << _MANTISSA_BITS).view(np.float64)
    return p * power if x >= _LOWEST else 0.0
