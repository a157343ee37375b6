"""Pictures of a mixture: the bound by update, and the rows with the components' ellipses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.plot import _dress, _figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vbref.meanfield import GaussianMixture, Update

Array = NDArray[Any]
_COLOURS = {"assignments": "#1f5fa8", "weights": "#3a8a4d", "components": "#d1601f"}
_LEAST_WEIGHT = 0.01


def bound_by_update(history: "Sequence[Update]") -> "Figure":
    """The bound after every update, in nats, by the factor that was updated; how far below the last, too."""
    figure, axes = _figure(9.2, 3.9)
    axes.remove()
    left, right = figure.subplots(1, 2)
    bounds = np.array([update.bound for update in history])
    steps, below = np.arange(1, len(bounds) + 1), bounds[-1] - bounds
    for axes, values in ((left, bounds), (right, np.where(below > 0, below, np.nan))):
        axes.plot(steps, values, color="#bbbbbb", linewidth=1, zorder=1)
        for name, colour in _COLOURS.items():
            own = np.array([update.factor == name for update in history])
            axes.scatter(steps[own], values[own], s=11, color=colour, label=f"q({name})", zorder=2)
    left.legend(frameon=False, fontsize=9, loc="lower right")
    right.set_yscale("log")
    _dress(left, "update", "nats", "the bound after every update")
    _dress(right, "update", "nats", "below the last bound")
    return figure


def mixture(model: "GaussianMixture", x: Array) -> "Figure":
    """Rows (N, D), each in its components' colours mixed as q(z) is, and ellipses at one and two deviations.

    With more than two columns in the plane of the rows' first two principal axes; one column is spread along
    its predictive density. Components of less than a hundredth of the weight are left out.
    """
    from matplotlib import colormaps

    figure, axes = _figure(6.6, 5.4)
    palette = colormaps["tab10"](np.arange(model.n_components) % 10)[:, :3]
    colours = np.clip(model.predict_proba(x) @ palette, 0, 1)
    center, plane, names = _plane(x)
    if x.shape[1] == 1:
        axes.scatter(x[:, 0], np.exp(model.log_predictive(x)), s=12, c=colours, linewidths=0)
        _dress(axes, "x", "density", "the predictive density at the rows")
        return figure
    points = (x - center) @ plane if x.shape[1] > 2 else x
    axes.scatter(points[:, 0], points[:, 1], s=14, c=colours, alpha=0.8, linewidths=0)
    means = (model.means - center) @ plane if x.shape[1] > 2 else model.means
    for mean, cov, weight, colour in zip(means, _covariances(model), model.weights, palette, strict=True):
        if weight > _LEAST_WEIGHT:
            for radius in (1, 2):
                axes.plot(*_ellipse(mean, plane.T @ cov @ plane, radius), color=colour, linewidth=1.5)
            box = {"boxstyle": "round,pad=0.2", "color": "white", "alpha": 0.75}
            axes.annotate(f"{weight:.2f}", mean, color="#222222", fontsize=10, ha="center", bbox=box)
    _dress(axes, *names, "responsibilities, and E[Λ]⁻¹ at one and two deviations")
    return figure


def _plane(x: Array) -> tuple[Array, Array, tuple[str, str]]:
    """A point, two directions (D, 2), their names: the axes themselves, or the first two principal ones."""
    if x.shape[1] <= 2:
        return np.zeros(x.shape[1]), np.eye(x.shape[1]), ("x₁", "x₂")
    center = x.mean(axis=0)
    axes = np.linalg.svd(x - center, full_matrices=False)[2]
    return center, axes[:2].T, ("principal axis 1", "principal axis 2")


def _covariances(model: "GaussianMixture") -> Array:
    """E[Λ_k]⁻¹ as matrices (K, D, D), of any kind."""
    c, d, k = model.covariances, model.means.shape[1], model.n_components
    shapes = {"tied": (1, 1, 1), "diag": (k, d, 1), "spherical": (k, 1, 1), "full": (k, d, d)}
    if model.covariance == "tied":
        return np.broadcast_to(c, (k, d, d))
    return c.reshape(shapes[model.covariance]) * (1 if model.covariance == "full" else np.eye(d))


def _ellipse(mean: Array, cov: Array, radius: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return mean[:, None] + radius * np.linalg.cholesky(cov) @ circle
