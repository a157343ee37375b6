"""The grid's square: no wider than it must be, and refused where nothing dies out."""

import numpy as np
import pytest

from vbref.models import latent_grid


def normal(loc, scale, offset=0.0):
    """log of a normal's shape about `loc` in each dimension; its maximum is `offset`."""
    return lambda z: offset - ((z - loc) ** 2).sum(axis=-1) / (2 * scale**2)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("offset", [-90.0, 0.0, 90.0])
@pytest.mark.parametrize(("scale", "width"), [(0.94, 8.0), (0.95, 8 * 1.4), (1.33, 8 * 1.4**2)])
def test_the_square_ends_where_the_integrand_is_e_to_minus_36(dims, offset, scale, width):
    """½ w²/s² ≥ 36: s = w/√72, 0.943 for the first width and 1.32 for the second."""
    grid, log_f = latent_grid.covering(normal(0.0, scale, offset), dims, nodes=81)
    assert abs(grid.z).max() == pytest.approx(width, rel=1e-14)
    exact = offset + dims * np.log(2 * np.pi * scale**2) / 2
    assert grid.log_integral(log_f) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("loc", [[-5.0], [5.0], [0.0, -5.0], [5.0, 0.0]])
def test_all_edges_count(loc):
    """Off the centre by 5: a half width of 8 would leave 3 standard deviations, one of 15.68 more than 10."""
    grid, log_f = latent_grid.covering(normal(np.array(loc), 1.0), len(loc), nodes=161)
    assert abs(grid.z).max() == pytest.approx(8 * 1.4**2, rel=1e-14)
    assert grid.log_integral(log_f) == pytest.approx(len(loc) * np.log(2 * np.pi) / 2, rel=1e-10)


def test_what_does_not_die_out_is_refused():
    with pytest.raises(ValueError, match="the prior must die out within 200 of 0, does not"):
        latent_grid.covering(lambda z: np.zeros(len(z)), 1)
    with pytest.raises(ValueError, match="latent_dim must be 1 or 2 for a grid, was 3"):
        latent_grid.grid(3, 8.0)
    for nodes in (0, 1, 2.5):
        with pytest.raises(ValueError, match=f"nodes must be an integer >= 2, was {nodes}"):
            latent_grid.grid(1, 8.0, nodes)
