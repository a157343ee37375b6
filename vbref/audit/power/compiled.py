"""The second chance of a survivor: the tests that do not run interpreted, on a compiled copy."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import vbref
from vbref.audit.power.mutants import Mutant, Source

_NOT_RUN = (4, 5)  # pytest's codes for bad usage and for no tests; a crash has none of its codes


def passing(tests: Sequence[str]) -> tuple[list[str], float]:
    """Return those of the tests, or in the files, that pass compiled on the right code; and the seconds."""
    start = time.monotonic()
    if not tests:
        return [], 0.0
    with _copy() as root:
        passed = _named("PASSED", _run(root, "-rp", *tests))
    return passed, time.monotonic() - start


def killed_by(source: Source, mutant: Mutant, tests: Sequence[str], limit: float) -> str:
    """Run the tests against a copy with the mutant in it; return which failed, or "", or the time."""
    with _copy() as root:
        place = root / Path(source.filename).relative_to(Path(vbref.__file__).parents[1])
        place.write_text(source.text(mutant), encoding="utf-8")
        try:
            run = _run(root, "-x", "-rfE", *tests, limit=limit)
        except subprocess.TimeoutExpired:
            return "a compiled test ran past its time limit"
        if run.returncode in _NOT_RUN:
            raise RuntimeError(f"pytest could not run the tests: {run.stderr[-500:] or run.stdout[-500:]}")
        failed = [*_named("FAILED", run), *_named("ERROR", run), "a compiled test"]
        return failed[0].split(" - ")[0] if run.returncode else ""


@contextmanager
def _copy() -> Iterator[Path]:
    checkout, ignore = Path(vbref.__file__).parents[1], shutil.ignore_patterns("__pycache__")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("vbref", "tests"):
            shutil.copytree(checkout / name, root / name, ignore=ignore)
        shutil.copy(checkout / "pyproject.toml", root)
        yield root


def _run(root: Path, *arguments: str, limit: float | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache")}
    env.pop("NUMBA_DISABLE_JIT", None)
    options = ["-m", "pytest", "-oaddopts=", "-pno:xdist", "-pno:cacheprovider", "-q"]
    return subprocess.run(
        [sys.executable, *options, *arguments],
        cwd=root,
        env=env,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=limit,
    )


def _named(word: str, run: subprocess.CompletedProcess[str]) -> list[str]:
    """The tests that pytest's summary names after the word, for failures with what was raised."""
    lines = run.stdout.splitlines()
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]
