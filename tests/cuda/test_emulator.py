"""The machine that runs PTX: instructions against exact numbers, and every fault, planted and found."""

from fractions import Fraction

import numpy as np
import pytest
from emulator import machine, text
from emulator.arithmetic import OPERATIONS
from emulator.memory import Fault, Memory, Threads
from numpy.testing import assert_array_equal

RNG = np.random.default_rng(0)
FLOATS = (np.float32, np.float64)


def _do(instruction, *sources):
    op, *parts = instruction.split(".")
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
    assert_array_equal(_do(f"max.{kind}", a, b)[~np.isnan(a)], np.fmax(a, b)[~np.isnan(a)])
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


def test_approximations():
    x = np.array([3.0, 1e-300, -7.5])
    rough = _do("rcp.approx.ftz.f64", x)
    assert (abs(rough * x - 1) < 2.0**-19).all()
    assert (rough != 1 / x).any()
    tiny = np.array([1e-40, -1e-40], np.float32)
    assert_array_equal(_do("ex2.approx.ftz.f32", tiny), np.float32([1, 1]))
    assert_array_equal(np.signbit(_do("mul.ftz.f32", tiny, np.float32([1, 1]))), [False, True])
    assert_array_equal(_do("mul.ftz.f32", tiny, np.float32([1, 1])), np.float32([0, 0]))


def _who(*triples):
    return Threads(*(np.array(column) for column in zip(*triples, strict=True)))


def _memory(across=True):
    memory = Memory(4096, "global", across)
    return memory, np.uint64(memory.allocate(40))


def test_bounds_and_alignment():
    memory, base = _memory()
    one = _who((0, 0, 1))
    for address, what in (
        (base + np.uint64(40), "outside"),
        (base - np.uint64(4), "outside"),
        (np.uint64(2**63), "outside"),
        (base + np.uint64(2), "multiple of the 4"),
    ):
        with pytest.raises(Fault, match=what):
            memory.store(np.array([address]), np.float32([1]), np.float32, one, 1)
    with pytest.raises(Fault, match="multiple of the 8"):
        memory.load(np.array([base + np.uint64(4)]), np.float64, one, 1)
    with pytest.raises(Fault, match="before it was written"):
        memory.load(np.array([base]), np.float32, one, 1)
    memory.store(np.array([base]), np.float32([1]), np.float32, one, 1)
    assert memory.load(np.array([base]), np.float32, one, 1)[0] == 1
    with pytest.raises(Fault, match="no kernel wrote, 4 bytes"):
        memory.contents(int(base), 40)
    memory.free(int(base), 40)
    with pytest.raises(Fault, match="outside"):
        memory.load(np.array([base]), np.float32, one, 1)
    assert memory.allocate(36) == base
    with pytest.raises(Fault, match="before it was written"):
        memory.load(np.array([base]), np.float32, one, 1)
    with pytest.raises(MemoryError, match="full"):
        memory.allocate(4096)


# (thread, block, epoch) of the first access and of the second, and whether they race across blocks.
ORDERS = [
    ((0, 0, 1), (0, 0, 1), False),  # one thread
    ((0, 0, 1), (1, 0, 1), True),
    ((0, 0, 1), (1, 0, 2), False),  # a barrier between
    ((0, 0, 1), (9, 1, 1), "blocks"),
    ((0, 0, 1), (9, 1, 2), "blocks"),
]


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("accesses", ["wr", "rw", "ww", "rr"])
@pytest.mark.parametrize(("first", "second", "races"), ORDERS)
def test_races(first, second, races, accesses, across):
    memory, base = _memory(across)
    memory.fill(int(base), np.zeros(10, np.float32))
    wrong = accesses != "rr" and (races is True or (races == "blocks" and across))
    _touch(memory, base, accesses[0], first)
    if wrong:
        with pytest.raises(Fault, match="by another thread"):
            _touch(memory, base, accesses[1], second)
    else:
        _touch(memory, base, accesses[1], second)


def _touch(memory, address, access, who):
    if access == "w":
        memory.store(np.array([address]), np.float32([1]), np.float32, _who(who), 1)
    else:
        memory.load(np.array([address]), np.float32, _who(who), 1)


@pytest.mark.parametrize(
    ("readers", "writer", "wrong"),
    [
        ([(0, 0, 1), (1, 0, 1)], (1, 0, 1), True),  # the last reader is the writer, but not alone
        ([(0, 0, 1), (1, 0, 1), (1, 0, 2)], (1, 0, 2), False),  # the others read before a barrier
        ([(9, 1, 1), (0, 0, 1)], (0, 0, 2), True),  # another block's
        ([(9, 1, 1), (0, 0, 2), (0, 0, 3)], (0, 0, 4), True),
    ],
)  # fmt: skip
def test_several_readers(readers, writer, wrong):
    memory, base = _memory()
    memory.fill(int(base), np.zeros(10, np.float32))
    for reader in readers:
        memory.load(np.array([base]), np.float32, _who(reader), 1)
    if wrong:
        with pytest.raises(Fault, match="and read by another"):
            memory.store(np.array([base]), np.float32([1]), np.float32, _who(writer), 1)
    memory.store(np.array([base]), np.float32([1]), np.float32, _who((5, 5, 9)), 9)  # the next launch


