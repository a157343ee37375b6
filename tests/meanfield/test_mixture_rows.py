"""What is taken from the rows before the first sweep: spreads, the default prior, the first assignment."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture import model as model_module
from vbref.meanfield.mixture import rows, start
from vbref.meanfield.mixture.rows import center_of, default_inverse_scale, overall, spreads, variances
from vbref.meanfield.mixture.start import nearest_mean, seeds


def measured(x):
    center = center_of(x)
    return overall(x, center), center


def test_a_constant_column_spreads_like_the_others():
    """The root mean square of 3 and 4 · 10⁵, in whose units the column may be; of no other column, 1."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3))
    x = 1e5 * np.array([3, 4, 0]) * (x - x.mean(axis=0)) / x.std(axis=0, ddof=1) + np.array([0, 0, 7.0])
    expected = 1e5 * np.array([3, 4, np.sqrt(12.5)])
    np.testing.assert_allclose(spreads(*measured(x)), expected, rtol=1e-12)
    np.testing.assert_allclose(
        np.diagonal(default_inverse_scale("full", *measured(x))), expected**2, rtol=1e-12
    )
    np.testing.assert_array_equal(spreads(*measured(np.full((5, 2), 3.0))), 1)


def test_two_rows_have_a_variance_above_four_units_of_rounding():
    """½ δ² of two rows δ apart, beside a centre of −2²⁰, where 2⁻³² is 1 unit."""
    for units, above in ((5, False), (6, True)):  # √2 · 4 = 5.66
        step = units * 2.0**-32
        found = variances(*measured(np.array([[-(2.0**20)], [-(2.0**20) - step]])))
        assert found[0] == (pytest.approx(step**2 / 2, rel=1e-12) if above else 0)
    np.testing.assert_allclose(default_inverse_scale("full", *measured(np.array([[0.0], [2.0]]))), [[2.0]])


def test_constant_columns_are_independent_of_the_others_and_alone_have_variance_one():
    x = np.random.default_rng(0).standard_normal((9, 3)) @ np.array([[1.0, 0.5, 0], [0, 2, 0], [0, 0, 0]])
    found = default_inverse_scale("tied", *measured(x + 1))
    np.testing.assert_allclose(found[:2, :2], np.cov(x[:, :2].T), rtol=1e-12)
    np.testing.assert_array_equal(found[:2, 2], 0)
    np.testing.assert_array_equal(default_inverse_scale("spherical", *measured(np.ones((4, 2)))), [1.0])


def test_seeds_are_the_means_of_clusters_far_apart():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [50.0, 0.0], [20.0, 5e4]])
    x = np.concatenate([c + np.array([1.0, 1e3]) * rng.standard_normal((30, 2)) for c in centres])
    for seed in range(5):
        found = seeds(x, 3, x.mean(axis=0), x.std(axis=0), np.random.default_rng(seed)) + x.mean(axis=0)
        expected = x.reshape(3, 30, 2).mean(axis=1)
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], rtol=1e-9)


def test_seeds_are_drawn_by_squared_distances_from_the_nearest():
    """The chances that are asked for (Arthur and Vassilvitskii 2007), where rows 1, 3 and 0 are drawn."""
    x = np.array([[0.0, 0.0], [1.0, 0.5], [5.0, -1.0], [7.0, -1.0]])
    asked, rows_drawn = [], iter([3, 0])

    class Draws:
        def integers(self, n):
            return 1

        def choice(self, n, p):
            asked.append(p)
            return next(rows_drawn)

    np.testing.assert_array_equal(start._spread_out(x, 3, Draws()), x[[1, 3, 0]])
    square = np.square(x[:, None] - x).sum(axis=2)
    nearest = np.minimum(square[1], square[3])
    np.testing.assert_allclose(asked, [square[1] / square[1].sum(), nearest / nearest.sum()], rtol=1e-14)


def test_seeds_of_many_rows_are_those_of_a_sample(monkeypatch):
    monkeypatch.setattr(start, "_SAMPLE", 20)
    x = np.repeat([[0.0], [100.0]], 40, axis=0)
    found = seeds(x, 2, np.zeros(1), np.ones(1), np.random.default_rng(0))
    assert sorted(found[:, 0]) == [0, 100]


