"""Make the mutants, have a server judge those of each room, give survivors their second chance."""

import json
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import vbref
from vbref.audit.power.compiled import killed_by, passing
from vbref.audit.power.equivalents import equivalents
from vbref.audit.power.modules import formula_modules, room_of, tests_folder, tests_of
from vbref.audit.power.mutants import Mutant, Source, read

Progress = Callable[[str], None]

_PATIENCE = 5.0  # times what the compiled tests take on the right code


@dataclass(frozen=True)
class Outcome:
    """A mutant and what became of it: "killed", "survived", "equivalent" or "error", and by what."""

    mutant: Mutant
    status: str
    by: str


class NoTests(Exception):
    """Nothing to judge by: tests are not there, as in an installed package, or claims fail as they are."""


def select(names: Sequence[str]) -> list[Mutant]:
    """Return the mutants that names mean, all by default: modules, rooms, claims, equations or notes.

    LookupError for a name that means none.
    """
    if not names:
        return [mutant for module in formula_modules() for mutant in source(module).mutants]
    found: dict[Mutant, None] = {}
    for name in names:
        named = _named(name)
        if not named:
            raise LookupError(f"no formula to mutate in {name!r}")
        found |= dict.fromkeys(named)
    return list(found)


def _named(name: str) -> list[Mutant]:
    modules = [m for m in formula_modules() if m == name or m.startswith(f"{name}.")]
    if modules:
        return [mutant for module in modules for mutant in source(module).mutants]
    claims = [m for m in formula_modules() if room_of(m) == "audit.claims"]
    return [mutant for module in claims for mutant in source(module).mutants if _is_about(mutant, name)]


def _is_about(mutant: Mutant, name: str) -> bool:
    """Whether the mutant is of the claim `xu/35b`, of the equation `xu/35`, or of the note `xu`."""
    claim = mutant.function.split(" ")[0]
    return claim.startswith(f"{name}/") or claim == name or (claim[:-1] == name and claim[-1:].isalpha())


@cache
def source(module: str) -> Source:
    """The source of a module, read once."""
    return read(module)


def sample(mutants: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return `size` of the mutants drawn at random, in their order; all where there are no more."""
    if size >= len(mutants):
        return list(mutants)
    return [mutants[i] for i in sorted(random.Random(seed).sample(range(len(mutants)), size))]


def measure(
    mutants: Sequence[Mutant], jobs: int, progress: Progress = lambda line: None
) -> Iterator[Outcome]:
    """Yield what becomes of each mutant. NoTests where a formula is to be judged and no tests are there."""
    proven = {entry.mutant for entry in equivalents()}
    yield from (Outcome(m, "equivalent", "reviewed") for m in mutants if m.key in proven)
    rest = [mutant for mutant in mutants if mutant.key not in proven]
    for room in dict.fromkeys(room_of(mutant.module) for mutant in rest):
        mine = [mutant for mutant in rest if room_of(mutant.module) == room]
        yield from _measure_room(room, mine, jobs, progress)


def _measure_room(room: str, mutants: list[Mutant], jobs: int, progress: Progress) -> Iterator[Outcome]:
    folder = tests_folder()
    if folder is None and not room.startswith("audit."):
        raise NoTests("--power judges formulas by the tests, which are in the source checkout only")
    files = tests_of(room, folder) if folder else []
    survived: list[Outcome] = []
    left: Sequence[str] = []
    for outcome, remaining in judged(mutants, files, jobs, progress):
        left = remaining
        if outcome.status == "survived" and files:
            survived.append(outcome)
        else:
            yield outcome
    asked, seconds = _sound(left) if survived and left else ([], 0.0)
    with ThreadPoolExecutor(jobs) as pool:
        for module in dict.fromkeys(outcome.mutant.module for outcome in survived):
            own, more = passing(_own_files(module, files))
            mine = [outcome for outcome in survived if outcome.mutant.module == module]
            tests, limit = list(dict.fromkeys([*own, *asked])), _PATIENCE * jobs * (seconds + more)
            yield from pool.map(partial(_second_chance, tests=tests, limit=limit), mine)


def _sound(tests: Sequence[str]) -> tuple[list[str], float]:
    """Return the tests that pass on the right code when they run without the others; warn of the rest."""
    sound, seconds = passing(tests)
    for name in sorted(set(tests) - set(sound)):
        warnings.warn(f"not asked, since it fails by itself: {name}", RuntimeWarning, stacklevel=2)
    return sound, seconds


def _own_files(module: str, files: Sequence[str]) -> list[str]:
    """Return the test files named for a module: compiled, and with warnings as errors, they may see more.

    From the checkout's root, as pytest names tests, since they are to run in a copy of it.
    """
    checkout = Path(vbref.__file__).parents[1]
    inside = (sorted(Path(name).rglob("test_*.py")) or [Path(name)] for name in files)
    own = module.rsplit(".", 1)[-1].strip("_")
    return [str(path.relative_to(checkout)) for paths in inside for path in paths if own in path.stem]


def _second_chance(outcome: Outcome, tests: Sequence[str], limit: float) -> Outcome:
    """Judge a survivor by tests compiled, in their order: a first failure ends the run."""
    by = killed_by(source(outcome.mutant.module), outcome.mutant, tests, limit) if tests else ""
    return Outcome(outcome.mutant, "killed", by) if by else outcome


def judged(
    mutants: Sequence[Mutant], files: Sequence[str], jobs: int, progress: Progress = lambda line: None
) -> Iterator[tuple[Outcome, list[str]]]:
    """Yield each mutant's outcome, interpreted, with the tests that were left for a compiled run."""
    by_key = {mutant.key: mutant for mutant in mutants}
    modules = list(dict.fromkeys(mutant.module for mutant in mutants))
    request = {"modules": modules, "keys": list(by_key), "files": list(files), "jobs": jobs}
    left: list[str] = []
    for message in _serve(request):
        match message:
            case {"kind": "check", "name": name}:
                progress(name)
            case {"kind": "baseline", "left": names}:
                left = [name for name in names if "::" in name]
                broken = [name for name in names if "::" not in name]
                if broken and all(name.startswith("vbref.audit.") for name in modules):
                    raise NoTests(
                        f"{len(broken)} claims fail as they are, so that nothing is judged: {broken[0]}"
                    )
            case {"kind": "mutant", "key": key, "status": status, "by": by}:
                progress(key)
                yield Outcome(by_key.pop(key), status, by), left
    yield from ((Outcome(mutant, "error", "the server stopped"), left) for mutant in by_key.values())


def _serve(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vbref.audit.power.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True, start_new_session=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            with server.stdin as pipe:
                json.dump(request, pipe)
            yield from map(json.loads, server.stdout)
        finally:  # nothing of it outlives an interrupt: the session is its own and its forks'
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
