"""The kernels against the plain NumPy of the same two steps; bits for any number of threads; memory."""

import math
import tracemalloc

import numba
import numpy as np
import pytest

from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture import kernels, statistics
from vbref.meanfield.mixture.statistics import Frame, gather, moments, responsibilities
from vbref.numerics.jit import loop
from vbref.numerics.vectorised import exp_decay


@loop
def exp_loop(x, out):
    for i in range(len(x)):
        out[i] = exp_decay(x[i])


def test_exp_to_an_ulp_and_zero_below():
    x = np.concatenate(
        [-np.logspace(-300, np.log10(708), 20_000), -np.linspace(0, 708, 20_001), [-708.5, -1e300, -np.inf]]
    )
    out = np.empty_like(x)
    exp_loop(x, out)
    exact = np.array([math.exp(value) for value in x])
    inside = x >= -708
    assert abs(out[inside] / exact[inside] - 1).max() < 2.5 * 2**-53 * 2
    assert (out[~inside] == 0).all()


def frame(k, d, dense, seed=0):
    rng = np.random.default_rng(seed)
    means, offsets = rng.standard_normal((k, d)), rng.standard_normal(k)
    if not dense:
        roots = rng.uniform(0.5, 2, (k, d))
        return Frame(means, roots, offsets, means + 0.3)
    roots = np.tril(0.3 * rng.standard_normal((k, d, d)), -1) + rng.uniform(0.5, 2, (k, d, 1)) * np.eye(d)
    return Frame(means, roots, offsets, means + 0.3)


def assert_alike(ours, expected, rtol=1e-12):
    for name in ("count", "mean", "scatter", "entropy"):
        want = np.asarray(getattr(expected, name))
        np.testing.assert_allclose(
            getattr(ours, name), want, rtol=rtol, atol=rtol * abs(want).max(), err_msg=name
        )


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (7, 2, 3), (2500, 3, 2), (4500, 5, 4), (2049, 9, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_pass_is_the_two_steps(n, d, k, dense, dtype):
    rng = np.random.default_rng(n)
    x = (2 * rng.standard_normal((n, d)) + 1).astype(dtype)
    center, f = rng.standard_normal(d), frame(k, d, dense)
    rows = x.astype(np.float64) - center
    assert_alike(gather(x, center, f), moments(rows, responsibilities(rows, f), dense))


@pytest.mark.parametrize("dense", [True, False])
def test_identical_components_share_every_row(dense):
    """Entropy N log K, from logarithms of products of thousands of sums, each of which would overflow."""
    f, n = frame(1, 2, dense), 3000
    alike = Frame(*(np.repeat(array, 8, axis=0) for array in (f.means, f.roots, f.offsets, f.origins)))
    found = gather(np.random.default_rng(0).standard_normal((n, 2)), np.zeros(2), alike)
    assert found.entropy == pytest.approx(n * np.log(8), rel=1e-13)
    np.testing.assert_allclose(found.count, n / 8, rtol=1e-13)


@pytest.mark.parametrize("dense", [True, False])
def test_the_same_bits_for_any_number_of_threads_and_any_layout(dense):
    x = np.random.default_rng(0).standard_normal((20_000, 5))
    f, center = frame(3, 5, dense), np.zeros(5)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = gather(x, center, f)
    finally:
        numba.set_num_threads(before)
    for other in (
        gather(x, center, f),
        gather(np.asfortranarray(x), center, f),
        gather(x[::-1][::-1], center, f),
    ):
        for name in ("count", "mean", "scatter", "entropy"):
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


def test_calls_of_any_length_add_up(monkeypatch):
    x = np.random.default_rng(0).standard_normal((9000, 2))
    whole = gather(x, np.zeros(2), frame(2, 2, True))
    monkeypatch.setattr(statistics, "_CALL_NUMBERS", 1)
    assert_alike(gather(x, np.zeros(2), frame(2, 2, True)), whole, rtol=1e-13)


@pytest.mark.parametrize("dense", [True, False])
def test_blocks_calls_and_parts_add_up(monkeypatch, dense):
    """Seventeen rows in blocks of five, a block to a call, a row to a part where roots are sought."""
    monkeypatch.setattr(statistics, "_BLOCK", 5)
    monkeypatch.setattr(statistics, "_CALL_NUMBERS", 1)
    x, f = np.random.default_rng(0).standard_normal((17, 2)), frame(3, 2, dense)
    r = responsibilities(x, f)
    whole, found = moments(x, r, dense), gather(x, np.zeros(2), f)
    for part in (found, found.refined(), moments(x[:6], r[:6], dense) + moments(x[6:], r[6:], dense)):
        assert_alike(part, whole)


def test_the_last_row_of_a_tile_is_weighed_by_its_own_largest():
    rho = np.array([[0.0, 0.0], [-2000.0, 2000.0]])
    kernels.softmax(rho, *np.empty((3, 2)))
    np.testing.assert_array_equal(rho, [[1, 0], [0, 1]])


def test_narrow_far_components_keep_their_digits():
    """Spread 1e-7 at distance 1: Σ r xxᵀ − N x̄x̄ᵀ would keep two digits of sixteen."""
    rng = np.random.default_rng(0)
    offsets = 1e-7 * rng.standard_normal((500, 2))
    x = np.concatenate([offsets + 1, -offsets - 1])
    means = np.array([x[:500].mean(axis=0), x[500:].mean(axis=0)])
    unit = np.stack([np.eye(2)] * 2)
    found = gather(x, np.zeros(2), Frame(means, 1e7 * unit, np.zeros(2), means))
    gaps = x[:500] - means[0]
    np.testing.assert_allclose(found.scatter[0], gaps.T @ gaps, rtol=1e-8)


def test_a_memory_map_is_read_where_it_lies(tmp_path):
    n = 400_000
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float64, shape=(n, 4))
    rng = np.random.default_rng(0)
    for first in range(0, n, 50_000):
        rows[first : first + 50_000] = rng.standard_normal((50_000, 4)) + 3 * rng.integers(0, 2, (50_000, 1))
    rows.flush()
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    GaussianMixture(3).fit(x[:1000], rng=0, max_iter=2)
    tracemalloc.start()
    model = GaussianMixture(3).fit(x, rng=0, max_iter=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2
    assert model.elbo == GaussianMixture(3).fit(np.array(x), rng=0, max_iter=2).elbo
