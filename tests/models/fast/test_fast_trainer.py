"""The compiled step against the plain one: value, gradient, Adam, and the loop of `fit` around them."""

import numba
import numpy as np
import pytest

import vbref
from vbref.models import VAE
from vbref.models.fast import Trainer, applies, epochs, step
from vbref.models.fast import trainer as trainers
from vbref.nn import Adam

OPTIONS = [{}, {"objective": "iwae"}, {"likelihood": "gaussian", "sigma": 0.7, "activation": "relu"}]


def world(options, dtype, hidden=(9, 6), k=3, rows=5):
    model = VAE(11, 3, hidden, dtype=dtype, **options)
    rng = np.random.default_rng(1)
    params = {n: a + 0.1 * rng.standard_normal(a.shape).astype(dtype) for n, a in model.init(rng).items()}
    return model, params, rng.random((rows, 11)).astype(dtype), model.draw_noise(rng, rows, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("hidden", "k"), [((), 3), ((15,), 3), ((16, 6), 1)])
def test_value_and_gradient_are_the_plain_form_s(dtype, options, hidden, k):
    model, params, x, noise = world(options, dtype, hidden, k)
    eps = np.finfo(dtype).eps
    value, grads = Trainer(model, params, batch_size=5, k=k, threads=1).objective_and_grad(x, noise)
    plain, plain_grads = model.objective_and_grad(params, x, noise)
    assert abs(value - plain) <= 8 * eps * abs(plain)
    for name, grad in plain_grads.items():
        assert grads[name].dtype == dtype
        np.testing.assert_allclose(grads[name], grad, atol=30 * eps * max(1, abs(grad).max()))


def test_noise_of_more_dimensions_than_the_layers_have():
    """The decoder's input is then what takes the most room."""
    model, rng = VAE(11, 20, (3,)), np.random.default_rng(0)
    params, x, noise = model.init(rng), rng.random((4, 11)), model.draw_noise(rng, 4, 2)
    value, grads = Trainer(model, params, batch_size=4, k=2, threads=1).objective_and_grad(x, noise)
    plain, plain_grads = model.objective_and_grad(params, x, noise)
    assert value == pytest.approx(plain, rel=1e-14)
    for name, grad in plain_grads.items():
        np.testing.assert_allclose(grads[name], grad, atol=1e-13 * max(1, abs(grad).max()))


def test_the_log_mean_of_weights_far_apart():
    c = np.empty(2)
    assert step.log_mean(np.array([0.0, -2000.0]), c) == -np.log(2)
    np.testing.assert_array_equal(c, [1, 0])


def plain_steps(model, params, x, noises, adam, scale, schedule):
    params = {name: array.copy() for name, array in params.items()}
    state, values, first = adam.init(params), [], 0
    for noise in noises:
        n = noise.shape[1]
        value, grads = model.objective_and_grad(params, x[first : first + n], noise)
        grads = {name: grad * (scale / n) for name, grad in grads.items()}
        adam.step(params, grads, state, direction="ascend", schedule=schedule)
        values.append(value)
        first += n
    return values, params, state


@pytest.mark.parametrize(("threads", "objective"), [(1, "iwae"), (2, "iwae"), (2, "elbo")])
def test_two_runs_of_steps_are_adam_s_with_a_batch_that_is_short(threads, objective):
    """The second by a trainer of its own, which takes over parameters and state."""
    model, params, x, _ = world({"objective": objective}, "float64", rows=17)
    rng, adam = np.random.default_rng(2), Adam(0.02, beta1=0.8, beta2=0.95, epsilon=1e-3)
    noises = [model.draw_noise(rng, n, 3) for n in (5, 5, 2, 5)]
    options = {"scale": 7.0, "schedule": 0.3}
    values, expected, state = plain_steps(model, params, x, noises, adam, **options)
    made = {"batch_size": 5, "k": 3, "threads": threads, "optimizer": adam}
    trainer = Trainer(model, params, **made)
    flat = np.concatenate([noise.ravel() for noise in noises[:3]])
    seen = [trainer.steps(x, np.arange(12), flat, **options)]
    trainer = Trainer(model, trainer.params, state=trainer.state, **made)
    seen += [trainer.steps(x, np.arange(12, 17), noises[3], **options)]
    np.testing.assert_allclose(np.concatenate(seen), values, rtol=1e-13)
    for name, array in expected.items():
        np.testing.assert_allclose(trainer.params[name], array, atol=1e-13)
        np.testing.assert_allclose(trainer.state[f"v.{name}"], state[f"v.{name}"], rtol=1e-9, atol=1e-20)
    assert trainer.state["step"] == 4
    assert trainer.finite() is True


