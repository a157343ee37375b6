import functools
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import vbref
from vbref import checkpoint
from vbref.data import Rows
from vbref.fit import Player
from vbref.models import VAE, LinearGaussian
from vbref.nn.optim import SGD, Adam

X = np.random.default_rng(1).random((50, 6))


def vae(**options):
    return VAE(6, 2, (5,), **options)


def train(model=None, x=X, seed=3, **options):
    model = model or vae()
    rng = options.pop("rng", np.random.default_rng(seed))
    return vbref.fit(model, x, **{"epochs": 4, "batch_size": 16, "rng": rng} | options)


def same_bits(a, b):
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def bounds_of(history):
    return {name: values for name, values in history.items() if name != "seconds"}


def test_the_function_is_bound_and_not_its_module():
    import vbref.fit

    assert callable(vbref.fit)


def test_training_raises_the_bound():
    x = (vbref.load_digits().x[:500] / 16 > 0.5).astype(np.float64)
    _, history = train(VAE(64, 4, (32,)), x, epochs=15, batch_size=50)
    assert history["train"][-1] > history["train"][0] + 5
    assert len(history["train"]) == len(history["seconds"]) == 15


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_same_bits_from_run_to_run_and_not_from_seed_to_seed(dtype):
    x = X.astype(dtype)
    (a, history_a), (b, history_b) = train(vae(dtype=dtype), x), train(vae(dtype=dtype), x)
    assert {array.dtype for array in a.values()} == {np.dtype(dtype)}
    assert same_bits(a, b)
    assert same_bits(bounds_of(history_a), bounds_of(history_b))
    assert not same_bits(a, train(vae(dtype=dtype), x, seed=4)[0])


def binary(rows, rng):
    return (rng.random(rows.shape) < rows).astype(rows.dtype)


class Stop(Exception):
    pass


def stop_at(epoch):
    def stop(at, row):
        if at == epoch:
            raise Stop

    return stop


@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.Philox, np.random.MT19937])
@pytest.mark.parametrize("every", [1, 2])
def test_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path, generator, every):
    options = {"prepare": binary, "epochs": 7, "validation": X[:20], "patience": 5, "k": 2}

    def rng(seed):
        return np.random.Generator(generator(seed))

    whole = train(rng=rng(9), **options)
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        train(rng=rng(9), checkpoint=path, checkpoint_every=every, on_epoch=stop_at(5), **options)
    _, record = checkpoint.load(path)
    assert record["epoch"] == 4
    resumed = train(rng=rng(1234), checkpoint=path, resume=True, **options)
    assert same_bits(whole[0], resumed[0])
    assert same_bits(bounds_of(whole[1]), bounds_of(resumed[1]))
    assert os.listdir(tmp_path) == ["run.npz"]


def test_a_run_can_be_prolonged(tmp_path):
    path = tmp_path / "run.npz"
    train(epochs=2, checkpoint=path)
    longer, history = train(epochs=5, checkpoint=path, resume=True)
    assert len(history["train"]) == 5
    assert same_bits(longer, train(epochs=5)[0])


class Interrupted:
    """A model whose objective is stopped by Ctrl-C at a given call."""

    def __init__(self, model, at):
        self.model, self.left = model, at
        self.init, self.draw_noise = model.init, model.draw_noise

    def objective_and_grad(self, params, x, noise):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.model.objective_and_grad(params, x, noise)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_ctrl_c_leaves_a_checkpoint_that_resumes(tmp_path, at):
    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(vae(), at), checkpoint=path)
    resumed, _ = train(Interrupted(vae(), 10**6), checkpoint=path, resume=True, seed=0)
    assert same_bits(resumed, train(fast=False)[0])


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "a.npz"
    checkpoint.save(path, {"a": np.arange(3)}, {"n": 1})
    monkeypatch.setattr(os, step, lambda *arguments: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"a": np.arange(4)}, {"n": 2})
    arrays, record = checkpoint.load(path)
    assert list(arrays["a"]) == [0, 1, 2]
    assert record == {"n": 1}
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"junk"])
def test_a_broken_checkpoint_is_a_value_error(tmp_path, content):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.npz"):
        train(checkpoint=path, resume=True)


def test_a_place_for_no_checkpoint_is_named_as_it_was_given(tmp_path):
    for path in (tmp_path / "nowhere" / "run.npz", tmp_path):
        with pytest.raises(OSError) as caught:
            train(checkpoint=path)
        assert caught.value.filename == str(path)


def test_another_runs_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    train(checkpoint=path)
    with pytest.raises(ValueError, match="batch_size = 16, this one has 8"):
        train(batch_size=8, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="schedule = None, this one has"):
        train(schedule=lambda epoch: 0.5, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="its run had x = "):
        train(x=np.where(np.arange(50)[:, None] == 7, 0.5, X), checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="PCG64"):
        train(rng=np.random.Generator(np.random.MT19937(0)), checkpoint=path, resume=True)
    np.savez(path, a=np.arange(3))
    with pytest.raises(ValueError, match="no checkpoint"):
        train(checkpoint=path, resume=True)


