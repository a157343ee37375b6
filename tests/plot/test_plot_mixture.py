import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

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


def test_rows_have_the_colour_of_their_component():
    """Read off the picture: the ellipses drawn around a row's cluster are of the row's own colour."""
    rng = np.random.default_rng(0)
    z = np.repeat([0, 1, 2], [10, 20, 30])
    x = rng.standard_normal((60, 2)) + np.array([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])[z]
    axes = mixture.clusters(GaussianMixture(3).fit(x, rng=1), x).axes[0]
    scatter = axes.collections[0]
    np.testing.assert_array_equal(scatter.get_offsets(), x)
    colours = scatter.get_facecolors()[:, :3]
    assert len(np.unique(colours.round(3), axis=0)) == 3
    for line in axes.lines:
        centre = np.column_stack(line.get_data())[:-1].mean(axis=0)
        own = np.linalg.norm(x - centre, axis=1) < 10
        assert own.any()
        np.testing.assert_allclose(colours[own], np.tile(line.get_color(), (own.sum(), 1)), atol=1e-3)


def test_no_label_lies_on_another():
    """Five components with one mean, and one elsewhere."""
    sizes = 2.0 ** np.arange(5)
    x = np.concatenate(
        [size * np.random.default_rng(0).standard_normal((40, 2)) for size in sizes]
        + [np.full((40, 2), 70.0)]
    )
    resp = np.repeat(np.eye(6), 40, axis=0)
    model = GaussianMixture(6).fit(x, resp=resp, max_iter=1)
    figure = mixture.clusters(model, x)
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_bbox_patch().get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    for text, mean, weight in zip(figure.axes[0].texts, model.means, model.weights, strict=True):
        assert text.get_text() == f"{weight:.2f}"
        np.testing.assert_array_equal(text.xy, mean)


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