def test_the_same_threads_give_the_same_bits():
    model, params, x, noise = world({}, "float64", rows=8)
    runs = [Trainer(model, params, batch_size=4, k=3, threads=2) for _ in range(2)]
    first, second = (run.steps(x, np.arange(8), noise) for run in runs)
    assert first.tobytes() == second.tobytes()
    assert all(runs[0].params[name].tobytes() == runs[1].params[name].tobytes() for name in params)


def test_threads_share_a_step_whose_products_are_worth_it(monkeypatch):
    """11·9 + 9·6 + 6·6 of the encoder for each of 5 rows, 3·6 + 6·9 + 9·11 of the decoder twice."""
    model, params, *_ = world({}, "float64")
    monkeypatch.setattr(numba, "get_num_threads", lambda: 8)
    for least, threads in ((5 * (189 + 2 * 171), 1), (5 * (189 + 2 * 171) - 1, 5)):
        monkeypatch.setattr(trainers, "_SHARED", least)
        assert len(Trainer(model, params, batch_size=5, k=2)._memory.lanes) == threads


def test_one_image_more_threads_than_rows():
    model, params, x, noise = world({}, "float64", rows=2)
    value = Trainer(model, params, batch_size=5, k=3, threads=2).objective_and_grad(x[:1], noise[:, :1])[0]
    assert value == pytest.approx(model.objective(params, x[:1], noise[:, :1]), rel=1e-14)


@pytest.mark.parametrize(
    "prepare", [None, lambda rows, rng: (rng.random(rows.shape) < rows).astype("float64")]
)
@pytest.mark.parametrize(("scale", "room"), [("mean", 1), ("total", 130)])
def test_fit_draws_and_learns_as_its_plain_loop_does(prepare, scale, room, monkeypatch):
    """With room for the noise of less than one minibatch, and of two of the three."""
    monkeypatch.setattr(epochs, "_NOISE", room)
    model, _, x, _ = world({}, "float64", rows=21)
    options = {"epochs": 3, "batch_size": 10, "k": 2, "prepare": prepare, "scale": scale, "validation": x[:4]}
    (fast, seen), (plain, expected) = (
        vbref.fit(model, x, rng=np.random.default_rng(4), fast=fast, **options) for fast in (True, False)
    )
    np.testing.assert_allclose(seen["train"], expected["train"], rtol=1e-12)
    np.testing.assert_allclose(seen["validation"], expected["validation"], rtol=1e-12)
    for name, array in plain.items():
        np.testing.assert_allclose(fast[name], array, atol=1e-9)


def test_rows_are_checked_as_the_model_sees_them():
    model, params, x, _ = world({}, "float64")
    state = Adam().init(params)
    settings = {"batch_size": 5, "k": 1, "optimizer": Adam()}
    pixels = (255 * x).astype(np.uint8)
    epochs.Epochs(model, pixels, lambda rows, rng: rows / 255, params, state, **settings)
    with pytest.raises(ValueError, match=r"x must be in \[0, 1\]"):
        epochs.Epochs(model, x + 3, None, params, state, **settings)


def test_float32_learns_the_same_bound_over_seeds():
    x = (vbref.load_digits().x[:400] > 8).astype(np.float32)
    options = {"epochs": 6, "batch_size": 100, "learning_rate": 5e-3}

    def last(dtype, seed, fast):
        model = VAE(64, 4, (32,), dtype=dtype)
        _, history = vbref.fit(model, x.astype(dtype), rng=np.random.default_rng(seed), fast=fast, **options)
        return history["train"][-1]

    gaps = np.array([last("float32", seed, True) - last("float64", seed, False) for seed in range(6)])
    across = np.std([last("float64", seed, False) for seed in range(6)], ddof=1)
    assert abs(gaps).max() < 0.01 * across


