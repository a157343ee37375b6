"""The kernels without a compiler, as a debugger steps through them."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_kernels_run_interpreted():
    files = [Path(__file__).with_name(f"test_fast_{name}.py") for name in ("trainer", "weights")]
    choice = ["-k", "plain_form", "-n", "0", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, files), *choice],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout
