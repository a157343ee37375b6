"""KL on the device against the CPU.

In the simulator the same formulas give the same bits. What is compiled contracts products and sums, and has
libdevice's log and exp.
"""

from unittest import mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vbref import kl
from vbref.cuda import device

SHAPES = ((1,), (11,), (3, 5), (0,), (), *(() if device.SIMULATED else ((257,),)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["normal", "beta", "gamma", "kumaraswamy_beta"])
def test_four_arguments(name, dtype):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        _compare(name, [np.asarray(rng.uniform(0.1, 3, shape), dtype) for _ in range(4)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bernoulli_at_its_ends_too(dtype):
    q, p = (axis.astype(dtype) for axis in np.meshgrid([0, 0.3, 1], [0, 0.7, 1]))
    _compare("bernoulli", [q, p])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_categorical_at_its_ends_too(dtype):
    q, p = [[0, 0.25, 0.75], [0.5, 0.5, 0]], [[0.5, 0.25, 0.25], [0, 0.5, 0.5]]
    _compare("categorical", [np.array(probs, dtype) for probs in (q, p)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 4), (3, 1), (0, 3), (2,)])
def test_dirichlet(shape, dtype):
    rng = np.random.default_rng(2)
    # Of one component there is nothing to launch: all mass is on it.
    _compare("dirichlet", [rng.uniform(0.1, 3, shape).astype(dtype) for _ in range(2)], runs=shape[-1] > 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wishart(dtype):
    rng = np.random.default_rng(3)
    v_q, v_p = (np.eye(3) + root @ root.swapaxes(-1, -2) for root in rng.standard_normal((2, 2, 3, 3)))
    nu_q, nu_p = np.array([2.5, 7]), np.array([30, 4.0])
    _compare("wishart", [array.astype(dtype) for array in (nu_q, v_q, nu_p, v_p)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_and_diagonal_normal(dtype):
    rng = np.random.default_rng(1)
    _compare("standard_normal", [rng.standard_normal((4, 3)).astype(dtype) for _ in range(2)])
    _compare("diag_normal", [rng.uniform(0.1, 2, (4, 3)).astype(dtype) for _ in range(4)])


@pytest.mark.parametrize("distance", [0.0, 1e-3, 1.0])  # equal, the difference form, the far form
@pytest.mark.parametrize("d", [1, 3, 5])
def test_multivariate_normal(d, distance):
    rng = np.random.default_rng(d)
    root = rng.standard_normal((2, 3, d, d))
    cov, more = root @ root.swapaxes(-1, -2) + np.eye(d)
    mean = rng.standard_normal((3, d))
    arguments = (mean, cov, mean + distance, cov + distance * more)
    expected = kl.multivariate_normal(*arguments)
    assert_allclose(_on_device(kl.multivariate_normal, arguments), expected, rtol=1e-12, atol=0)
    grads = _on_device(kl.multivariate_normal_grad, arguments)
    for got, expected in zip(grads, kl.multivariate_normal_grad(*arguments), strict=True):
        assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("distance", [1e-6, 1e-4, 1e-2, 100.0])
def test_covariances_alone_have_the_form_of_their_distance(distance):
    """The far form would lose three digits at 1e-4."""
    root = np.random.default_rng(4).standard_normal((2, 3, 5, 5))
    cov, more = root @ root.swapaxes(-1, -2) + np.eye(5)
    mean = np.zeros((3, 5))
    arguments = (mean, cov + distance * more, mean, cov)
    expected = kl.multivariate_normal(*arguments)
    assert_allclose(_on_device(kl.multivariate_normal, arguments), expected, rtol=2e-15, atol=0)


def test_too_large_a_matrix_is_named():
    cov = np.eye(17)
    with pytest.raises(ValueError, match="at most 16 x 16"):
        kl.multivariate_normal(np.zeros(17), cov, np.zeros(17), cov, device="cuda")


@pytest.mark.skipif(not device.SIMULATED, reason="OF THE SIMULATOR ALONE")
def test_the_simulator_is_refused_unless_allowed(monkeypatch):
    monkeypatch.setattr(device.settings, "allow_simulator", False)
    with pytest.raises(device.Unavailable, match="simulator"):
        kl.normal(0.0, 1.0, 0.0, 1.0, device="cuda")


def _on_device(function, arguments, runs=True):
    """What it gives there, and not, by a keyword that is passed over, on the CPU."""
    with mock.patch.object(device, "empty", wraps=device.empty) as made:
        result = function(*arguments, device="cuda")
    assert made.called or not runs or np.size(arguments[0]) == 0
    return result


def _compare(name, arguments, runs=True):
    value, twin = getattr(kl, name), getattr(kl, f"{name}_grad")
    _agree(_on_device(value, arguments, runs), value(*arguments), 200)
    for got, expected in zip(_on_device(twin, arguments, runs), twin(*arguments), strict=True):
        _agree(got, expected, 1000)


def _agree(got, expected, units):
    """Within so many units in the last place of 1 and of what is expected; in the simulator, to the bit."""
    if device.SIMULATED:
        assert_array_equal(got, expected, strict=True)
    else:
        eps = units * np.finfo(expected.dtype).eps
        assert got.dtype == expected.dtype
        assert_allclose(got, expected, rtol=eps, atol=eps)