def test_early_stopping_returns_the_best_parameters():
    model = vae()
    steep = {"learning_rate": 0.3, "epochs": 200, "validation": X[:20], "patience": 6}
    best, history = train(model, X[20:], **steep)
    bounds = history["validation"]
    assert len(bounds) == bounds.argmax() + 7 < 200
    short, _ = train(model, X[20:], **steep | {"epochs": int(bounds.argmax()) + 1})
    assert same_bits(best, short)


def test_validation_is_the_models_bound_with_one_noise_for_all_epochs():
    model = vae()
    params, history = train(model, epochs=1, validation=X[:20], batch_size=32)
    noise = model.draw_noise(np.random.default_rng(0), 20)
    assert history["validation"][0] == model.objective(params, X[:20], noise) / 20


@pytest.mark.parametrize(("scale", "factor"), [("mean", 1), ("total", 50)])
def test_each_step_of_sgd_follows_the_scaled_gradient(scale, factor):
    """The noise-free gradient of the linear-Gaussian evidence makes the step exact (meanfield/D10, D11)."""
    model = LinearGaussian(6, 2)
    start = model.init(np.random.default_rng(0))
    seen = []

    class Spy(LinearGaussian):
        def objective_and_grad(self, params, x, noise=None):
            seen.append(({name: value.copy() for name, value in params.items()}, x.copy()))
            return super().objective_and_grad(params, x, noise)

    end, _ = train(Spy(6, 2), epochs=1, batch_size=16, optimizer=SGD(1e-3), scale=scale, params=start)
    assert [len(x) for _, x in seen] == [16, 16, 16, 2]
    rows = np.concatenate([x for _, x in seen])
    np.testing.assert_array_equal(sorted(map(tuple, rows)), sorted(map(tuple, X)))
    assert not np.array_equal(rows, X)  # in a random order
    seen.append((end, None))
    for (before, x), (after, _) in itertools.pairwise(seen):
        grads = model.objective_and_grad(before, x)[1]
        for name in before:
            moved = before[name] + 1e-3 * factor / len(x) * grads[name]
            np.testing.assert_allclose(after[name], moved, rtol=1e-13)


def test_history_is_per_row_whatever_the_last_minibatch():
    model = LinearGaussian(6, 2)
    start = model.init(np.random.default_rng(0))
    _, history = train(model, epochs=1, batch_size=49, optimizer=SGD(1e-300), params=start)
    assert history["train"][0] == pytest.approx(model.log_evidence(start, X).mean(), rel=1e-13)


def test_given_parameters_are_not_changed():
    model = vae()
    start = model.init(np.random.default_rng(0))
    copy = {name: value.copy() for name, value in start.items()}
    moved, _ = train(model, params=start)
    assert same_bits(start, copy)
    assert not same_bits(moved, start)


class Game:
    """Two players on x ~ numbers: a seeks the mean of x, b seeks a; b moves twice a round."""

    def __init__(self):
        self.calls = []
        self.players = (
            Player("first", self.first, owns=("a.",)),
            Player("second", self.second, owns=("b.",), steps=2),
        )

    def init(self, rng):
        return {"a.loc": np.zeros(1), "b.loc": np.ones(1)}

    def draw_noise(self, rng, n, k=1):
        return rng.standard_normal((k, n, 1))

    def first(self, params, x, noise):
        self.calls.append("a")
        d = x.sum() - len(x) * params["a.loc"]
        return -float(((x - params["a.loc"]) ** 2).sum()) / 2, {"a.loc": d, "b.loc": np.full(1, np.nan)}

    def second(self, params, x, noise):
        self.calls.append("b")
        gap = params["a.loc"] - params["b.loc"]
        return -float(len(x) * gap[0] ** 2) / 2, {"b.loc": len(x) * gap}


def test_players_take_turns_on_their_own_parameters():
    game = Game()
    params, history = train(game, X[:, :1], epochs=200, batch_size=25, optimizer=SGD(0.1))
    assert game.calls[:6] == ["a", "b", "b", "a", "b", "b"]
    assert params["a.loc"][0] == pytest.approx(X[:, 0].mean(), abs=0.02)
    assert params["b.loc"][0] == pytest.approx(params["a.loc"][0], abs=0.02)
    assert set(history) == {"first", "second", "seconds"}


def test_per_point_inference_gets_its_row_numbers():
    x = np.tile([[0.0] * 6, [1.0] * 6], (25, 1))
    params, history = train(vae(inference="per-point", rows=50), x, epochs=60, optimizer=Adam(0.05))
    zeros, ones = params["posterior.loc"][::2], params["posterior.loc"][1::2]
    apart = abs(zeros.mean(axis=0) - ones.mean(axis=0)).max()
    assert apart > 5 * max(zeros.std(axis=0).max(), ones.std(axis=0).max())
    assert history["train"][-1] > -2


def test_uint8_rows_are_prepared_a_minibatch_at_a_time():
    sizes = []

    def prepare(rows, rng):
        assert rows.dtype == np.uint8
        sizes.append(len(rows))
        return rows / 255

    train(x=(X * 255).astype(np.uint8), epochs=1, prepare=prepare)
    assert sizes == [16, 16, 16, 2]


