"""The second chance of a survivor: the tests that do not run interpreted, on a compiled copy."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import vbref
from vbref.audit.power.mutants import Mutant, Source

_LIMIT = 300.0


def killed_by(source: Source, mutant: Mutant, tests: Sequence[str]) -> str:
    """Run the tests (pytest's names) against a copy with the mutant in it; return which failed, or ""."""
    package = Path(vbref.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for name in ("vbref", "tests"):
            shutil.copytree(package.parent / name, root / name, ignore=ignore)
        shutil.copy(package.parent / "pyproject.toml", root)
        place = root / Path(source.filename).relative_to(package.parent)
        place.write_text(source.text(mutant), encoding="utf-8")
        return _first_failure(root, tests)


def _first_failure(root: Path, tests: Sequence[str]) -> str:
    env = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache")}
    env.pop("NUMBA_DISABLE_JIT", None)
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider"]
    try:
        run = subprocess.run(
            [*command, "-x", "-q", "-rf", *tests], cwd=root, env=env, capture_output=True, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        return "a compiled test ran past its time limit"
    lines = run.stdout.decode(errors="replace").splitlines()
    failed = [line.split()[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return (failed or ["a compiled test"])[0] if run.returncode else ""
