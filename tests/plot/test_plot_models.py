import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vbref import plot

RNG = np.random.default_rng(0)


def text_of(figure):
    axes = figure.axes[0]
    return [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]


def inside(figure):
    """Every text lies on the canvas: nothing is clipped."""
    FigureCanvasAgg(figure).draw()
    width, height = figure.canvas.get_width_height()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts] + [figure.axes[0].get_tightbbox()]
    return all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)


FIGURES = {
    "reconstructions": lambda: plot.reconstructions(RNG.random((11, 64)), RNG.random((11, 64))),
    "samples": lambda: plot.samples(RNG.random((5, 49), np.float32)),
    "samples of strips": lambda: plot.samples(RNG.random((5, 7))),
    "constant samples": lambda: plot.samples(np.zeros((5, 9))),
    "plane of one": lambda: plot.latent_plane(RNG.random((9, 1))),
    "plane of two": lambda: plot.latent_plane(RNG.random((9, 2)), np.arange(9) % 3),
    "plane of five": lambda: plot.latent_plane(RNG.random((30, 5)), np.arange(30)),
    "bounds": lambda: plot.bounds([1, 5, 50, 500], [-23.0, -22.6, -22.5, -22.46], [0.2] * 4),
    "history": lambda: plot.history(
        {"train": [-30.0, -25, -24], "validation": [-29.0, -26, -25], "seconds": [1] * 3}
    ),
    "one epoch": lambda: plot.history({"train": [-30.0], "seconds": [1.0]}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_written_and_clip_no_text(name, tmp_path):
    figure = FIGURES[name]()
    assert inside(figure)
    plot.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_numbers_have_their_unit():
    assert text_of(FIGURES["bounds"]())[2] == "nats per datum"
    assert text_of(FIGURES["history"]())[1:] == ["epoch", "nats per datum"]


def test_originals_stand_beside_their_reconstructions():
    originals, decoded = np.zeros((2, 4)), np.ones((2, 4))
    image = plot.reconstructions(originals, decoded, pairs_a_row=2).axes[0].images[0].get_array()
    dark = np.asarray(image)[:, :, 0] == 0
    assert dark.sum() == 8
    # A tile is 2 blank, 2 original, 1 blank, 2 decoded, 2 blank; only the decoded are ink.
    assert sorted(set(np.nonzero(dark)[1])) == [5, 6, 14, 15]


def test_principal_plane_keeps_the_largest_variances():
    codes = RNG.standard_normal((500, 4)) * [1, 5, 0.1, 3]
    points = plot.latent_plane(codes).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.var(points, axis=0), [25, 9], rtol=0.2)


def test_history_shows_later_epochs_whole():
    low, high = plot.history({"train": [-1e6, *[-20.0] * 30]}).axes[0].get_ylim()
    assert -21 < low < -20 < high < -19