def test_two_lanes_of_one_instruction_race():
    memory, base = _memory()
    with pytest.raises(Fault, match="thread 1 of the grid, in block 0"):
        memory.store(np.array([base, base]), np.float32([1, 2]), np.float32, _who((0, 0, 1), (1, 0, 1)), 1)


HEAD = """
.version 9.0
.target sm_90
.address_size 64
.shared .align 4 .b8 room[64];
.func (.param .b64 func_retval0) twice(.param .b64 twice_param_0)
{
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [twice_param_0];
    add.s64 %rd2, %rd1, %rd1; st.param.b64 [func_retval0+0], %rd2;
    ret;
}
.visible .entry kernel(.param .u64 kernel_param_0)
{
    .reg .pred %p<9>; .reg .b32 %r<30>; .reg .b64 %rd<30>;
    ld.param.u64 %rd1, [kernel_param_0];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %ctaid.x;
    mad_free:
    mul.lo.s32 %r4, %r2, %r3;
    add.s32 %r4, %r4, %r1; // the thread's number, and the place of its answer
    mul.wide.u32 %rd2, %r4, 4;
    add.s64 %rd3, %rd1, %rd2;
    mul.wide.u32 %rd4, %r1, 4;
    mov.u64 %rd5, room;
    add.s64 %rd6, %rd5, %rd4;
""".replace("    mad_free:\n", "")


def _run(body, threads=8, blocks=2, n=None):
    world = machine.World()
    n = threads * blocks if n is None else n
    address = world.memory.allocate(4 * n)
    program = text.program(HEAD + body + "}\n")
    sizes = (blocks, 1, 1), (threads, 1, 1)
    machine.Launch(program, "kernel", *sizes, [np.uint64(address)]).run(world)
    return world.memory.contents(address, 4 * n).view(np.int32)


def test_lanes_part_and_meet():
    """Each lane counts to its own number; those above 4 then take a branch."""
    got = _run("""
        mov.u32 %r5, 0;
    $L_again:
        add.s32 %r5, %r5, 1;
        setp.lt.s32 %p1, %r5, %r4;
        @%p1 bra $L_again;
        setp.gt.s32 %p2, %r4, 4;
        @!%p2 bra $L_end;
        neg.s32 %r5, %r5;
    $L_end:
        st.global.u32 [%rd3], %r5;
        ret;
    """)
    assert list(got) == [1, 1, 2, 3, 4] + [-i for i in range(5, 16)]


def test_calls_have_registers_of_their_own():
    got = _run("""
        cvt.u64.u32 %rd7, %r4;
        { .param .b64 param0; st.param.b64 [param0+0], %rd7; .param .b64 retval0;
          call.uni (retval0), twice, (param0); ld.param.b64 %rd8, [retval0+0]; }
        { .param .b64 param0; st.param.b64 [param0+0], %rd8; .param .b64 retval0;
          call.uni (retval0), twice, (param0); ld.param.b64 %rd9, [retval0+0]; }
        sub.s64 %rd9, %rd9, %rd2; // %rd2 is the caller's, and 4 times the number
        cvt.u32.u64 %r5, %rd9;
        st.global.u32 [%rd3], %r5;
        ret;
    """)
    assert (got == 0).all()


SHIFT = """
    st.shared.u32 [%rd6], %r4;
    {barrier}
    xor.b64 %rd7, %rd4, 4;
    add.s64 %rd8, %rd5, %rd7;
    ld.shared.u32 %r5, [%rd8];
    st.global.u32 [%rd3], %r5;
    ret;
"""


def test_neighbours_meet_at_a_barrier():
    got = _run(SHIFT.replace("{barrier}", "bar.sync 0;"))
    assert list(got) == [i ^ 1 for i in range(16)]
    with pytest.raises(Fault, match=r"line \d+ of its PTX: shared address \d+ is read, and written by"):
        _run(SHIFT.replace("{barrier}", ""))


def test_a_barrier_that_some_do_not_reach():
    with pytest.raises(Fault, match="of block 0 only 3 of 8 threads reach the barrier"):
        _run("""
            setp.gt.s32 %p1, %r1, 2;
            @%p1 bra $L_end;
            bar.sync 0;
        $L_end:
            ret;
        """)


def test_what_lies_outside_of_memory():
    for place in ("[%rd3+64]", "[%rd3+-4]"):
        with pytest.raises(Fault, match=r"global address \d+ is written outside"):
            _run(f"st.global.u32 {place}, %r1; ret;")
    with pytest.raises(Fault, match="shared"):
        _run("st.shared.u32 [%rd6+64], %r1; ret;")
    with pytest.raises(Fault, match="no kernel wrote"):
        _run("st.global.u32 [%rd3], %r1; ret;", n=17)
    with pytest.raises(Fault, match="written by another thread"):
        _run("st.global.u32 [%rd1], %r1; ret;")


def test_what_the_machine_does_not_know_is_named():
    with pytest.raises(Fault, match=r"no instruction vote\.sync\.all\.pred"):
        _run("vote.sync.all.pred %p1, %p2, %r1; ret;")
    with pytest.raises(NotImplementedError, match="a predicate on what is no jump"):
        _run("@%p1 add.s32 %r1, %r1, 1; ret;")
    with pytest.raises(NotImplementedError, match="stack"):
        text.program(".local .align 8 .b8 depot[8];")
    with pytest.raises(Fault, match="no device runs a grid"):
        _run("ret;", threads=1025)
