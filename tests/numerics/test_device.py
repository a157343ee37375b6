import sys
from types import SimpleNamespace

import pytest

from vbref.numerics import device


def test_a_loop_or_the_grid_of_its_formula(monkeypatch):
    """The grid's maker is a stand-in, for machines without CUDA."""
    maker = SimpleNamespace(grid=lambda formula: ("grid", formula))
    monkeypatch.setitem(sys.modules, "vbref.cuda.elementwise", maker)
    assert device.on("cpu", "loop", "formula") == "loop"
    assert device.on("cuda", "loop", "formula") == ("grid", "formula")
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', was 'tpu'"):
        device.on("tpu", "loop", "formula")
