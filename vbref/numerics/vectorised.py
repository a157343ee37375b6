"""Elementary functions without branches or calls, which LLVM runs on several elements at once."""

import math

import numpy as np
from numba import types
from numba.extending import overload

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
    power, rest = _power_and_rest_64(x if x > _LOWEST else _LOWEST)
    return power + power * rest if x >= _LOWEST else 0.0


_A3, _A5, _A7, _A9, _A11, _A13, _A15, _A17, _A19, _A21 = (1 / n for n in range(3, 22, 2))
_LOG_2, _HALFWAY = math.log(2), math.sqrt(2) - 1


@inlined
def log1p_unit(u):
    """log(1 + u) of a float64 u in [0, 1], to 4e-16 relative.

    Above √2, log 2 + log(1 + t) with t = (u − 1)/2; and log(1 + t) = 2 artanh r with r = t/(2 + t), |r| ≤
    0.172, whose series ends with r²¹/21, the next term being below 1e-18 of the first.
    """
    far = u > _HALFWAY
    t = 0.5 * u - 0.5 if far else u
    r = t / (2.0 + t)
    z = r * r
    p = _A21 * z + _A19
    p = p * z + _A17
    p = p * z + _A15
    p = p * z + _A13
    p = p * z + _A11
    p = p * z + _A9
    p = p * z + _A7
    p = p * z + _A5
    p = p * z + _A3
    p = (p * z) * (r + r) + (r + r)
    return p + _LOG_2 if far else p


_SINGLE_LOG2_E = np.float32(_LOG2_E)
_SINGLE_LOG_2_HIGH = np.float32(0.693359375)  # 9 bits
_SINGLE_LOG_2_LOW = np.float32(math.log(2) - 0.693359375)
_S2, _S3, _S4, _S5, _S6, _S7 = (np.float32(1 / math.factorial(i)) for i in range(2, 8))
_SINGLE_LOWEST, _SINGLE_HIGHEST, _HIGHEST = np.float32(-87.0), np.float32(88.0), 709.0
_SINGLE_HALF, _SINGLE_INF = np.float32(0.5), np.float32(np.inf)
_SINGLE_BIAS, _SINGLE_BITS = np.int32(127), np.int32(23)
_SINGLE_FLAT, _FLAT = np.float32(-20.0), -40.0  # below these eˣ − 1 rounds to −1


@inlined
def _power_and_rest_32(x):
    """2ⁿ and e^r − 1 of a float32 x in [−87, 88], the terms from r⁸/8! on being below 6e-9."""
    n = np.floor(x * _SINGLE_LOG2_E + _SINGLE_HALF)
    r = (x - n * _SINGLE_LOG_2_HIGH) - n * _SINGLE_LOG_2_LOW
    p = _S7 * r + _S6
    p = p * r + _S5
    p = p * r + _S4
    p = p * r + _S3
    p = p * r + _S2
    p = p * (r * r) + r
    # The outer int32 keeps Numba from widening the sum.
    return np.int32((np.int32(n) + _SINGLE_BIAS) << _SINGLE_BITS).view(np.float32), p


@inlined
def _power_and_rest_64(x):
    """2ⁿ and e^r − 1 of a float64 x in [−708, 709], as in `exp_decay`."""
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LOG_2_HIGH) - n * _LOG_2_LOW
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
    p = p * (r * r) + r
    return np.int64((np.int64(n) + _BIAS) << _MANTISSA_BITS).view(np.float64), p


@inlined
def reciprocal_expm1(x):
    """1/(eˣ − 1) = e^−x/(1 − e^−x) of a float64 x > 0, where 1 − e^−x is formed without cancelling."""
    power, rest = _power_and_rest_64(_LOWEST if -x < _LOWEST else -x)
    return (power * rest + power) / ((1.0 - power) - power * rest)


@inlined
def _exp_negative_32(x):
    power, rest = _power_and_rest_32(_SINGLE_LOWEST if x < _SINGLE_LOWEST else x)
    return power * rest + power


@inlined
def _exp_negative_64(x):
    power, rest = _power_and_rest_64(_LOWEST if x < _LOWEST else x)
    return power * rest + power


@inlined
def _exp_32(x):
    return _SINGLE_INF if x > _SINGLE_HIGHEST else _exp_negative_32(x)


@inlined
def _exp_64(x):
    return np.inf if x > _HIGHEST else _exp_negative_64(x)


@inlined
def _tanh_32(x):
    size = abs(x)
    power, rest = _power_and_rest_32(_SINGLE_FLAT if -(size + size) < _SINGLE_FLAT else -(size + size))
    less_one = power * rest + (power - np.float32(1))
    y = (np.float32(0) - less_one) / (np.float32(2) + less_one)
    return -y if x < np.float32(0) else y


@inlined
def _tanh_64(x):
    size = abs(x)
    power, rest = _power_and_rest_64(_FLAT if -(size + size) < _FLAT else -(size + size))
    less_one = power * rest + (power - 1.0)
    y = (0.0 - less_one) / (2.0 + less_one)
    return -y if x < 0.0 else y


def exp_negative(x):
    """eˣ of x ≤ 0, float32 or float64, in compiled code; held at e^−87 or e^−708, and NaN stays NaN."""
    return np.exp(x)


def exp(x):
    """eˣ, float32 or float64, in compiled code; held as `exp_negative` below, inf above 88 or 709."""
    return np.exp(x)


def tanh(x):
    """tanh x, float32 or float64, in compiled code: at |x| it is −t/(2 + t), t = e^(−2|x|) − 1."""
    return np.tanh(x)


@overload(exp_negative, inline="always")
def _exp_negative(x):
    return _by_dtype(x, lambda x: _exp_negative_32(x), lambda x: _exp_negative_64(x))


@overload(exp, inline="always")
def _exp(x):
    return _by_dtype(x, lambda x: _exp_32(x), lambda x: _exp_64(x))


@overload(tanh, inline="always")
def _tanh(x):
    return _by_dtype(x, lambda x: _tanh_32(x), lambda x: _tanh_64(x))


def _by_dtype(x, single, double):
    return {types.float32: single, types.float64: double}.get(x)
