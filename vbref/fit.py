"""One training loop for all models, adversarial too: minibatches, history, early stopping, checkpoints."""

import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref import checkpoint as files
from vbref.players import Player, players_of

Params = dict[str, NDArray[Any]]
History = dict[str, NDArray[np.float64]]
Report = Callable[[int, dict[str, float]], None]
_VALIDATION_SEED = 0


def fit(
    model: Any,
    x: Any,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    optimizer: Any = None,
    learning_rate: float = 1e-3,
    schedule: Callable[[int], float] | None = None,
    k: int = 1,
    scale: str = "mean",
    prepare: Callable[[NDArray[Any], np.random.Generator], NDArray[Any]] | None = None,
    params: Mapping[str, NDArray[Any]] | None = None,
    validation: Any = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
    progress: bool = False,
    on_epoch: Report | None = None,
    device: str = "cpu",
    fast: bool = True,
) -> tuple[Params, History]:
    """Raise the model's objective over minibatches of x; return (params, history).

    `x` has a length and gives rows by an array of indices. Each minibatch passes through `prepare(rows,
    rng)`, if given, so that uint8 images need never be floats all at once. Each step follows, by
    `optimizer` (Adam with `learning_rate` unless given), the gradient of the minibatch's sum J divided by
    its size B (`scale="mean"`), or times N/B, which is unbiased for the gradient over all N rows
    (`scale="total"`, meanfield/D10 and D11); `schedule(epoch)`, epochs from 0, multiplies the step. `params`
    starts elsewhere than `model.init(rng)`; `k` is the number of samples that `model.draw_noise` gives.

    `validation` rows get a bound after each epoch, always with the same noise. With `patience`, training
    ends after that many epochs without a new best one, and the best parameters are returned instead of
    the last.

    `checkpoint` is a file written at the start, every `checkpoint_every` epochs and at the end, always
    whole: a run stopped at any point continues from it with `resume=True` to the same bits as a run that
    was not stopped. The same `rng` state gives the same bits at the same number of threads.

    A model that `vbref.models.fast.applies` to is trained by Adam in compiled code, whose numbers are those
    of the model's own methods to rounding; `fast=False` calls these.

    `progress` shows a bar where tqdm is installed and stderr is a terminal; `on_epoch(epoch, row)` sees
    each row of the history, a dict of arrays with one entry an epoch: a bound per row in nats for each
    player ("train" for a model with one objective), "validation", and "seconds".

    `device="cuda"` trains a VAE with Bernoulli likelihood by Adam wholly on a GPU, with orders of rows and a
    seed of the noise drawn from `rng`, other numbers than the CPU's; without validation and checkpoints.

    Raises ValueError for sizes below 1, no validation rows, unknown words, options that do not go together,
    and a checkpoint of another run; FloatingPointError where the objective is not finite or overflows.
    """
    _check_rows(x=x, validation=x if validation is None else validation)
    _check_sizes(epochs=epochs, batch_size=batch_size, k=k, rows=len(x), checkpoint_every=checkpoint_every)
    _check_options(scale, validation, patience, checkpoint, resume)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator, was {rng!r}")
    if validation is not None and _per_point(model):
        raise ValueError("validation must be None for per-point inference: new rows have no posterior")
    optimizer = _adam(learning_rate) if optimizer is None else _checked_optimizer(optimizer)
    if _on_cuda(device, validation=validation, checkpoint=checkpoint):
        from vbref.cuda import training

        options = {"optimizer": optimizer, "schedule": schedule, "k": k, "scale": scale, "prepare": prepare}
        options |= {"params": params, "epochs": epochs, "batch_size": batch_size}
        with _bar(progress, epochs, 0) as show:
            reports = list(filter(None, (show, on_epoch)))
            return training.fit(model, x, rng=rng, reports=reports, **options)
    run = _Run(model, x, validation, rng, batch_size, k, scale, optimizer, schedule, prepare, fast)
    state = run.resumed(checkpoint) if resume and checkpoint is not None else run.started(params)
    with _bar(progress, epochs, state.epoch) as show:
        while state.epoch < epochs and (patience is None or state.since_best < patience):
            if checkpoint is not None and state.epoch % checkpoint_every == 0:
                run.save(checkpoint, state)
            row = run.epoch(state)
            for report in filter(None, (show, on_epoch)):
                report(state.epoch, row)
    if checkpoint is not None:
        run.save(checkpoint, state)
    params = {name: array.copy() for name, array in (state.best if patience else state.params).items()}
    return params, {n: np.array(v) for n, v in state.history.items()}


@dataclass
class _State:
    """All that a run is at the end of an epoch: what is not here cannot change what comes next."""

    params: Params
    slots: dict[str, Params]
    rng: dict[str, Any]
    best: Params = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    since_best: int = 0
    epoch: int = 0
    compiled: Any = None


