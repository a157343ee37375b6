"""Pictures of mean field: a normal's contours with the path of coordinate ascent, the bound by update."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.plot.figure import BLUE, COLOURS, INK, MUTED, ORANGE, PALE, blank, dress, ellipse, limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vbref.meanfield import Gaussian, Update

Array = NDArray[Any]


def gaussian_path(model: "Gaussian", pair: tuple[int, int] = (0, 1)) -> "Figure":
    """Contours of p and of q at one and two standard deviations, and the means' path, in a `pair` of axes.

    Each update moves along an axis. `model` is fitted; the contours are those of the pair's marginals.

    Raises ValueError for a model that is not fitted and a pair that is none of its coordinates.
    """
    if len(model.path) == 0:
        raise ValueError("model must be fitted first, has no path")
    if len(set(pair)) != 2 or not all(0 <= i < len(model.mean) for i in pair):
        raise ValueError(f"pair must be two of the {len(model.mean)} coordinates, was {pair!r}")
    at = np.array(pair)
    square = np.ix_(at, at)
    figure, axes = blank(6.4, 5.6)
    _contours(axes, model.mean[at], model.cov[square], BLUE, "p")
    _contours(axes, model.means[at], model.covariance[square], ORANGE, "q")
    path = model.path[:, at]
    axes.plot(
        *path.T, color=INK, linewidth=1.1, marker="o", markersize=3, label="means of q, update by update"
    )
    axes.annotate("start", path[0], xytext=(6, 6), textcoords="offset points", fontsize=9, color=MUTED)
    title = f"mean field for a normal: a sweep multiplies the error by {model.rate:.3g} in the end"
    dress(axes, f"z{_subscript(pair[0])}", f"z{_subscript(pair[1])}", title)
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False, fontsize=9)
    return figure


def bound_by_update(history: "Sequence[Update]") -> "Figure":
    """The bound after each update, in the colour of its factor, and below how far it is from the last bound.

    Where there are more factors than colours, all have one. Raises ValueError for an empty history.
    """
    if not history:
        raise ValueError("history must have at least one update, has none")
    figure, alone = blank(6.8, 5.4)
    alone.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    bounds = np.array([row.bound for row in history])
    _dots(upper, bounds, [row.factor for row in history])
    dress(upper, "", "nats", "the bound after every update")
    upper.set_ylim(*_focused(bounds))
    upper.ticklabel_format(useOffset=False)
    left = bounds[-1] - bounds
    seen = left > 0
    if seen.any():
        lower.semilogy(np.nonzero(seen)[0] + 1, left[seen], color=MUTED, linewidth=1.2)
    dress(lower, "update", "nats below the last", "")
    return figure


def stochastic_bound(history: "Sequence[Update]", bound: float) -> "Figure":
    """Estimates of the bound from one minibatch each, their mean in every epoch, and `bound` as a line.

    The minibatches of an epoch are disjoint, so that their mean has next to none of their noise. Raises
    ValueError for an empty history.
    """
    if not history:
        raise ValueError("history must have at least one update, has none")
    steps = np.arange(1, len(history) + 1)
    epochs, estimates = np.array([(row.sweep, row.bound) for row in history]).T
    own = [epochs == epoch for epoch in np.unique(epochs)]
    means = np.array([estimates[rows].mean() for rows in own])
    figure, axes = blank(6.8, 4.6)
    axes.scatter(steps, estimates, s=6, color=PALE, linewidths=0, label="a minibatch")
    middles = [steps[rows].mean() for rows in own]
    axes.plot(middles, means, color=BLUE, linewidth=1.4, marker="o", markersize=3, label="mean of an epoch")
    axes.axhline(bound, color=ORANGE, linewidth=1.2, label="coordinate ascent")
    axes.set_ylim(*_focused(estimates))
    axes.legend(edgecolor="none", framealpha=0.9, fontsize=9, loc="lower right")
    dress(axes, "step", "nats", "estimates of the bound, before each step")
    return figure


def magnetisation(couplings: Sequence[float], means: Sequence[float]) -> "Figure":
    """Means of fitted Curie–Weiss fields against their couplings βJ, with the curve of m = tanh(βJ m).

    The curve is drawn by its inverse, βJ = artanh(m)/m, without solving anything.
    """
    figure, axes = blank(6.4, 4.6)
    m = np.linspace(-0.999, 0.999, 800)  # an even number of points: none of them is 0
    axes.plot(np.arctanh(m) / m, m, color=MUTED, linewidth=1.1, label="m = tanh(βJ m)", zorder=1)
    axes.axhline(0, color=MUTED, linewidth=1.1, zorder=1)
    axes.scatter(couplings, means, s=16, color=BLUE, linewidths=0, label="coordinate ascent", zorder=2)
    axes.set_xlim(min(couplings) - 0.05, max(couplings) + 0.05)
    axes.set_ylim(-1.05, 1.05)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    dress(axes, "coupling βJ", "magnetisation m", "the transition of Curie and Weiss")
    return figure


def _contours(axes: "Axes", mean: Array, cov: Array, colour: str, name: str) -> None:
    """Ellipses at one and two standard deviations."""
    for k, width in ((1, 1.8), (2, 1.0)):
        label = f"{name}, one and two standard deviations" if k == 1 else None
        axes.plot(*ellipse(mean, cov, k), color=colour, linewidth=width, label=label)


def _dots(axes: "Axes", bounds: Array, factors: list[str]) -> None:
    names = list(dict.fromkeys(factors))
    updates = np.arange(1, len(bounds) + 1)
    axes.plot(updates, bounds, color=PALE, linewidth=0.8, zorder=1)
    size = float(np.clip(1500 / len(bounds), 3, 14))
    if len(names) > len(COLOURS):
        axes.scatter(updates, bounds, s=size, color=BLUE, linewidths=0, zorder=2)
        return
    which = np.array([names.index(factor) for factor in factors])
    for k, name in enumerate(names):
        own = which == k
        axes.scatter(updates[own], bounds[own], s=size, color=COLOURS[k], linewidths=0, label=name, zorder=2)
    axes.legend(
        frameon=False, fontsize=9, loc="lower right", title="update of", title_fontsize=9, markerscale=2
    )


def _focused(bounds: Array) -> tuple[float, float]:
    """Limits that leave out the first updates where these are far below all the others."""
    later = bounds[min(len(bounds) // 10, 20) :]
    return limits(later, 1e-3 + 1e-9 * abs(float(later[-1])))


def _subscript(index: int) -> str:
    return str(index + 1).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
