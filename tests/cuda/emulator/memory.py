"""Memory whose every access is watched: bounds, what was written, and threads that race."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

WORD = 4  # what is watched has this many bytes
_GUARD = 256  # between two allocations, and the least that an address may be
_SEVERAL = -2
_FAULTS = {
    1: "is not a multiple of the {size} bytes that are {verb}",
    2: "is {verb} outside of what was allocated",
    3: "is read before it was written",
    4: "is {verb}, and written by another thread, with no barrier between",
    5: "is {verb}, and read by another thread, with no barrier between",
}


class Fault(Exception):
    """What a kernel must not do."""


@dataclass(frozen=True)
class Threads:
    """Who makes an access, and when: the thread's number in the grid, its block's, and the epoch.

    Epochs are counted from launch to launch and, for each block, from barrier to barrier: what two threads of
    a block do in one epoch has no order.
    """

    number: Any
    block: Any
    epoch: Any


class Memory:
    """So many bytes, none of them allocated. `across`: blocks share it, and never wait for each other."""

    def __init__(self, size: int, name: str, across: bool) -> None:
        words = size // WORD
        self.name, self.across = name, across
        self.bytes = np.zeros(size, np.uint8)
        # Of each word whether it is allocated, and was written.
        self._allocated, self._written = np.zeros(words, bool), np.zeros(words, bool)
        # Thread, block and epoch of the last who wrote it, and of those who read it.
        self._writers, self._readers = np.zeros((words, 3), np.int32), np.zeros((words, 3), np.int32)
        self._next = _GUARD
        self._freed: dict[int, list[int]] = {}  # by the room that they take

    def allocate(self, size: int) -> int:
        """The address of so many new bytes, none of them written."""
        room = _room(size)
        if self._freed.get(room):
            address = self._freed[room].pop(0)  # the oldest, so that a use after its end is seen for long
        else:
            address, self._next = self._next, self._next + room
        if address + room > len(self.bytes):
            raise MemoryError(f"{self.name} memory is full")
        self.allow(address, size)
        return address

    def free(self, address: int, size: int) -> None:
        """Take back what `allocate` gave."""
        self._allocated[_words(address, size)] = self._written[_words(address, size)] = False
        self._freed.setdefault(_room(size), []).append(address)

    def allow(self, address: int, size: int) -> None:
        """Let these bytes be used."""
        self._allocated[_words(address, size)] = True

    def fill(self, address: int, data: Any) -> None:
        """Write bytes from outside of any kernel."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        self.bytes[address : address + len(raw)] = raw
        self._written[_words(address, len(raw))] = True

    def contents(self, address: int, size: int) -> Any:
        """Bytes, all of which must have been written."""
        written = self._written[_words(address, size)]
        if not written.all():
            gap = int(np.argmin(written)) * WORD
            raise Fault(f"{self.name} memory is copied that no kernel wrote, {gap} bytes from its start")
        return self.bytes[address : address + size].copy()

    def load(self, address: Any, dtype: Any, who: Threads, since: int) -> Any:
        """What lies at each address; epochs before `since` are of other launches."""
        self._watch(address, dtype, who, since, False)
        return self.bytes.view(dtype)[address // np.uint64(np.dtype(dtype).itemsize)]

    def store(self, address: Any, value: Any, dtype: Any, who: Threads, since: int) -> None:
        """Put a value at each address."""
        self._watch(address, dtype, who, since, True)
        self.bytes.view(dtype)[address // np.uint64(np.dtype(dtype).itemsize)] = value

    def _watch(self, address: Any, dtype: Any, who: Threads, since: int, writes: bool) -> None:
        size = np.dtype(dtype).itemsize
        fault, i = _first_fault(
            address, size, who.number, who.block, who.epoch, since, self.across, writes,
            self._allocated, self._written, self._writers, self._readers,
        )  # fmt: skip
        if fault:
            what = _FAULTS[fault].format(size=size, verb="written" if writes else "read")
            place = f"thread {who.number[i]} of the grid, in block {who.block[i]}"
            raise Fault(f"{self.name} address {address[i]} {what}: {place}")


def _room(size: int) -> int:
    """What is taken for so many bytes, a gap behind them included."""
    return -(-max(size, 1) // _GUARD) * _GUARD + _GUARD


def _words(address: int, size: int) -> slice:
    return slice(address // WORD, -(-(address + size) // WORD))


@njit(cache=True)
def _first_fault(
    address, size, number, block, epoch, since, across, writes, allocated, written, writers, readers
):
    """(what is wrong, which lane), or (0, 0); notes each access."""
    for i in range(address.shape[0]):
        if address[i] % np.uint64(size):
            return 1, i
        first = np.int64(address[i] // np.uint64(WORD))
        for word in range(first, first + max(1, size // WORD)):
            if word < 0 or word >= allocated.shape[0] or not allocated[word]:
                return 2, i
            if not writes and not written[word]:
                return 3, i
            if _races(writers[word], number[i], block[i], epoch[i], since, across):
                return 4, i
            if not writes:
                _note_reader(readers[word], number[i], block[i], epoch[i], since)
                continue
            if _races(readers[word], number[i], block[i], epoch[i], since, across):
                return 5, i
            written[word] = True
            writers[word, 0], writers[word, 1], writers[word, 2] = number[i], block[i], epoch[i]
    return 0, 0


@njit(cache=True)
def _races(other, number, block, epoch, since, across):
    """Whether this access and that other have no order; `other` is thread, block, epoch."""
    if other[2] < since or other[0] == number:
        return False
    return other[2] == epoch if other[1] == block else across


@njit(cache=True)
def _note_reader(reader, number, block, epoch, since):
    """Threads of one block and epoch, and blocks, are each one or several."""
    if reader[2] < since or (reader[1] == block and reader[2] < epoch):
        reader[0], reader[1], reader[2] = number, block, epoch
    elif reader[1] != block:
        reader[0], reader[1] = _SEVERAL, _SEVERAL
    elif reader[0] != number:
        reader[0] = _SEVERAL
