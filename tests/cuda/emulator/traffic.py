"""What a kernel did, by warps: instructions, sectors of memory, and turns that shared memory took.

A warp's access to global memory moves the sectors of 32 bytes that it touches. Shared memory serves 32 banks
of 4 bytes at a turn, one word of each: threads that want one word share it, those that want two of one bank
take turns.
"""

from collections import Counter
from typing import Any

import numpy as np
from numba import njit

WARP = 32
SECTOR = 32
_BANKS = 32


class Traffic:
    """Counts: warps' instructions by name, bytes of global memory by ld and st, turns of shared memory."""

    def __init__(self) -> None:
        self.instructions: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.shared_accesses = self.shared_turns = 0

    def note(self, block: Any, places: Any) -> None:
        """A block of instructions was run by these lanes: places // WARP is their warp, and sorted."""
        count = 1 + int(np.count_nonzero(np.diff(places // WARP)))
        for instruction in block.instructions:
            self.instructions[".".join((instruction.op, *instruction.parts))] += count
        if block.line:
            self.instructions[block.kind] += count

    def access(self, space: str, op: str, address: Any, size: int, places: Any) -> None:
        """An access by these lanes, of so many bytes each."""
        if space == "global":
            self.bytes[op] += SECTOR * _distinct(address // SECTOR, places // WARP)
        else:
            # As many lanes at a time as could fill the banks: of 8 bytes, half a warp.
            accesses, turns = _turns(address // 4, places // (4 * _BANKS // size))
            self.shared_accesses += accesses
            self.shared_turns += turns

    def share(self, *names: str) -> float:
        """Of all instructions those whose name begins with one of these."""
        return sum(n for name, n in self.instructions.items() if name.startswith(names)) / self.total

    @property
    def total(self) -> int:
        """Warps' instructions."""
        return self.instructions.total()


@njit(cache=True)
def _distinct(places, warps):
    """How many different places there are, each warp on its own."""
    count = 0
    for i in range(len(places)):
        j = i - 1
        while j >= 0 and warps[j] == warps[i] and places[j] != places[i]:
            j -= 1
        count += j < 0 or warps[j] != warps[i]
    return count


@njit(cache=True)
def _turns(words, groups):
    """(accesses that a turn could serve, turns) of lanes, group by group."""
    accesses = turns = 0
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and groups[end] == groups[start]:
            end += 1
        taken = np.zeros(_BANKS, np.int64)
        for i in range(start, end):
            new = True
            for j in range(start, i):
                new = new and words[j] != words[i]
            taken[words[i] % _BANKS] += new
        accesses += 1
        turns += taken.max()
        start = end
    return accesses, turns
