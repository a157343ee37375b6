import gzip
import inspect
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

import vbref
from vbref import runs
from vbref.cli import main

SMALL = ["--epochs", "2", "--hidden", "8", "--latent", "2", "--test-size", "12"]


@pytest.fixture
def small(monkeypatch):
    """Cheaper bounds: the same estimator with fewer samples."""
    monkeypatch.setattr(runs, "KS", (1, 5, 10))


@pytest.fixture
def plain(small, monkeypatch):
    """As on a machine without matplotlib, which is also quicker."""

    def no_pictures(*arguments):
        raise ImportError("pictures need matplotlib: pip install 'vbref[app]'")

    monkeypatch.setattr(runs, "pictures", no_pictures)


@pytest.fixture
def images(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, 60, 4, 4) + x.tobytes()))
    return path


def one_line(text, *parts):
    assert len(text.strip().splitlines()) == 1, text
    assert "Traceback" not in text
    for part in parts:
        assert part in text


def test_train_writes_a_run_that_evaluate_repeats(tmp_path, capsys, small, images):
    out = tmp_path / "run"
    assert main(["train", "vae", "--data", str(images), "--out", str(out), *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "48 rows to train on, 12 held out, 16 values each" in printed
    assert "epoch    2/2" in printed
    names = ["bounds.json", "bounds.png", "checkpoint.npz", "config.json", "history.json", "history.png"]
    names += ["latent.png", "params.npz", "reconstructions.png", "samples.png"]
    assert sorted(os.listdir(out)) == names
    assert main(["evaluate", str(out)]) == 0
    table = capsys.readouterr().out
    assert table.strip() in printed
    assert "1 (ELBO)" in table
    with np.load(out / "params.npz", allow_pickle=False) as params:
        assert params["encoder.0.weight"].dtype == np.float32
    config = json.loads((out / "config.json").read_text())
    assert (config["binarise"], config["maximum"]) == ("dynamic", 255)


def test_evaluate_says_when_the_numbers_changed(tmp_path, capsys, plain, images):
    out = tmp_path / "run"
    main(["train", "vae", "--data", str(images), "--out", str(out), *SMALL])
    saved = json.loads((out / "bounds.json").read_text())
    saved[0]["mean"] += 0.5
    (out / "bounds.json").write_text(json.dumps(saved))
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 1
    one_line(capsys.readouterr().err, "check failed", "0.5 nats")


def test_evaluate_refuses_other_data(tmp_path, capsys, plain, images):
    out = tmp_path / "run"
    main(["train", "vae", "--data", str(images), "--out", str(out), *SMALL])
    content = bytearray(gzip.decompress(images.read_bytes()))
    content[-1] ^= 1
    images.write_bytes(gzip.compress(content))
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 2
    one_line(capsys.readouterr().err, "not the data")


def test_interrupted_run_resumes_to_the_same_bits(tmp_path, capsys, plain, images, monkeypatch):
    common = ["train", "vae", "--data", str(images), *SMALL, "--epochs", "5"]
    assert main([*common, "--out", str(tmp_path / "whole")]) == 0

    def stop(self, epoch, row):
        if epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vbref.cli._Lines.__call__", stop)
        capsys.readouterr()
        assert main([*common, "--out", str(tmp_path / "cut")]) == 130
        one_line(capsys.readouterr().err, "interrupted", f"vbref train vae --resume {tmp_path / 'cut'}")
    assert main(["train", "vae", "--resume", str(tmp_path / "cut")]) == 0
    assert "epoch    1/5" not in capsys.readouterr().out
    for name in ("params.npz", "bounds.json"):
        whole, cut = ((tmp_path / run / name) for run in ("whole", "cut"))
        if name.endswith("json"):
            assert whole.read_text() == cut.read_text()
        else:
            a, b = np.load(whole), np.load(cut)
            assert all(a[key].tobytes() == b[key].tobytes() for key in a)


@pytest.mark.parametrize(
    "options",
    [
        ["--likelihood", "gaussian"],
        ["--likelihood", "gaussian", "--scale", "fixed", "--sigma", "0.5", "--dtype", "float64"],
        ["--objective", "iwae", "--gradient", "dreg", "--posterior", "full"],
        ["--gradient", "sticking-the-landing", "--prior", "learned"],
        ["--patience", "1", "--epochs", "3"],
        ["--binarise", "none"],
        ["--binarise", "static", "--hidden", "8", "6"],
    ],
)
def test_train_with_options(tmp_path, capsys, plain, images, options):
    out = str(tmp_path / "run")
    assert main(["train", "vae", "--data", str(images), "--out", out, *SMALL, *options]) == 0
    printed, complaints = capsys.readouterr()
    assert "±" in printed
    one_line(complaints, "pip install 'vbref[app]'")


def test_default_folder_does_not_overwrite(tmp_path, plain, images, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", "vae", "--data", str(images), *SMALL]) == 0
    assert sorted(os.listdir("runs")) == ["vae-images-idx3-ubyte", "vae-images-idx3-ubyte-2"]


def test_faithful_by_name(tmp_path, plain):
    options = ["--likelihood", "gaussian", "--out", str(tmp_path / "run")]
    assert main(["train", "vae", "--data", "faithful", *options, *SMALL]) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "nonsense"], "no model 'nonsense'; known: vae"),
        (["train"], "MODEL"),
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["train", "vae", "--epochs", "0"], "must be a whole number >= 1, was '0'"),
        (["train", "vae", "--learning-rate", "nan"], "must be a number > 0, was 'nan'"),
        (["train", "vae", "--seed", "-1"], "must be a whole number >= 0"),
        (["train", "vae", "--dtype", "float16"], "float16"),
        (["train", "vae", "--frobnicate"], "--frobnicate"),
        (["train", "vae", "--data", "missing.npz"], "missing.npz: No such file"),
        (["train", "vae", "--data", "faithful"], "try --likelihood gaussian"),
        (["train", "vae", "--test-size", "9999"], "--test-size must be between 1 and 1796 for the 1797 rows"),
        (["audit", "--json", "/nonexistent/x"], "/nonexistent/x: No such file"),
        (["train", "vae", "--gradient", "dreg"], "dreg"),
        (["train", "vae", "--sigma", "2"], "sigma"),
        (["train", "vae", "--resume", "nowhere"], "nowhere"),
        (["train", "vae", "--resume", "nowhere", "--seed", "1"], "only --epochs"),
        (["evaluate", "nowhere"], "nowhere"),
        (["evaluate"], "RUN"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path, capsys, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    out, err = capsys.readouterr()
    one_line(err, message)
    assert out == ""
    assert not os.path.exists("runs")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "vbref", "--version"], capture_output=True, text=True)
    assert done.stdout == f"vbref {vbref.__version__}\n"


