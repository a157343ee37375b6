"""The table of `vbref audit --power`: by room and module, then the survivors by name."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import shorten

from vbref.audit.power.equivalents import Equivalent
from vbref.audit.power.modules import room_of
from vbref.audit.power.run import Outcome

LEAST = 0.99
_TEXT = 110


def rate(outcomes: Sequence[Outcome]) -> float:
    """Return the share killed of those that are not equivalent; 1 of none."""
    counted = [outcome for outcome in outcomes if outcome.status != "equivalent"]
    return sum(o.status == "killed" for o in counted) / len(counted) if counted else 1.0


def report(outcomes: Sequence[Outcome], stale: Sequence[Equivalent] = ()) -> str:
    """Return the whole report as text."""
    lines = [_row("", "mutants", "killed", "equivalent", "survived", "rate")]
    for room, group in groupby(sorted(outcomes, key=_module), _room):
        lines += _of_room(room, list(group))
    lines.append(_counts("all", outcomes))
    lines += [text for outcome in sorted(outcomes, key=_place) for text in _survivor(outcome)]
    lines += [f"stale: {entry.mutant} is no mutant any more" for entry in stale]
    return "\n".join(lines)


def _of_room(room: str, outcomes: Sequence[Outcome]) -> list[str]:
    """Return the room's own row and, where it has more than one, its modules' below it."""
    modules = [(name, list(group)) for name, group in groupby(outcomes, _module)]
    below = [_counts(f"  {name}", group) for name, group in modules] if len(modules) > 1 else []
    return [_counts(room if below else modules[0][0], outcomes), *below]


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


def _room(outcome: Outcome) -> str:
    return f"vbref.{room_of(outcome.mutant.module)}"


def _place(outcome: Outcome) -> tuple[str, int]:
    return outcome.mutant.module, outcome.mutant.line