class Falling(Game):
    def first(self, params, x, noise):
        return -np.inf, {}


def test_an_objective_that_is_not_finite_stops_the_run():
    with pytest.raises(FloatingPointError, match="'first' was -inf in epoch 1"):
        train(Falling(), X[:, :1])


@pytest.mark.parametrize("rate", [1e30, 1e300])
@pytest.mark.parametrize("validation", [None, X.astype("f4")])
def test_parameters_that_run_away_are_named(rate, validation):
    with pytest.raises(FloatingPointError, match="a smaller learning_rate may help"):
        train(vae(dtype="float32"), X.astype("f4"), learning_rate=rate, batch_size=50, validation=validation)


def test_the_fingerprint_is_of_values_dtype_and_length():
    x = np.arange(30.0).reshape(10, 3)
    rows = Rows(np.concatenate([x, x]), np.arange(10))
    assert checkpoint.fingerprint(rows) == checkpoint.fingerprint(x)
    others = (x[:-1], x.astype("f4"), x + (x == 29), x.reshape(10, 3, 1))
    assert checkpoint.fingerprint(x) not in {checkpoint.fingerprint(other) for other in others}
    many = np.zeros((100_000, 2))
    assert checkpoint.fingerprint(many) != checkpoint.fingerprint(np.where(many[:, :1] < 1, 1.0, many))
    assert checkpoint.fingerprint(many) != checkpoint.fingerprint(many[:-1])


def test_a_checkpoint_names_functions_as_another_process_would(tmp_path):
    path = tmp_path / "run.npz"
    train(checkpoint=path, prepare=binary, epochs=1)
    assert checkpoint.load(path)[1]["settings"]["prepare"] == "binary"
    with pytest.raises(ValueError, match="prepare = binary, this one has None"):
        train(checkpoint=path, resume=True)
    train(checkpoint=path, prepare=functools.partial(binary), epochs=1)
    assert "0x" not in checkpoint.load(path)[1]["settings"]["prepare"]


def test_schedule_scales_the_step():
    model = LinearGaussian(6, 2)
    moved, _ = train(model, epochs=3, schedule=lambda epoch: 1.0 if epoch < 2 else 0.0)
    assert same_bits(moved, train(model, epochs=2)[0])


def test_a_bar_is_shown_on_a_terminal_only(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    train(progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    train(progress=True)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, was 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer >= 1, was 2.5"),
        ({"k": True}, "k must be"),
        ({"x": X[:0]}, "rows must be"),
        ({"scale": "sum"}, "scale must be 'mean' or 'total', was 'sum'"),
        ({"patience": 3}, "patience must come with validation"),
        ({"resume": True}, "resume must come with the checkpoint"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": "a"}, "learning_rate must be > 0, was 'a'"),
        ({"optimizer": Adam}, "optimizer must be an instance, as"),
        ({"optimizer": "adam"}, "optimizer must be an instance, as"),
        ({"x": X.tolist()}, "x must give rows by an array of indices as arrays do, was list"),
        ({"x": {"x": X}}, "x must give rows by an array of indices as arrays do, was dict"),
        ({"validation": X.tolist()}, "validation must give rows by an array of indices"),
        ({"validation": X[:0]}, "validation must have at least one row"),
        ({"rng": 3}, "rng must be a numpy.random.Generator, was 3"),
        ({"params": {}}, "params must name"),
        (
            {"model": vae(inference="per-point", rows=50), "validation": X},
            "validation must be None for per-point",
        ),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        train(**options)


def test_a_record_is_json_without_pickle(tmp_path):
    path = tmp_path / "run.npz"
    train(checkpoint=path, rng=np.random.Generator(np.random.MT19937(0)))
    with np.load(path, allow_pickle=False) as archive:
        record = json.loads(str(archive["record.json"]))
    assert record["settings"]["batch_size"] == 16
    with pytest.raises(TypeError, match="plain values"):
        checkpoint.save(path, {}, {"a": object()})


_TWO_EPOCHS = """
import sys
import numpy as np
import vbref
from vbref.models import VAE

x = np.random.default_rng(0).integers(0, 2, (300, 784)).astype(float)
rng = np.random.default_rng(1)
params, _ = vbref.fit(VAE(784, 20, (400,)), x, epochs=2, batch_size=100, rng=rng)
np.savez(sys.argv[1], drawn=rng.random(), **params)
"""


def test_another_number_of_threads_changes_rounding_alone(tmp_path):
    runs = []
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.npz"
        settings = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        subprocess.run([sys.executable, "-c", _TWO_EPOCHS, path], env=os.environ | settings, check=True)
        with np.load(path) as arrays:
            runs.append(dict(arrays))
    one, two = runs
    assert one["drawn"] == two["drawn"]
    # In a small g, 1e-16 of rounding is 1e-8 of Adam's g/(|g| + 1e-8): 1e-11 of each of 6 steps of 1e-3.
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=6e-11)