def test_broken_files_are_one_clear_line(tmp_path, capsys):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 broken")
    assert main(["train", "vae", "--data", str(broken)]) == 2
    one_line(capsys.readouterr().err, "broken.npz")
    broken.write_text("1, 2, 3")
    assert main(["train", "vae", "--data", str(broken)]) == 2
    one_line(capsys.readouterr().err, "broken.npz: no readable .npz: it does not start with PK")
    (tmp_path / "config.json").write_text("{}")
    assert main(["evaluate", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"seed": None}, "seed must be int, was None"),
        ("config.json", {"epochs": "ten"}, "epochs must be int, was 'ten'"),
        ("config.json", {"hidden": 8}, "hidden must be list, was 8"),
        ("bounds.json", [1, 2, 3], "bounds.json: no bounds of a run"),
        ("bounds.json", [], "bounds.json: no bounds of a run"),
    ],
)
def test_a_damaged_run_is_one_clear_line(tmp_path, capsys, plain, images, name, change, message):
    folder = tmp_path / "run"
    assert main(["train", "vae", "--data", str(images), "--out", str(folder), *SMALL]) == 0
    whole = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(whole | change if isinstance(change, dict) else change))
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    one_line(capsys.readouterr().err, message)


def test_a_model_too_large_for_the_memory_is_one_clear_line(tmp_path, capsys):
    assert main(["train", "vae", "--latent", str(10**12), "--out", str(tmp_path / "run")]) == 2
    one_line(capsys.readouterr().err, "out of memory")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["train", "vae", "--out", str(tmp_path / "file" / "run"), *SMALL]) == 2
    one_line(capsys.readouterr().err, "file")


def test_a_learning_rate_too_large_fails_with_advice(tmp_path, capsys, images):
    argv = ["train", "vae", "--data", str(images), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*argv, "--learning-rate", "1e30"]) == 1
    one_line(capsys.readouterr().err, "a smaller learning_rate may help")


