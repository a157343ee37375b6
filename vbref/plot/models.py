"""Pictures of a model: what it reconstructs, what it dreams, where it puts the data, how good it is."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref.plot.figure import BLUE, COLOURS, INK, ORANGE, blank, dress, limits, principal_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Image = NDArray[Any]


def reconstructions(originals: NDArray[Any], decoded: NDArray[Any], *, pairs_a_row: int = 8) -> "Figure":
    """Each original (N, D) beside the decoder's mean (N, D) at the mean of its posterior."""
    pairs = [_beside(x, y) for x, y in zip(_images(originals), _images(decoded), strict=True)]
    figure, axes = blank(7.2, 0.42 + 7.2 * _ratio(pairs, pairs_a_row))
    _show_tiles(axes, _tiled(pairs, pairs_a_row))
    axes.set_title("originals (left) beside reconstructions (right)", fontsize=10, color=INK)
    return figure


def samples(
    means: NDArray[Any], *, a_row: int = 12, title: str = "the decoder's mean at draws from the prior"
) -> "Figure":
    """The decoder's mean (N, D) at draws from the prior."""
    images = [_framed(image) for image in _images(means)]
    figure, axes = blank(7.2, 0.42 + 7.2 * _ratio(images, a_row))
    _show_tiles(axes, _tiled(images, a_row))
    axes.set_title(title, fontsize=10, color=INK)
    return figure


