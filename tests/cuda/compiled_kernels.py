"""Every kernel to PTX for two architectures, and assembled: no spills, no stack, no widening.

All of them, in float32 and float64, for both architectures, are minutes of work on two slow cores. The usual
run takes every kernel once, in float32 for the newer, of the layers only those with tanh, and a spread of the
rest. The whole is

    VBREF_ALL_KERNELS=1 python -m pytest tests/cuda/test_cuda_apart.py
"""

import os
import re
import shutil
import subprocess

import numba.cuda.dispatcher
import numpy as np
import pytest
from emulator.device import NoDevice
from kernels import every
from numba import cuda

WHOLE = os.environ.get("VBREF_ALL_KERNELS") == "1"
SPREAD = (
    "kumaraswamy_beta_kl_grad",
    "matrices.value 7",
    "blocked 64 (True",
    "32 (False, False) ('softplus",
    "importance 50 softplus",
    "adam",
)


@pytest.fixture(autouse=True)
def _no_device(monkeypatch, architecture):
    monkeypatch.setattr(numba.config, "FORCE_CUDA_CC", architecture)
    monkeypatch.setattr(NoDevice, "compute_capability", architecture)
    monkeypatch.setattr(numba.cuda.dispatcher, "get_current_device", NoDevice)


def _chosen(number, architecture):
    usual = number is np.float32 and architecture == (9, 0)
    for i, (name, kernel, signature) in enumerate(every(number)):
        alike = ("blocked" in name or "importance" in name) and "tanh" not in name
        if WHOLE or (usual and not alike) or any(word in name for word in SPREAD):
            yield pytest.param(kernel, signature, id=f"{i} {name}")


CASES = [
    pytest.param(number, architecture, *case.values, id=f"{number.__name__}-{architecture[0]}0-{case.id}")
    for number, architecture in (
        (np.float32, (9, 0)), (np.float32, (8, 0)), (np.float64, (9, 0)), (np.float64, (8, 0))
    )
    for case in _chosen(number, architecture)
]  # fmt: skip


@pytest.mark.parametrize(("number", "architecture", "kernel", "signature"), CASES)
def test_compiles_and_assembles(number, architecture, kernel, signature, request, tmp_path):
    ptx, result = cuda.compile_ptx(getattr(kernel, "py_func", kernel), signature, cc=architecture)
    assert result is numba.void
    assert f".target sm_{architecture[0]}0" in ptx
    # A kernel that is named so, and one in float64, may use float64.
    if number is np.float32 and "float64" not in request.node.callspec.id.split("-", 2)[2]:
        assert not re.search(r"\.f64", ptx), "float64 in a float32 kernel"
    _assemble(ptx, architecture, tmp_path)


def _assemble(ptx, architecture, folder):
    if shutil.which("ptxas") is None:
        pytest.skip("NO PTXAS HERE: compiled to PTX, but not assembled")
    (folder / "kernel.ptx").write_text(ptx)
    command = ["ptxas", "-v", f"-arch=sm_{architecture[0]}0", "kernel.ptx", "-o", "kernel.cubin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for found in re.findall(r"(\d+) bytes (stack frame|spill stores|spill loads)", done.stderr):
        assert found[0] == "0", done.stderr