def test_resuming_with_fewer_epochs_than_were_run_is_refused(tmp_path, capsys, plain, images):
    folder = tmp_path / "run"
    assert main(["train", "vae", "--data", str(images), "--out", str(folder), *SMALL]) == 0
    before = (folder / "config.json").read_bytes()
    capsys.readouterr()
    assert main(["train", "vae", "--resume", str(folder), "--epochs", "1"]) == 2
    one_line(capsys.readouterr().err, f"--epochs must be at least the 2 that {folder} has had, was 1")
    assert (folder / "config.json").read_bytes() == before
    assert main(["train", "vae", "--resume", str(folder), "--epochs", "3"]) == 0
    assert json.loads((folder / "config.json").read_text())["epochs"] == 3


def test_streams_of_random_numbers_are_distinct():
    """Each purpose draws from a stream of its own: those that `_rng` is called with in the source."""
    calls = re.findall(r"_rng\((.*?, (_[A-Z]+))\)", inspect.getsource(runs))
    assert len(calls) == len(set(calls)) >= 8
    names = {name for _, name in calls}
    assert len({getattr(runs, name) for name in names}) == len(names)
    firsts = {runs._rng(0, getattr(runs, name)).random() for name in names}
    assert len(firsts) == len(names)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, capsys, plain, images):
    argv = ["train", "vae", "--data", str(images), "--out", str(tmp_path / "run"), *SMALL]
    assert main(argv) == 0
    capsys.readouterr()
    assert main(argv) == 2
    one_line(capsys.readouterr().err, "--resume")


def test_info_and_version(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for name in ("numpy", "numba", "blas threads", "compiled code"):
        assert name in printed
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vbref {vbref.__version__}"
    assert main(["train", "--help"]) == 0


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m vbref.cli info | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode in (0, 141)
    assert done.stdout.startswith("vbref")


PEAK = """
import sys, tracemalloc
from pathlib import Path
from vbref import runs

def train(source, folder):
    task = runs.task("vae", {"data": source, "hidden": [16], "latent": 2, "epochs": 1})
    runs.train(task, Path(folder), resume=False, progress=False, on_epoch=lambda epoch, row: None)

train("digits", sys.argv[2])  # so that imports and compilers are not counted
tracemalloc.start()
train(sys.argv[1], sys.argv[3])
print(tracemalloc.get_traced_memory()[1])
"""


def test_training_on_uint8_images_touches_less_than_twice_their_memory(tmp_path):
    n, d = 20_000, 784
    x = np.zeros((n, d), np.uint8)
    x[:, ::7] = np.random.default_rng(0).integers(0, 256, n)[:, None]
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, n, 28, 28) + x.tobytes(), 1))
    for name in ("warm", "run"):
        (tmp_path / name).mkdir()
    arguments = [sys.executable, "-c", PEAK, path, tmp_path / "warm", tmp_path / "run"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert x.nbytes < int(done.stdout) < 2 * x.nbytes


def test_held_out_rows_keep_their_labels(tmp_path):
    y = np.arange(40)
    np.savez(tmp_path / "numbered.npz", x=np.repeat(y[:, None] / 64, 3, axis=1), y=y)
    given = {
        "data": str(tmp_path / "numbered.npz"),
        "likelihood": "gaussian",
        "test_size": 7,
        "dtype": "float64",
    }
    task = runs.task("vae", given)
    np.testing.assert_array_equal(task.test[:, 0] * 64, task.test_labels)
    assert sorted([*task.train.index, *task.test_labels]) == list(y)


def test_no_row_is_both_trained_on_and_held_out():
    task = runs.task("vae", {"patience": 3})
    parts = [set(task.train.index), set(task.validation.index)]
    assert len(parts[1]) == 149
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) + len(task.test) == 1797


def test_the_digits_are_divided_by_their_largest_value():
    assert runs.task("vae", {"binarise": "none"}).test.max() == 1


def test_two_rows_will_do_and_one_is_named(tmp_path, capsys, plain):
    for rows in (1, 2):
        np.save(tmp_path / f"{rows}.npy", np.full((rows, 3), 0.5))
    argv = ["train", "vae", "--epochs", "1", "--hidden", "2", "--out", str(tmp_path / "run"), "--data"]
    assert main([*argv, str(tmp_path / "1.npy")]) == 2
    one_line(capsys.readouterr().err, "1.npy: needs two rows")
    assert main([*argv, str(tmp_path / "2.npy")]) == 0


def test_values_beyond_the_dtype_are_one_clear_line(tmp_path, capsys, plain):
    np.save(tmp_path / "huge.npy", np.full((9, 3), 1e300))
    argv = ["train", "vae", "--likelihood", "gaussian", "--out", str(tmp_path / "run")]
    assert main([*argv, "--data", str(tmp_path / "huge.npy"), "--dtype", "float32"]) == 2
    one_line(capsys.readouterr().err, "x must be finite")
