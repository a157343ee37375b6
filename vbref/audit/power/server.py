"""Judge mutants of formulas by the tests that run them: `python -m vbref.audit.power.server`, JIT off.

pytest collects the test files once. Each test then runs once in a fork, as it is, to see whether it passes
interpreted, how long it takes and which functions it calls. Each mutant gets a fork of its own, in which the
tests that call its function run until one fails: first those that killed its neighbours, then the quickest.
"""

import cProfile
import gc
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import vbref
from vbref.audit.claim import Claim
from vbref.audit.power.checks import Check, ClaimCheck, TestCheck, claim_checks
from vbref.audit.power.forks import Task, limit_cpu, run_all
from vbref.audit.power.install import CannotInstall, claims_in, install
from vbref.audit.power.interpreted import use_numba_arithmetic
from vbref.audit.power.modules import room_of
from vbref.audit.power.mutants import MODULE_LEVEL, Mutant, Source, read
from vbref.audit.registry import claims_of_notes

_PACKAGE = str(Path(vbref.__file__).parent)
_SLOW = 6.0  # seconds interpreted beyond which a test is left to the compiled run
_AT_LEAST = 4.0


@dataclass
class Measured:
    """A check on the right code: whether it passes, in how many seconds, what of vbref it calls, by file."""

    check: Check
    passed: bool
    seconds: float
    calls: dict[str, set[str]]


