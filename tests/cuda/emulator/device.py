"""In place of `vbref.cuda.device`'s arrays and kernels: those of the machine."""

import functools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numba
import numba.cuda.dispatcher
import numpy as np
from numba import cuda

from emulator import machine, text
from vbref.cuda import device, graph

ARCHITECTURE = (9, 0)


class NoDevice:
    """What Numba asks of the current device while it compiles a nested call."""

    compute_capability = ARCHITECTURE


class Array:
    """An array of the machine: what of Numba's device arrays vbref uses."""

    def __init__(
        self, world: machine.World, shape: Any, dtype: Any, of: "Array | None" = None, at: int = 0
    ) -> None:
        self.shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        self.dtype = np.dtype(dtype)
        self.size, self.ndim = int(np.prod(self.shape)), len(self.shape)
        self.nbytes = self.size * self.dtype.itemsize
        self._world, self._of = world, of
        if of is None:
            memory = world.memory
            self.address = memory.allocate(self.nbytes)
            weakref.finalize(self, memory.free, self.address, self.nbytes)
        else:
            self.address = of.address + at

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> "Array":
        start, stop, step = part.indices(self.shape[0])
        if self.ndim != 1 or step != 1:
            raise NotImplementedError("views of flat arrays alone")
        return Array(self._world, max(0, stop - start), self.dtype, self, start * self.dtype.itemsize)

    def reshape(self, *shape: Any) -> "Array":
        """Another view of it."""
        return Array(self._world, np.empty(self.shape).reshape(*shape).shape, self.dtype, self)

    def copy_to_host(self, out: Any = None) -> Any:
        """What kernels wrote."""
        _not_recording()
        found = self._world.memory.contents(self.address, self.nbytes).view(self.dtype).reshape(self.shape)
        if out is None:
            return found
        out[...] = found
        return out

    def copy_to_device(self, source: Any, stream: Any = 0) -> None:
        """Write it from the host, or from another array."""
        _not_recording()
        host = source.copy_to_host() if isinstance(source, Array) else np.asarray(source)
        if host.shape != self.shape or host.dtype != self.dtype:
            raise ValueError(f"{host.dtype} {host.shape} for {self.dtype} {self.shape}")
        self._world.memory.fill(self.address, host)

    def arguments(self) -> list[Any]:
        """As a kernel takes it: no object, no parent, how many, how wide, where, shape and strides."""
        strides = self.dtype.itemsize * np.cumprod([1, *self.shape[:0:-1]])[::-1]
        numbers = [0, 0, self.size, self.dtype.itemsize, self.address, *self.shape, *strides]
        return [np.uint64(number) for number in numbers]


class Kernel:
    """A function that is compiled for the types it gets, and run on the machine."""

    def __init__(self, world: machine.World, function: Callable[..., None]) -> None:
        self._world, self.py_func = world, function
        self._programs: dict[Any, text.Program] = {}

    def __getitem__(self, configuration: Any) -> Callable[..., None]:
        grid, block = (_three(part) for part in configuration[:2])
        stream = configuration[2] if len(configuration) > 2 else 0

        def run(*arguments: Any) -> None:
            flat: list[Any] = []
            for argument in arguments:
                flat += argument.arguments() if isinstance(argument, Array) else [_number(argument)]
            program = self._compiled(tuple(_type(argument) for argument in arguments))
            launch = machine.Launch(program, self.py_func.__name__, grid, block, flat)
            if Graph.recording is None:
                launch.run(self._world)
                return
            calls, recorded = Graph.recording
            if stream is not recorded:
                raise NotImplementedError("a launch that is not on the stream that is recorded")
            calls.append(functools.partial(launch.run, self._world))

        return run

    def _compiled(self, signature: Any) -> text.Program:
        if signature not in self._programs:
            ptx, _ = cuda.compile_ptx(self.py_func, signature, cc=ARCHITECTURE)
            self._programs[signature] = text.program(ptx)
        return self._programs[signature]


class Graph:
    """In place of `vbref.cuda.graph.Graph`: launches with the arguments that they were recorded with."""

    recording: ClassVar[tuple[list[Callable[[], None]], Any] | None] = None

    def __init__(self, record: Callable[[], None], stream: Any) -> None:
        self._calls: list[Callable[[], None]] = []
        Graph.recording = self._calls, stream
        try:
            record()
        finally:
            Graph.recording = None

    def launch(self) -> None:
        """Replay it."""
        for call in self._calls:
            call()


def _not_recording() -> None:
    if Graph.recording is not None:
        raise NotImplementedError("copies in a graph")


class Stream:
    """Where all is done when it is asked for."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


def _three(size: Any) -> tuple[int, ...]:
    sizes = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
    return tuple(int(n) for n in sizes) + (1,) * (3 - len(sizes))


def _number(argument: Any) -> Any:
    return np.asarray(argument).view(f"u{np.asarray(argument).itemsize}")[()]


def _type(argument: Any) -> Any:
    if isinstance(argument, Array):
        return numba.types.Array(numba.from_dtype(argument.dtype), argument.ndim, "C")
    return numba.typeof(argument)


@functools.cache
def world() -> machine.World:
    """The machine that `install` gives vbref's kernels."""
    return machine.World()


def install() -> None:
    """Let vbref's kernels run on a machine, until the process ends."""
    numba.config.FORCE_CUDA_CC = ARCHITECTURE
    numba.cuda.dispatcher.get_current_device = NoDevice

    def put(array: Any) -> Array:
        new = Array(world(), np.shape(array), np.asarray(array).dtype)
        new.copy_to_device(array)
        return new

    device.require = lambda: None
    graph.Graph, cuda.stream = Graph, Stream
    device.kernel = functools.partial(Kernel, world())
    device.empty, device.put = functools.partial(Array, world()), put
