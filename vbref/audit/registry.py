"""The notes' equations, the claims about them, and the records of an audit."""

import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any

from vbref.audit.claim import SEVERITY, Claim, Definition, Entry, NotCheckable
from vbref.audit.judge import Finding, judge

NOT_YET = "not yet judged"


@dataclass
class Record:
    """One line of the report: an equation, or one step of it (`equation` is then the parent's id).

    `note` is the key of the notes it is from (the part of the id before the slash), `reason` the prose.
    """

    id: str
    note: str
    equation: str
    statement: str
    verdict: str
    corrected: str | None = None
    domain: str = ""
    oracles: list[str] = field(default_factory=list)
    instances: int = 0
    max_error: float | None = None
    counterexample: dict[str, Any] | None = None
    reason: str = ""
    entry: Entry | None = None
    failures: list[str] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    raised: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the record as the audit's JSON has it."""
        hidden = ("entry", "failures", "errors", "applied", "raised")
        fields = {name: value for name, value in vars(self).items() if name not in hidden}
        error = self.max_error
        return fields | {"max_error": error if error is not None and math.isfinite(error) else None}


@cache
def equations() -> Mapping[str, str]:
    """Return id → LaTeX for every display of the notes, in their order."""
    text = resources.files("vbref.audit").joinpath("equations.json").read_text(encoding="utf-8")
    return {row["id"]: row["latex"] for row in json.loads(text)}


def equation_of(id: str) -> str:
    """Return the id of the equation that a step belongs to: `xu/35` for `xu/35b` and for itself."""
    stem = re.sub(r"(?<=.)[a-z]$", "", id)
    return stem if id not in equations() and stem in equations() else id


def claims_of_module(module: ModuleType) -> list[Entry]:
    """Return every claim that is a module's variable, or in a list or tuple that is one."""
    found: list[Entry] = []
    for name, value in vars(module).items():
        if not name.startswith("_"):
            found += [item for item in _listed(value) if isinstance(item, Entry) and item not in found]
    return found


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


@cache
def claims_of_notes() -> tuple[Entry, ...]:
    """Return the claims of every file in `vbref/audit/claims`, in the notes' order."""
    package = importlib.import_module("vbref.audit.claims")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    entries = [
        e for name in names for e in claims_of_module(importlib.import_module(f"{package.__name__}.{name}"))
    ]
    strangers = [entry.id for entry in entries if equation_of(entry.id) not in equations()]
    if strangers:
        raise ValueError(f"claims about no equation of the notes: {', '.join(strangers)}")
    ids = {entry.id for entry in entries}
    mixed = sorted(ids & {equation_of(entry.id) for entry in entries if equation_of(entry.id) != entry.id})
    if mixed:
        raise ValueError(f"judged both as a whole and by steps: {', '.join(mixed)}")
    order = {id: place for place, id in enumerate(equations())}
    return tuple(_unique(sorted(entries, key=lambda entry: (order[equation_of(entry.id)], entry.id))))


def _unique(entries: list[Entry]) -> list[Entry]:
    ids = [entry.id for entry in entries]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise ValueError(f"claimed twice: {', '.join(twice)}")
    return entries


def audit(entries: Iterable[Entry], progress: Callable[[Entry], None] = lambda entry: None) -> list[Record]:
    """Judge the entries; return one record each, in their order."""
    done = []
    for entry in entries:
        progress(entry)
        done.append(_record(entry, judge(entry)))
    return done


def _record(entry: Entry, finding: Finding) -> Record:
    claim = entry if isinstance(entry, Claim) else None
    return Record(
        id=entry.id,
        note=entry.id.split("/")[0],
        equation=equation_of(entry.id),
        statement=entry.statement,
        verdict=finding.verdict or "undecided",
        reason=_reason(entry),
        corrected=claim.corrected.latex if claim and claim.corrected else None,
        domain=claim.domain if claim else "",
        oracles=finding.oracles,
        instances=finding.instances,
        max_error=finding.max_error,
        counterexample=finding.counterexample,
        entry=entry,
        failures=finding.failures,
        errors=finding.errors,
        applied=finding.applied,
        raised=finding.raised,
    )


def _reason(entry: Entry) -> str:
    """Return the record's prose: what keeps it from a value, its reading, the note, conditions and asides."""
    if not isinstance(entry, Claim):
        return entry.note.rstrip(".") + "."
    parts = [entry.why, f"Read as: {entry.reading.latex}" if entry.reading else "", entry.note]
    parts += [f"Constant: {entry.constant.latex}, free of {entry.constant.free_of}"] if entry.constant else []
    parts += [f"Condition: {condition.text}" for condition in entry.conditions]
    parts += [f"As printed: {aside.text}" for aside in entry.asides]
    return "".join(f"{part.rstrip('.')}. " for part in parts if part).rstrip()


def records(judged: Sequence[Record], ids: Iterable[str] | None = None) -> list[Record]:
    """Return a record for each equation id (all of the notes by default), followed by those of its steps.

    A chain's own record has the worst verdict of its steps; an equation without claims is "not yet judged".
    """
    found: list[Record] = []
    for id in equations() if ids is None else ids:
        steps = [record for record in judged if record.equation == id]
        whole = [record for record in steps if record.id == id]
        found += whole or [_parent(id, steps)]
        found += [record for record in steps if record.id != id]
    return found


def _parent(id: str, steps: list[Record]) -> Record:
    if not steps:
        return Record(id, id.split("/")[0], id, equations()[id], NOT_YET)
    worst = max(
        steps, key=lambda step: SEVERITY.index(step.verdict) if step.verdict in SEVERITY else len(SEVERITY)
    )
    errors = [step.max_error for step in steps if step.max_error is not None]
    return Record(
        id=id,
        note=worst.note,
        equation=id,
        statement=equations()[id],
        verdict=worst.verdict,
        reason=f"The worst of its {len(steps)} steps, {worst.id}: {worst.reason}",
        corrected=worst.corrected,
        domain=worst.domain,
        oracles=worst.oracles,
        instances=sum(step.instances for step in steps),
        max_error=max(errors, default=None),
        counterexample=worst.counterexample,
    )


__all__ = [
    "NOT_YET",
    "Definition",
    "NotCheckable",
    "Record",
    "audit",
    "claims_of_module",
    "claims_of_notes",
    "equation_of",
    "equations",
    "records",
]
