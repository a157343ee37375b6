"""What instructions compute in the emulator, against exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
from emulator.arithmetic import OPERATIONS, known
from numpy.testing import assert_array_equal

RNG = np.random.default_rng(0)
FLOATS = (np.float32, np.float64)


def _do(instruction, *sources):
    op, *parts = instruction.split(".")
    assert known(op, tuple(parts))
    with np.errstate(all="ignore"):
        return OPERATIONS[op](tuple(parts), *sources)


def _nearest(exact, dtype):
    """The float of this type nearest to a fraction, the even one of two."""
    guess = dtype(float(exact))
    near = [np.nextafter(guess, dtype(-np.inf)), guess, np.nextafter(guess, dtype(np.inf))]
    uint = np.dtype(f"u{guess.itemsize}")
    return min(near, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(uint)) & 1))


def _triples(dtype):
    """Numbers whose product and sum cancel, so that rounding twice would show."""
    a, b = (RNG.standard_normal(300).astype(dtype) for _ in range(2))
    c = -(a * b) * dtype(1 + np.finfo(dtype).eps * 4) ** RNG.integers(-3, 4, 300).astype(dtype)
    return a, b, c.astype(dtype)


def _fractions(*arrays):
    return zip(*([Fraction(float(x)) for x in array] for array in arrays), strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_fused_multiply_add_is_rounded_once(dtype):
    a, b, c = _triples(dtype)
    got = _do(f"fma.rn.f{8 * a.itemsize}", a, b, c)
    assert_array_equal(got, [_nearest(x * y + z, dtype) for x, y, z in _fractions(a, b, c)], strict=False)
    assert got.dtype == dtype
    assert (got != a * b + c).any()


def test_rounding_down_and_towards_zero():
    a, b, c = _triples(np.float32)
    down, zero = _do("fma.rm.f32", a, b, c), _do("add.rz.f32", a, b)
    for got, (x, y, z) in zip(down, _fractions(a, b, c), strict=True):
        assert Fraction(float(got)) <= x * y + z < Fraction(float(np.nextafter(got, np.float32(np.inf))))
    for got, (x, y) in zip(zero, _fractions(a, b), strict=True):
        outward = np.nextafter(got, np.float32(np.copysign(np.inf, got)))
        assert abs(Fraction(float(got))) <= abs(x + y) < abs(Fraction(float(outward)))
    with pytest.raises(NotImplementedError, match="float64"):
        _do("add.rz.f64", np.ones(1), np.ones(1))


def test_directed_rounding_sees_what_float64_leaves_out():
    one, tiny = np.float32([1, -1]), np.float32([-(2.0**-60), 2.0**-60])
    below = np.nextafter(np.float32(1), np.float32(0))
    assert_array_equal(_do("add.rz.f32", one, tiny), [below, -below])
    assert_array_equal(_do("add.rz.f32", one, -tiny), one)
    assert_array_equal(_do("fma.rm.f32", one, np.abs(tiny), -one), [-1, below])


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_rounded_to_nearest(dtype):
    kind = f"f{8 * np.dtype(dtype).itemsize}"
    a, b, _ = _triples(dtype)
    for name, exact in (
        ("add", lambda x, y: x + y),
        ("sub", lambda x, y: x - y),
        ("mul", lambda x, y: x * y),
        ("div.rn", lambda x, y: x / y),
    ):
        expected = [_nearest(exact(x, y), dtype) for x, y in _fractions(a, b)]
        assert_array_equal(_do(f"{name}.{kind}", a, b), expected)
    assert_array_equal(_do(f"rcp.rn.{kind}", a), [_nearest(1 / x, dtype) for (x,) in _fractions(a)])
    root = _do(f"sqrt.rn.{kind}", abs(a))
    for got, (x,) in zip(root, _fractions(abs(a)), strict=True):
        low, high = (Fraction(float(np.nextafter(got, dtype(end)))) for end in (0, np.inf))
        near = Fraction(float(got))
        assert ((low + near) / 2) ** 2 <= x <= ((near + high) / 2) ** 2
    zero = dtype([0.0, -0.0])
    assert_array_equal(np.signbit(_do(f"neg.{kind}", zero)), [True, False])
    assert_array_equal(np.signbit(_do(f"abs.{kind}", zero)), [False, False])
    assert_array_equal(np.signbit(_do(f"max.{kind}", zero, zero[::-1])), [False, False])
    assert_array_equal(np.signbit(_do(f"min.{kind}", zero, zero[::-1])), [True, True])


def _integers(bits, signed):
    info = np.iinfo(f"{'i' if signed else 'u'}{bits // 8}")
    ends = [info.min, info.min + 1, 0, 1, 2, info.max - 1, info.max]
    a = np.array(ends + list(RNG.integers(info.min, info.max, 50, info.dtype)), info.dtype)
    return np.repeat(a, len(a)), np.tile(a, len(a))


def _wrapped(value, bits, signed):
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [32, 64])
def test_integers(bits, signed):
    kind = f"{'s' if signed else 'u'}{bits}"
    a, b = _integers(bits, signed)
    pairs = [(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    for name, exact in (
        ("add", lambda x, y: x + y),
        ("sub", lambda x, y: x - y),
        ("mul.lo", lambda x, y: x * y),
        ("mul.hi", lambda x, y: (x * y) >> bits),
    ):
        expected = [_wrapped(exact(x, y), bits, signed) for x, y in pairs]
        assert [int(x) for x in _do(f"{name}.{kind}", a, b)] == expected, name
    if bits == 32:
        assert [int(x) for x in _do(f"mul.wide.{kind}", a, b)] == [x * y for x, y in pairs]
    a, b = a[b != 0], b[b != 0]
    pairs = [(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    quotients = [(abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1) for x, y in pairs]
    got = [int(x) for x in _do(f"div.{kind}", a, b)]
    assert got == [_wrapped(q, bits, signed) for q in quotients]
    rests = [x - q * y for (x, y), q in zip(pairs, quotients, strict=True)]
    assert [int(x) for x in _do(f"rem.{kind}", a, b)] == rests
    with pytest.raises(ZeroDivisionError):
        _do(f"div.{kind}", a, b * 0)


@pytest.mark.parametrize("kind", ["b64", "u64", "s64", "b32", "u32", "s32"])
def test_shifts_by_more_than_there_is(kind):
    bits, signed = int(kind[1:]), kind[0] == "s"
    a, _ = _integers(bits, signed)
    for by in (0, 1, bits - 1, bits, bits + 3, 2**32 - 1):
        amount = np.full(len(a), by, np.uint32)
        left = [_wrapped(int(x) << min(by, bits), bits, signed) for x in a]
        assert [int(x) for x in _do(f"shl.{kind}", a, amount)] == left
        assert [int(x) for x in _do(f"shr.{kind}", a, amount)] == [int(x) >> min(by, bits) for x in a]


@pytest.mark.parametrize("dtype", FLOATS)
def test_comparisons_and_nan(dtype):
    kind = f"f{8 * np.dtype(dtype).itemsize}"
    a, b = (axis.ravel().astype(dtype) for axis in np.meshgrid([-1.0, 0, 2, np.nan], [-1.0, 0, 2, np.nan]))
    ordered = ~(np.isnan(a) | np.isnan(b))
    with np.errstate(all="ignore"):
        plain = {"eq": a == b, "ne": (a < b) | (a > b), "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}
    for name, expected in plain.items():
        assert_array_equal(_do(f"setp.{name}.{kind}", a, b), expected & ordered)
        assert_array_equal(_do(f"setp.{name}u.{kind}", a, b), expected | ~ordered)
    number = dtype([2, -1, np.nan])
    assert_array_equal(_do(f"max.{kind}", number, dtype([np.nan, 0, np.nan])), dtype([2, 0, np.nan]))
    assert_array_equal(_do(f"min.{kind}", dtype([np.nan, 0, np.nan]), number), dtype([2, -1, np.nan]))
    assert_array_equal(_do(f"copysign.{kind}", dtype([-1, 1]), dtype([3, -3])), dtype([-3, 3]))


def test_unsigned_comparisons_have_no_sign():
    big, small = np.array([2**31], np.uint32), np.array([1], np.uint32)
    assert _do("setp.gt.u32", big, small)[0]
    assert not _do("setp.gt.s32", big.view(np.int32), small.view(np.int32))[0]


def test_conversions():
    x = np.array([-2.5, -0.5, 0.5, 1.5, 2.5, 3e9, -3e9, np.nan, np.inf], np.float32)
    top, low = 2**31 - 1, -(2**31)
    assert list(_do("cvt.rzi.s32.f32", x)) == [-2, 0, 0, 1, 2, top, low, 0, top]
    assert list(_do("cvt.rni.s32.f32", x))[:5] == [-2, 0, 0, 2, 2]
    assert list(_do("cvt.rmi.f32.f32", x))[:5] == [-3, -1, 0, 1, 2]
    assert list(_do("cvt.rzi.u64.f32", x))[:6] == [0, 0, 0, 1, 2, 3 * 10**9]
    assert_array_equal(_do("cvt.sat.f32.f32", x), np.float32([0, 0, 0.5, 1, 1, 1, 0, 0, 1]))
    assert _do("cvt.s64.s32", np.array([-1], np.int32))[0] == -1
    assert _do("cvt.u64.u32", np.array([2**32 - 1], np.uint32))[0] == 2**32 - 1
    assert _do("cvt.u32.u64", np.array([2**32 + 5], np.uint64))[0] == 5
    assert _do("cvt.rn.f32.s64", np.array([2**40 + 1]))[0] == np.float32(2.0**40)
    assert not np.signbit(_do("cvt.sat.f32.f32", np.float32([-0.0])))[0]
    unknown = np.array([np.nan])
    assert _do("cvt.rzi.s64.f64", unknown)[0] == -(2**63)
    assert _do("cvt.rzi.u64.f64", unknown)[0] == 2**63
    assert _do("cvt.rzi.s32.f64", unknown)[0] == -(2**31)
    assert _do("cvt.rzi.s64.f32", unknown.astype(np.float32))[0] == -(2**63)
    assert list(_do("not.b32", np.array([0, 5], np.uint32))) == [2**32 - 1, 2**32 - 6]
    assert list(_do("max.s64", np.array([-1, 3]), np.array([2, 1]))) == [2, 3]
    assert list(_do("min.s64", np.array([-1, 3]), np.array([2, 1]))) == [-1, 1]


def test_approximations():
    x = np.array([3.0, 1e-300, -7.5])
    rough = _do("rcp.approx.ftz.f64", x)
    assert (abs(rough * x - 1) < 2.0**-19).all()
    assert (rough != 1 / x).any()
    assert not (rough.view(np.uint64) & np.uint64(2**32 - 1)).any()
    x = np.array([0.5, -3, 10, -130], np.float32)
    assert_array_equal(_do("ex2.approx.f32", x), np.float32([2**0.5, 0.125, 1024, 2.0**-130]))
    assert_array_equal(_do("ex2.approx.ftz.f32", x), np.float32([2**0.5, 0.125, 1024, 0]))
    # Of a source too small, or a result, zero with its sign.
    small, large = np.float32([1e-40, -1e-40]), np.float32([2.0**127, -(2.0**127)])
    assert_array_equal(_do("rcp.approx.ftz.f32", small), np.float32([np.inf, -np.inf]))
    assert_array_equal(_do("rcp.approx.ftz.f32", large), np.float32([0, 0]))
    assert_array_equal(np.signbit(_do("rcp.approx.ftz.f32", large)), [False, True])
