"""What vbref runs on, and advice where something makes it slow."""

import ctypes
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "numba", "scipy", "matplotlib", "tqdm", "latex2mathml")
_WIDTHS = (("avx512f", 512), ("avx2", 256), ("avx", 256), ("sse2", 128), ("neon", 128), ("asimd", 128))


def facts() -> dict[str, str]:
    """Versions, cores and threads, BLAS, vector width, CUDA and the cache, in words."""
    import numba

    import vbref

    found = {"vbref": vbref.__version__, "python": platform.python_version(), "machine": platform.machine()}
    found |= {name: _version(name) for name in _PACKAGES}
    found["cores"] = str(cores())
    found["blas"] = _blas()
    found["blas threads"] = os.environ.get("OPENBLAS_NUM_THREADS", "as the library chooses")
    found["numba threads"] = str(numba.get_num_threads())
    found["vector width"] = f"{vector_bits() or 'unknown'} bits"
    found["cuda"] = _cuda()
    found["compiled code"] = os.environ.get("NUMBA_CACHE_DIR") or "__pycache__ beside each source file"
    return found


def advice(environment: Mapping[str, str], *, cores: int, numba_threads: int, compiled: int) -> list[str]:
    """One sentence for each thing that makes vbref slower than this machine allows.

    `environment` holds the variables of the process; `compiled` counts the kernels in the cache.
    """
    given = environment.get("OPENBLAS_NUM_THREADS", "")
    blas_threads = int(given) if given.isdigit() else cores
    pinned = environment.get("OPENBLAS_CORETYPE")
    interpreted = environment.get("NUMBA_DISABLE_JIT", "0") != "0"
    crowd = f"threads on {cores} cores wait for one another: set"
    sentences = (
        (pinned, f"OPENBLAS_CORETYPE={pinned} keeps OpenBLAS from choosing the fastest kernel: unset it"),
        (blas_threads > cores, f"{blas_threads} BLAS {crowd} OPENBLAS_NUM_THREADS={cores}"),
        (numba_threads > cores, f"{numba_threads} Numba {crowd} NUMBA_NUM_THREADS={cores}"),
        (numba_threads < cores, f"Numba uses {numba_threads} of {cores} cores: unset NUMBA_NUM_THREADS"),
        (interpreted, "NUMBA_DISABLE_JIT interprets every kernel, a hundred times slower: unset it"),
        (compiled == 0, "the cache is cold: each kernel is compiled once, in seconds, when first called"),
    )
    return [sentence for applies, sentence in sentences if applies]


def advice_here() -> list[str]:
    """`advice` for this process."""
    import numba

    return advice(
        os.environ, cores=cores(), numba_threads=numba.get_num_threads(), compiled=compiled_kernels()
    )


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def vector_bits() -> int | None:
    """The widest vectors that compiled code may use, in bits."""
    from llvmlite import binding  # type: ignore[import-untyped]

    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know every processor
        return None
    return next((bits for name, bits in _WIDTHS if features.get(name)), None)


def compiled_kernels() -> int:
    """The number of vbref's kernels in Numba's cache."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given) if given else Path(__file__).parent
    return sum(1 for _ in folder.rglob("*.nbi"))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed (pip install 'vbref[app]')"


def _blas() -> str:
    """NumPy's BLAS and its version, and for OpenBLAS the kernel that it runs."""
    import numpy as np

    built: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    kernel = _openblas_kernel()
    return f"{built['name']} {built['version']}" + (f", kernel {kernel}" if kernel else "")


def _openblas_kernel() -> str | None:
    """What the OpenBLAS that NumPy loaded calls its kernel; None for another BLAS."""
    import numpy as np

    for library in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*"):
        loaded = ctypes.CDLL(str(library))
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
            if hasattr(loaded, name):
                corename = getattr(loaded, name)
                corename.restype = ctypes.c_char_p
                return str(corename().decode())
    return None


def _cuda() -> str:
    try:
        from numba import cuda

        if not cuda.is_available():
            return "none"
        return str(cuda.get_current_device().name.decode())
    except Exception as error:  # a broken driver raises what it likes, and is a fact like any other
        return f"not usable: {' '.join(str(error).split()) or type(error).__name__}"
