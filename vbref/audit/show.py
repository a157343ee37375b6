"""One equation as text: its LaTeX, each step's verdict and reasons, the code behind it, worked numbers."""

import inspect
import textwrap
from collections.abc import Sequence

import numpy as np

from vbref.audit.attachments import plain, resolve, short
from vbref.audit.claim import Claim, Entry
from vbref.audit.judge import generator
from vbref.audit.registry import Record
from vbref.audit.table import paint
from vbref.audit.trials import trial, true_form


def show(records: Sequence[Record], colour: bool = False) -> str:
    """Return the page of one equation: its own record first, then those of its steps."""
    head, *steps = records
    parts = [
        paint(f"{head.id}: {head.verdict}", head.verdict, colour),
        textwrap.indent(head.statement.strip(), "    "),
    ]
    judged = steps or ([head] if head.entry else [])
    parts += [_step(record, colour, alone=not steps) for record in judged]
    parts += _codes([record.entry for record in judged if record.entry])
    parts += [
        text
        for text in (_worked(record.entry) for record in judged if isinstance(record.entry, Claim))
        if text
    ]
    return "\n\n".join(part for part in parts if part)


def _step(record: Record, colour: bool, alone: bool) -> str:
    lines = (
        []
        if alone
        else [paint(f"{record.id}: {record.verdict}", record.verdict, colour), f"    {record.statement}"]
    )
    lines += textwrap.wrap(record.reason, 100, initial_indent="  ", subsequent_indent="  ")
    labelled = {
        "corrected": record.corrected,
        "domain": record.domain,
        "oracles": ", ".join(record.oracles),
        "checked": f"{record.instances} instances, largest error {record.max_error:.1e}"
        if record.max_error is not None
        else "",
    }
    lines += [f"  {label}: {value}" for label, value in labelled.items() if value]
    lines += [f"  counterexample: {_numbers(record.counterexample)}"] if record.counterexample else []
    return "\n".join(lines + [f"  FAILED {line}" for line in record.failures])


def _numbers(shown: dict[str, object]) -> str:
    values = ", ".join(f"{name} {short(value)}" for name, value in shown.items() if name != "instance")
    return f"{shown['instance']}: {values}"


def _codes(entries: Sequence[Entry]) -> list[str]:
    """Return the source of every function the entries name, once each."""
    codes = [entry.code for entry in entries if entry.code]
    names = dict.fromkeys(name for code in codes for name in (code.formula, code.name) if name)
    return [f"{name}\n\n{textwrap.indent(source(resolve(name)), '    ')}" for name in names]


def source(function: object) -> str:
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