@dataclass(frozen=True)
class _Run:
    """What stays the same from epoch to epoch."""

    model: Any
    x: Any
    validation: Any
    rng: np.random.Generator
    batch_size: int
    k: int
    scale: str
    optimizer: Any
    schedule: Callable[[int], float] | None
    prepare: Any
    fast: bool

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must share with the run it resumes, as JSON gives it back."""
        return {
            "model": type(self.model).__name__,
            "config": getattr(self.model, "config", None),
            "rows": len(self.x),
            "validation": None if self.validation is None else len(self.validation),
            "x": files.fingerprint(self.x),
            "batch_size": self.batch_size,
            "k": self.k,
            "scale": self.scale,
            "optimizer": _name(self.optimizer),
            "prepare": _name(self.prepare),
            "schedule": _name(self.schedule),
        }

    def started(self, params: Mapping[str, NDArray[Any]] | None) -> _State:
        """Parameters given or drawn, and fresh optimiser slots for each player."""
        start = self.model.init(self.rng) if params is None else params
        own = {name: value.copy() for name, value in start.items()}
        slots = {player.name: self.optimizer.init(player.own(own)) for player in players_of(self.model)}
        return self._compiled(_State(own, slots, dict(self.rng.bit_generator.state)))

    def _compiled(self, state: _State) -> _State:
        """The state in the flat arrays of compiled steps, where there are such for the model."""
        if not self.fast or _per_point(self.model) or getattr(self.model, "config", None) is None:
            return state
        from vbref.models.fast import epochs

        if epochs.serves(self.model, self.x, self.optimizer, self.prepare):
            options: Any = {"batch_size": self.batch_size, "k": self.k, "optimizer": self.optimizer}
            (slots,) = state.slots.values()
            run = epochs.Epochs(self.model, self.x, self.prepare, state.params, slots, **options)
            state.compiled, state.params = run, run.trainer.params
            state.slots = dict.fromkeys(state.slots, run.trainer.state)
        return state

    def epoch(self, state: _State) -> dict[str, float]:
        """One pass over the rows in a new random order; the row of history that it made."""
        start, n = time.perf_counter(), len(self.x)
        order = self.rng.permutation(n)
        totals = dict.fromkeys((player.name for player in players_of(self.model)), 0.0)
        if state.compiled is None:
            for first in range(0, n, self.batch_size):
                self._minibatch(state, order[first : first + self.batch_size], totals)
        else:
            self._compiled_epoch(state, order, totals)
        row = {name: total / n for name, total in totals.items()}
        if self.validation is not None:
            row["validation"] = self._validated(state)
            self._note_best(state, row["validation"])
        row["seconds"] = time.perf_counter() - start
        for name, value in row.items():
            state.history.setdefault(name, []).append(value)
        state.epoch += 1
        state.rng = dict(self.rng.bit_generator.state)
        return row

    def _minibatch(self, state: _State, index: NDArray[np.intp], totals: dict[str, float]) -> None:
        x = self._prepared(self.x[index], self.rng)
        rows = {"index": index} if _per_point(self.model) else {}
        factor = (1 if self.scale == "mean" else len(self.x)) / len(index)
        for player in players_of(self.model):
            values = [self._step(state, player, x, rows, factor) for _ in range(player.steps)]
            totals[player.name] += sum(values) / player.steps

    def _compiled_epoch(self, state: _State, order: NDArray[np.intp], totals: dict[str, float]) -> None:
        (player,) = players_of(self.model)
        scale = 1 if self.scale == "mean" else len(self.x)
        rate = player.rate * (1.0 if self.schedule is None else self.schedule(state.epoch))
        totals[player.name] = state.compiled.epoch(order, self.rng, scale=scale, schedule=rate)
        _check_finite(player.name, totals[player.name], state.epoch)

    def _step(
        self, state: _State, player: Player, x: NDArray[Any], rows: dict[str, Any], factor: float
    ) -> float:
        noise = self.model.draw_noise(self.rng, len(x), self.k)
        with _divergence_named(player.name, state.epoch):
            value, grads = player.objective_and_grad(state.params, x, noise, **rows)
        _check_finite(player.name, value, state.epoch)
        own = player.own(grads)
        ascent = {name: np.asarray(grad * grad.dtype.type(factor)) for name, grad in own.items()}
        slots = state.slots[player.name]
        rate = player.rate * (1.0 if self.schedule is None else self.schedule(state.epoch))
        with _divergence_named(player.name, state.epoch), np.errstate(over="raise", invalid="raise"):
            self.optimizer.step(player.own(state.params), ascent, slots, direction="ascend", schedule=rate)
        return value

    def _validated(self, state: _State) -> float:
        """The model's objective per validation row; the same noise in every epoch, so that epochs compare."""
        rng, total = np.random.default_rng(_VALIDATION_SEED), 0.0
        for first in range(0, len(self.validation), self.batch_size):
            index = np.arange(first, min(first + self.batch_size, len(self.validation)))
            x = self._prepared(self.validation[index], rng)
            noise = self.model.draw_noise(rng, len(x), self.k)
            with _divergence_named("validation", state.epoch):
                total += self.model.objective(state.params, x, noise)
        _check_finite("validation", total, state.epoch)
        return total / len(self.validation)

    def _prepared(self, rows: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return rows if self.prepare is None else self.prepare(rows, rng)

    def _note_best(self, state: _State, value: float) -> None:
        improved = value > max(state.history.get("validation", []), default=-np.inf)
        state.since_best = 0 if improved else state.since_best + 1
        if improved:
            state.best = {name: array.copy() for name, array in state.params.items()}

    def save(self, path: str | os.PathLike[str], state: _State) -> None:
        """Write the state, with the settings that it holds for."""
        groups = {"params": state.params, "best": state.best}
        groups |= {f"slots/{player}": slots for player, slots in state.slots.items()}
        arrays = {f"{group}/{name}": a for group, named in groups.items() for name, a in named.items()}
        record = {name: getattr(state, name) for name in ("rng", "history", "since_best", "epoch")}
        files.save(path, arrays, record | {"settings": self.settings})

    def resumed(self, path: str | os.PathLike[str]) -> _State:
        """The state in a checkpoint, with `rng` set to where it was."""
        arrays, record = files.load(path)
        self._check_record(path, record)

        def group(prefix: str) -> Params:
            return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

        slots = {player.name: group(f"slots/{player.name}/") for player in players_of(self.model)}
        self.rng.bit_generator.state = record["rng"]
        rest = {name: record[name] for name in ("rng", "history", "since_best", "epoch")}
        return self._compiled(_State(params=group("params/"), best=group("best/"), slots=slots, **rest))

    def _check_record(self, path: Any, record: Any) -> None:
        if not isinstance(record, dict) or "settings" not in record:
            raise ValueError(f"{path}: no checkpoint of a training run")
        was, now = record["settings"], files.as_json(self.settings)
        for name in now:
            if was.get(name) != now[name]:
                raise ValueError(f"{path}: its run had {name} = {was.get(name)}, this one has {now[name]}")
        if record["rng"]["bit_generator"] != type(self.rng.bit_generator).__name__:
            raise ValueError(f"{path}: its run drew from {record['rng']['bit_generator']}, rng does not")


def _on_cuda(device: str, **absent: Any) -> bool:
    # Here and not above, as in `_adam`.
    from vbref.numerics.device import choice

    given = [name for name, value in absent.items() if value is not None]
    if choice(device) and given:
        raise ValueError(f"{given[0]} must be None for device='cuda'")
    return device == "cuda"


def _adam(learning_rate: float) -> Any:
    # Here and not above, because `import vbref` loads this module, and the room of networks loads Numba.
    from vbref.nn.optim import Adam

    return Adam(learning_rate)


def _checked_optimizer(optimizer: Any) -> Any:
    if isinstance(optimizer, type) or not hasattr(optimizer, "step"):
        raise ValueError(f"optimizer must be an instance, as Adam(learning_rate) is; was {optimizer!r}")
    return optimizer


def _per_point(model: Any) -> bool:
    return getattr(model, "config", {}).get("inference") == "per-point"


def _name(setting: Any) -> str:
    """A function's name or an object's repr: what is the same in the process that resumes."""
    return getattr(setting, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(setting))


@contextmanager
def _divergence_named(name: str, epoch: int) -> Iterator[None]:
    """Name what overflowed: parameters that ran away, most often."""
    try:
        yield
    except ArithmeticError as error:
        raise FloatingPointError(
            f"the objective of {name!r} overflowed in epoch {epoch + 1}: a smaller learning_rate may help "
            f"({error})"
        ) from None


def _check_finite(name: str, value: float, epoch: int) -> None:
    if not np.isfinite(value):
        raise FloatingPointError(
            f"the objective of {name!r} was {value} in epoch {epoch + 1}: a smaller learning_rate may help"
        )


@contextmanager
def _bar(progress: bool, total: int, done: int) -> Iterator[Report | None]:
    """A report that moves a progress bar, where there is tqdm and a terminal to show it on; else None."""
    if not (progress and sys.stderr.isatty() and importlib.util.find_spec("tqdm")):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit="epoch", dynamic_ncols=True) as bar:

        def show(epoch: int, row: dict[str, float]) -> None:
            bounds = {name: f"{value:.2f}" for name, value in row.items() if name != "seconds"}
            bar.set_postfix(bounds, refresh=False)
            bar.update()

        yield show


def _check_rows(**data: Any) -> None:
    for name, rows in data.items():
        try:
            len(rows), rows[np.zeros(0, np.intp)]
        except (TypeError, KeyError, IndexError):
            found = type(rows).__name__
            raise ValueError(
                f"{name} must give rows by an array of indices as arrays do, was {found}"
            ) from None


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, was {value!r}")


def _check_options(scale: str, validation: Any, patience: Any, checkpoint: Any, resume: bool) -> None:
    if scale not in ("mean", "total"):
        raise ValueError(f"scale must be 'mean' or 'total', was {scale!r}")
    if validation is not None and len(validation) == 0:
        raise ValueError("validation must have at least one row, has none")
    if patience is not None:
        _check_sizes(patience=patience)
        if validation is None:
            raise ValueError("patience must come with validation rows")
    if resume and checkpoint is None:
        raise ValueError("resume must come with the checkpoint to resume from")
