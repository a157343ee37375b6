"""`vbref info`: the facts, and advice exactly where something is slow."""

import os

import pytest

from vbref import info

GOOD = {"cores": 4, "numba_threads": 4, "compiled": 100}


def test_no_advice_where_nothing_is_wrong():
    assert info.advice({}, **GOOD) == []
    assert info.advice({"OPENBLAS_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "0"}, **GOOD) == []


@pytest.mark.parametrize(
    ("environment", "change", "word"),
    [
        ({"OPENBLAS_CORETYPE": "Haswell"}, {}, "OPENBLAS_CORETYPE=Haswell"),
        ({"OPENBLAS_NUM_THREADS": "8"}, {}, "set OPENBLAS_NUM_THREADS=4"),
        ({}, {"numba_threads": 8}, "set NUMBA_NUM_THREADS=4"),
        ({}, {"numba_threads": 1}, "unset NUMBA_NUM_THREADS"),
        ({"NUMBA_DISABLE_JIT": "1"}, {}, "NUMBA_DISABLE_JIT"),
        ({}, {"compiled": 0}, "cold"),
    ],
)
def test_each_advice(environment, change, word):
    (sentence,) = info.advice(environment, **(GOOD | change))
    assert word in sentence


def test_facts():
    facts = info.facts()
    assert facts["cores"] == str(len(os.sched_getaffinity(0)))
    assert facts["vector width"].removesuffix(" bits") in {"128", "256", "512"}
    assert {"blas", "blas threads", "numba threads", "cuda", "compiled code"} <= facts.keys()


def test_compiled_kernels_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert info.compiled_kernels() == 0
    (tmp_path / "kernel.nbi").touch()
    assert info.compiled_kernels() == 1
