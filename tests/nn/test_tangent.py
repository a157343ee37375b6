"""A slope's derivatives: against differences, a complex step, and the symmetry of a Hessian."""

import numpy as np
import pytest

from vbref.nn import MLP, tangent
from vbref.nn.gradcheck import check_gradient

WIDTHS = [(3, 1), (2, 4, 1), (1, 3, 2, 1)]


def setting(widths, activation):
    rng = np.random.default_rng(0)
    network = MLP(widths, activation, prefix="f")
    params = {name: 0.7 * rng.standard_normal(shape) for name, shape in network.shapes().items()}
    z, v = rng.standard_normal((2, 5, widths[0]))
    return network, params, z, v


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("activation", list(tangent.CURVATURES))
def test_by_a_complex_step(widths, activation):
    network, params, z, v = setting(widths, activation)
    g, saved = tangent.slope(network, params, z)
    by_step = network.apply({n: p + 0j for n, p in params.items()}, z + 1e-100j * v)[:, 0].imag / 1e-100
    np.testing.assert_allclose((g * v).sum(axis=1), by_step, rtol=1e-12)
    d_z, grads = tangent.slope_backward(network, v, saved)
    assert list(grads) == list(network.shapes())
    check_gradient(lambda p: (tangent.slope(network, p, z)[0] * v).sum(), grads, params)
    check_gradient(lambda at: (tangent.slope(network, params, at)[0] * v).sum(), d_z, z)


def test_a_hessian_is_symmetric():
    network, params, z, _ = setting((2, 4, 1), "tanh")
    _, saved = tangent.slope(network, params, z)
    first, second = (tangent.slope_backward(network, np.tile(e, (5, 1)), saved)[0] for e in np.eye(2))
    np.testing.assert_allclose(first[:, 1], second[:, 0], rtol=1e-12)
    assert abs(first[:, 1]).min() > 1e-3
