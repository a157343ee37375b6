"""Mistakes in kernels that a simulator passes, or may pass, and that the emulator finds."""

import numpy as np
import pytest
from emulator.memory import Fault
from numba import cuda

from vbref.cuda import device

THREADS = 8
SHARED = np.float32


def _ends(x, out):
    """Each thread reads what its neighbour wrote: right only with a barrier between."""
    room = cuda.shared.array(THREADS, SHARED)
    i = cuda.threadIdx.x
    room[i] = x[i]
    cuda.syncthreads()
    out[i] = room[THREADS - 1 - i]


def _without_a_barrier(x, out):
    room = cuda.shared.array(THREADS, SHARED)
    i = cuda.threadIdx.x
    room[i] = x[i]
    out[i] = room[THREADS - 1 - i]


def _beside_a_barrier(x, out):
    room = cuda.shared.array(THREADS, SHARED)
    i = cuda.threadIdx.x
    room[i] = x[i]
    if i < 3:
        cuda.syncthreads()
    out[i] = room[i]


def _over_the_end(x, out):
    i = cuda.threadIdx.x
    out[i] = x[i + 1]


def _over_a_shared_end(x, out):
    room = cuda.shared.array(THREADS, SHARED)
    more = cuda.shared.array(THREADS, SHARED)
    i = cuda.threadIdx.x
    room[i + 1] = x[i]
    more[i] = x[i]
    cuda.syncthreads()
    out[i] = more[i] + room[i + 1]


def _never_written(x, out):
    room = cuda.shared.array(THREADS, SHARED)
    i = cuda.threadIdx.x
    if i > 0:
        room[i] = x[i]
    out[i] = room[i]


def _half_of_it(x, out):
    i = cuda.threadIdx.x
    if i < 4:
        out[i] = x[i]


def _everyone(x, out):
    i = cuda.threadIdx.x
    out[i // 2] = x[i]
    out[i // 2 + 4] = x[i]


def _run(kernel, blocks=1):
    x = np.arange(THREADS, dtype=np.float32)
    out = device.empty(THREADS, np.float32)
    device.kernel(kernel)[blocks, THREADS](device.put(x), out)
    return out.copy_to_host()


def test_what_is_right():
    assert list(_run(_ends)) == list(range(THREADS))[::-1]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (_without_a_barrier, "shared address .* written by another thread, with no barrier"),
        (_beside_a_barrier, "only 3 of 8 threads reach the barrier"),
        (_over_the_end, "global address .* read outside of what was allocated"),
        (_over_a_shared_end, "shared address .* written outside"),
        (_never_written, "shared address .* read before it was written"),
        (_half_of_it, "copied that no kernel wrote, 16 bytes from its start"),
        (_everyone, "global address .* is written, and written by another thread"),
    ],
)
def test_what_is_wrong_is_found(kernel, message):
    with pytest.raises(Fault, match=message):
        _run(kernel)


def test_blocks_that_write_to_one_place():
    with pytest.raises(Fault, match=r"global address \d+ .* written by another thread"):
        _run(_ends, blocks=2)