def test_an_overflow_is_named():
    model, params, x, _ = world({}, "float32")
    params["encoder.2.bias"][:] = 300
    with pytest.raises(FloatingPointError, match="objective of 'train'"):
        vbref.fit(model, x, epochs=1, batch_size=5, rng=np.random.default_rng(0), params=params)


@pytest.mark.parametrize(
    "options", [{"posterior": "full"}, {"prior": "learned"}, {"kl": "sampled"}, {"activation": "softplus"}]
)
def test_applies_to_no_model_that_it_does_not_compute(options):
    assert not applies(VAE(4, 2, **options))
    with pytest.raises(ValueError, match="model must be"):
        Trainer(VAE(4, 2, **options), {}, batch_size=2)


def test_params_and_a_state_that_are_not_the_model_s_are_refused():
    model, params, _, _ = world({}, "float64", rows=4)
    state = Trainer(model, params, batch_size=4).state
    for bad, message in [
        ({"params": {}}, "encoder.0.weight must be given"),
        ({"params": params | {"encoder.0.bias": np.ones(1)}}, "encoder.0.bias must have shape"),
        (
            {"params": params | {"encoder.0.bias": params["encoder.0.bias"].astype("f4")}},
            "must be float64, was float32",
        ),
        ({"state": {}}, "step must be given"),
        ({"state": state | {"m.encoder.0.bias": np.zeros(())}}, "m.encoder.0.bias must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            Trainer(model, **{"params": params, "batch_size": 4} | bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((4, 10))}, "x must have shape"),
        ({"x": np.zeros((4, 11), np.float32)}, "x must be float64, was float32"),
        ({"order": np.arange(1, 5)}, "order must name"),
        ({"order": np.array([-1, 0, 1, 2])}, "order must name"),
        ({"order": np.arange(0)}, "order must name"),
        ({"order": np.arange(4.0)}, "order must name"),
        ({"order": np.arange(4).reshape(2, 2)}, "order must have shape"),
        ({"noise": np.zeros(35)}, "noise must have 36 elements for 4 rows, has 35"),
        ({"noise": np.zeros(36, np.float32)}, "noise must be float64"),
    ],
)
def test_what_the_kernels_must_not_meet_is_refused(change, message):
    model, params, x, noise = world({}, "float64", rows=4)
    trainer = Trainer(model, params, batch_size=4, k=3, threads=1)
    with pytest.raises(ValueError, match=message):
        trainer.steps(**({"x": x, "order": np.arange(4), "noise": noise} | change))


def test_parameters_that_are_refused_leave_all_as_it_was():
    model, params, *_ = world({}, "float64", rows=4)
    trainer = Trainer(model, params, batch_size=4, k=3, threads=1)
    wrong = {name: array + 1 for name, array in params.items()}
    wrong[list(wrong)[-1]] = np.ones(1)
    with pytest.raises(ValueError, match="must have shape"):
        trainer.reset(wrong)
    assert all(np.array_equal(trainer.params[name], array) for name, array in params.items())


def test_more_rows_than_a_batch_are_refused():
    model, params, x, noise = world({}, "float64", rows=4)
    with pytest.raises(ValueError, match="at most batch_size = 3 rows, has 4"):
        Trainer(model, params, batch_size=3, k=3, threads=1).objective_and_grad(x, noise)


def test_float32_moments_take_one_minus_beta_to_the_last_digits():
    """1 − 0.999 formed in float32 is off by 1.3e-5: a hundred times what is allowed here."""
    model, params, x, noise = world({}, "float32")
    grads = Trainer(model, params, batch_size=5, k=3, threads=1).objective_and_grad(x, noise)[1]
    trainer = Trainer(model, params, batch_size=5, k=3, threads=1)
    trainer.steps(x, np.arange(5), noise)
    for name, grad in grads.items():
        slope = grad.astype(float) / 5
        np.testing.assert_allclose(trainer.state[f"m.{name}"], -(1 - 0.9) * slope, rtol=1e-6)
        np.testing.assert_allclose(trainer.state[f"v.{name}"], (1 - 0.999) * slope**2, rtol=1e-6)
