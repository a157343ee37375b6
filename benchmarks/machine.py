"""What the figures were measured on."""

import importlib.metadata
import os
import platform
from pathlib import Path


def blas() -> str:
    """The BLAS kernels that NumPy's OpenBLAS chose, or was told to use."""
    pinned = os.environ.get("OPENBLAS_CORETYPE")
    try:
        import threadpoolctl
    except ImportError:
        return f"unknown (pinned to {pinned})" if pinned else "unknown"
    import numpy  # noqa: F401  (threadpoolctl sees libraries that are loaded)

    kernels = sorted(
        {f"{p['internal_api']} {p.get('architecture', '?')}" for p in threadpoolctl.threadpool_info()}
    )
    return ", ".join(kernels) + (" (pinned by OPENBLAS_CORETYPE)" if pinned else "")


def machine() -> dict[str, str]:
    """Processor, core count and the versions of what is compared."""
    described = {"processor": _processor(), "cores": str(os.cpu_count()), "python": platform.python_version()}
    for package in ("numpy", "numba", "scipy", "torch", "jax", "scikit-learn"):
        try:
            described[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            described[package] = "absent"
    return described


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
