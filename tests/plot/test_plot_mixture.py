import numpy as np
import pytest

from vbref.meanfield import GaussianMixture
from vbref.plot import mixture


def fitted(kind, d, n=40):
    x = np.random.default_rng(0).standard_normal((n, d)) + [5.0, -2.0, 9.0][:d]
    return GaussianMixture(2, covariance=kind).fit(x, rng=0, max_iter=5), x


def as_matrix(model, k, d):
    """The covariance of component k of any kind."""
    if model.covariance in ("full", "tied"):
        return model.covariances[k] if model.covariance == "full" else model.covariances
    return np.diag(np.broadcast_to(model.covariances[k], (d,)))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("d", [2, 3])
def test_ellipses_are_those_of_the_covariances(kind, d):
    """In the plane in which the rows are drawn, whose two directions (D, 2) are read off the picture."""
    model, x = fitted(kind, d)
    axes = mixture.clusters(model, x).axes[0]
    drawn = np.asarray(axes.collections[0].get_offsets())
    centre = x.mean(axis=0)
    plane = np.linalg.lstsq(x - centre, drawn - drawn.mean(axis=0))[0]
    lines = [np.column_stack(line.get_data()) for line in axes.lines]
    assert len(lines) == 4
    for i, line in enumerate(lines):
        k, radius = divmod(i, 2)
        gaps = line - drawn.mean(axis=0) - (model.means[k] - centre) @ plane
        precision = np.linalg.inv(plane.T @ as_matrix(model, k, d) @ plane)
        np.testing.assert_allclose((gaps @ precision * gaps).sum(axis=1), (radius + 1) ** 2, rtol=1e-9)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_one_column_is_drawn_along_its_density(kind):
    model, x = fitted(kind, 1)
    drawn = np.asarray(mixture.clusters(model, x).axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(drawn, np.column_stack([x, np.exp(model.log_predictive(x))]))


def test_of_many_rows_some_are_drawn():
    model, x = fitted("full", 2)
    many = np.tile(x, (1000, 1))
    assert 5000 < len(mixture.clusters(model, many).axes[0].collections[0].get_offsets()) <= 10_000


def test_components_without_weight_are_left_out():
    x = np.random.default_rng(0).standard_normal((300, 2))
    model = GaussianMixture(6, concentration=1e-3).fit(x, rng=0)
    assert (model.weights < 0.01).any()
    assert len(mixture.clusters(model, x).axes[0].lines) == 2 * (model.weights > 0.01).sum()
