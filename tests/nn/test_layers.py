"""Each backward twin against complex step and central differences, from one table of layers."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbref.nn import layers
from vbref.nn.gradcheck import check_gradient

ELEMENTWISE = ("tanh", "relu", "sigmoid", "softplus")

# layer: shapes of its arguments for x (..., fan_in) and fan_out outputs
LAYERS = {
    "affine": lambda lead, d, e: {"x": (*lead, d), "weight": (d, e), "bias": (e,)},
    "layer_norm": lambda lead, d, e: {"x": (*lead, d), "gain": (d,), "bias": (d,)},
    **dict.fromkeys(ELEMENTWISE, lambda lead, d, e: {"x": (*lead, d)}),
}
SHAPES = st.tuples(st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 2)]), st.integers(1, 5), st.integers(1, 4))


def draw(name, shape=((2, 3), 4, 5), seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    normals = {k: rng.normal(size=s) for k, s in LAYERS[name](*shape).items()}
    return {k: (z + np.copysign(0.01, z)).astype(dtype) for k, z in normals.items()}  # off the kink of relu


def twin(name, arguments, d_y=None):
    """Return y and the gradients of Σ d_y y by each argument."""
    y, saved = getattr(layers, name)(**arguments)
    d_y = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype) if d_y is None else d_y
    back = getattr(layers, f"{name}_backward")(d_y, saved)
    return y, dict(zip(arguments, back if isinstance(back, tuple) else (back,), strict=True))


def weighted_sum(name, arguments):
    y, _ = getattr(layers, name)(**arguments)
    return (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum()


@pytest.mark.parametrize("name", LAYERS)
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_backward_is_the_derivative_of_forward(name, shape, seed):
    arguments = draw(name, shape, seed)
    gradient = twin(name, arguments)[1]
    check_gradient(lambda a: weighted_sum(name, a), gradient, arguments, method="complex")
    # a short step: layer_norm of two nearly equal features is steep
    check_gradient(lambda a: weighted_sum(name, a), gradient, arguments, typical=0.05, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_agrees(name):
    y, gradient = twin(name, draw(name, dtype=np.float32))
    wide_y, wide = twin(name, draw(name))
    assert {y.dtype, *(each.dtype for each in gradient.values())} == {np.dtype(np.float32)}
    np.testing.assert_allclose(y, wide_y, rtol=1e-5, atol=1e-5)
    for key in wide:
        np.testing.assert_allclose(gradient[key], wide[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_leading_axes_are_a_loop(name):
    """A (K, N, D) call equals K calls on (N, D): rows do not mix, and parameter gradients add up."""
    arguments = draw(name)
    x = arguments.pop("x")
    y, gradient = twin(name, {"x": x, **arguments}, np.ones_like(twin(name, {"x": x, **arguments})[0]))
    parts = [twin(name, {"x": x_k, **arguments}, np.ones(y.shape[1:])) for x_k in x]
    np.testing.assert_allclose(y, np.stack([y_k for y_k, _ in parts]), rtol=1e-14)
    np.testing.assert_allclose(gradient["x"], np.stack([g["x"] for _, g in parts]), rtol=1e-13, atol=1e-15)
    for key in arguments:
        np.testing.assert_allclose(gradient[key], sum(g[key] for _, g in parts), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", LAYERS)
def test_empty_leading_axes(name):
    arguments = draw(name, ((3, 0), 4, 5))
    y, gradient = twin(name, arguments)
    assert y.shape[:2] == (3, 0)
    assert {k: g.shape for k, g in gradient.items()} == {k: a.shape for k, a in arguments.items()}
    assert not any(g.any() for g in gradient.values())


@pytest.mark.parametrize("name", LAYERS)
def test_writing_to_y_does_not_change_the_backward_pass(name):
    y, saved = getattr(layers, name)(**draw(name))
    backward, d_y = getattr(layers, f"{name}_backward"), np.ones_like(y)
    first = backward(d_y, saved)
    y[...] = np.nan
    second = backward(d_y, saved)
    for one, two in zip(*(g if isinstance(g, tuple) else (g,) for g in (first, second)), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (d_y == 1).all()


TRUE = {
    "tanh": (mpmath.tanh, lambda x: 1 - mpmath.tanh(x) ** 2),
    "relu": (lambda x: max(x, 0), lambda x: mpmath.mpf(x > 0)),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x))),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), lambda x: 1 / (1 + mpmath.exp(-x))),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_to_rounding_at_every_magnitude(name):
    """y is right to a relative 1e-15; so is dy/dx, but for tanh, whose 1 − y² is right to an absolute one."""
    x = np.array([0.0, *(s * 10.0**e for s in (1, -1) for e in (-300, -9, -3, 0, 1, 1.5, 2, 2.8, 5, 300))])
    y, saved = getattr(layers, name)(x)
    slope = getattr(layers, f"{name}_backward")(np.ones_like(x), saved)
    with mpmath.workdps(400):
        true_y, true_slope = (np.array([float(f(mpmath.mpf(v))) for v in x]) for f in TRUE[name])
    np.testing.assert_allclose(y, true_y, rtol=1e-15, atol=1e-307)
    np.testing.assert_allclose(slope, true_slope, rtol=1e-15, atol=1e-15 if name == "tanh" else 1e-307)


def test_affine_by_hand():
    x, weight, bias = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([10.0, 20.0])
    y, saved = layers.affine(x, weight, bias)
    np.testing.assert_array_equal(y, [[23.0, 36.0]])
    d_x, d_weight, d_bias = layers.affine_backward(np.array([[1.0, -1.0]]), saved)
    np.testing.assert_array_equal(d_x, [[-1.0, -1.0]])
    np.testing.assert_array_equal(d_weight, [[1.0, -1.0], [2.0, -2.0]])
    np.testing.assert_array_equal(d_bias, [1.0, -1.0])
    assert layers.affine_backward(np.ones((1, 2)), saved, input_grad=False)[0] is None


@given(shift=st.floats(-1e3, 1e3), scale=st.floats(1e-2, 1e3))
def test_layer_norm_standardises_and_forgets_shift_and_scale(shift, scale):
    x = np.random.default_rng(0).normal(size=(3, 7))
    y, _ = layers.layer_norm(shift + scale * x, np.ones(7), np.zeros(7), epsilon=1e-30)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-10)
    np.testing.assert_allclose((y * y).mean(-1), 1, rtol=1e-10)
    np.testing.assert_allclose(y, layers.layer_norm(x, np.ones(7), np.zeros(7), 1e-30)[0], atol=1e-9)


def test_layer_norm_of_a_constant_row_is_the_bias():
    for width in (1, 4):
        y, saved = layers.layer_norm(np.full((2, width), 3.0), np.full(width, 2.0), np.full(width, 0.5))
        np.testing.assert_array_equal(y, 0.5)
        d_x = layers.layer_norm_backward(np.ones((2, width)), saved)[0]
        np.testing.assert_allclose(d_x, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("affine", {"x": np.arange(4)}, "x must be an array of floats, was int64"),
        ("affine", {"x": np.ones(4, np.float32)}, "share one dtype: x is float32, weight is float64"),
        ("affine", {"weight": np.ones((3, 5))}, r"weight must have shape \(fan_in, fan_out\), has \(3, 5\)"),
        ("affine", {"weight": np.ones(4)}, "weight must have shape"),
        ("affine", {"bias": np.ones(4)}, r"bias must have shape \(5,?\), has \(4,\)"),
        ("layer_norm", {"x": np.ones(4, np.float32)}, "share one dtype: x is float32, gain is float64"),
        ("layer_norm", {"gain": np.ones(3)}, r"gain must have shape \(4,?\)"),
        ("layer_norm", {"bias": np.ones(1)}, r"bias must have shape \(4,?\)"),
        ("layer_norm", {"epsilon": 0.0}, "epsilon must be > 0"),
        *((name, {"x": np.arange(3)}, "x must be an array of floats") for name in ELEMENTWISE),
    ],
)
def test_bad_input_is_named(name, changed, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**{**draw(name), **changed})
