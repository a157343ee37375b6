"""Launches recorded once and replayed by one call: 25 small kernels spend their time being launched.

Numba has no CUDA graphs, so the driver is called directly. All that a step changes must lie on the device.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from numba import cuda

from vbref.cuda import device

_RELAXED = 2


class Graph:
    """What `record` launches on `stream`, as one graph. Kernels must have been compiled by an earlier run."""

    def __init__(self, record: Callable[[], None], stream: Any) -> None:
        if device.SIMULATED:
            raise device.Unavailable("the simulator records no graphs")
        self._stream = ctypes.c_void_p(_address(stream.handle))
        self._driver = ctypes.CDLL("libcuda.so.1")
        graph, self._graph = ctypes.c_void_p(), ctypes.c_void_p()
        with cuda.defer_cleanup():
            self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(_RELAXED))
            try:
                record()
            finally:
                self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._graph), graph, ctypes.c_ulonglong(0))
        self._call("cuGraphDestroy", graph)

    def launch(self) -> None:
        """Replay it on its stream."""
        self._call("cuGraphLaunch", self._graph, self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise RuntimeError(f"{name} failed with CUDA error {code}")


def _address(handle: Any) -> int:
    """A stream's handle as a number: Numba has kept it as a ctypes pointer, or as a number."""
    return int(getattr(handle, "value", handle) or 0)
