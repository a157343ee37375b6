import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vbref import plot
from vbref.meanfield import BinaryField, Gaussian, LinearRegression, Update
from vbref.plot import meanfield

RNG = np.random.default_rng(0)


def gaussian(d=2):
    a = RNG.standard_normal((d, d))
    return Gaussian(RNG.standard_normal(d), a @ a.T + np.eye(d)).fit(start=np.full(d, 3.0))


def spins():
    j = np.triu(RNG.standard_normal((9, 9)), 1)
    return BinaryField(j + j.T, np.zeros(9)).fit(rng=0)


def regression():
    x = RNG.standard_normal((20, 3))
    return LinearRegression().fit(x, x[:, 0] + RNG.standard_normal(20))


FIGURES = {
    "path": lambda: meanfield.gaussian_path(gaussian()),
    "path in a plane of four": lambda: meanfield.gaussian_path(gaussian(4), (3, 1)),
    "two factors": lambda: meanfield.bound_by_update(regression().history),
    "nine factors": lambda: meanfield.bound_by_update(spins().history),
    "one update": lambda: meanfield.bound_by_update([Update(1, "q", -3.0)]),
    "a bound that stands still": lambda: meanfield.bound_by_update([Update(1, "q", -3.0)] * 4),
    "stochastic": lambda: meanfield.stochastic_bound(
        [Update(1 + i // 5, "q", -3.0 - i % 2) for i in range(20)], -3.2
    ),
    "magnetisation": lambda: meanfield.magnetisation([0.5, 1.5], [0.0, 0.86]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_written_and_clip_no_text(name, tmp_path):
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    plot.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_the_path_moves_along_one_axis_at_a_time():
    model = gaussian()
    path = np.column_stack(meanfield.gaussian_path(model).axes[0].lines[-1].get_data())
    np.testing.assert_array_equal(path, model.path)
    assert (np.count_nonzero(np.diff(path[:5], axis=0), axis=1) == 1).all()


def test_contours_are_at_one_and_two_standard_deviations():
    model = gaussian()
    lines = meanfield.gaussian_path(model).axes[0].lines
    for line, k, cov in zip(lines, (1, 2, 1, 2), [model.cov] * 2 + [model.covariance] * 2, strict=False):
        gaps = np.column_stack(line.get_data()) - (model.mean if cov is model.cov else model.means)
        np.testing.assert_allclose((gaps @ np.linalg.inv(cov) * gaps).sum(axis=1), k**2, rtol=1e-9)


def test_the_curve_of_curie_and_weiss_solves_its_equation():
    inverse, m = meanfield.magnetisation([0.5], [0.0]).axes[0].lines[0].get_data()
    np.testing.assert_allclose(np.tanh(inverse * m), m, rtol=1e-12)


def test_the_mean_of_an_epoch_is_drawn_in_its_middle():
    history = [Update(1, "q", -5.0), Update(1, "q", -3.0), Update(2, "q", -2.5), Update(2, "q", -2.0)]
    lines = meanfield.stochastic_bound(history, -2.0).axes[0].lines
    np.testing.assert_array_equal(lines[0].get_data(), [[1.5, 3.5], [-4.0, -2.25]])
    assert set(lines[1].get_ydata()) == {-2.0}


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least one update"):
        meanfield.stochastic_bound([], 0.0)
    with pytest.raises(ValueError, match="fitted first"):
        meanfield.gaussian_path(Gaussian([0.0, 0.0], np.eye(2)))
    with pytest.raises(ValueError, match="pair must be two"):
        meanfield.gaussian_path(gaussian(), (0, 0))
    with pytest.raises(ValueError, match="at least one update"):
        meanfield.bound_by_update([])