@pytest.mark.parametrize("dense", [True, False])
def test_moments_are_taken_near_the_rows_however_far_apart_these_are(dense):
    """Two clusters of spread 1e-3 at ±1e6: from elsewhere their scatter would be off by 1e-4 a row."""
    own = 1e-3 * np.random.default_rng(0).standard_normal((30, 1))
    x, means = np.concatenate([own - 1e6, own + 1e6]), np.array([[-1e6], [1e6]])
    found = nearest_mean(x, np.zeros(1), means, np.array([1e5]), dense)
    for cluster, scatter in zip((x[:30], x[30:]), found.scatter, strict=True):
        assert scatter.item() == pytest.approx(30 * cluster.var(), rel=1e-6)


def test_a_seed_of_its_own_for_each_row_that_is_there():
    """Two equal rows and another for three seeds: the third is drawn where all distances are zero."""
    x = np.array([[0.0], [0.0], [4.0]])
    found = seeds(x, 3, np.zeros(1), np.ones(1), np.random.default_rng(0))
    assert set(found[:, 0]) == {0.0, 4.0}


def test_columns_that_depend_on_each_other_get_a_thousandth_of_their_spread():
    """Two equal columns, and one three times as large: eigenvalues 10⁻⁶ of the correlations."""
    z = np.random.default_rng(0).standard_normal((50, 1))
    x = np.hstack([z, z, 3 * z])
    prior = default_inverse_scale("full", *measured(x))
    scale = z.std(ddof=1) * np.array([1, 1, 3])
    np.testing.assert_allclose(np.linalg.eigvalsh(prior / np.outer(scale, scale)), [1e-6, 1e-6, 3], rtol=1e-8)


@pytest.mark.parametrize("dense", [True, False])
def test_a_start_gives_each_row_to_the_nearest_mean_whole(dense):
    x = np.random.default_rng(0).standard_normal((400, 2)) * np.array([1.0, 1e6])
    means = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 2e6]])
    scale = np.array([1.0, 1e6])
    nearest = np.square((x[:, None] - means) / scale).sum(axis=2).argmin(axis=1)
    found = nearest_mean(x, np.zeros(2), means, scale, dense)
    np.testing.assert_allclose(found.count, np.bincount(nearest), atol=0.01)
    np.testing.assert_allclose(found.mean[2], x[nearest == 2].mean(axis=0), rtol=1e-4)


def test_given_means_are_those_of_the_rows_not_of_their_centre():
    x = np.array([[100.0], [101.0], [110.0], [111.0]])
    state = GaussianMixture(2).started(x, means=np.array([[100.5], [110.5]]))
    np.testing.assert_allclose(state.statistics.count, [2, 2], atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 7, 40])
def test_rows_come_in_chunks_of_any_length(monkeypatch, numbers):
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((11, 2)), rng.dirichlet(np.ones(3), 11)
    model = GaussianMixture(3)
    whole = model.started(x, resp=r).statistics
    before = model.fit(x, resp=r, max_iter=2).log_predictive(x)
    monkeypatch.setattr(rows, "_NUMBERS", numbers)
    part = model.started(x, resp=r).statistics
    for name in ("count", "mean", "scatter", "entropy"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.log_predictive(x), before, rtol=1e-12)


def test_a_device_gathers_from_rows_of_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "vbref.cuda.mixture", SimpleNamespace(Rows=tuple))
    monkeypatch.setattr(model_module, "choice", lambda device: True)
    assert model_module._gather([1, 2], "cuda") == (1, 2)


def test_the_guard_of_usual_rows_is_narrow():
    """Rounding is told from a fall of 10⁻⁹ of the bound, also where columns differ in size."""
    x = np.random.default_rng(0).standard_normal((200, 3)) * np.array([1e-4, 1.0, 1e4]) + 1
    for kind in ("full", "tied", "diag", "spherical"):
        model = GaussianMixture(3, covariance=kind).fit(x, rng=0, max_iter=5)
        assert model._state.evidence_bound().rounding < 1e-9 * abs(model.elbo)
