"""What kernels move and how, counted in the emulator: what a GPU must do, whatever its speed."""

import numpy as np
import pytest
from emulator.device import world
from emulator.traffic import Traffic

from vbref.cuda import device, elementwise, mixture, products, steps
from vbref.kl.beta import beta_kl
from vbref.kl.normal import normal_kl, normal_kl_grad
from vbref.meanfield.mixture.statistics import Frame

RNG = np.random.default_rng(0)


def _counted(run):
    world().traffic = traffic = Traffic()
    try:
        run()
    finally:
        world().traffic = None
    return traffic


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("formula", "parts"), [(normal_kl, 0), (beta_kl, 0), (normal_kl_grad, 4)])
def test_elementwise_kernels_move_each_number_once(formula, parts, dtype):
    n = 1024
    arguments = [device.put(RNG.uniform(0.1, 3, n).astype(dtype)) for _ in range(4)]
    out = device.empty((parts, n) if parts else n, dtype)
    kernel = elementwise.compiled(formula, 4, 2 if parts else 1)
    seen = _counted(lambda: kernel[device.blocks(n), device.threads()](*arguments, out))
    assert seen.bytes["ld"] >= 4 * n * dtype().itemsize
    # libdevice's tables are read besides, by lgamma alone.
    assert seen.bytes["ld"] == 4 * n * dtype().itemsize or formula is beta_kl
    assert seen.bytes["st"] == out.nbytes


def test_adam_moves_each_number_once():
    n = 1024
    flat = [device.put(RNG.uniform(0.1, 3, n).astype(np.float32)) for _ in range(4)]
    rates, corrections = device.put(np.ones(5, np.float32)), device.put(np.ones(2, np.float32))
    kernel = steps.compiled(steps.adam, np.float32)
    seen = _counted(lambda: kernel[4, 256](*flat, np.float32(1), rates, corrections))
    assert seen.bytes["st"] == 3 * 4 * n
    # Each of 32 warps also reads, sector by sector, what all share: rates, some twice, and corrections.
    assert 4 * 4 * n < seen.bytes["ld"] <= 4 * 4 * n + 32 * 32 * 11


@pytest.mark.parametrize("tile", device.TILES, ids=lambda tile: f"{tile.side}")
def test_most_of_a_product_is_multiplication_without_bank_conflicts(tile, monkeypatch):
    monkeypatch.setattr(device, "tile", lambda rows, columns: tile)
    rows, inner, columns = 128, 256, 128
    x, weight = (
        device.put(RNG.standard_normal(s).astype(np.float32)) for s in ((rows, inner), (inner, columns))
    )
    bias, out = device.put(np.zeros(columns, np.float32)), device.empty((rows, columns), np.float32)
    seen = _counted(lambda: products.layer(x, weight, bias, "identity", out))
    assert 32 * seen.instructions["fma.rn.f32"] >= rows * inner * columns
    # Some hundredths below what was counted: a fall below is a kernel that does something else.
    assert seen.share("fma.rn.f32") > {128: 0.5, 64: 0.4, 32: 0.28, 16: 0.17}[tile.side]
    assert seen.shared_turns <= {128: 1.05, 64: 1.05, 32: 1.25, 16: 2.3}[tile.side] * seen.shared_accesses
    # A sector has eight numbers, and so many threads stand side by side.
    assert seen.bytes["st"] == out.nbytes * max(1, 8 * tile.micro // tile.side)
    # Of what a block reads, a tile of A lies in `depth` numbers at a time, whole sectors.
    assert seen.bytes["ld"] <= 4 * inner * (rows * columns // tile.side) * 2 + 40 * 1024


@pytest.mark.parametrize("dense", [True, False])
def test_the_mixtures_rows_meet_no_bank_twice(dense):
    n, k, d = 200, 4, 8
    x, means = RNG.standard_normal((n, d)).astype(np.float32), RNG.standard_normal((k, d))
    roots = np.tile(np.eye(d), (k, 1, 1)) if dense else np.ones((k, d))
    launch, _ = mixture.Rows(x).prepared(np.zeros(d), Frame(means, roots, np.zeros(k), means))
    seen = _counted(lambda: launch(0))
    assert seen.shared_accesses > 0
    assert seen.shared_turns <= 1.02 * seen.shared_accesses
