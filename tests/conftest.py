"""Shared by all tests: reproducible property tests, and a compile cache that cannot be stale."""

import hashlib
import os
import pathlib

import pytest
from hypothesis import settings

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _fingerprint() -> str:
    sources = sorted((ROOT / "vbref").rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


# Numba's cache looks at the caller's file alone, so an edited callee in another file would go unnoticed.
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".numba-cache" / _fingerprint())

# derandomize: the same examples from run to run, so that a red suite is red for everybody.
settings.register_profile("vbref", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("vbref")


_approx = pytest.approx


def _approx_relative(expected, rel=None, abs=None, nan_ok=False):
    """pytest's, whose own 1e-12 beside a `rel` would let pass whatever is smaller than that."""
    return _approx(expected, rel=rel, abs=0.0 if rel is not None and abs is None else abs, nan_ok=nan_ok)


pytest.approx = _approx_relative

_AS_IMPORTED: dict = {}


@pytest.fixture(autouse=True)
def _same_draws_in_any_order(request):
    """A module's RNG is, for each test, as it was when all tests were collected."""
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        bits = generator.bit_generator
        bits.state = _AS_IMPORTED.setdefault(request.module, bits.state)