class Server:
    """A pytest plugin that takes the run loop over."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.failures: list[str] = []
        self.sources: list[Source] = []

    def pytest_sessionstart(self) -> None:
        from hypothesis import Phase, settings  # not before pytest, which rewrites its assertions

        # As the tests' own profile, but without shrinking: that it fails is all that is asked.
        settings.register_profile("power", settings(), phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("power")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failures.append(report.nodeid)

    def pytest_runtestloop(self, session: Any) -> bool:
        if session.testsfailed:
            raise pytest.UsageError("a test file does not import")
        checks: list[Check] = [TestCheck(item, self.failures) for item in session.items]
        self.serve(checks)
        return True

    def serve(self, checks: list[Check]) -> None:
        self.sources = [read(name) for name in self.request["modules"]]
        checks = [*self._claims(), *checks]
        use_numba_arithmetic()
        measured = list(self._baseline(checks))
        _say("baseline", left=[m.check.name for m in measured if not m.passed], checks=len(measured))
        for outcome in self._outcomes([m for m in measured if m.passed]):
            _say("mutant", **outcome)

    def _claims(self) -> list[Check]:
        """Return the claims to ask: those of the mutated files, or all for the audit's other files.

        For a formula of vbref, those that name a function of its room.
        """
        entries = [entry for entry in claims_of_notes() if isinstance(entry, Claim)]
        own = {id for source in self.sources for id in source.claims}
        if all(source.claims for source in self.sources):
            return claim_checks(entry for entry in entries if entry.id in own)
        if any(source.module.startswith("vbref.audit.") for source in self.sources):
            return claim_checks(entries)
        rooms = {room_of(source.module) for source in self.sources}
        coded = (entry for entry in entries if entry.code and entry.code.call)
        return claim_checks(entry for entry in coded if entry.code and room_of(entry.code.name) in rooms)

    def _baseline(self, checks: list[Check]) -> Iterator[Measured]:
        """Yield the checks, the quickest first."""
        done: list[Measured] = []
        trace = not all(source.claims for source in self.sources)  # a claim is asked by its id
        for task, result in run_all([Task(c, _probe(c, trace), _SLOW) for c in checks], self.request["jobs"]):
            known = result if isinstance(result, tuple) else (False, _SLOW, {})
            done.append(Measured(task.name, *known))
            _say("check", name=task.name.name)
        return iter(sorted(done, key=lambda m: m.seconds))

    def _outcomes(self, measured: list[Measured]) -> Iterator[dict[str, Any]]:
        kills: defaultdict[str, Counter[str]] = defaultdict(Counter)
        gc.freeze()  # a collection in a fork would copy every page
        tasks = (_task(source, mutant, measured, kills[mutant.where]) for source, mutant in self._wanted())
        for task, result in run_all(tasks, self.request["jobs"]):
            mutant, asked = task.name
            status, by = ("killed", result) if isinstance(result, str) else result
            kills[mutant.where][by] += status == "killed"
            yield {"key": mutant.key, "status": status, "by": by, "asked": asked}

    def _wanted(self) -> Iterator[tuple[Source, Mutant]]:
        keys = set(self.request["keys"])
        for source in self.sources:
            yield from ((source, mutant) for mutant in source.mutants if mutant.key in keys)


def _probe(check: Check, trace: bool) -> Any:
    def work() -> tuple[bool, float, dict[str, set[str]]]:
        codes: set[CodeType] = set()
        start = time.process_time()
        with _noting(codes, check) if trace else nullcontext():
            passed = check.passes()
        return passed, time.process_time() - start, _by_file(codes)

    return work


@contextmanager
def _noting(codes: set[CodeType], check: Check) -> Iterator[None]:
    """Add to codes what runs inside the block."""
    if isinstance(check, ClaimCheck):  # its judge sets a profile of its own, and puts back a function alone
        sys.setprofile(lambda frame, event, _: codes.add(frame.f_code) if event == "call" else None)
        try:
            yield
        finally:
            sys.setprofile(None)
        return
    profile = cProfile.Profile(builtins=False)  # in C: a callback in Python would take most of the time
    profile.enable()
    yield
    profile.disable()
    codes |= {entry.code for entry in profile.getstats() if isinstance(entry.code, CodeType)}


def _by_file(codes: set[CodeType]) -> dict[str, set[str]]:
    """Return the names of the functions of vbref, by file."""
    calls: dict[str, set[str]] = {}
    for code in codes:
        if code.co_filename.startswith(_PACKAGE):
            calls.setdefault(code.co_filename, set()).add(_root(code.co_qualname))
    return calls


def _task(source: Source, mutant: Mutant, measured: list[Measured], kills: Counter[str]) -> Task:
    module = import_module(source.module)
    if source.claims:
        near = _claims_near(source, mutant)
        chosen = [m for m in measured if m.check.name in near]
    else:
        chosen = [m for m in measured if _runs(m.calls.get(source.filename, set()), mutant.function)]
    chosen.sort(key=lambda m: -kills[m.check.name])

    def work() -> tuple[str, str]:
        try:
            checks = {m.check.name: m.check for m in chosen}
            if source.claims:
                checks |= {
                    check.name: check for check in claim_checks(claims_in(module, source.code(mutant)))
                }
            else:
                install(module, source.code(mutant))
        except CannotInstall as error:
            return "error", str(error)
        except Exception as error:
            return "killed", f"import: {type(error).__name__}: {error}"
        for m in chosen:
            limit_cpu(_limit(m))
            if not checks[m.check.name].passes():
                return "killed", m.check.name
        return "survived", ""

    return Task((mutant, len(chosen)), work, sum(map(_limit, chosen), _AT_LEAST))


def _limit(m: Measured) -> float:
    """The seconds of processor time that a check may take on a mutant."""
    return _AT_LEAST + 4 * m.seconds


def _claims_near(source: Source, mutant: Mutant) -> set[str]:
    """Return the claims to ask of a mutant in a file of claims: its own, or for a helper all."""
    own = mutant.function.split(" ")[0]
    return {f"claim {id}" for id in source.claims if id == own or own not in source.claims}


def _root(qualname: str) -> str:
    return qualname.split(".<locals>")[0]


def _runs(called: set[str], function: str) -> bool:
    """Whether the function, or what it is nested in, is among the called ones.

    Any will do for the module, and for a constant whose value holds lambdas.
    """
    if function == MODULE_LEVEL or function.isupper():
        return bool(called)
    return any(function == name or function.startswith(f"{name}.") for name in called)


def _say(kind: str, **fields: Any) -> None:
    os.write(_CHANNEL, (json.dumps({"kind": kind, **fields}) + "\n").encode())


_CHANNEL = 1


def main() -> int:
    """Read a request from standard input; write one JSON line for each test and each mutant."""
    global _CHANNEL
    _CHANNEL = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    request = json.load(sys.stdin)
    options = ["-oaddopts=", "-pno:xdist", "-pno:cacheprovider", "-pno:faulthandler", "-q", "-s"]
    if request["files"]:
        return int(pytest.main([*options, *request["files"]], plugins=[Server(request)]))
    Server(request).serve([])
    return 0


if __name__ == "__main__":
    sys.exit(main())
