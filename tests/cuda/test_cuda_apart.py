"""Kernels in processes of their own: the simulator, or the compiler without a GPU, is chosen at import."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def _toolkit() -> str | None:
    """The folder that CUDA_HOME should name: nvcc's, or where Numba's search ends."""
    given, nvcc = os.environ.get("CUDA_HOME"), shutil.which("nvcc")
    places = [given, nvcc and pathlib.Path(nvcc).resolve().parents[1], "/usr/local/cuda"]
    return next((str(p) for p in places if p and list(pathlib.Path(p).glob("nvvm/lib*/libnvvm*"))), None)


def _run(name: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(HERE / name)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("simulated_*.py")))
def test_every_kernel_agrees_with_the_cpu_in_the_simulator(name):
    _run(name, NUMBA_ENABLE_CUDASIM="1")


def test_every_kernel_compiles_for_two_architectures_and_assembles_without_spills():
    home = _toolkit()
    if home is None:
        pytest.skip("NO CUDA COMPILER HERE: kernels were not compiled (no libnvvm; set CUDA_HOME)")
    if importlib.util.find_spec("numba.cuda") is None:
        pytest.skip("NO numba.cuda HERE: kernels were not compiled")
    _run("compiled_kernels.py", CUDA_HOME=home, NUMBA_ENABLE_CUDASIM="0", NUMBA_FORCE_CUDA_CC="9.0")
