"""Kernels in processes of their own: simulator, emulator, or compiler alone, is chosen at import."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


_FINDS = """
import sys
from numba.cuda.cudadrv import libs, nvvm
try:
    libs.open_libdevice()
except Exception:
    sys.exit(1)
sys.exit(not nvvm.is_available())
"""


def _toolkit() -> str | None:
    """A CUDA_HOME where Numba finds libnvvm and libdevice: what it is, the usual place, or nvcc's folder."""
    nvcc = shutil.which("nvcc")
    folder = str(pathlib.Path(nvcc).resolve().parents[1]) if nvcc else None
    places = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", folder]
    return next((place for place in places if place and _finds(place)), None)


def _finds(place: str) -> bool:
    environment = os.environ | {"CUDA_HOME": place, "NUMBA_ENABLE_CUDASIM": "0"}
    return subprocess.run([sys.executable, "-c", _FINDS], env=environment, check=False).returncode == 0


def _run(name: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(HERE / name)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _files(*patterns: str) -> list[str]:
    return sorted(path.name for pattern in patterns for path in HERE.glob(pattern))


@pytest.fixture(scope="module")
def toolkit():
    home = _toolkit()
    if home is None:
        pytest.skip(
            "NO CUDA COMPILER HERE: no kernel was compiled (no libnvvm or no libdevice; set CUDA_HOME)"
        )
    if importlib.util.find_spec("numba.cuda") is None:
        pytest.skip("NO numba.cuda HERE: kernels were not compiled")
    return {"CUDA_HOME": home, "NUMBA_ENABLE_CUDASIM": "0", "NUMBA_FORCE_CUDA_CC": "9.0"}


@pytest.mark.parametrize("name", _files("parity_*.py"))
def test_every_kernel_agrees_with_the_cpu_in_the_simulator(name):
    _run(name, NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.parametrize("name", _files("parity_*.py", "emulated_*.py"))
def test_what_is_compiled_agrees_with_the_cpu_in_the_emulator(name, toolkit):
    _run(name, VBREF_CUDA_EMULATED="1", **toolkit)


def test_every_kernel_compiles_for_two_architectures_and_assembles_without_spills(toolkit):
    _run("compiled_kernels.py", **toolkit)
