"""A training run as a folder: what `vbref train` writes and `vbref evaluate` reads again.

config.json     every setting, so that the folder and the data are enough to repeat it
checkpoint.npz  where training stands, to resume it
params.npz      the parameters it ended with, by name
history.json    the bounds of each epoch
bounds.json     held-out IWAE-K with standard errors
*.png           pictures
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vbref
from vbref import checkpoint, data
from vbref.fit import History, Params, Report, fit
from vbref.systems import SYSTEMS

Config = dict[str, Any]
Bounds = list[dict[str, float]]

KS = (1, 5, 50, 500)
_STEPS = 5000
_MOST_HELD_OUT = 1000
# Streams of random numbers. The split and the binary test images are those of every run, whatever its seed.
_SPLIT, _TRAIN, _TEST, _BOUNDS, _PICTURES, _START, _WARNINGS, _NOTES = range(8)

DEFAULTS: Config = {
    "data": "digits",
    "epochs": None,
    "batch_size": 100,
    "learning_rate": 2e-3,
    "k": None,
    "latent": 8,
    "hidden": [128, 128],
    "activation": "tanh",
    "likelihood": "bernoulli",
    "scale": None,
    "sigma": None,
    "prior": "standard",
    "posterior": "diagonal",
    "objective": "elbo",
    "gradient": "pathwise",
    "binarise": None,
    "test_size": None,
    "patience": None,
    "seed": 0,
    "dtype": "float32",
}

# What a setting is in a configuration with nothing left open; the model checks its words and sizes.
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("system", "data", "binarise", "dtype", "fingerprint"), (str,)),
    **dict.fromkeys(("epochs", "batch_size", "k", "latent", "test_size", "seed"), (int,)),
    "learning_rate": (float,),
    "hidden": (list,),
    "scale": (str, type(None)),
    "sigma": (float, type(None)),
    "patience": (int, type(None)),
}


@dataclass(frozen=True)
class Task:
    """A configuration with nothing left open, and what it says in arrays: rows to train on, rows held out."""

    config: Config
    model: Any
    prepare: data.Prepare
    train: data.Rows
    validation: data.Rows | None
    test: NDArray[Any]
    test_labels: NDArray[Any] | None


def task(system: str, given: Config) -> Task:
    """Complete the settings given by the defaults and by what the data ask for, and load the data.

    Raises OSError for data that cannot be opened; ValueError, naming it, for a setting or data that will
    not do.
    """
    if system not in SYSTEMS:
        raise ValueError(f"no model {system!r}; known: {', '.join(SYSTEMS)}")
    config: Config = SYSTEMS[system].completed(DEFAULTS, given)
    config |= {"vbref": vbref.__version__, "system": system}
    source = data.load(config["data"])
    _complete(config, source.x)
    prepare = data.Prepare(config["maximum"], config["binarise"], config["dtype"])
    kept, held = data.split(len(source.x), config["test_size"], _rng(0, _SPLIT))
    test = prepare(source.x[held], _rng(0, _TEST))
    validation = None
    if config["patience"] is not None:
        inner, outer = data.split(len(kept), max(1, len(kept) // 10), _rng(1, _SPLIT))
        validation, kept = data.Rows(source.x, kept[outer]), kept[inner]
    model = SYSTEMS[system].build(config, source.x.shape[1])
    labels = None if source.y is None else source.y[held]
    return Task(config, model, prepare, data.Rows(source.x, kept), validation, test, labels)


def _complete(config: Config, x: NDArray[Any]) -> None:
    bernoulli = config["likelihood"] == "bernoulli"
    n = len(x)
    if n < 2:
        raise ValueError(f"{config['data']}: needs two rows at least, one to train on and one to hold out")
    data_says = {
        "test_size": min(max(1, n // 6), _MOST_HELD_OUT),
        "binarise": "dynamic" if bernoulli else "none",
        "scale": None if bernoulli else "learned",
        "k": 5 if config["objective"] == "iwae" else 1,
        "epochs": max(1, -(-_STEPS * config["batch_size"] // n)),
    }
    config |= {name: value for name, value in data_says.items() if config[name] is None}
    config |= {"maximum": _maximum(config["data"], x), "fingerprint": checkpoint.fingerprint(x)}
    if not 0 < config["test_size"] < n:
        raise ValueError(
            f"--test-size must be between 1 and {n - 1} for the {n} rows of {config['data']}, "
            f"was {config['test_size']}"
        )
    if bernoulli and (x.min() < 0 or x.max() > config["maximum"]):
        raise ValueError(
            f"{config['data']}: a Bernoulli likelihood needs whole numbers >= 0 or values in [0, 1], "
            f"has {x.min()} to {x.max()}; try --likelihood gaussian"
        )


def _maximum(source: str, x: NDArray[Any]) -> float:
    """What pixels are divided by: 16 for the digits, the largest value of other integers, 1 for floats."""
    if source == "digits":
        return 16.0
    return max(1.0, float(x.max())) if x.dtype.kind in "bui" else 1.0


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])


def train(
    task: Task, folder: Path, *, resume: bool, progress: bool, on_epoch: Report
) -> tuple[Params, History]:
    """Train into `folder`, leaving configuration, checkpoint, parameters and history there."""
    config = task.config
    if resume:
        _check_epochs(folder, config["epochs"])
    checkpoint.write_json(folder / "config.json", config)
    start = None if resume else SYSTEMS[config["system"]].start
    params, history = fit(
        task.model,
        task.train,
        epochs=config["epochs"],
        batch_size=config["batch_size"],
        learning_rate=config["learning_rate"],
        k=config["k"],
        rng=_rng(config["seed"], _TRAIN),
        prepare=task.prepare,
        params=start and start(task, _rng(config["seed"], _START)),
        validation=task.validation,
        patience=config["patience"],
        checkpoint=folder / "checkpoint.npz",
        checkpoint_every=max(1, config["epochs"] // 20),
        resume=resume,
        progress=progress,
        on_epoch=on_epoch,
    )
    checkpoint.save(folder / "params.npz", params)
    checkpoint.write_json(folder / "history.json", {name: list(values) for name, values in history.items()})
    return params, history


def _check_epochs(folder: Path, epochs: int) -> None:
    """A configuration must not name fewer epochs than its parameters have seen."""
    _, record = checkpoint.load(folder / "checkpoint.npz")
    done = record.get("epoch", 0) if isinstance(record, dict) else 0
    if epochs < done:
        raise ValueError(f"--epochs must be at least the {done} that {folder} has had, was {epochs}")


def bounds(task: Task, params: Params) -> Bounds:
    """IWAE-K of the held-out rows for each K; the same numbers whenever it is asked."""
    estimate = SYSTEMS[task.config["system"]].estimate
    estimates = estimate(task.model, params, task.test, _rng(task.config["seed"], _BOUNDS), KS)
    return [
        {
            "k": k,
            "mean": found.mean,
            "standard_error": found.standard_error,
            "monte_carlo_error": found.monte_carlo_error,
        }
        for k, found in estimates.items()
    ]


def warnings(task: Task, params: Params) -> list[str]:
    """What seems to have failed, one line each, with what to try."""
    return SYSTEMS[task.config["system"]].warnings(task, params, _rng(task.config["seed"], _WARNINGS))


def notes(task: Task, params: Params) -> list[str]:
    """What else the system reports of the held-out rows, one line each."""
    return SYSTEMS[task.config["system"]].notes(task, params, _rng(task.config["seed"], _NOTES))


def pictures(task: Task, params: Params, history: History, found: Bounds, folder: Path) -> None:
    """Write the system's pictures, the bounds and the history. ImportError where matplotlib is missing."""
    from vbref import plot

    ks, means, errors = zip(*((row["k"], row["mean"], row["standard_error"]) for row in found), strict=True)
    figures = SYSTEMS[task.config["system"]].pictures(task, params, _rng(task.config["seed"], _PICTURES))
    figures |= {"bounds": plot.bounds(ks, means, errors, **_named(task)), "history": plot.history(history)}
    for name, figure in figures.items():
        plot.save(figure, folder / f"{name}.png")


