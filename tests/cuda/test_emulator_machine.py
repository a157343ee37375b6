"""Small programs in PTX on the emulator: what they do, and every fault, planted and found."""

import numpy as np
import pytest
from emulator import device, machine, text
from emulator.arithmetic import known
from emulator.memory import Fault
from emulator.traffic import Traffic
from numpy.testing import assert_array_equal

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
    .reg .pred %p<9>; .reg .b32 %r<30>; .reg .b64 %rd<30>; .reg .f32 %f<9>;
    ld.param.u64 %rd1, [kernel_param_0];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %ctaid.x;
    mul.lo.s32 %r4, %r2, %r3;
    add.s32 %r4, %r4, %r1; // the thread's number, and the place of its answer
    mul.wide.u32 %rd2, %r4, 4;
    add.s64 %rd3, %rd1, %rd2;
    mul.wide.u32 %rd4, %r1, 4;
    mov.u64 %rd5, room;
    add.s64 %rd6, %rd5, %rd4;
"""


def _run(body, threads=8, blocks=2, n=None, world=None):
    world = world or machine.World()
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
    with pytest.raises(NotImplementedError, match="a predicate on what is no jump"):
        _run("@%p1 add.s32 %r1, %r1, 1; ret;")
    for directive in (".local .align 8 .b8 depot[8];", ".loc 1 2 3"):
        with pytest.raises(NotImplementedError, match="local memory"):
            _run(f"\n{directive}\n ret;")
    with pytest.raises(NotImplementedError, match="contents that are no bytes"):
        text.program(HEAD + "ret; }\n.global .align 4 .u32 tab[2] = {1, 2};")
    with pytest.raises(Fault, match="no device runs a grid"):
        _run("ret;", threads=1025)
    with pytest.raises(Fault, match=r"line 27 of its PTX: there is no '%r9'"):
        _run("add.s32 %r5, %r9, 1; ret;")
    with pytest.raises(Fault, match="which is uint32"):
        _run("mov.u64 %r1, 5; ret;")
    with pytest.raises(Fault, match="several parts"):
        _run("ld.param.u64 %rd7, [kernel_param_0+8]; ret;")


@pytest.mark.parametrize(
    "barrier", ["bar.sync 1;", "bar.sync 0, 4;", "bar.warp.sync 0xffffffff;", "bar.arrive 0, 8;"]
)
def test_what_is_no_barrier_of_the_whole_block(barrier):
    with pytest.raises(NotImplementedError, match="no barrier of the whole block"):
        _run(SHIFT.replace("{barrier}", barrier))


def test_launches_have_an_order_and_a_fault_ends_one():
    world = machine.World()
    for _ in range(2):
        with pytest.raises(Fault, match="outside"):
            _run("st.global.u32 [%rd3], %r4; st.global.u32 [%rd1+-4], %r4; ret;", world=world)
    address = world.memory.allocate(64)
    program = text.program(HEAD + "xor.b64 %rd7, %rd2, 4; add.s64 %rd7, %rd7, %rd1; "
                           "st.global.u32 [%rd7], %r4; st.global.u32 [%rd7], %r4; ret; }")  # fmt: skip
    back = text.program(HEAD + "ld.global.u32 %r5, [%rd3]; st.global.u32 [%rd3], %r5; ret; }")
    for each in (program, back, program):
        machine.Launch(each, "k", (2, 1, 1), (8, 1, 1), [np.uint64(address)]).run(world)
    assert list(world.memory.contents(address, 64).view(np.int32)) == [i ^ 1 for i in range(16)]


def test_parts_of_a_grid_race_though_they_run_in_turn(monkeypatch):
    monkeypatch.setattr(machine, "_ROOM", 1)
    with pytest.raises(Fault, match="written by another thread"):
        _run("st.global.u32 [%rd1], %r4; ret;", threads=1)
    assert list(_run("st.global.u32 [%rd3], %r4; ret;", threads=1, blocks=5)) == list(range(5))


def test_sizes_that_no_device_has():
    program = text.program(HEAD.replace("room[64]", "room[50000]") + "ret; }")
    sizes = ((1, 1, 1), (1, 1, 1), r"50000 bytes of shared memory"), ((1, 65536, 1), (1, 1, 1), "grid"), (
        (1, 1, 1), (1, 1, 65), "grid"), ((2**31, 1, 1), (1, 1, 1), "grid")  # fmt: skip
    for grid, block, what in sizes:
        with pytest.raises(Fault, match=what):
            machine.Launch(program, "k", grid, block, [np.uint64(256)]).run(machine.World())


def test_places_in_grids_of_three_dimensions():
    world = machine.World()
    grid, block = (2, 3, 2), (2, 2, 3)
    n = int(np.prod(grid) * np.prod(block))
    address = world.memory.allocate(4 * n)
    names = [f"%{name}.{axis}" for name in ("tid", "ctaid") for axis in "xyz"]
    sizes = [*block, *grid]
    # The number of a place, the first coordinate fastest.
    body, scale = "mov.u32 %r5, 0;", 1
    for name, size in zip(names, sizes, strict=True):
        body += f"mov.u32 %r6, {name}; mul.lo.s32 %r6, %r6, {scale}; add.s32 %r5, %r5, %r6;"
        scale *= size
    body += "mul.wide.u32 %rd7, %r5, 4; add.s64 %rd7, %rd1, %rd7;"
    body += "mov.u32 %r7, %nctaid.y; mul.lo.s32 %r8, %r7, 100; mov.u32 %r7, %ntid.z; add.s32 %r8, %r8, %r7;"
    body += "mul.lo.s32 %r8, %r8, 1000; add.s32 %r8, %r8, %r5; st.global.u32 [%rd7], %r8; ret;"
    machine.Launch(text.program(HEAD + body + "}"), "k", grid, block, [np.uint64(address)]).run(world)
    got = world.memory.contents(address, 4 * n).view(np.int32)
    assert list(got) == [303_000 + i for i in range(n)]


def test_a_call_in_a_call_that_returns_early():
    outer = """.func (.param .b64 func_retval0) clipped(.param .b64 clipped_param_0)
    {
        .reg .pred %p<3>; .reg .b64 %rd<5>;
        ld.param.u64 %rd1, [clipped_param_0];
        st.param.b64 [func_retval0+0], %rd1;
        setp.gt.u64 %p1, %rd1, 9;
        @%p1 bra $L_large;
        ret;
    $L_large:
        { .param .b64 param0; st.param.b64 [param0+0], %rd1; .param .b64 retval0;
          call.uni (retval0), twice, (param0); ld.param.b64 %rd2, [retval0+0]; }
        neg.s64 %rd2, %rd2;
        st.param.b64 [func_retval0+0], %rd2;
        ret;
    }
    .visible"""
    body = """
        cvt.u64.u32 %rd7, %r4;
        { .param .b64 param0; st.param.b64 [param0+0], %rd7; .param .b64 retval0;
          call.uni (retval0), clipped, (param0); ld.param.b64 %rd8, [retval0+0]; }
        cvt.u32.u64 %r5, %rd8;
        st.global.u32 [%rd3], %r5;
        ret; }"""
    world = machine.World()
    address = world.memory.allocate(64)
    program = text.program(HEAD.replace(".visible", outer) + body)
    machine.Launch(program, "k", (2, 1, 1), (8, 1, 1), [np.uint64(address)]).run(world)
    expected = [i if i <= 9 else -2 * i for i in range(16)]
    assert list(world.memory.contents(address, 64).view(np.int32)) == expected


def test_pairs_of_numbers():
    """Two numbers at once, packed, taken apart, and stored the other way round."""
    got = _run("""
        add.s32 %r5, %r4, 100;
        mov.b64 %rd7, {%r4, %r5};
        shl.b64 %rd8, %rd2, 1;
        add.s64 %rd8, %rd8, %rd1;
        mov.b64 {%r6, %r7}, %rd7;
        st.global.v2.u32 [%rd8], {%r7, %r6};
        ld.global.v2.u32 {%r8, %r9}, [%rd8];
        st.global.v2.u32 [%rd8], {%r8, %r9};
        ret;
    """, n=32)  # fmt: skip
    assert list(got) == [n for i in range(16) for n in (i + 100, i)]
    with pytest.raises(Fault, match="not a multiple of the 8 bytes at once"):
        _run("st.global.v2.u32 [%rd1+4], {%r4, %r4}; ret;", threads=1, blocks=1, n=4)


def test_immediates_and_what_was_never_set():
    got = _run("""
        mov.u32 %r5, -3;
        mov.f32 %f1, 0f40490FDB;
        mov.b32 %r6, %f1;
        setp.eq.s32 %p1, %r4, 0;
        @%p1 bra $L_zero;
        bra.uni $L_end;
    $L_zero:
        mov.u32 %r7, 0;
    $L_end:
        add.s32 %r5, %r5, %r6;
        setp.eq.s32 %p2, %r7, 0;
        selp.b32 %r5, %r5, 7, %p2;
        st.global.u32 [%rd3], %r5;
        ret;
    """, threads=2, blocks=1)  # fmt: skip
    assert list(got) == [0x40490FDB - 3, 7]


def test_tables_of_two_programs_under_one_name():
    world = machine.World()
    seen = []
    for value in (5, 9):
        table = f".global .align 4 .b8 tab[8] = {{0, 0, 0, 0, {value}, 1, 0, 0}};\n.visible"
        body = "mov.u64 %rd7, tab; ld.global.u32 %r5, [%rd7+4]; st.global.u32 [%rd3], %r5; ret; }"
        address = world.memory.allocate(4)
        program = text.program(HEAD.replace(".visible", table) + body)
        machine.Launch(program, "k", (1, 1, 1), (1, 1, 1), [np.uint64(address)]).run(world)
        seen.append(int(world.memory.contents(address, 4).view(np.int32)[0]))
    assert seen == [5 + 256, 9 + 256]


@pytest.mark.parametrize(
    "instruction",
    [
        "add.sat.f32",
        "max.NaN.f32",
        "fma.rp.f32",
        "cvt.rpi.f32.f32",
        "ld.global.u8",
        "setp.lt.ftz.f32",
        "vote.any.pred",
    ],
)
def test_what_it_does_not_know_is_refused(instruction):
    op, *parts = instruction.split(".")
    assert not known(op, tuple(parts))
    with pytest.raises(NotImplementedError, match=r"line \d+: .* an instruction that is not known"):
        _run(f"{instruction} %r1, %r2, %r3; ret;")


def test_integers_that_saturate_are_refused():
    with pytest.raises(Fault, match="saturate"):
        _run("cvt.sat.s32.s32 %r5, %r1; ret;")


def test_arrays_as_kernels_take_them():
    world = machine.World()
    array = device.Array(world, (2, 3, 5), np.float32)
    numbers = [int(n) for n in array.arguments()]
    assert numbers == [0, 0, 30, 4, array.address, 2, 3, 5, 60, 20, 4]
    with pytest.raises(Fault, match="no kernel wrote"):
        array.copy_to_host()
    flat = device.Array(world, 10, np.float64)
    flat.copy_to_device(np.arange(10.0))
    part = flat[4:10]
    assert_array_equal(part.reshape(2, 3).copy_to_host(), [[4, 5, 6], [7, 8, 9]])
    address = flat.address
    del flat
    other = device.Array(world, 10, np.float64)
    assert other.address != address  # a view keeps it
    del part
    assert device.Array(world, 10, np.float64).address == address


def test_a_graph_replays_its_launches():
    world = machine.World()
    out = device.Array(world, 16, np.int32)
    out.copy_to_device(np.zeros(16, np.int32))
    program = text.program(HEAD + "ld.global.u32 %r5, [%rd3]; add.s32 %r5, %r5, %r4; "
                           "st.global.u32 [%rd3], %r5; ret; }")  # fmt: skip
    kernel, stream = device.Kernel(world, lambda x: None), device.Stream()
    kernel._compiled = lambda signature: program
    machine.Launch(program, "k", (2, 1, 1), (8, 1, 1), [np.uint64(out.address)])
    launch = kernel[2, 8, stream]
    graph = device.Graph(lambda: launch(np.uint64(out.address)), stream)
    assert not out.copy_to_host().any()
    for _ in range(3):
        graph.launch()
    assert list(out.copy_to_host()) == [3 * i for i in range(16)]
    with pytest.raises(NotImplementedError, match="not on the stream"):
        device.Graph(lambda: kernel[2, 8](np.uint64(out.address)), stream)
    for copy in (out.copy_to_host, lambda: out.copy_to_device(np.zeros(16, np.int32))):
        with pytest.raises(NotImplementedError, match="copies in a graph"):
            device.Graph(copy, stream)


def test_instructions_are_counted_by_warps():
    world = machine.World(traffic=Traffic())
    body = """
        setp.gt.s32 %p1, %r1, 35;
        @%p1 bra $L_end;
        st.global.u32 [%rd3], %r1;
    $L_end:
        st.global.u32 [%rd3], %r1;
        ret;
    """
    _run(body, threads=40, blocks=2, world=world)
    counts = world.traffic.instructions
    assert counts["setp.gt.s32"] == counts["jump"] == counts["exit"] == 4
    assert counts["st.global.u32"] == 4 + 4
    assert world.traffic.total == counts.total()
    assert world.traffic.share("setp", "exit") == 8 / counts.total()
