"""The verdict of one claim, computed from numbers and only then compared with the recorded one."""

import importlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from vbref.audit.claim import Claim, Entry, Verdict
from vbref.audit.compare import SEPARATION, distance, error_of, is_nan, outcome
from vbref.audit.independence import shared_functions


@dataclass
class Finding:
    """What the judge found: the computed verdict, None where the numbers support none, and what failed."""

    verdict: Verdict | None
    failures: list[str] = field(default_factory=list)
    oracles: list[str] = field(default_factory=list)
    instances: int = 0
    max_error: float | None = None
    counterexample: dict[str, Any] | None = None


@dataclass
class Trial:
    """One instance, and the value of the left-hand side by each oracle that applies to it."""

    name: str
    instance: Any
    truths: dict[str, Any]


def judge(entry: Entry) -> Finding:
    """Return the finding on one entry. An exception in a claim's own code is a failure of the claim."""
    if not isinstance(entry, Claim):
        return Finding(entry.verdict, [] if entry.note else [f"{entry.verdict} needs a note that says why"])
    finding = Finding(None, _declared(entry), list(entry.oracles))
    if not finding.failures:
        try:
            with np.errstate(all="ignore"):
                _run(entry, finding)
        except Exception as error:
            finding.failures.append(f"raised {type(error).__name__}: {error}")
    if not finding.failures and finding.verdict != entry.verdict:
        finding.failures.append(f"recorded as {entry.verdict}, the numbers say {finding.verdict}")
    return finding


def generator(claim: Claim) -> np.random.Generator:
    """Return the claim's own random stream: the same from run to run and whatever else is audited."""
    return np.random.default_rng(zlib.crc32(claim.id.encode()))


def trial(claim: Claim, name: str, instance: Any) -> Trial:
    """Ask every oracle that applies to the instance for the left-hand side."""
    values = {oracle: _ask(claim, function, instance) for oracle, function in claim.oracles.items()}
    return Trial(name, instance, {oracle: value for oracle, value in values.items() if value is not None})


def _ask(claim: Claim, oracle: Callable[..., Any], instance: Any) -> Any:
    if claim.limit is None:
        return oracle(instance)
    values = [oracle(instance, n) for n in claim.limit.steps]
    return None if any(value is None for value in values) else values


def _declared(claim: Claim) -> list[str]:
    """Return what the declaration itself lacks."""
    notation = claim.printed is None
    demands = {
        "needs two oracles": len(claim.oracles) >= 2,
        "needs a statement, a domain and at least two instances": bool(claim.statement and claim.domain)
        and claim.instances >= 2,
        'relation must be "=", "<=", ">=" or "->"': claim.relation in ("=", "<=", ">=", "->"),
        'relation "->" and a limit belong together': (claim.relation == "->") == (claim.limit is not None),
        "without a printed value it needs a reading, and a `why`": not notation
        or bool(claim.reading and claim.why),
        "with a printed value it needs no reading": notation or not (claim.reading or claim.rejected),
        "a correction needs a counterexample": claim.corrected is None or claim.counterexample is not None,
        "a tolerance must leave a gap to disagreement": 0 < claim.tolerance < 1e-2,
    }
    return [text for text, met in demands.items() if not met]


def _run(claim: Claim, finding: Finding) -> None:
    rng = generator(claim)
    trials = [trial(claim, f"instance {i + 1}", claim.draw(rng)) for i in range(claim.instances)]
    finding.instances = len(trials)
    finding.failures += [line for t in trials for line in _oracles_agree(claim, t)]
    finding.failures += _independence(claim, trials[0].instance)
    if finding.failures:
        return
    finding.verdict, finding.max_error = _verdict(claim, trials, rng, finding.failures)
    for check in (_conditions, _asides, _code):
        finding.failures += check(claim, trials)
    finding.failures += _equality(claim, rng)
    finding.counterexample, lines = _counterexample(claim)
    finding.failures += lines


def _oracles_agree(claim: Claim, t: Trial) -> list[str]:
    """Every pair of oracles must agree, to the claim's tolerance and without NaN."""
    if len(t.truths) < 2:
        return [f"{t.name}: {len(t.truths)} oracle applies, two must"]
    lines = [
        f"{t.name}: oracle {name!r} returned NaN"
        for name, value in t.truths.items()
        if _has_nan(claim, value)
    ]
    (first, truth), *others = t.truths.items()
    for name, value in others:
        error = _between(claim, value, truth)
        if error > 2 * claim.tolerance:
            lines.append(f"{t.name}: oracles {first!r} and {name!r} differ by {error:.2g}")
    return lines


def _has_nan(claim: Claim, value: Any) -> bool:
    return any(map(is_nan, value)) if claim.limit else is_nan(value)


def _between(claim: Claim, value: Any, truth: Any) -> float:
    if claim.limit is None:
        return distance(value, truth)
    return max(distance(v, t) for v, t in zip(value, truth, strict=True))


def _independence(claim: Claim, instance: Any) -> list[str]:
    sides = {
        f"oracle {name!r}": partial(_ask, claim, oracle, instance) for name, oracle in claim.oracles.items()
    }
    named = {"the printed form": claim.printed, "the reading": claim.reading.value if claim.reading else None}
    sides |= {name: partial(form, instance) for name, form in named.items() if form is not None}
    own_file = next(iter(claim.oracles.values())).__code__.co_filename
    return [f"not independent: {line}" for line in shared_functions(sides, own_file)]


def worst(claim: Claim, form: Callable[[Any], Any], trials: list[Trial]) -> float:
    """Return the largest violation of the claim's relation by `form`, over trials and oracles."""
    return max(error_of(claim, form(t.instance), truth) for t in trials for truth in t.truths.values())