def _named(task: Task) -> dict[str, str]:
    """What the system's bounds are called."""
    return dataclasses.asdict(SYSTEMS[task.config["system"]].bound)


def load(folder: Path) -> tuple[Task, Params]:
    """The task and parameters of a finished run; OSError or ValueError where one of them is not whole."""
    config = checkpoint.read_json(folder / "config.json")
    arrays, _ = checkpoint.load(folder / "params.npz")
    return again(folder, config), arrays


def again(folder: Path, config: Any) -> Task:
    """The task of a run from its configuration, on the same data: ValueError where the data are others."""
    if not isinstance(config, dict) or not config.keys() >= {*DEFAULTS, "system", "fingerprint"}:
        raise ValueError(f"{folder / 'config.json'}: no configuration of a run")
    _check_types(folder / "config.json", config)
    found = task(config["system"], config)
    if found.config["fingerprint"] != config["fingerprint"]:
        raise ValueError(f"{config['data']}: not the data that {folder} was trained on")
    return found


def _check_types(path: Path, config: Config) -> None:
    for name, kinds in _TYPES.items():
        if type(config[name]) not in kinds:
            raise ValueError(f"{path}: {name} must be {kinds[0].__name__}, was {config[name]!r}")


def read_bounds(path: Path) -> Bounds:
    """The bounds that a run wrote; ValueError where they are not those of each K."""
    rows = checkpoint.read_json(path)
    if not isinstance(rows, list) or [_k_of(row) for row in rows] != list(KS):
        raise ValueError(f"{path}: no bounds of a run")
    return rows


def _k_of(row: Any) -> Any:
    return row.get("k") if isinstance(row, dict) and isinstance(row.get("mean"), float) else None
