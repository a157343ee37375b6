"""What instructions compute: of their modifiers and of sources, typed arrays of lanes.

Integers wrap, as NumPy's do. A fused multiply-add is rounded once, by the processor's own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types, vectorize
from numba.core.errors import TypingError
from numba.extending import intrinsic

TYPES = {
    "pred": np.bool_, "b8": np.uint8, "u8": np.uint8, "s8": np.int8, "b16": np.uint16, "u16": np.uint16,
    "s16": np.int16, "b32": np.uint32, "u32": np.uint32, "s32": np.int32, "f32": np.float32,
    "b64": np.uint64, "u64": np.uint64, "s64": np.int64, "f64": np.float64,
}  # fmt: skip


@intrinsic
def _fused(typing_context, a, b, c):
    if not (isinstance(a, types.Float) and a == b == c):
        raise TypingError("three floats of one type")

    def emit(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), emit


@vectorize(["f4(f4,f4,f4)", "f8(f8,f8,f8)"])
def _fma(a, b, c):
    return _fused(a, b, c)


def _towards(parts: tuple[str, ...], exact: Any) -> Any:
    """float64 to float32, towards zero or −∞; what is here is exact in float64."""
    near = exact.astype(np.float32)
    over = near > exact if "rm" in parts else np.abs(near) > np.abs(exact)
    return np.where(over, np.nextafter(near, np.float32(-np.inf if "rm" in parts else 0)), near)


def _float(exactly: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on floats, in their type, or from float64 where another rounding is asked for."""

    def operation(parts: tuple[str, ...], *values: Any) -> Any:
        if {"rm", "rz"} & {*parts}:
            if parts[-1] != "f32":
                raise NotImplementedError(f"float64 rounded by {parts}")
            return _towards(parts, exactly(*(np.asarray(value, np.float64) for value in values)))
        return _flushed(parts, exactly(*(_flushed(parts, value) for value in values)))

    return operation


def _flushed(parts: tuple[str, ...], value: Any) -> Any:
    if "ftz" not in parts:
        return value
    small = np.abs(value) < np.finfo(value.dtype).tiny
    return np.where(small, np.copysign(value.dtype.type(0), value), value)


def _reciprocal(parts: tuple[str, ...], x: Any) -> Any:
    y = _flushed(parts, 1 / _flushed(parts, x))
    if parts == ("approx", "ftz", "f64"):
        return (y.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return y


def _multiply(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    kind = parts[-1]
    if kind[0] == "f":
        return _float(np.multiply)(parts, a, b)
    if "wide" in parts:
        wide = TYPES[kind[0] + str(2 * int(kind[1:]))]
        return np.asarray(a, wide) * np.asarray(b, wide)
    if "hi" in parts:
        return _high(a, b)
    return a * b


def _high(a: Any, b: Any) -> Any:
    """The upper half of a product: of 64 bits from four of 32."""
    half, low = a.dtype.itemsize * 4, a.dtype.type(2 ** (a.dtype.itemsize * 4) - 1)
    a_low, a_high, b_low, b_high = a & low, a >> half, b & low, b >> half
    # The product of the low halves has no sign, whatever the whole one has.
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    first = ((a_low * b_low).view(unsigned) >> unsigned.type(half)).view(a.dtype)
    middle = a_high * b_low + first
    other = a_low * b_high + (middle & low)
    return a_high * b_high + (middle >> half) + (other >> half)


def _divide(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    """Of integers towards zero."""
    if parts[-1][0] == "f":
        return _float(np.divide)(parts, a, b)
    if np.any(np.asarray(b) == 0):
        raise ZeroDivisionError("an integer divided by zero")
    quotient = a // b
    return quotient + ((quotient < 0) & (quotient * b != a)).astype(a.dtype)


def _remainder(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    return a - _divide(parts, a, b) * b


def _shift(parts: tuple[str, ...], a: Any, by: Any, direction: Callable[..., Any]) -> Any:
    """By as many bits as there are or more, all are gone, but for a sign."""
    bits = 8 * a.dtype.itemsize
    kept = direction(a, np.minimum(by, bits - 1).astype(a.dtype))
    if direction is np.right_shift and parts[-1][0] == "s":
        return kept
    return np.where(np.asarray(by) >= bits, a.dtype.type(0), kept)


_COMPARED = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip


def _compare(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    """With a u at the end, also true where one is NaN."""
    word = parts[0]
    if word in _COMPARED:
        same = _COMPARED[word](a, b)
        # NumPy's ≠ is true for NaN, PTX's is not.
        return same & (a == a) & (b == b) if word == "ne" and parts[-1][0] == "f" else same
    return _COMPARED[word.removesuffix("u")](a, b) | (a != a) | (b != b)


_ROUNDED = {"rni": np.rint, "rmi": np.floor, "rzi": np.trunc, "rpi": np.ceil}


def convert(parts: tuple[str, ...], x: Any) -> Any:
    """cvt.rounding.to.from."""
    to, source = parts[-2:]
    if "sat" in parts:
        return np.where(np.isnan(x), 0, np.clip(x, 0, 1)).astype(TYPES[to])
    for name, rounded in _ROUNDED.items():
        if name in parts:
            x = rounded(x)
    if to[0] in "us" and source[0] == "f":
        return _whole(x, TYPES[to])
    return _flushed(parts, x.astype(TYPES[to]))


def _whole(x: Any, to: Any) -> Any:
    """A whole number in a type of integers: the nearest that it has, and 0 for NaN."""
    span, wide = np.iinfo(to), x.astype(np.float64)
    inside = (wide >= float(span.min)) & (wide < float(span.max) + 1)
    ends = np.where(wide > 0, span.max, span.min)
    return np.where(np.isnan(x), 0, np.where(inside, np.where(inside, wide, 0).astype(to), ends)).astype(to)


def _choose(parts: tuple[str, ...], a: Any, b: Any, predicate: Any) -> Any:
    return np.where(predicate, a, b)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda parts, a, b: _float(np.add)(parts, a, b) if parts[-1][0] == "f" else a + b,
    "sub": lambda parts, a, b: _float(np.subtract)(parts, a, b) if parts[-1][0] == "f" else a - b,
    "mul": _multiply,
    "fma": _float(_fma),
    "div": _divide,
    "rem": _remainder,
    "rcp": _reciprocal,
    "sqrt": _float(np.sqrt),
    "ex2": _float(np.exp2),
    "neg": lambda parts, a: -a,
    "abs": lambda parts, a: np.abs(a),
    "min": lambda parts, a, b: np.fmin(a, b),
    "max": lambda parts, a, b: np.fmax(a, b),
    "copysign": lambda parts, sign, size: np.copysign(size, sign),
    "and": lambda parts, a, b: a & b,
    "or": lambda parts, a, b: a | b,
    "xor": lambda parts, a, b: a ^ b,
    "not": lambda parts, a: ~a,
    "shl": lambda parts, a, by: _shift(parts, a, by, np.left_shift),
    "shr": lambda parts, a, by: _shift(parts, a, by, np.right_shift),
    "setp": _compare,
    "selp": _choose,
    "cvt": convert,
}
