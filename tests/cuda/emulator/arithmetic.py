"""What instructions compute: of their modifiers and of sources, typed arrays of lanes.

Integers wrap, as NumPy's do. A fused multiply-add is rounded once, by the processor's own. Modifiers that
are not in `MODIFIERS` are refused by name, so that none is passed over.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types, vectorize
from numba.core.errors import TypingError
from numba.extending import intrinsic

TYPES = {
    "pred": np.bool_, "b32": np.uint32, "u32": np.uint32, "s32": np.int32, "f32": np.float32,
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


def _add(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    if "rz" in parts:
        return _directed(parts, np.asarray(a, np.float64), np.asarray(b, np.float64))
    return a + b


def _multiply_add(parts: tuple[str, ...], a: Any, b: Any, c: Any) -> Any:
    if "rm" in parts:  # of two float32 the product is exact in float64
        return _directed(parts, np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64))
    return _fma(a, b, c)


def _directed(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    """a + b to float32, towards zero or −∞, by the sum in float64 and what that leaves out."""
    if parts[-1] != "f32":
        raise NotImplementedError("float64 rounded in a direction")
    total = a + b
    back = total - a
    left_out = (a - (total - back)) + (b - back)
    near = total.astype(np.float32)
    down = np.ones(near.shape, bool) if "rm" in parts else total > 0
    beyond = np.where(down, near > total, near < total)
    just = (near == total) & np.where(down, left_out < 0, left_out > 0)
    inward = np.nextafter(near, np.where(down, np.float32(-np.inf), np.float32(np.inf)))
    return np.where(beyond | just, inward, near)


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


def _power_of_two(parts: tuple[str, ...], x: Any) -> Any:
    return _flushed(parts, np.exp2(_flushed(parts, x).astype(np.float64)).astype(np.float32))


def _multiply(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    kind = parts[-1]
    if kind[0] == "f":
        return a * b
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
        return a / b
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


_ROUNDED = {"rni": np.rint, "rmi": np.floor, "rzi": np.trunc}


def _convert(parts: tuple[str, ...], x: Any) -> Any:
    """cvt.rounding.to.from."""
    to, source = parts[-2:]
    if "sat" in parts:
        if to[0] != "f":
            raise NotImplementedError("integers that saturate")
        return np.where(x > 0, np.minimum(x, 1), 0).astype(TYPES[to])
    for name, rounded in _ROUNDED.items():
        if name in parts:
            x = rounded(x)
    if to[0] in "us" and source[0] == "f":
        return _whole(x, np.dtype(TYPES[to]))
    return x.astype(TYPES[to])


def _whole(x: Any, to: Any) -> Any:
    """The nearest integer of this type to a whole number. NaN is 0, or the top bit where a type has 64."""
    span, wide = np.iinfo(to), x.astype(np.float64)
    inside = (wide >= float(span.min)) & (wide < float(span.max) + 1)
    ends = np.where(wide > 0, to.type(span.max), to.type(span.min))
    top = np.array([1], f"u{to.itemsize}") << (8 * to.itemsize - 1)
    unknown = top.view(to) if 8 in (to.itemsize, x.dtype.itemsize) else to.type(0)
    return np.where(np.isnan(x), unknown, np.where(inside, np.where(inside, wide, 0).astype(to), ends))


def _choose(parts: tuple[str, ...], a: Any, b: Any, predicate: Any) -> Any:
    return np.where(predicate, a, b)


def _largest(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    """Of a number and NaN the number, of two zeros the positive one."""
    if parts[-1][0] != "f":
        return np.maximum(a, b)
    return np.where((a == b) & np.signbit(a), b, np.where(a == b, a, np.fmax(a, b)))


def _smallest(parts: tuple[str, ...], a: Any, b: Any) -> Any:
    return -_largest(parts, -a, -b) if parts[-1][0] == "f" else np.minimum(a, b)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": lambda parts, a, b: a - b,
    "mul": _multiply,
    "fma": _multiply_add,
    "div": _divide,
    "rem": _remainder,
    "rcp": _reciprocal,
    "sqrt": lambda parts, a: np.sqrt(a),
    "ex2": _power_of_two,
    "neg": lambda parts, a: -a,
    "abs": lambda parts, a: np.abs(a),
    "min": _smallest,
    "max": _largest,
    "copysign": lambda parts, sign, size: np.copysign(size, sign),
    "and": lambda parts, a, b: a & b,
    "or": lambda parts, a, b: a | b,
    "xor": lambda parts, a, b: a ^ b,
    "not": lambda parts, a: ~a,
    "shl": lambda parts, a, by: _shift(parts, a, by, np.left_shift),
    "shr": lambda parts, a, by: _shift(parts, a, by, np.right_shift),
    "setp": _compare,
    "selp": _choose,
    "cvt": _convert,
}

MODIFIERS: dict[str, set[str]] = {
    "add": {"rn", "rz"}, "sub": {"rn"}, "mul": {"rn", "lo", "hi", "wide"}, "fma": {"rn", "rm"}, "div": {"rn"},
    "rcp": {"rn", "approx", "ftz"}, "sqrt": {"rn"}, "ex2": {"approx", "ftz"}, "cvt": {"rn", "sat", *_ROUNDED},
    "setp": {*_COMPARED, *(f"{word}u" for word in _COMPARED)}, "mov": set(), "cvta": {"to", "global"},
    "ld": {"param", "shared", "global", "nc", "v2", "v4"}, "st": {"param", "shared", "global", "v2", "v4"},
}  # fmt: skip


def known(op: str, parts: tuple[str, ...]) -> bool:
    """Whether this is an instruction that the machine has, with all its modifiers."""
    return (op in OPERATIONS or op in MODIFIERS) and {*parts} <= TYPES.keys() | MODIFIERS.get(op, set())
