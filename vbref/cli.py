"""The command line: thin verbs. Exit 0 on success, 1 where a check failed, 2 for bad usage."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import vbref

_INTERRUPTED, _BROKEN_PIPE = 130, 141
_SAME = 1e-3


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Nothing that a user can do wrong ends in a traceback."""
    try:
        args = _parser().parse_args(argv)
        status = args.run(args)
        sys.stdout.flush()
        return status
    except SystemExit as exit:
        return int(exit.code or 0)
    except BrokenPipeError:
        # The reader left (| head). Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _complain("interrupted", _INTERRUPTED)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _complain(named, 2)
    except MemoryError as error:
        return _complain(f"out of memory: {error}", 2)
    except FloatingPointError as error:
        return _complain(str(error), 1)
    except ValueError as error:
        return _complain(str(error), 2)


def _complain(message: str, status: int) -> int:
    print(f"vbref: {' '.join(message.split())}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    from vbref.audit import commands

    parser = _Parser(prog="vbref", description="Variational Bayes that can be read and that proves itself.")
    parser.add_argument("--version", action="version", version=f"vbref {vbref.__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parsers(verbs)
    _add_train(verbs)
    _add_evaluate(verbs)
    verbs.add_parser(
        "info", help="versions, threads, BLAS, CUDA, the cache, and what makes it slow"
    ).set_defaults(run=_info)
    return parser


def _add_train(verbs: Any) -> None:
    from vbref.systems import SYSTEMS, mixture

    # SUPPRESS: what was not given is not there, and the run's own defaults fill it.
    parser = verbs.add_parser(
        "train",
        help="train a model and write a run folder",
        description="Train a model, print held-out bounds, write a run folder with pictures.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help=", ".join([*SYSTEMS, "mixture"]))
    add(
        "--data",
        metavar="NAME|FILE",
        help="digits (default; of mixture faithful), faithful, or an .npz, .npy, idx or idx.gz file",
    )
    add("--out", metavar="DIR", help="run folder (default: runs/MODEL-DATA)")
    add("--resume", metavar="DIR", help="continue the run in DIR with its settings; only --epochs may be new")
    add("--epochs", type=_count, help="default: as many as make 5000 minibatches")
    add("--batch-size", type=_count, metavar="N", help="rows a minibatch (100)")
    add("--learning-rate", type=_positive, metavar="RATE", help="of Adam (0.002)")
    add("--latent", type=_count, metavar="N", help="latent dimensions (8)")
    add(
        "--hidden",
        type=_count,
        nargs="+",
        metavar="N",
        help="widths of the encoder's hidden layers (128 128)",
    )
    add("--activation", choices=("tanh", "relu", "softplus", "sigmoid"), help="(tanh)")
    add("--likelihood", choices=("bernoulli", "gaussian"), help="(bernoulli)")
    add("--scale", choices=("fixed", "learned", "per-pixel", "head"), help="the Gaussian's σ (learned)")
    add("--sigma", type=_positive, help="the Gaussian's σ, or where it starts (1)")
    add("--prior", choices=("standard", "learned"), help="(standard)")
    add("--posterior", choices=("diagonal", "full"), help="covariance of q (diagonal)")
    add("--objective", choices=("elbo", "iwae"), help="(elbo)")
    add("--k", type=_count, help="samples in the objective (1; 5 for iwae)")
    add("--gradient", choices=("pathwise", "sticking-the-landing", "dreg"), help="(pathwise)")
    add(
        "--binarise",
        choices=("none", "static", "dynamic"),
        help="grey pixels (dynamic for bernoulli, else none)",
    )
    add("--test-size", type=_count, metavar="N", help="rows held out (a sixth, 1000 at most)")
    add(
        "--patience",
        type=_count,
        metavar="N",
        help="stop N epochs after the best bound on a validation tenth",
    )
    add("--seed", type=_seed, help="(0)")
    add("--dtype", choices=("float32", "float64"), help="(float32)")
    own: dict[str, list[Any]] = {}
    for settings in (mixture.SETTINGS, *(system.settings for system in SYSTEMS.values())):
        for name, setting in settings.items():
            own.setdefault(name, []).append(setting)
    for name, sharing in own.items():
        _add_setting(parser, name, sharing)
    parser.set_defaults(run=_train)


def _add_setting(parser: Any, name: str, sharing: Sequence[Any]) -> None:
    """One flag for all systems that have a setting of this name; each refuses later what is another's."""
    flag = "--" + name.replace("_", "-")
    zero = any(setting.zero for setting in sharing)
    kinds = {int: _count, float: _not_negative if zero else _positive}
    text = "; ".join(setting.help for setting in sharing)
    if choices := [choice for setting in sharing for choice in setting.choices]:
        parser.add_argument(flag, choices=choices, help=text)
    else:
        parser.add_argument(flag, type=kinds[sharing[0].kind], metavar="N", help=text)


def _add_evaluate(verbs: Any) -> None:
    parser = verbs.add_parser("evaluate", help="print the held-out bounds of a run again")
    parser.add_argument("folder", metavar="RUN", type=Path, help="a folder that vbref train wrote")
    parser.set_defaults(run=_evaluate)


def _count(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number >= 1")


def _seed(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number >= 0")


def _positive(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number > 0")


def _not_negative(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < float("inf"), "a number >= 0")


def _number(text: str, kind: Callable[[str], Any], holds: Callable[[Any], bool], allowed: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not holds(value):
        raise argparse.ArgumentTypeError(f"must be {allowed}, was {text!r}")
    return value


def _train(args: argparse.Namespace) -> int:
    from vbref import checkpoint, runs

    given = {
        name: value for name, value in vars(args).items() if name not in ("run", "model", "out", "resume")
    }
    if args.model == "mixture":
        return _train_mixture(args, given)
    resume = getattr(args, "resume", None)
    task, folder = _resumed(args, given) if resume else _started(args, given)
    _print_task(task)
    try:
        lines = _Lines(task.config["epochs"])
        params, history = runs.train(
            task, folder, resume=bool(resume), progress=not lines.needed, on_epoch=lines
        )
    except KeyboardInterrupt:
        command = f"vbref train {task.config['system']} --resume {folder}"
        return _complain(f"interrupted; go on with: {command}", _INTERRUPTED)
    found = runs.bounds(task, params)
    checkpoint.write_json(folder / "bounds.json", found)
    _print_bounds(task, found)
    for note in runs.notes(task, params):
        print(note)
    for warning in runs.warnings(task, params):
        print(f"warning: {warning}")
    return _finish(task, params, history, found, folder)


def _train_mixture(args: argparse.Namespace, given: dict[str, Any]) -> int:
    from vbref.systems import mixture

    if hasattr(args, "resume"):
        raise ValueError("a mixture is fitted in one go: there is nothing to --resume")
    source = mixture.completed(given)["data"]
    name = f"mixture-{Path(source).name.split('.')[0]}"
    folder = Path(args.out) if hasattr(args, "out") else _free(Path("runs") / name)
    try:
        mixture.train(given, folder)
    except ImportError as error:
        _complain(str(error), 0)
    print(f"\nrun folder: {folder}")
    return 0


def _finish(task: Any, params: Any, history: Any, found: Any, folder: Path) -> int:
    from vbref import runs

    try:
        runs.pictures(task, params, history, found, folder)
    except ImportError as error:
        _complain(str(error), 0)
    print(f"\nrun folder: {folder}")
    return 0


def _started(args: argparse.Namespace, given: dict[str, Any]) -> tuple[Any, Path]:
    from vbref import data, runs

    source = given.get("data", "digits")
    if source not in data.NAMES and os.path.exists(source):
        given = given | {"data": os.path.abspath(source)}
    task = runs.task(args.model, given)
    name = f"{args.model}-{Path(source).name.split('.')[0]}"
    folder = Path(args.out) if hasattr(args, "out") else _free(Path("runs") / name)
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a run already: go on with --resume {folder}, or take another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return task, folder


def _resumed(args: argparse.Namespace, given: dict[str, Any]) -> tuple[Any, Path]:
    from vbref import checkpoint, runs

    folder = Path(args.resume)
    if hasattr(args, "out") or given.keys() - {"epochs"}:
        raise ValueError("--resume takes its settings from the run: only --epochs may be given with it")
    config = checkpoint.read_json(folder / "config.json")
    task = runs.again(folder, config | given)
    if task.config["system"] != args.model:
        raise ValueError(f"{folder} holds a run of {task.config['system']}, not of {args.model}")
    return task, folder


def _free(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, … that does not exist."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


class _Lines:
    """Prints some twenty lines of progress, where there is no terminal or no tqdm for a bar."""

    def __init__(self, epochs: int):
        self.epochs = epochs
        self.needed = not (sys.stderr.isatty() and importlib.util.find_spec("tqdm"))

    def __call__(self, epoch: int, row: dict[str, float]) -> None:
        if self.needed and (epoch in (1, self.epochs) or epoch % max(1, self.epochs // 20) == 0):
            bounds = "  ".join(f"{name} {value:9.3f}" for name, value in row.items() if name != "seconds")
            print(f"epoch {epoch:4}/{self.epochs}  {bounds}  ({row['seconds']:.2f} s)", flush=True)


def _print_task(task: Any) -> None:
    config = task.config
    size = sum(value.size for value in task.model.init(_any_rng()).values())
    rows = f"{len(task.train)} rows to train on, {len(task.test)} held out"
    print(f"{config['system']} on {config['data']}: {rows}, {task.test.shape[1]} values each")
    print(
        f"{size} parameters, {config['dtype']}, epochs: {config['epochs']}, seed: {config['seed']}",
        flush=True,
    )
    if config["likelihood"] == "bernoulli" and config["binarise"] == "none":
        print("grey values under a Bernoulli likelihood: cross entropies, no densities; see --binarise")


def _any_rng() -> Any:
    import numpy as np

    return np.random.default_rng(0)


def _print_bounds(task: Any, found: list[dict[str, float]]) -> None:
    from vbref.systems import SYSTEMS

    bound = SYSTEMS[task.config["system"]].bound
    print(f"\nheld-out {bound.name} of {len(task.test)} rows, nats per row; K: {bound.counts}")
    print("          K      bound   ± s.e.   ± Monte Carlo")
    for row in found:
        name = f"1 ({bound.first})" if row["k"] == 1 else str(row["k"])
        print(f"{name:>11} {row['mean']:10.3f} {row['standard_error']:8.3f} {row['monte_carlo_error']:15.4f}")


def _evaluate(args: argparse.Namespace) -> int:
    from vbref import runs
    from vbref.systems import mixture

    if (args.folder / mixture.RESULT).exists():
        raise ValueError(
            f"{args.folder} holds a mixture, fitted to all rows: none are held out to evaluate it on;"
            f" its bound on their log evidence is in {mixture.RESULT}"
        )
    task, params = runs.load(args.folder)
    found = runs.bounds(task, params)
    _print_bounds(task, found)
    for note in runs.notes(task, params):
        print(note)
    saved = args.folder / "bounds.json"
    before = runs.read_bounds(saved) if saved.exists() else found
    drift = max(abs(now["mean"] - then["mean"]) for now, then in zip(found, before, strict=True))
    if drift > _SAME:
        return _complain(f"check failed: {saved} differs by {drift:.3g} nats", 1)
    return 0


def _info(args: argparse.Namespace) -> int:
    from vbref import info

    for name, value in info.facts().items():
        print(f"{name:14} {value}")
    for sentence in info.advice_here():
        print(f"advice         {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
