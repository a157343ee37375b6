"""What a case is, and how it is timed: interleaved rounds, so that a machine that drifts drifts for all."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

# Threads of OpenBLAS and OpenMP that have nothing to do spin for a while before they sleep, on the cores of
# whoever is timed next.
_REST = 0.3


@dataclass(frozen=True)
class Case:
    """One piece of work in several implementations.

    Each callable does `units` units of the work (steps, images, divergences) and returns what it computed, so
    that `check` can compare before anything is timed. `floor` does only the part that nobody can avoid.
    """

    name: str
    dtype: str
    unit: str
    units: int
    ours: Callable[[], object]
    peers: dict[str, Callable[[], object]]
    check: Callable[[object, object], None]
    floor: Callable[[], object] | None = None


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Return seconds a unit of each implementation over interleaved rounds; the check has warmed them up."""
    work = {"vbref": case.ours, **case.peers}
    expected = case.ours()
    for name, peer in case.peers.items():
        try:
            case.check(expected, peer())
        except AssertionError as error:
            raise AssertionError(f"{case.name}: vbref and {name} disagree: {error}") from error
    if case.floor:
        work["floor"] = case.floor
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            time.sleep(_REST)
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / case.units)
    return seconds


def summary(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the spread (interquartile range over the median)."""
    median = statistics.median(seconds)
    if len(seconds) < 4:
        return median, (max(seconds) - min(seconds)) / median
    low, _, high = statistics.quantiles(seconds, n=4)
    return median, (high - low) / median
