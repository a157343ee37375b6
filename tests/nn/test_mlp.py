"""The MLP: its gradient, its names and shapes, its initial scale, and the same numbers from PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbref.nn.gradcheck import check_gradient
from vbref.nn.layers import ACTIVATIONS
from vbref.nn.mlp import MLP

WIDTHS = st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple)
LEADS = st.sampled_from([(), (1,), (4,), (2, 3)])


def shaken(mlp, rng, dtype=np.float64):
    """Initial parameters, with biases and gains off their special values."""
    params = mlp.init(rng)
    return {name: (p + 0.3 * rng.normal(size=p.shape)).astype(dtype) for name, p in params.items()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(widths=WIDTHS, lead=LEADS, layer_norm=st.booleans(), seed=st.integers(0, 9))
def test_backward_is_the_derivative_of_forward(activation, widths, lead, layer_norm, seed):
    mlp, rng = MLP(widths, activation, layer_norm, "net"), np.random.default_rng(seed)
    params, x = shaken(mlp, rng), rng.normal(size=(*lead, widths[0]))
    d_y = rng.normal(size=(*lead, widths[-1]))
    d_x, grads = mlp.backward(d_y, mlp.forward(params, x)[1])

    gradient, at = {"x": d_x, **grads}, {"x": x, **params}
    options = {"method": "complex", "directions": 2, "rng": rng, "atol": 1e-12}
    check_gradient(lambda p: (mlp.apply(p, p["x"]) * d_y).sum(), gradient, at, **options)
    assert list(grads) == list(params) == list(mlp.shapes())


def test_central_differences_agree():
    mlp, rng = MLP((3, 4, 4, 2), "softplus", layer_norm=True), np.random.default_rng(0)
    params, x, d_y = shaken(mlp, rng), rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 2))
    grads = mlp.backward(d_y, mlp.forward(params, x)[1])[1]
    check_gradient(lambda p: (mlp.apply(p, x) * d_y).sum(), grads, params, atol=1e-10)


def test_input_grad_false_changes_nothing_else():
    mlp, rng = MLP((3, 4, 2)), np.random.default_rng(0)
    params, x, d_y = mlp.init(rng), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    saved = mlp.forward(params, x)[1]
    without, grads = mlp.backward(d_y, saved, input_grad=False)
    assert without is None
    for name, grad in mlp.backward(d_y, saved)[1].items():
        np.testing.assert_array_equal(grads[name], grad)


def test_names_and_shapes():
    mlp = MLP((64, 32, 2), "relu", layer_norm=True, prefix="encoder")
    assert mlp.shapes() == {
        "encoder.0.weight": (64, 32),
        "encoder.0.bias": (32,),
        "encoder.0.norm.gain": (32,),
        "encoder.0.norm.bias": (32,),
        "encoder.1.weight": (32, 2),
        "encoder.1.bias": (2,),
    }


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("tanh", 2 / 700), ("sigmoid", 2 / 700), ("softplus", 2 / 700), ("relu", 2 / 400)],
)
def test_init_has_the_published_variance(activation, variance):
    weight = MLP((400, 300), activation).init(np.random.default_rng(0))["mlp.0.weight"]
    for statistic in (weight / np.sqrt(variance), weight**2 / variance - 1):
        assert abs(statistic.mean()) < 4 * statistic.std() / np.sqrt(weight.size)


def test_relu_init_keeps_the_signal():
    """Through 20 layers the mean square neither dies (Glorot's would, as 2⁻²⁰) nor grows."""
    mlp, rng = MLP((400,) * 21, "relu"), np.random.default_rng(0)
    y = mlp.apply(mlp.init(rng), rng.normal(size=(50, 400)))
    assert 0.2 < (y * y).mean() < 5


def test_init_of_gains_and_biases():
    params = MLP((5, 4, 3), layer_norm=True).init(np.random.default_rng(0))
    starts = {name.split(".")[-1]: set(value) for name, value in params.items() if value.ndim == 1}
    assert starts == {"gain": {1.0}, "bias": {0.0}}


def test_init_draws_the_same_in_float32():
    mlp = MLP((5, 4, 3), layer_norm=True)
    wide, narrow = (mlp.init(np.random.default_rng(1), dtype) for dtype in (np.float64, np.float32))
    for name in wide:
        assert narrow[name].dtype == np.float32
        np.testing.assert_array_equal(narrow[name], wide[name].astype(np.float32))


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_agrees_with_torch(activation, layer_norm):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the comparison with it is skipped")
    nn = torch.nn
    modules = {"tanh": nn.Tanh, "relu": nn.ReLU, "softplus": nn.Softplus, "sigmoid": nn.Sigmoid}
    mlp, rng = MLP((6, 5, 3), activation, layer_norm), np.random.default_rng(0)
    params, x, d_y = shaken(mlp, rng), rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 4, 3))

    t = {name: torch.tensor(p, requires_grad=True) for name, p in {**params, "x": x}.items()}
    h = t["x"] @ t["mlp.0.weight"] + t["mlp.0.bias"]
    if layer_norm:
        h = nn.functional.layer_norm(h, (5,), t["mlp.0.norm.gain"], t["mlp.0.norm.bias"])
    y_torch = modules[activation]()(h) @ t["mlp.1.weight"] + t["mlp.1.bias"]
    y_torch.backward(torch.tensor(d_y))

    y, saved = mlp.forward(params, x)
    d_x, grads = mlp.backward(d_y, saved)
    np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-12, atol=1e-13)
    for name, grad in {**grads, "x": d_x}.items():
        np.testing.assert_allclose(grad, t[name].grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_throughout(activation, layer_norm):
    mlp, rng = MLP((6, 5, 3), activation, layer_norm), np.random.default_rng(0)
    params, x = mlp.init(rng, np.float32), rng.normal(size=(2, 0, 6)).astype(np.float32)
    y, saved = mlp.forward(params, x)
    d_x, grads = mlp.backward(np.ones_like(y), saved)
    assert y.shape == (2, 0, 3)
    assert {a.dtype for a in (y, d_x, *grads.values())} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("params", "x", "message"),
    [
        ({"mlp.1.weight": np.ones((4, 3))}, np.ones(3), r"params\['mlp.1.weight'\] must have shape \(4, 2\)"),
        ({"mlp.0.bias": np.ones(4, np.float32)}, np.ones(3), r"params\['mlp.0.bias'\] .* dtype float64 as x"),
        ({"mlp.0.bias": None}, np.ones(3), r"params must have 'mlp.0.bias' of shape \(4,\)"),
        ({}, np.ones((5, 4)), r"x must have shape \(\.\.\., 3\), has \(5, 4\)"),
        ({}, np.ones((), float), "x must have shape"),
    ],
)
def test_misfits_are_named(params, x, message):
    mlp = MLP((3, 4, 2))
    merged = {**mlp.init(np.random.default_rng(0)), **params}
    with pytest.raises(ValueError, match=message):
        mlp.forward({name: p for name, p in merged.items() if p is not None}, x)


def test_widths_may_be_any_sequence_and_stay_as_given():
    widths = [3, 4, 2]
    mlp = MLP(widths)
    widths[1] = 7
    assert mlp == MLP((3, 4, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3,),), "widths"),
        (((3, 0, 2),), "widths"),
        (((3, 2), "swish"), "one of tanh, relu, softplus, sigmoid"),
    ],
)
def test_bad_definitions_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(*arguments)
