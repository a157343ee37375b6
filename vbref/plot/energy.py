"""The energy as a contour map, with the codes of the data and the sampler's draws over it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.plot.figure import BLUE, INK, ORANGE, blank, dress, principal_plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
_SIDE, _DEEPEST = 121, 12.0


def energy_map(model: Any, params: Any, codes: Array, draws: Array) -> "Figure":
    """−log P(z) above its lowest value on the map, with codes (N, D) and the sampler's draws (M, D) as dots.

    For more than two latent dimensions the map is a slice through the codes' mean along their first two
    principal axes, onto which the dots are projected: they need not lie where the slice is low.
    """
    if model.latent_dim == 1:
        return _line(model, params, codes, draws)
    centre, across = _frame(codes)
    points, drawn = (codes - centre) @ across, (draws - centre) @ across
    half = 1.15 * float(max(abs(points).max(), np.quantile(abs(drawn), 0.995)))
    line = np.linspace(-half, half, _SIDE)
    plane = np.stack(np.meshgrid(line, line), axis=-1)
    log_p = model.prior.log_prob(params, (plane @ across.T + centre).astype(model.dtype))[0]
    figure, axes = blank(6.8, 5.6)
    height = np.minimum(log_p.max() - log_p, _DEEPEST)
    filled = axes.contourf(
        line, line, height, levels=np.linspace(0, _DEEPEST, 13), cmap="Greys", vmax=2 * _DEEPEST
    )
    figure.colorbar(filled, ax=axes, label="−log P(z), nats above the lowest", shrink=0.85)
    _dots(axes, points, drawn)
    words = ("z₁", "z₂") if model.latent_dim == 2 else ("first principal axis of the codes", "second")
    kind = "the energy" if model.latent_dim == 2 else "a slice of the energy through the codes' mean"
    dress(axes, *words, f"{kind}, codes and draws")
    axes.set_aspect("equal")
    return figure


def _frame(codes: Array) -> tuple[Array, Array]:
    """The origin and the two axes (D, 2) of the map."""
    if codes.shape[1] == 2:
        return np.zeros(2, codes.dtype), np.eye(2, dtype=codes.dtype)
    return principal_plane(codes)[:2]


def _dots(axes: Any, points: Array, drawn: Array) -> None:
    axes.scatter(*drawn.T, s=5, color=ORANGE, alpha=0.55, linewidths=0, label="the sampler's draws")
    axes.scatter(*points.T, s=7, color=BLUE, alpha=0.8, linewidths=0, label="codes of the data")
    axes.legend(frameon=True, fontsize=9, loc="upper right", labelcolor=INK)


def _line(model: Any, params: Any, codes: Array, draws: Array) -> "Figure":
    """P(z) over one latent dimension, with histograms of both."""
    figure, axes = blank(6.8, 4.2)
    grid, log_p, _ = model.on_grid(params)
    shown = log_p > log_p.max() - _DEEPEST
    axes.plot(grid.z[shown, 0], np.exp(log_p[shown]), color=INK, linewidth=1.4, label="P(z)")
    for values, colour, label in ((codes, BLUE, "codes"), (draws, ORANGE, "draws")):
        axes.hist(values[:, 0], bins=60, density=True, histtype="step", color=colour, label=label)
    axes.legend(frameon=False, fontsize=9)
    dress(axes, "z", "density", "the prior, codes of the data, the sampler's draws")
    return figure
