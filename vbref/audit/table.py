"""The audit as text: a table by note, the misprints in one line each, what failed, what is not judged yet."""

import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Sequence

from vbref.audit.attachments import short
from vbref.audit.claim import SEVERITY
from vbref.audit.registry import NOT_YET, Record

_COLUMNS = {
    "holds": "holds",
    "holds-up-to-constant": "up to const",
    "notation": "notation",
    "misprint": "misprint",
    "definition": "definition",
    "not-checkable": "uncheckable",
    NOT_YET: "not judged",
}
_COLOURS = {"misprint": "31", "notation": "33", "holds": "32", "FAILED": "1;31", "note": "1"}


def paint(text: str, kind: str, colour: bool) -> str:
    """Return the text in the colour of its kind, where colours are wanted."""
    code = _COLOURS.get(kind)
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def summary(records: Sequence[Record], colour: bool = False, width: int | None = None) -> str:
    """Return the whole report: one row a note (a list where that is too wide), one line a misprint."""
    width = width or shutil.get_terminal_size((120, 24)).columns
    parts = [_table(records, colour) if width >= 96 else _list(records, colour)]
    parts += [_misprints(records, colour, width), _failures(records, colour, width)]
    return "\n\n".join([*filter(None, parts), textwrap.fill(_closing(records), width)])


def grouped(records: Sequence[Record], field: str) -> dict[str, list[Record]]:
    """Return the records by one of their fields, each group where its first record stands."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(getattr(record, field), []).append(record)
    return groups


def rank(verdict: str) -> int:
    """Return a verdict's place from the best to the worst; what is no verdict comes last."""
    return SEVERITY.index(verdict) if verdict in SEVERITY else len(SEVERITY)


def equations_of(records: Sequence[Record]) -> list[Record]:
    """Return one record for each equation: its own, or the worst of the steps that are there without it."""
    return [
        next((r for r in group if r.id == r.equation), max(group, key=lambda r: rank(r.verdict)))
        for group in grouped(records, "equation").values()
    ]


def _counts(records: Sequence[Record]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for record in equations_of(records):
        counts.setdefault(record.note, Counter())[record.verdict] += 1
    return counts


def _table(records: Sequence[Record], colour: bool) -> str:
    counts = _counts(records)
    column = max([10, *(len(note) + 1 for note in counts)])
    head = "note".ljust(column) + "".join(title.rjust(12) for title in _COLUMNS.values()) + "  equations"
    rows = [paint(head, "note", colour)]
    for note, count in counts.items():
        cells = "".join(paint(str(count[verdict] or "·").rjust(12), verdict, colour) for verdict in _COLUMNS)
        rows.append(note.ljust(column) + cells + str(count.total()).rjust(11))
    return "\n".join(rows)


def _list(records: Sequence[Record], colour: bool) -> str:
    lines = []
    for note, count in _counts(records).items():
        lines.append(paint(f"{note}: {several(count.total(), 'equation')}", "note", colour))
        lines += [
            "  " + paint(f"{count[verdict]:4} {title}", verdict, colour)
            for verdict, title in _COLUMNS.items()
            if count[verdict]
        ]
    return "\n".join(lines)


def _misprints(records: Sequence[Record], colour: bool, width: int) -> str:
    steps = [r for r in records if r.verdict == "misprint" and r.entry is not None]
    column = max((len(record.id) for record in steps), default=0) + 2
    lines = [_entry(record, column, colour, width) for record in steps]
    return "\n".join([paint("Misprints", "note", colour), *lines]) if lines else ""


def _entry(record: Record, column: int, colour: bool, width: int) -> str:
    """Return a misprint's id and its line, wrapped beside the ids, or below its id on a narrow terminal."""
    beside = width >= 60
    indent = column if beside else 2
    text = textwrap.wrap(one_line(record), max(width - indent, 20))
    id = paint(record.id.ljust(column) if beside else record.id, "misprint", colour)
    return (id if beside else f"{id}\n  ") + f"\n{' ' * indent}".join(text)


def one_line(record: Record) -> str:
    """Return a misprint in one line: its reason, and the counterexample's numbers."""
    shown = record.counterexample
    if not shown:
        return headline(record)
    numbers = f"printed {short(shown['printed'])}, true {short(shown['true'])}"
    return f"{headline(record)} [{shown['instance']}: {numbers}]"


def headline(record: Record) -> str:
    """Return the first sentence of a record's prose."""
    entry = record.entry
    text = getattr(entry, "why", "") or (entry.note if entry else "") or record.reason
    return " ".join(re.split(r"(?<=[a-zA-Z)])\. ", text)[0].rstrip(".").split()) or "no reason is given"


def _failures(records: Sequence[Record], colour: bool, width: int) -> str:
    lines = [f"{record.id}: {line}" for record in records for line in record.failures]
    folded = [textwrap.fill(line, width, initial_indent=" " * 7, subsequent_indent="  ") for line in lines]
    return "\n".join(paint("FAILED ", "FAILED", colour) + line.removeprefix(" " * 7) for line in folded)


def _closing(records: Sequence[Record]) -> str:
    found = equations_of(records)
    waiting = [record for record in found if record.verdict == NOT_YET]
    failed = sum(bool(record.failures) for record in records)
    steps = len([record for record in records if record.entry is not None])
    judged = f"{len(found) - len(waiting)} of {several(len(found), 'equation')} judged"
    text = f"{judged} in {several(steps, 'claim')}; "
    text += f"{several(failed, 'claim')} failed." if failed else "every computed verdict is the recorded one."
    return text + (f" {len(waiting)} not yet judged." if waiting else "")


def several(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
