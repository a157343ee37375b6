"""One equation as text: its LaTeX, each step's verdict and reasons, the code behind it, worked numbers."""

import inspect
import shutil
import textwrap
from collections.abc import Sequence

import numpy as np

from vbref.audit.attachments import plain, resolve, short
from vbref.audit.claim import Claim, Entry
from vbref.audit.judge import generator
from vbref.audit.registry import Record
from vbref.audit.table import paint
from vbref.audit.trials import trial, true_form


def show(records: Sequence[Record], colour: bool = False, width: int | None = None) -> str:
    """Return the page of one equation: its own record first, then those of its steps."""
    width = width or min(shutil.get_terminal_size((100, 24)).columns, 100)
    head, *steps = records
    parts = [
        paint(f"{head.id}: {head.verdict}", head.verdict, colour),
        textwrap.indent(head.statement.strip(), "    "),
    ]
    judged = steps or ([head] if head.entry else [])
    parts += [_step(record, colour, not steps, width) for record in judged]
    parts += _codes([record.entry for record in judged if record.entry])
    parts += [
        text
        for text in (_worked(record.entry) for record in judged if isinstance(record.entry, Claim))
        if text
    ]
    return "\n\n".join(part for part in parts if part)


def _step(record: Record, colour: bool, alone: bool, width: int) -> str:
    head = [paint(f"{record.id}: {record.verdict}", record.verdict, colour), f"    {record.statement}"]
    wrapped = [_folded(label, text, width) for label, text in _rows(record)]
    return "\n".join([*([] if alone else head), *wrapped])


def _folded(label: str, text: str, width: int) -> str:
    row, indent = (f"{label}: {text}", "    ") if label else (text, "  ")
    return textwrap.fill(row, width, initial_indent="  ", subsequent_indent=indent, break_on_hyphens=False)


def _rows(record: Record) -> list[tuple[str, str]]:
    """Return what is said of a record, each with its label."""
    entry = record.entry
    note = ("", f"{entry.note.rstrip('.')}." if entry and entry.note else "")
    failed = [("FAILED", line) for line in record.failures]
    said = _of_claim(record, entry) if isinstance(entry, Claim) else []
    why = [("", f"{entry.why.rstrip('.')}.")] if isinstance(entry, Claim) and entry.why else []
    return [(label, text) for label, text in [*why, note, *said, *failed] if text]


def _of_claim(record: Record, claim: Claim) -> list[tuple[str, str]]:
    rows = [("read as", claim.reading.latex)] if claim.reading else []
    if claim.constant:
        rows.append(("constant", f"{claim.constant.latex}, free of {claim.constant.free_of}"))
    rows += [("corrected", claim.corrected.latex)] if claim.corrected else []
    rows += [("counterexample", _numbers(record.counterexample))] if record.counterexample else []
    rows += [("true only if", condition.text) for condition in claim.conditions]
    rows += [("as printed" if claim.corrected else "besides", aside.text) for aside in claim.asides]
    return [*rows, ("instances", claim.domain), *_oracles(record)]


def _oracles(record: Record) -> list[tuple[str, str]]:
    return [
        ("oracle", f"{name}, {record.applied[name]} instances, largest error {record.errors[name]:.1e}")
        for name in record.oracles
        if name in record.errors
    ]


def _numbers(shown: dict[str, object]) -> str:
    values = ", ".join(f"{name} {short(value)}" for name, value in shown.items() if name != "instance")
    return f"{shown['instance']}: {values}"


def _codes(entries: Sequence[Entry]) -> list[str]:
    """Return the source of every function the entries name, once each."""
    codes = [entry.code for entry in entries if entry.code]
    names = dict.fromkeys(name for code in codes for name in (code.formula, code.name) if name)
    return [f"{name}\n\n{textwrap.indent(source(resolve(name)), '    ')}" for name in names]


def source(function: object) -> str:
    """Return the text of a function, compiled or not."""
    return inspect.getsource(getattr(function, "py_func", function)).rstrip()  # type: ignore[arg-type]


def _worked(claim: Claim) -> str:
    """Return the claim computed here and now: on its counterexample, else on its first random instance."""
    where = claim.counterexample.text if claim.counterexample else "the first random instance"
    instance = claim.counterexample.instance if claim.counterexample else claim.draw(generator(claim))
    with np.errstate(all="ignore"):
        t = trial(claim, where, instance)
        values = {"printed": claim.printed(instance)} if claim.printed else {}
        values |= {"true form": true_form(claim)(instance), **t.truths}
        if claim.code and claim.code.call:
            values[claim.code.name] = claim.code.call(resolve(claim.code.name), instance)
    rows = [f"  {name.ljust(max(map(len, values)))}  {_digits(value)}" for name, value in values.items()]
    return "\n".join([f"{claim.id} worked, on {where}:", *rows])


def _digits(value: object) -> str:
    return textwrap.shorten(str(plain(value)), 90, placeholder=" …")
