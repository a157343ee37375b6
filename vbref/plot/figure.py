"""What all pictures share: how a figure is made, dressed and saved; colours, limits, ellipses, a plane.

A matplotlib `Figure` here belongs to nobody: no pyplot, no global state, safe in threads.
"""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.checkpoint import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
INK, MUTED, PALE = "#222222", "#777777", "#bbbbbb"
BLUE, ORANGE, GREEN, PURPLE = "#1f5fa8", "#d1601f", "#3a8a4d", "#8a5aa8"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#b8860b", MUTED)


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write the figure as PNG, whole or not at all."""
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=160)


def blank(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches, and its axes; ImportError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'vbref[app]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def dress(axes: "Axes", x: str, y: str, title: str) -> None:
    """Title, labels, a light grid, no frame."""
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)


def limits(values: Array, least: float) -> tuple[float, float]:
    """The range of the values, with a margin of 6 % of it and of `least` at least."""
    margin = max(0.06 * float(np.ptp(values)), least)
    return float(values.min()) - margin, float(values.max()) + margin


def ellipse(mean: Array, cov: Array, radius: float) -> Array:
    """mean + radius L (cos t, sin t), (2, T): where a normal in the plane is `radius` deviations out."""
    t = np.linspace(0, 2 * np.pi, 181)
    return mean[:, None] + radius * np.linalg.cholesky(cov) @ np.stack([np.cos(t), np.sin(t)])


def principal_plane(x: Array) -> tuple[Array, Array, Array]:
    """The mean of rows x (N, D), D ≥ 2, two directions (D, 2) of the largest variance, their shares of it."""
    center = x.mean(axis=0)
    _, s, axes = np.linalg.svd(x - center, full_matrices=False)
    return center, axes[:2].T, (s**2 / (s**2).sum())[:2]
