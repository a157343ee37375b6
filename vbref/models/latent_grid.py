"""A latent space of one or two dimensions laid out on a grid: log Z, evidence and posterior without sampling.

The trapezoid rule over a square converges faster than any power of its step where the integrand is smooth and
has died out at the edge. The square grows until it has; a step still too wide would show as a change from
`nodes` to twice as many.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vbref.models.door import Array

_NODES = {1: 4001, 2: 321}
_EDGE, _WIDTH, _WIDEST = -36.0, 8.0, 200.0


@dataclass(frozen=True)
class Grid:
    """Points z (Q, D), and the log of the volume that each stands for."""

    z: Array
    log_volume: float

    def log_integral(self, log_f: Array) -> Array:
        """log ∫ f dz of log f on the grid (Q, …)."""
        return np.logaddexp.reduce(log_f, axis=0) + self.log_volume


def grid(latent_dim: int, half_width: float, nodes: int | None = None) -> Grid:
    """A square of side 2 `half_width` about 0, of `nodes` >= 2 a side.

    Raises ValueError for more than two dimensions.
    """
    if latent_dim not in _NODES:
        raise ValueError(f"latent_dim must be 1 or 2 for a grid, was {latent_dim}")
    nodes = _NODES[latent_dim] if nodes is None else nodes
    if not isinstance(nodes, int | np.integer) or nodes < 2:
        raise ValueError(f"nodes must be an integer >= 2, was {nodes!r}")
    axis = np.linspace(-half_width, half_width, nodes)
    z = np.stack(np.meshgrid(*[axis] * latent_dim, indexing="ij"), axis=-1).reshape(-1, latent_dim)
    return Grid(z, latent_dim * float(np.log(axis[1] - axis[0])))


def covering(
    log_f: Callable[[Array], Array], latent_dim: int, nodes: int | None = None
) -> tuple[Grid, Array]:
    """The smallest of squares ever wider at whose edge f is e^−36 of its maximum or less, and log f there.

    Raises ValueError where there is none up to a half width of 200: then f has no integral worth the name.
    """
    half_width = _WIDTH
    while half_width <= _WIDEST:
        found = grid(latent_dim, half_width, nodes)
        values = log_f(found.z)
        edge = np.abs(found.z).max(axis=-1) == half_width
        if values[edge].max() <= values.max() + _EDGE:
            return found, values
        half_width *= 1.4
    raise ValueError(f"the prior must die out within {_WIDEST:g} of 0, does not")
