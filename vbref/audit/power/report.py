"""The table of `vbref audit --power`: by module, then the survivors by name."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import shorten

from vbref.audit.power.equivalents import Equivalent
from vbref.audit.power.run import Outcome

LEAST = 0.99
_TEXT = 110


def rate(outcomes: Sequence[Outcome]) -> float:
    """Return the share killed of those that are not equivalent; 1 of none."""
    counted = [outcome for outcome in outcomes if outcome.status != "equivalent"]
    return sum(o.status == "killed" for o in counted) / len(counted) if counted else 1.0


def report(outcomes: Sequence[Outcome], stale: Sequence[Equivalent] = ()) -> str:
    """Return the whole report as text."""
    lines = [_row("module", "mutants", "killed", "equivalent", "survived", "rate")]
    for module, group in groupby(sorted(outcomes, key=_module), _module):
        lines.append(_counts(module, list(group)))
    lines.append(_counts("all", outcomes))
    lines += [text for outcome in sorted(outcomes, key=_place) for text in _survivor(outcome)]
    lines += [f"stale: {entry.mutant} is no mutant any more" for entry in stale]
    return "\n".join(lines)


def _counts(name: str, outcomes: Sequence[Outcome]) -> str:
    status = [outcome.status for outcome in outcomes]
    survived = len(status) - status.count("killed") - status.count("equivalent")
    numbers = (len(status), status.count("killed"), status.count("equivalent"), survived)
    return _row(name, *map(str, numbers), f"{100 * rate(outcomes):.1f} %")


def _row(name: str, *cells: str) -> str:
    return f"{name:48}" + "".join(f"{cell:>11}" for cell in cells)


def _survivor(outcome: Outcome) -> list[str]:
    if outcome.status in ("killed", "equivalent"):
        return []
    m = outcome.mutant
    said = "survived" if outcome.status == "survived" else f"not judged, {outcome.by}"
    return [
        f"{said}: {m.module.replace('.', '/')}.py:{m.line} {m.function}, {m.operator}",
        f"    {shorten(m.before, _TEXT)}",
        f"  → {shorten(m.after, _TEXT)}",
    ]


def _module(outcome: Outcome) -> str:
    return outcome.mutant.module


def _place(outcome: Outcome) -> tuple[str, int]:
    return outcome.mutant.module, outcome.mutant.line