def latent_plane(
    codes: NDArray[Any], labels: NDArray[Any] | None = None, *, legend: str = "label"
) -> "Figure":
    """Posterior means (N, latent) in the plane, or in that of their first two principal axes, by label."""
    points, names = _plane(codes)
    figure, axes = blank(6.4, 5.6)
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=7, color=BLUE, alpha=0.6, linewidths=0)
    else:
        _scatter_by_label(axes, points, labels, legend)
    dress(axes, names[0], names[1], "where the posterior puts the data")
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def bounds(
    ks: Sequence[int],
    means: Sequence[float],
    standard_errors: Sequence[float],
    *,
    name: str = "IWAE-K",
    counts: str = "samples in the bound",
    first: str = "ELBO",
) -> "Figure":
    """The bound per datum against K, with a standard error over the data on either side."""
    figure, axes = blank(6.4, 4.2)
    axes.errorbar(
        ks, means, yerr=standard_errors, color=BLUE, marker="o", markersize=5, capsize=4, linewidth=1.4
    )
    for k, mean in zip(ks, means, strict=True):
        axes.annotate(
            f"{mean:.2f}".replace("-", "−"),
            (k, mean),
            xytext=(7, -13),
            textcoords="offset points",
            fontsize=8.5,
            color=INK,
        )
    axes.set_xscale("log")
    axes.set_xticks(list(ks), [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlim(min(ks) / 1.5, max(ks) * 2.2)
    dress(
        axes,
        f"K, {counts} (1 is the {first})",
        "nats per datum",
        f"held-out {name}, ± one standard error",
    )
    return figure


def history(history: Mapping[str, Any]) -> "Figure":
    """The bounds of each epoch, or in a game what each player raises, which need be no bound."""
    figure, axes = blank(6.4, 4.2)
    from matplotlib.ticker import MaxNLocator

    named = [(name, values) for name, values in history.items() if name != "seconds"]
    for (name, values), colour in zip(named, COLOURS, strict=False):
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, color=colour, linewidth=1.2, label=name, marker="o" * (len(values) == 1))
    low, high = _without_the_start([values for _, values in named])
    axes.set_ylim(low, high)
    axes.ticklabel_format(useOffset=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    alone = {name for name, _ in named} <= {"train", "validation"}
    dress(axes, "epoch", "nats per datum", "the bound while training" if alone else "what each player raises")
    return figure


def shares(named: Mapping[str, NDArray[Any]], which: str) -> "Figure":
    """The mean share of each piece of a stick, or of each cluster, by name; `which` labels the axis."""
    figure, axes = blank(6.4, 4.2)
    from matplotlib.ticker import MaxNLocator

    width = 0.8 / len(named)
    for i, ((name, values), colour) in enumerate(zip(named.items(), (BLUE, ORANGE), strict=False)):
        places = np.arange(1, len(values) + 1) + (i - (len(named) - 1) / 2) * width
        axes.bar(places, values, width, color=colour, label=name)
    axes.legend(frameon=False, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    dress(axes, which, "mean share", "how the whole is shared")
    return figure


def _images(rows: NDArray[Any]) -> NDArray[Any]:
    """(N, D) as N squares, or as N strips where D is no square."""
    side = math.isqrt(rows.shape[1])
    return rows.reshape(len(rows), side, side) if side * side == rows.shape[1] else rows[:, None]


def _framed(image: Image, gaps: int = 1) -> Image:
    """The image with `gaps` gaps of blank on either side and one above and below."""
    gap = _gap(image)
    return np.pad(image, ((gap, gap), (gaps * gap, gaps * gap)), constant_values=np.nan)


def _beside(left: Image, right: Image) -> Image:
    """One tile of two images, closer to each other than to their neighbours."""
    gap = np.full((len(left), _gap(left)), np.nan)
    return _framed(np.concatenate([left, gap, right], axis=1), gaps=2)


def _gap(image: Image) -> int:
    return max(1, image.shape[0] // 14)


def _ratio(tiles: Sequence[Image], a_row: int) -> float:
    height, width = tiles[0].shape
    return math.ceil(len(tiles) / a_row) * height / (a_row * width)


def _tiled(tiles: Sequence[Image], a_row: int) -> Image:
    blank = np.full_like(tiles[0], np.nan)
    padded = [*tiles, *[blank] * (-len(tiles) % a_row)]
    return np.block([padded[start : start + a_row] for start in range(0, len(padded), a_row)])


def _show_tiles(axes: "Axes", tiled: Image) -> None:
    """Ink on paper, from the smallest value to the largest. Bytes, because matplotlib makes many copies."""
    low, high = np.nanmin(tiled), np.nanmax(tiled)
    ink = (np.nan_to_num(tiled, nan=low) - low) / max(high - low, np.finfo(tiled.dtype).tiny)
    grey = np.uint8(255) - np.round(255 * ink).astype(np.uint8)
    axes.imshow(np.repeat(grey[:, :, None], 3, axis=2), interpolation="nearest")
    axes.set_axis_off()


def _plane(codes: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, str]]:
    if codes.shape[1] == 1:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))]), ("z₁", "")
    if codes.shape[1] == 2:
        return codes, ("z₁", "z₂")
    center, plane, shares = principal_plane(codes)
    first, second = (
        f"principal axis {i} of E[z | x] ({100 * share:.0f} % of its variance)"
        for i, share in enumerate(shares, 1)
    )
    return (codes - center) @ plane, (first, second)


def _scatter_by_label(axes: "Axes", points: NDArray[Any], labels: NDArray[Any], legend: str) -> None:
    names, which = np.unique(labels, return_inverse=True)
    few = len(names) <= 10
    cmap = "tab10" if few else "viridis"
    dots = axes.scatter(
        points[:, 0], points[:, 1], c=which, cmap=cmap, vmax=9 if few else None, s=15, alpha=0.8, linewidths=0
    )
    if few:
        keys, _ = dots.legend_elements(alpha=1)
        words = [str(name) for name in names]
        axes.legend(
            keys,
            words,
            title=legend,
            frameon=False,
            fontsize=9,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )


def _without_the_start(series: Sequence[Any]) -> tuple[float, float]:
    """Limits that show the later nine tenths: the first steps are far below the part that matters."""
    later = np.concatenate([np.asarray(values)[len(values) // 10 :] for values in series])
    return limits(later, 0.1)
