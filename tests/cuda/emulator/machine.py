"""A grid of threads, each a lane, that runs a program: those that are least far in it go first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emulator.arithmetic import OPERATIONS, TYPES
from emulator.memory import Fault, Memory, Threads
from emulator.text import Block, Immediate, Instruction, Operand, Pack, Program, Register, Symbol
from emulator.traffic import WARP, Traffic

_EVERY = slice(None)
_ROOM = 2**28  # bytes, about, for the registers and the shared memory of what runs at a time
_POISON = np.uint64(0xA5A5A5A5A5A5A5A5)
_SHARED = 48 * 1024  # bytes that a block may have without asking
_WINDOW = 2**16  # where a block's shared memory lies, with gaps in it
_GAP = 256  # between two arrays of it, that one that is overrun shows


@dataclass
class World:
    """What outlasts a launch: global memory, programs' tables in it, the time, and what is counted."""

    memory: Memory = field(default_factory=lambda: Memory(2**29, "global", across=True))
    tables: dict[bytes, int] = field(default_factory=dict)
    epoch: int = 1
    traffic: Traffic | None = None


@dataclass(frozen=True)
class Launch:
    """A program on a grid (x, y, z) of blocks (x, y, z), and numbers as wide as its parameters."""

    program: Program
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    parameters: Sequence[Any]

    def run(self, world: World) -> None:
        """As many blocks at a time as there is room for their registers; none waits for another."""
        blocks, threads = int(np.prod(self.grid)), int(np.prod(self.block))
        beyond = threads > 1024 or self.block[2] > 64 or self.grid[0] >= 2**31 or max(self.grid[1:]) >= 2**16
        if beyond or min(*self.grid, *self.block) < 1:
            raise Fault(f"{self.name}: no device runs a grid {self.grid} of blocks {self.block}")
        registers = 1 + sum(len(block.instructions) for block in self.program.blocks)
        at_once, since = max(1, _ROOM // (8 * registers * threads + _WINDOW)), world.epoch
        for first in range(0, blocks, at_once):
            part = Part(world, self, range(first, min(first + at_once, blocks)), since)
            try:
                part.run()
            finally:
                world.epoch = int(part.epoch.max()) + 1


class Part:
    """Some blocks of a grid, whole ones, of a launch that began at epoch `since`.

    Parts of a grid run one after the other, and race all the same: only epochs before `since` are over.
    """

    def __init__(self, world: World, launch: Launch, blocks: range, since: int) -> None:
        self.world, self.launch, self.since = world, launch, since
        self.threads = int(np.prod(launch.block))
        self.lanes = np.arange(self.threads * len(blocks))
        self.number = self.lanes + blocks.start * self.threads
        self.block, within = self.number // self.threads, self.number % self.threads
        # Whole warps to a block: a place // WARP is a warp.
        self.place = self.block * (-(-self.threads // WARP) * WARP) + within
        self.epoch = np.full(len(self.lanes), world.epoch)
        self.registers: dict[str, Any] = {
            parameter: np.full(len(self.lanes), value)
            for parameter, value in zip(launch.program.parameters, launch.parameters, strict=True)
        }
        self.special = {
            **_places("tid", within, launch.block), **_places("ctaid", self.block, launch.grid),
        }  # fmt: skip
        self.same = {**_sizes("ntid", launch.block), **_sizes("nctaid", launch.grid)}
        self.shared = Memory(_WINDOW * len(blocks), "shared", across=False)
        self.window = ((self.block - blocks.start) * _WINDOW).astype(np.uint64)
        self._lay_out(len(blocks))
        for symbol, array in launch.program.globals.items():
            if array.contents:
                self.same[symbol] = np.uint64(_table(world, array.contents))

    def _lay_out(self, blocks: int) -> None:
        """Give each shared array of the program a place in every block's window."""
        arrays = self.launch.program.shared
        used, at = sum(array.size for array in arrays.values()), 0
        if used > _SHARED:
            raise Fault(f"{self.launch.name}: {used} bytes of shared memory, where a block has {_SHARED}")
        for symbol, array in arrays.items():
            self.same[symbol] = np.uint64(at)
            for i in range(blocks):
                self.shared.allow(i * _WINDOW + at, array.size)
            at += -(-array.size // _GAP) * _GAP + _GAP

    def run(self) -> None:
        """To the end of every thread."""
        ready, waiting = {0: self.lanes}, {}
        with np.errstate(all="ignore"):
            while ready or waiting:
                if not ready:
                    ready, waiting = self._released(waiting), {}
                at = min(ready)
                lanes, block = ready.pop(at), self.launch.program.blocks[at]
                self._block(block, _EVERY if len(lanes) == len(self.lanes) else lanes)
                if block.kind == "barrier":
                    _join(waiting, at + 1, lanes)
                elif block.kind == "jump":
                    self._jump(block, at, lanes, ready)

    def _jump(self, block: Block, at: int, lanes: Any, ready: dict[int, Any]) -> None:
        target = at + 1 if block.target is None else block.target
        if block.predicate is None:
            _join(ready, target, lanes)
            return
        register, negated = block.predicate
        taken = self.registers[register][lanes] != negated
        _join(ready, target, lanes[taken])
        _join(ready, at + 1, lanes[~taken])

    def _released(self, waiting: dict[int, Any]) -> dict[int, Any]:
        """All wait: each block's threads must do so at one barrier, which then opens."""
        for at, lanes in waiting.items():
            blocks, counts = np.unique(self.block[lanes], return_counts=True)
            for block, count in zip(blocks.tolist(), counts.tolist(), strict=True):
                if count != self.threads:
                    line = self.launch.program.blocks[at - 1].line
                    raise Fault(
                        f"{self.launch.name}, line {line} of its PTX: of block {block} only {count} of "
                        f"{self.threads} threads reach the barrier"
                    )
            self.epoch[lanes] += 1
        return waiting

    def _block(self, block: Block, lanes: Any) -> None:
        if self.world.traffic:
            self.world.traffic.note(block, self.place[lanes])
        for instruction in block.instructions:
            try:
                self._step(instruction, lanes)
            except Exception as error:
                place = f"{self.launch.name}, line {instruction.line} of its PTX"
                what = f"there is no {error}" if isinstance(error, KeyError) else error
                raise Fault(f"{place}: {what}") from error

    def _step(self, instruction: Instruction, lanes: Any) -> None:
        op, parts, operands = instruction.op, instruction.parts, instruction.operands
        if op in ("ld", "st"):
            self._access(op, parts, operands, lanes)
        elif op in ("mov", "cvta"):
            self._move(parts[-1], *operands, lanes)
        else:
            target, *sources = operands
            kinds = _kinds(op, parts, len(sources))
            values = [self._read(source, kind, lanes) for source, kind in zip(sources, kinds, strict=True)]
            self._write(target, OPERATIONS[op](parts, *values), lanes)

    def _access(self, op: str, parts: tuple[str, ...], operands: tuple[Operand, ...], lanes: Any) -> None:
        """ld.space.type and st.space.type, of one number or of several side by side.

        A parameter of the entry or of a call is a register here, which its name moves from and to.
        """
        space, kind = parts[0], parts[-1]
        place, target = (operands[1], operands[0]) if op == "ld" else operands
        registers = target.parts if isinstance(target, Pack) else (target,)
        if space == "param":
            if place.offset:
                raise NotImplementedError("a parameter of several parts")
            name = Register(place.base.name)
            self._move(kind, *((*registers, name) if op == "ld" else (name, *registers)), lanes)
            return
        who = Threads(self.number[lanes], self.block[lanes], self.epoch[lanes])
        size = np.dtype(TYPES[kind]).itemsize
        start = self._read(place.base, "u64", lanes) + np.uint64(place.offset % 2**64)
        start = np.broadcast_to(start, who.number.shape)
        if (start % np.uint64(size * len(registers))).any():
            raise Fault(
                f"{space} address {start[0]}: not a multiple of the {size * len(registers)} bytes at once"
            )
        if self.world.traffic:
            self.world.traffic.access(space, op, start, size * len(registers), self.place[lanes])
        for i, register in enumerate(registers):
            memory, address = self._memory(space, start + np.uint64(i * size), lanes)
            if op == "ld":
                self._write(register, memory.load(address, TYPES[kind], who, self.since), lanes)
            else:
                memory.store(address, self._read(register, kind, lanes), TYPES[kind], who, self.since)

    def _memory(self, space: str, address: Any, lanes: Any) -> tuple[Memory, Any]:
        """What lies behind an address, and where in it."""
        if space == "global":
            return self.world.memory, address
        if (address >= _WINDOW).any():
            raise Fault("an address outside of the block's shared memory")
        return self.shared, address + self.window[lanes]

    def _move(self, kind: str, target: Operand, source: Operand, lanes: Any) -> None:
        if isinstance(source, Pack):
            low, high = (self._read(part, "b32", lanes).astype(np.uint64) for part in source.parts)
            self._write(target, low | high << np.uint64(32), lanes)
        elif isinstance(target, Pack):
            both = self._read(source, "b64", lanes)
            for i, part in enumerate(target.parts):
                self._write(part, (both >> np.uint64(32 * i)).astype(np.uint32), lanes)
        else:
            self._write(target, self._read(source, kind, lanes), lanes)

    def _read(self, source: Operand, kind: str, lanes: Any) -> Any:
        dtype = np.dtype(TYPES[kind])
        if isinstance(source, Immediate):
            if kind == "pred":
                return np.array([source.value != 0])
            bits = source.value % 2 ** (8 * dtype.itemsize)
            return np.array([bits], f"u{dtype.itemsize}").view(dtype)
        if isinstance(source, Symbol):
            special = self.special.get(source.name)
            return np.array([self.same[source.name]]).astype(dtype) if special is None else special[lanes]
        return self.registers[source.name][lanes].view(dtype)

    def _write(self, target: Register, value: Any, lanes: Any) -> None:
        if value.dtype != bool:
            value = value.view(f"u{value.dtype.itemsize}")
        register = self.registers.get(target.name)
        if register is None:
            # Not zeros: lanes that never write it have anything there.
            register = self.registers[target.name] = np.full(len(self.lanes), _POISON).astype(value.dtype)
        if register.dtype != value.dtype:
            raise TypeError(f"{value.dtype} for {target.name}, which is {register.dtype}")
        register[lanes] = value


def _table(world: World, contents: bytes) -> int:
    """Where these bytes lie in global memory."""
    if contents not in world.tables:
        world.tables[contents] = world.memory.allocate(len(contents))
        world.memory.fill(world.tables[contents], np.frombuffer(contents, np.uint8))
    return world.tables[contents]


def _join(queue: dict[int, Any], at: int, lanes: Any) -> None:
    if len(lanes):
        queue[at] = np.sort(np.concatenate([queue[at], lanes])) if at in queue else lanes


def _kinds(op: str, parts: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The types of an operation's sources."""
    if op == "selp":
        return parts[-1], parts[-1], "pred"
    if op in ("shl", "shr"):
        return parts[-1], "u32"
    return (parts[-1],) * count


def _places(name: str, number: Any, sizes: Any) -> dict[str, Any]:
    """A number's coordinates, the first fastest."""
    x, y, _ = sizes
    places = (number % x, number // x % y, number // (x * y))
    return {f"%{name}.{axis}": place.astype(np.uint32) for axis, place in zip("xyz", places, strict=True)}


def _sizes(name: str, sizes: Any) -> dict[str, Any]:
    return {f"%{name}.{axis}": np.uint32(size) for axis, size in zip("xyz", sizes, strict=True)}
