"""`vbref audit --power`: how many planted mistakes the tests and the audit see."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

SEED = 0
_INTERRUPTED = 130


def add_options(parser: Any) -> None:
    """Add the options of `--power` to the parser of `vbref audit`."""
    group = parser.add_argument_group("power", "mutants of formulas and claims, judged by tests and audit")
    group.add_argument(
        "--power",
        action="store_true",
        help="plant mistakes in what ID names (also a module) and list survivors",
    )
    group.add_argument("--sample", type=_count, metavar="N", help="with --power: N mutants drawn at random")
    group.add_argument("--seed", type=int, default=SEED, help="with --sample: of the draw (0)")
    group.add_argument("--jobs", type=_count, default=2, metavar="N", help="with --power: processes (2)")


def run_power(args: argparse.Namespace) -> int:
    """Plant the mistakes and print what survives. 0 where 99 % die, 1 where not, 2 bad usage, 130 Ctrl-C."""
    from vbref.audit.power import run
    from vbref.audit.power.equivalents import stale
    from vbref.audit.power.report import LEAST, rate, report

    outcomes: list[run.Outcome] = []
    interrupted = False
    try:
        chosen = run.select(args.ids)
        drawn = run.sample(chosen, args.sample or len(chosen), args.seed)
        step = _progress(len(drawn))
        step("the tests are read", outcomes)
        for outcome in run.measure(drawn, args.jobs, lambda name: step(name, outcomes)):
            outcomes.append(outcome)
    except (LookupError, run.NoTests, ImportError) as error:
        print(f"vbref: {error.args[0]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        interrupted = True
    modules = dict.fromkeys(mutant.module for mutant in chosen)
    forgotten = stale((m for module in modules for m in run.source(module).mutants), modules)
    if interrupted:
        print(f"\nvbref: interrupted after {len(outcomes)} of {len(drawn)} mutants", file=sys.stderr)
    if outcomes:
        print(report(outcomes, forgotten))
    if interrupted:
        return _INTERRUPTED
    return 0 if rate(outcomes) >= LEAST and not forgotten else 1


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, was {text}")
    return int(text)


def _progress(total: int) -> Callable[[str, Sequence[Any]], None]:
    """Return what is told each check and mutant as it ends: one line rewritten on a terminal, else none."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return lambda name, outcomes: None

    def step(name: str, outcomes: Sequence[Any]) -> None:
        alive = sum(outcome.status not in ("killed", "equivalent") for outcome in outcomes)
        width = max(shutil.get_terminal_size().columns - 1, 20)
        line = f"{len(outcomes)}/{total}, {alive} alive  {name}"[:width]
        print(f"\x1b[K{line}", end="\r", file=sys.stderr, flush=True)

    return step


__all__: Sequence[str] = ("add_options", "run_power")