def _verdict(
    claim: Claim, trials: list[Trial], rng: np.random.Generator, failures: list[str]
) -> tuple[Verdict | None, float]:
    """Return the verdict that the numbers support, and the error of the form that is true."""
    if claim.printed is None:
        assert claim.reading is not None
        error = worst(claim, claim.reading.value, trials)
        return _notation(error, claim, trials, failures), error
    if any(is_nan(claim.printed(t.instance)) for t in trials):
        failures.append("the printed form is NaN on an instance: choose the domain, or call it notation")
        return None, float("inf")
    form = _with_constant(claim) if claim.constant else claim.printed
    error = worst(claim, form, trials)
    match outcome(error, claim.tolerance):
        case "agrees":
            return _true_as_printed(claim, trials, rng, failures), error
        case "unclear":
            failures.append(
                f"the printed form is off by {error:.2g}: neither rounding nor a clear difference"
            )
            return None, error
    return _misprint(claim, trials, failures, error)


def _notation(error: float, claim: Claim, trials: list[Trial], failures: list[str]) -> Verdict:
    if outcome(error, claim.tolerance) != "agrees":
        failures.append(f"the reading is off by {error:.2g}")
    for name, form in claim.rejected.items():
        if outcome(worst(claim, form, trials), claim.tolerance) != "disagrees":
            failures.append(f"a reading that is rejected is true: {name}")
    return "notation"


def _with_constant(claim: Claim) -> Callable[[Any], Any]:
    printed, constant = claim.printed, claim.constant
    assert printed is not None
    assert constant is not None
    if constant.factor:
        return lambda w: printed(w) * constant.value(w)
    return lambda w: printed(w) + constant.value(w)


def _true_as_printed(
    claim: Claim, trials: list[Trial], rng: np.random.Generator, failures: list[str]
) -> Verdict:
    if claim.corrected:
        failures.append("a correction is recorded, but the printed form is true")
    if claim.constant is None:
        return "holds"
    for t in trials:
        varied = claim.constant.vary(t.instance, rng)
        moved = distance(claim.constant.value(varied), claim.constant.value(t.instance))
        if moved > claim.tolerance:
            failures.append(f"{t.name}: the constant moves by {moved:.2g} with {claim.constant.free_of}")
        assert claim.printed is not None
        if distance(claim.printed(varied), claim.printed(t.instance)) <= SEPARATION:
            failures.append(f"{t.name}: varying {claim.constant.free_of} does not move the printed form")
    return "holds-up-to-constant"


def _misprint(claim: Claim, trials: list[Trial], failures: list[str], error: float) -> tuple[Verdict, float]:
    if claim.corrected is None:
        failures.append(f"the printed form is off by {error:.2g}, and no corrected form is recorded")
        return "misprint", error
    corrected = worst(claim, claim.corrected.value, trials)
    if outcome(corrected, claim.tolerance) != "agrees":
        failures.append(f"the corrected form is off by {corrected:.2g}")
    return "misprint", corrected


def _conditions(claim: Claim, _trials: list[Trial]) -> list[str]:
    """Outside each condition the true form must fail against every oracle that applies."""
    form = true_form(claim)
    lines = []
    for condition in claim.conditions:
        outside = trial(claim, "outside", condition.outside)
        errors = [error_of(claim, form(outside.instance), truth) for truth in outside.truths.values()]
        if not errors or min(errors) <= SEPARATION or is_nan(form(outside.instance)):
            lines.append(f"the form does not fail outside its condition: {condition.text}")
    return lines


def true_form(claim: Claim) -> Callable[[Any], Any]:
    """Return the form that the record calls true: corrected, or read, or printed (with its constant)."""
    if claim.corrected:
        return claim.corrected.value
    if claim.reading:
        return claim.reading.value
    assert claim.printed is not None
    return _with_constant(claim) if claim.constant else claim.printed


def _asides(claim: Claim, trials: list[Trial]) -> list[str]:
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


def _code(claim: Claim, trials: list[Trial]) -> list[str]:
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


def _equality(claim: Claim, rng: np.random.Generator) -> list[str]:
    """The two sides of an inequality must meet where the record says so: a side that is too loose fails."""
    if claim.equality is None:
        return []
    form = true_form(claim)
    tight = [trial(claim, "equality", claim.equality(rng)) for _ in range(claim.instances)]
    error = max(distance(form(t.instance), truth) for t in tight for truth in t.truths.values())
    return [f"the sides differ by {error:.2g} where they should meet"] if error > claim.tolerance else []


def _counterexample(claim: Claim) -> tuple[dict[str, Any] | None, list[str]]:
    """The counterexample must separate the printed form from the truth, and not the corrected one."""
    if claim.counterexample is None:
        return None, []
    t = trial(claim, "counterexample", claim.counterexample.instance)
    lines = _oracles_agree(claim, t)
    if lines or claim.printed is None or claim.corrected is None:
        return None, lines or ["a counterexample needs a printed and a corrected form"]
    printed, corrected = claim.printed(t.instance), claim.corrected.value(t.instance)
    if min(error_of(claim, printed, truth) for truth in t.truths.values()) <= SEPARATION or is_nan(printed):
        lines.append("the counterexample does not separate the printed form from the truth")
    if worst(claim, claim.corrected.value, [t]) > claim.tolerance:
        lines.append("the corrected form fails on the counterexample")
    true = next(iter(t.truths.values()))
    shown = {"printed": printed, "true": true[-1] if claim.limit else true, "corrected": corrected}
    return {"instance": claim.counterexample.text, **{k: plain(v) for k, v in shown.items()}}, lines


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
