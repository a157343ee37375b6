"""A picture of a mixture: the rows, and the components' ellipses."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.plot.figure import INK, blank, dress, ellipse, principal_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vbref.meanfield import GaussianMixture

Array = NDArray[Any]
_LEAST_WEIGHT = 0.01
_MOST_ROWS = 10_000
_LABEL_WIDTH, _LABEL_HEIGHT = 0.09, 0.065  # of the axes


def clusters(model: "GaussianMixture", x: Array) -> "Figure":
    """Rows (N, D), each in its components' colours mixed as q(z) is, and ellipses at one and two deviations.

    With more than two columns in the plane of the rows' first two principal axes; one column is spread along
    its predictive density. Of many rows ten thousand are drawn, evenly spaced. Components of less than a
    hundredth of the weight are left out.
    """
    from matplotlib import colormaps

    rows = np.asarray(x[:: -(-len(x) // _MOST_ROWS)])
    figure, axes = blank(6.6, 5.4)
    palette = colormaps["tab10"](np.arange(model.n_components) % 10)[:, :3]
    colours = np.clip(model.predict_proba(rows) @ palette, 0, 1)
    if rows.shape[1] == 1:
        axes.scatter(rows[:, 0], np.exp(model.log_predictive(rows)), s=12, c=colours, linewidths=0)
        dress(axes, "x", "density", "the predictive density at the rows")
        return figure
    center, plane, names = _plane(rows)
    points = (rows - center) @ plane
    axes.scatter(points[:, 0], points[:, 1], s=14, c=colours, alpha=0.8, linewidths=0)
    _ellipses(axes, model, (model.means - center) @ plane, plane, palette)
    dress(axes, *names, "responsibilities, and E[Λ]⁻¹ at one and two deviations")
    return figure


def _ellipses(axes: "Axes", model: "GaussianMixture", means: Array, plane: Array, palette: Array) -> None:
    """Each component's, with its weight at its mean."""
    shown = model.weights > _LEAST_WEIGHT
    for mean, cov, colour in zip(means[shown], _covariances(model)[shown], palette[shown], strict=True):
        for radius in (1, 2):
            axes.plot(*ellipse(mean, plane.T @ cov @ plane, radius), color=colour, linewidth=1.5)
    _label(axes, means[shown], [f"{weight:.2f}" for weight in model.weights[shown]], palette[shown])


def _label(axes: "Axes", means: Array, texts: list[str], colours: Array) -> None:
    """A text at each mean, or above it where there is one already, with a line to the mean."""
    size = np.array([_LABEL_WIDTH * np.ptp(axes.get_xlim()), _LABEL_HEIGHT * np.ptp(axes.get_ylim())])
    placed: list[Array] = []
    for mean, text, colour in zip(means, texts, colours, strict=True):
        at = mean.copy()
        while any((abs(at - other) < size).all() for other in placed):
            at[1] += size[1] / 4
        placed.append(at)
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colour, "alpha": 0.8}
        line = {"arrowstyle": "-", "color": colour}
        axes.annotate(
            text, mean, at, color=INK, fontsize=10, ha="center", va="center", bbox=box, arrowprops=line
        )


def _plane(x: Array) -> tuple[Array, Array, tuple[str, str]]:
    """A point, two directions (D, 2), their names: the axes themselves, or the first two principal ones."""
    if x.shape[1] == 2:
        return np.zeros(2), np.eye(2), ("x₁", "x₂")
    center, plane, _ = principal_plane(x)
    return center, plane, ("principal axis 1", "principal axis 2")


def _covariances(model: "GaussianMixture") -> Array:
    """E[Λ_k]⁻¹ as matrices (K, D, D), of any kind."""
    c, d, k = model.covariances, model.means.shape[1], model.n_components
    if model.covariance in ("full", "tied"):
        return np.broadcast_to(c, (k, d, d))
    return c.reshape(k, -1, 1) * np.eye(d)
