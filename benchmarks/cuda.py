"""`python -m benchmarks.cuda [CASE…] [--json FILE]`: each kernel's time, its floor, and PyTorch beside it.

The floor is bytes over bandwidth or operations over peak, whichever is longer, both measured here first: by
copies, and by a kernel that multiplies and adds. Times are of the device, by events around many calls,
medians of rounds. A launch from Python can take longer than its kernel, so that kernels are timed as CUDA
graphs of several launches; PyTorch is timed both ways, with TF32 off, and apart, on. FILE is written anew
after each case. Exit 1 where a case failed, 2 where there is no GPU.
"""

import argparse
import json
import statistics
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.machine import machine


@dataclass(frozen=True)
class Case:
    """One piece of work on device arrays: what launches it, ours and peers, and what it must move and do.

    `kernels` launch on the stream they are given, and are timed in a graph; `ours` and `peers` as they are.
    """

    name: str
    dtype: str
    bytes: float
    operations: float
    kernels: dict[str, Callable[[Any], object]] = field(default_factory=dict)
    ours: dict[str, Callable[[], object]] = field(default_factory=dict)
    peers: dict[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Peaks:
    """What this GPU does in a second."""

    bytes: float
    float32: float
    float64: float

    def floor(self, case: Case) -> float:
        """Seconds that the case takes at the least."""
        return max(case.bytes / self.bytes, case.operations / getattr(self, case.dtype))


def main() -> int:
    """Measure and print; 0, 1 where a case failed, or 2 where there is no GPU or no such case."""
    arguments = _parser().parse_args()
    from vbref.cuda import device

    try:
        device.require()
    except device.Unavailable as missing:
        print(f"benchmarks.cuda: {missing}", file=sys.stderr)
        return 2
    from benchmarks.cuda_cases import CASES

    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        print(f"benchmarks.cuda: no case {unknown[0]!r}; the cases are {', '.join(CASES)}", file=sys.stderr)
        return 2
    peaks = _peaks(arguments.rounds)
    print(f"{gpu()}\n{peaks.bytes / 1e12:.2f} TB/s, {peaks.float32 / 1e12:.1f} TFLOP/s float32, "
          f"{peaks.float64 / 1e12:.1f} float64, all measured")  # fmt: skip
    rows: list[dict[str, Any]] = []
    failed = 0
    for name in arguments.cases or CASES:
        try:
            rows.append(_row(CASES[name], peaks, arguments.rounds))
        except Exception:  # one case that fails must not cost the figures of the rest
            traceback.print_exc()
            failed = 1
        if arguments.json:
            result = {"gpu": gpu(), "machine": machine(), "peaks": asdict(peaks), "cases": rows}
            with open(arguments.json, "w") as file:
                json.dump(result, file, indent=1)
    return failed


def gpu() -> str:
    """The device's name, its compute capability and memory."""
    from numba import cuda

    own = cuda.get_current_device()
    name = own.name.decode() if isinstance(own.name, bytes) else own.name
    _, total = cuda.current_context().get_memory_info()
    return f"{name}, compute capability {'.'.join(map(str, own.compute_capability))}, {total / 2**30:.0f} GiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds (default 9)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows here")
    return parser


def seconds(run: Callable[[], object], rounds: int, target: float = 0.02) -> float:
    """Seconds of one call on the device: the median over rounds of so many calls that they take `target`."""
    run()  # compiles
    run()  # and records, where it is a graph
    once = max(_events(run, 3), 1e-6)
    calls = max(1, round(target / once))
    return statistics.median(_events(run, calls) for _ in range(rounds))


def _events(run: Callable[[], object], calls: int) -> float:
    from numba import cuda

    cuda.synchronize()  # peers have streams of their own
    start, end = cuda.event(), cuda.event()
    start.record()
    for _ in range(calls):
        run()
    cuda.synchronize()
    end.record()
    end.synchronize()
    return cuda.event_elapsed_time(start, end) / 1e3 / calls


def replayed(run: Callable[[Any], object], rounds: int, launches: int = 10) -> float:
    """Seconds of one call on the device, of a graph of so many."""
    from numba import cuda

    from vbref.cuda.graph import Graph

    stream = cuda.stream()
    run(stream)  # compiles
    stream.synchronize()
    graph = Graph(lambda: [run(stream) for _ in range(launches)], stream)
    return seconds(graph.launch, rounds) / launches


def _row(make: Callable[[], Case], peaks: Peaks, rounds: int) -> dict[str, Any]:
    case = make()
    ours = {name: replayed(kernel, rounds) for name, kernel in case.kernels.items()}
    ours |= {name: seconds(run, rounds) for name, run in case.ours.items()}
    peers = {}
    for name, run in case.peers.items():
        try:
            peers[name] = seconds(run, rounds)
        except Exception as error:  # a peer that fails must not cost the figures of the rest
            print(
                f"{case.name}: {name} failed: {(str(error) or repr(error)).splitlines()[0]}", file=sys.stderr
            )
    floor, best = peaks.floor(case), min(ours.values())
    told = "  ".join(f"{name} {1e6 * t:.1f} µs" for name, t in ours.items())
    beside = "  ".join(f"{name} {t / best:.2f}x" for name, t in peers.items())
    print(f"{case.name:28s} {case.dtype}  {told}  over the floor {best / floor:.2f}  {beside}", flush=True)
    return {
        "case": case.name, "dtype": case.dtype, "seconds": best, "ours": ours, "floor_seconds": floor,
        "peers": peers,
    }  # fmt: skip


def _peaks(rounds: int) -> Peaks:
    """Bandwidth by copying 1 GiB, by a kernel or the driver; arithmetic by chains of multiply-add."""
    from numba import cuda

    from vbref.cuda import device

    @cuda.jit
    def copy(source, target):
        for i in range(cuda.grid(1), source.shape[0], cuda.gridsize(1)):
            target[i] = source[i]

    source, target = (cuda.device_array(2**28, np.float32) for _ in range(2))
    grid = 16 * cuda.get_current_device().MULTIPROCESSOR_COUNT
    ways = (lambda: copy[grid, 512](source, target), lambda: target.copy_to_device(source))
    copied = min(seconds(way, rounds) for way in ways)
    speeds = [_arithmetic(device, number, grid, rounds) for number in (np.float32, np.float64)]
    return Peaks(2 * source.nbytes / copied, *speeds)


def _arithmetic(device: Any, number: Any, grid: int, rounds: int) -> float:
    from numba import cuda

    # Counted by `while`: of `range`'s loop a third of the instructions would be counting.
    turns = 4096
    zero, last, step = device.INDEX(0), device.INDEX(turns), device.INDEX(1)

    def chains(factor, out):
        a = b = c = d = e = f = g = h = factor * number(0.5)
        turn = zero
        while turn < last:
            a, b, c, d = a * factor + b, b * factor + c, c * factor + d, d * factor + a
            e, f, g, h = e * factor + f, f * factor + g, g * factor + h, h * factor + e
            turn += step
        out[cuda.grid(1)] = a + b + c + d + e + f + g + h

    run, threads = cuda.jit(chains), 256
    out = device.empty(grid * threads, number)
    time = seconds(lambda: run[grid, threads](number(0.1), out), rounds)
    return 2 * 8 * turns * grid * threads / time


if __name__ == "__main__":
    sys.exit(main())
