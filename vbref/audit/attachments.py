"""What a record says beside its verdict: conditions, asides, code, equality, counterexample. Each is checked.

Every check returns one line for each failure.
"""

import importlib
from typing import Any

import numpy as np

from vbref.audit.claim import Case, Claim, Function
from vbref.audit.compare import SEPARATION, comparable, distance, error_of
from vbref.audit.trials import Trial, oracles_agree, trial, true_form, worst


def conditions(claim: Claim, _trials: list[Trial]) -> list[str]:
    """Outside each condition the true form must fail against every oracle that applies."""
    form = true_form(claim)
    lines = []
    for condition in claim.conditions:
        outside = trial(claim, "outside", condition.outside)
        if not outside.truths or not _all_separate(claim, form(outside.instance), outside):
            lines.append(f"the form does not fail outside its condition: {condition.text}")
    return lines


def _all_separate(claim: Claim, value: Any, t: Trial) -> bool:
    """Whether every oracle of a trial is clearly apart from a value that could be compared with it."""
    return all(
        comparable(claim, value, truth) and error_of(claim, value, truth) > SEPARATION
        for truth in t.truths.values()
    )


def asides(claim: Claim, trials: list[Trial]) -> list[str]:
    """What is said beside a claim must agree with its printed form, or its true one."""
    form = claim.printed or true_form(claim)
    errors = [
        (aside, max(distance(aside.value(t.instance), form(t.instance), aside.relation) for t in trials))
        for aside in claim.asides
    ]
    return [
        f"aside is off by {error:.2g}: {aside.text}" for aside, error in errors if error > claim.tolerance
    ]


def resolve(dotted: str) -> Any:
    """Return the object of a dotted name, `module.name` or `module.owner.name`."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        outer, _, owner = module.rpartition(".")
        return getattr(getattr(importlib.import_module(outer), owner), name)


def code(claim: Claim, trials: list[Trial]) -> list[str]:
    """The code that implements the claim must compute what the oracles do."""
    if claim.code is None:
        return []
    try:
        function, call = resolve(claim.code.name), claim.code.call
    except (ImportError, AttributeError) as error:
        return [f"names code that is not there: {error}"]
    if call is None:
        return []
    gap = worst(claim, lambda w: call(function, w), trials)
    return [f"{claim.code.name} is off by {gap:.2g}"] if gap > claim.tolerance else []


def equality(claim: Claim, rng: np.random.Generator) -> list[str]:
    """The two sides of an inequality must meet where the record says so: a side that is too loose fails."""
    if claim.equality is None:
        return []
    form = true_form(claim)
    tight = [trial(claim, "equality", claim.equality(rng)) for _ in range(claim.instances)]
    error = max(distance(form(t.instance), truth) for t in tight for truth in t.truths.values())
    return [f"the sides differ by {error:.2g} where they should meet"] if error > claim.tolerance else []


def counterexample(claim: Claim) -> tuple[dict[str, Any] | None, list[str]]:
    """The counterexample must separate the printed form from the truth, and not the corrected one."""
    if claim.counterexample is None:
        return None, []
    t = trial(claim, "counterexample", claim.counterexample.instance)
    lines = oracles_agree(claim, t)
    if lines or claim.printed is None or claim.corrected is None:
        return None, lines or ["a counterexample needs a printed and a corrected form"]
    printed, corrected = claim.printed(t.instance), claim.corrected.value(t.instance)
    if not _all_separate(claim, printed, t):
        lines.append("the counterexample does not separate the printed form from the truth")
    if worst(claim, claim.corrected.value, [t]) > claim.tolerance:
        lines.append("the corrected form fails on the counterexample")
    true = next(iter(t.truths.values()))
    shown = {"printed": printed, "true": true[-1] if claim.limit else true, "corrected": corrected}
    return {"instance": claim.counterexample.text, **{k: plain(v) for k, v in shown.items()}}, lines


def refutation(claim: Claim, form: Function, trials: list[Trial]) -> str:
    """Return the trial where the form is furthest from the truth, in numbers."""
    t = max(trials, key=lambda t: worst(claim, form, [t]))
    values = {"printed": form(t.instance)}
    values |= {name: truth[-1] if claim.limit else truth for name, truth in t.truths.items()}
    numbers = ", ".join(f"{name} {short(plain(value))}" for name, value in values.items())
    return f"{t.name}{_described(t.instance)}: {numbers}"


def _described(instance: Any) -> str:
    """Return the scalars of a `Case` in brackets."""
    scalars = (
        {name: value for name, value in vars(instance).items() if np.ndim(value) == 0}
        if isinstance(instance, Case)
        else {}
    )
    numbers = [f"{name} = {value:.6g}" for name, value in scalars.items() if isinstance(value, (int, float))]
    return f" ({', '.join(numbers)})" if numbers else ""


def short(value: object) -> str:
    """Return a value in a few digits."""
    if isinstance(value, list):
        return "[" + ", ".join(short(entry) for entry in value) + "]"
    return f"{value + 0.0:.6g}" if isinstance(value, float) else str(value)  # + 0.0: no sign on zero


def plain(value: Any) -> Any:
    """Return a value as what JSON can hold: numbers and lists; infinities and complex numbers as text."""
    value = getattr(value, "mean", value) if hasattr(value, "standard_error") else value
    array = np.asarray(value)
    if array.ndim:
        return [plain(entry) for entry in array]
    number = array[()]
    if np.iscomplexobj(array) or not np.isfinite(number):
        return str(number)
    return number.item()
