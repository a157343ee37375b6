"""What the emulator's memory finds wrong, planted access by access, and how it counts them."""

import numpy as np
import pytest
from emulator.memory import Fault, Memory, Threads
from emulator.traffic import Traffic


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
        ([(0, 0, 1), (9, 1, 1), (0, 0, 2)], (0, 0, 3), True),
    ],
)
def test_several_readers(readers, writer, wrong):
    memory, base = _memory()
    memory.fill(int(base), np.zeros(10, np.float32))
    for reader in readers:
        memory.load(np.array([base]), np.float32, _who(reader), 1)
    if wrong:
        with pytest.raises(Fault, match="and read by another"):
            memory.store(np.array([base]), np.float32([1]), np.float32, _who(writer), 1)
    memory.store(np.array([base]), np.float32([1]), np.float32, _who((5, 5, 9)), 9)  # the next launch


def test_the_upper_word_of_eight_bytes():
    memory, base = _memory()
    memory.fill(int(base), np.zeros(10, np.float32))
    memory.store(np.array([base + np.uint64(4)]), np.float32([1]), np.float32, _who((0, 0, 1)), 1)
    with pytest.raises(Fault, match="written by another"):
        memory.load(np.array([base]), np.float64, _who((1, 0, 1)), 1)


def test_what_is_freed_is_given_again_last():
    memory = Memory(2**16, "global", True)
    first, second = memory.allocate(40), memory.allocate(40)
    assert second - first >= 40 + 256
    memory.free(first, 40)
    memory.free(second, 40)
    assert [memory.allocate(40), memory.allocate(40)] == [first, second]


def test_two_lanes_of_one_instruction_race():
    memory, base = _memory()
    with pytest.raises(Fault, match="thread 1 of the grid, in block 0"):
        memory.store(np.array([base, base]), np.float32([1, 2]), np.float32, _who((0, 0, 1), (1, 0, 1)), 1)


@pytest.mark.parametrize(
    ("address", "size", "sectors"),
    [
        (np.arange(32) * 4, 4, 4),
        (np.arange(32) * 4 + 4, 4, 5),
        (np.arange(32) * 8, 8, 8),
        (np.arange(32) * 128, 4, 32),
        (np.zeros(32, int), 4, 1),
        (np.arange(64) * 4, 4, 8),
        (np.zeros(64, int), 4, 2),  # a sector for each warp
    ],
)
def test_sectors_of_global_memory(address, size, sectors):
    traffic = Traffic()
    traffic.access("global", "ld", address.astype(np.uint64), size, np.arange(len(address)))
    assert traffic.bytes == {"ld": 32 * sectors}


@pytest.mark.parametrize(
    ("address", "size", "accesses", "turns"),
    [
        (np.arange(32) * 4, 4, 1, 1),
        (np.arange(32) * 8, 4, 1, 2),
        (np.arange(32) * 128, 4, 1, 32),
        (np.zeros(32, int), 4, 1, 1),
        (np.arange(32) * 8, 8, 2, 2),
        (np.arange(32) * 128, 8, 2, 32),
        (np.arange(32) * 16, 16, 4, 4),
        (np.arange(16) * 4, 4, 1, 1),
    ],
)
def test_turns_of_shared_memory(address, size, accesses, turns):
    traffic = Traffic()
    traffic.access("shared", "ld", address.astype(np.uint64), size, np.arange(len(address)))
    assert (traffic.shared_accesses, traffic.shared_turns) == (accesses, turns)
