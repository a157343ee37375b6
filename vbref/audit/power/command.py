"""`vbref audit --power`: how many planted mistakes the tests and the audit see."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

SEED = 0


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
    """Plant the mistakes and print what survives. 0 where 99 % die, 1 where not, 2 for bad usage."""
    from vbref.audit.power import run
    from vbref.audit.power.equivalents import stale
    from vbref.audit.power.report import LEAST, rate, report

    try:
        chosen = run.select(args.ids)
        drawn = run.sample(chosen, args.sample or len(chosen), args.seed)
        outcomes = list(run.measure(drawn, args.jobs, _progress(len(drawn))))
    except (LookupError, run.NoTests, ImportError) as error:
        print(f"vbref: {error.args[0]}", file=sys.stderr)
        return 2
    modules = dict.fromkeys(mutant.module for mutant in chosen)
    forgotten = stale((m for module in modules for m in run.source(module).mutants), modules)
    print(report(outcomes, forgotten))
    return 0 if rate(outcomes) >= LEAST and not forgotten else 1


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, was {text}")
    return int(text)


def _progress(total: int) -> Callable[[str], None]:
    """Return what is told the name of each check and mutant as it ends: one line rewritten on a terminal."""
    if not sys.stderr.isatty():
        return lambda name: None
    done = 0

    def step(name: str) -> None:
        nonlocal done
        done += " | " in name
        print(f"\r\x1b[K{done:5}/{total}  {name[:90]}", end="\r", file=sys.stderr, flush=True)

    return step


__all__: Sequence[str] = ("add_options", "run_power")
