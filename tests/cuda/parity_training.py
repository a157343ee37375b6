"""Draws, products and the training step on the device against the CPU."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import vbref
from vbref.cuda import device, noise, products, training
from vbref.cuda.activations import ACTIVATIONS
from vbref.cuda.network import Network
from vbref.data.prepare import Prepare
from vbref.models import VAE
from vbref.nn import layers
from vbref.nn.mlp import MLP
from vbref.nn.optim import SGD, Adam
from vbref.numerics import random

SEED = 2**63 + 11


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_are_those_of_the_cpu(dtype):
    uniforms = noise.filled(noise.UNIFORM[dtype], SEED, 3, 21, dtype).copy_to_host()
    assert_array_equal(uniforms, random.uniforms(SEED, 3, 21, dtype), strict=True)
    normals = noise.filled(noise.NORMAL[dtype], SEED, 3, 21, dtype).copy_to_host()
    # Rounding 2πv, up to 6.3, is an error of the CPU's of up to 4 units in the last place of 1 in the angle.
    assert normals.dtype == dtype
    assert_allclose(normals, random.normals(SEED, 3, 21, dtype), rtol=0, atol=16 * np.finfo(dtype).eps)


def test_turn_is_cosine_and_sine():
    for v in np.linspace(0, 1, 101)[:-1]:
        exact = [float(f(2 * mpmath.mpf(float(v)))) for f in (mpmath.cospi, mpmath.sinpi)]
        assert_allclose(noise.turn(v), exact, rtol=0, atol=2 * np.finfo(float).eps)


def test_words_of_philox_are_the_known_answer():
    got = noise.filled(noise.word, 0, 0, 4, np.uint64).copy_to_host()
    assert [hex(word) for word in got] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


SIZES = [(1, 1, 1), (5, 3, 7), (9, 11, 10), (8, 4, 8), *([] if device.SIMULATED else [(65, 70, 130)])]


@pytest.mark.parametrize("sizes", SIZES)
def test_products_plain_tiled_and_blocked(sizes):
    rows, inner, columns = sizes
    rng = np.random.default_rng(rows)
    a, b = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    grid = device.blocks(columns, 4), device.blocks(rows, 4)
    for kernel in (products.plain, products.tiled(4, np.float64)):
        out = device.empty((rows, columns), np.float64)
        device.kernel(kernel)[grid, (4, 4)](device.put(a), device.put(b), out)
        assert_allclose(out.copy_to_host(), a @ b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "softplus"])
@pytest.mark.parametrize("sizes", SIZES)
def test_fused_layer_and_its_backward(sizes, activation):
    rows, inner, columns = sizes
    rng = np.random.default_rng(inner)
    x, weight = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    bias, d_y = rng.standard_normal(columns), rng.standard_normal((rows, columns))
    u, saved_affine = layers.affine(x, weight, bias)
    y, _ = layers.ACTIVATIONS[activation][0](u)
    below, saved = layers.ACTIVATIONS[activation][0](x)
    d_x, d_weight, d_bias = layers.affine_backward(d_y, saved_affine)
    d_x = layers.ACTIVATIONS[activation][1](d_x, saved)

    on_device = {
        name: device.put(array) for name, array in {"x": x, "w": weight, "b": bias, "d": d_y}.items()
    }
    shapes = {"y": y, "d_x": d_x, "d_weight": d_weight, "d_bias": d_bias}
    out = {name: device.empty(array.shape, np.float64) for name, array in shapes.items()}
    products.layer(on_device["x"], on_device["w"], on_device["b"], activation, out["y"])
    products.layer_backward(on_device["d"], on_device["w"], device.put(below), activation, out["d_x"])
    products.weight_gradient(on_device["x"], on_device["d"], out["d_weight"], out["d_bias"])
    for name, expected in shapes.items():
        assert_allclose(out[name].copy_to_host(), expected, rtol=1e-12, atol=1e-13, err_msg=name)


def test_tiles_fit_any_number_of_rows():
    for tile in device.TILES:
        down, across = tile.grid(2**31, 2**19)
        assert down < 2**31
        assert across < 2**16
        assert np.prod(tile.block) in (128, 256)
        assert tile.depth % tile.slices == 0


def test_every_activation_of_the_cpu_is_there():
    assert set(ACTIVATIONS) == {*layers.ACTIVATIONS, "identity"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
@pytest.mark.parametrize(("rows", "k"), [(1, 1), (3, 5)])
def test_objective_and_gradient(objective, rows, k, dtype):
    model, params, x = _world(objective, dtype, rows)
    epsilon = random.normals(5, 0, (k, rows, 2), dtype)
    expected, grads = model.objective_and_grad(params, x, epsilon)
    value, on_device = training.objective_and_grad(model, params, x, 5, k)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    assert_allclose(value, expected, rtol=tolerance)
    assert set(on_device) == set(grads)
    for name, grad in grads.items():
        assert_allclose(on_device[name], grad, rtol=0, atol=tolerance * max(1, abs(grad).max()), err_msg=name)


def test_three_steps_of_adam_are_the_cpus():
    model, params, x = _world("iwae", "float64", 5)
    used = 0
    order, adam = np.array([4, 0, 2, 1, 3]), Adam(0.1)
    trainer = training.Trainer(model, params, x, k=2, seed=7, optimizer=adam)
    trainer.start_epoch(order, 1.0, 0.5)
    mine, state, total = {n: p.copy() for n, p in params.items()}, adam.init(params), 0.0
    for batch in (order[:2], order[2:4], order[4:]):
        trainer.step(len(batch))
        epsilon = random.normals(7, used, (2, len(batch), 2))
        used += epsilon.size
        value, grads = model.objective_and_grad(mine, x[batch], epsilon)
        adam.step(
            mine, {n: g / len(batch) for n, g in grads.items()}, state, direction="ascend", schedule=0.5
        )
        total += value
    assert_allclose(trainer.total(), total, rtol=1e-12)
    for name, array in trainer.params.host().items():
        assert_allclose(array, mine[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_dynamic_binarisation_follows_its_probabilities_and_changes_with_the_step():
    model, params, _ = _world("elbo", "float64", 1)
    x = np.tile([0.0, 1.0, 0.5, 0.5, 0.5], (4, 1))
    trainer = training.Trainer(model, params, x, k=1, seed=0, binarise=True)
    step, seen = trainer.at(4), []
    for t in range(2):
        trainer.clock.copy_to_device(np.array([0, 0, 0, t * x.size]))
        step.gather()
        seen.append(step.x.copy_to_host())
        assert set(np.unique(seen[-1])) == {0.0, 1.0}
        assert (seen[-1][:, 0] == 0).all()
        assert (seen[-1][:, 1] == 1).all()
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("binarise", ["static", "dynamic"])
@pytest.mark.parametrize("scale", ["mean", "total"])
def test_fit_is_the_cpus_steps_at_the_devices_draws(scale, binarise):
    model, params, _ = _world("iwae", "float64", 1)
    x = np.random.default_rng(2).integers(0, 256, (7, 5)).astype(np.uint8)
    got, history = vbref.fit(
        model, x, epochs=2, batch_size=4, k=2, rng=np.random.default_rng(5), params=params, scale=scale,
        schedule=lambda epoch: 1 / (2 + epoch), prepare=Prepare(255, binarise), device="cuda",
    )  # fmt: skip
    rng, adam, mine = np.random.default_rng(5), Adam(), {n: p.copy() for n, p in params.items()}
    seed, state = int(rng.integers(2**63)), adam.init(mine)
    used = seen = 0
    for epoch in range(2):
        order, total = rng.permutation(7), 0.0
        for batch in (order[:4], order[4:]):
            rows = x[batch] / 255
            chances = random.uniforms(2**64 - 1 - seed, seen, rows.shape) if binarise == "dynamic" else 0.5
            rows = (rows >= chances).astype(float)
            epsilon = random.normals(seed, used, (2, len(batch), 2))
            seen, used = seen + rows.size, used + epsilon.size
            value, grads = model.objective_and_grad(mine, rows, epsilon)
            share = (7 if scale == "total" else 1) / len(batch)
            grads = {n: share * g for n, g in grads.items()}
            adam.step(mine, grads, state, direction="ascend", schedule=1 / (2 + epoch))
            total += value
        assert_allclose(history["train"][epoch], total / 7, rtol=1e-10)
    for name, array in got.items():
        assert_allclose(array, mine[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's
def test_fit_refuses_what_it_has_not_and_stops_where_nothing_is_finite():
    model, params, x = _world("elbo", "float64", 4)
    rest = {"epochs": 3, "batch_size": 4, "rng": np.random.default_rng(0), "device": "cuda"}
    with pytest.raises(ValueError, match="optimizer Adam alone"):
        vbref.fit(model, x, optimizer=SGD(0.1), **rest)
    with pytest.raises(ValueError, match="no layer norm"):
        Network(MLP((2, 3, 1), layer_norm=True), 4, None, None)
    with pytest.raises(ValueError, match=r"prepare=data\.prepare\.Prepare"):
        vbref.fit(model, x, prepare=lambda rows, rng: rows, **rest)
    with pytest.raises(FloatingPointError, match="in epoch 2"):
        vbref.fit(model, x, params=params, learning_rate=1e200, **rest)


def test_fit_on_the_device_climbs_and_reports():
    model, _, x = _world("elbo", "float64", 6)
    rows = []
    params, history = vbref.fit(
        model, x, epochs=2, batch_size=4, rng=np.random.default_rng(0), learning_rate=0.05, device="cuda",
        on_epoch=lambda epoch, row: rows.append((epoch, row["train"])),
    )  # fmt: skip
    assert history["train"][1] > history["train"][0]
    assert rows == [(1, history["train"][0]), (2, history["train"][1])]
    assert params.keys() == model.shapes().keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"likelihood": "gaussian"}, "likelihood='bernoulli'"), ({"kl": "sampled"}, "kl='analytic'")],
)
def test_what_the_device_lacks_is_named(options, message):
    model = VAE(5, 2, (3,), **options)
    with pytest.raises(ValueError, match=message):
        vbref.fit(model, np.ones((2, 5)), epochs=1, batch_size=2, rng=np.random.default_rng(0), device="cuda")


def _world(objective, dtype, rows):
    model = VAE(5, 2, (3,), objective=objective, dtype=dtype)
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.1, p.shape).astype(dtype) for n, p in model.init(rng).items()}
    return model, params, (rng.random((rows, 5)) < 0.4).astype(dtype)
