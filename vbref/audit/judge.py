"""The verdict of one claim, computed from numbers and only then compared with the recorded one."""

import pickle
import traceback
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from vbref.audit.attachments import asides, code, conditions, counterexample, equality, refutation
from vbref.audit.claim import Claim, Entry, Function, Verdict
from vbref.audit.compare import SEPARATION, comparable, distance, outcome
from vbref.audit.independence import shared_functions
from vbref.audit.trials import Trial, ask, by_oracle, oracles_agree, trial, true_form, with_constant, worst


@dataclass
class Finding:
    """What the judge found: the computed verdict, None where the numbers support none, and what failed.

    errors: of the true form, by oracle, the largest over the instances that it applies to (whose number is
    in `applied`). raised: `file:line: the exception`, where the claim's own code raised one.
    """

    verdict: Verdict | None
    failures: list[str] = field(default_factory=list)
    oracles: list[str] = field(default_factory=list)
    instances: int = 0
    max_error: float | None = None
    counterexample: dict[str, Any] | None = None
    errors: dict[str, float] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    raised: str = ""


def judge(entry: Entry) -> Finding:
    """Return the finding on one entry. An exception in a claim's own code is a failure of the claim."""
    if not isinstance(entry, Claim):
        return Finding(entry.verdict, [] if entry.note else [f"{entry.verdict} needs a note that says why"])
    finding = Finding(None, _declared(entry), list(entry.oracles))
    if not finding.failures:
        try:
            with np.errstate(all="ignore"):
                _run(entry, finding)
        except (Exception, SystemExit) as error:
            finding.failures.append(f"raised {type(error).__name__}: {error}")
            finding.raised = where_raised(error, _files(entry))
    if not finding.failures and finding.verdict != entry.verdict:
        finding.failures.append(f"recorded as {entry.verdict}, the numbers say {finding.verdict}")
    return finding


def where_raised(error: BaseException, files: Collection[str]) -> str:
    """Return `file:line: what was raised`, the line being the innermost one in `files`."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename in files), frames[-1])
    return f"{frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"


def generator(claim: Claim) -> np.random.Generator:
    """Return the claim's own random stream: the same from run to run and whatever else is audited."""
    return np.random.default_rng(zlib.crc32(claim.id.encode()))


def _declared(claim: Claim) -> list[str]:
    """Return what the declaration itself lacks."""
    notation = claim.printed is None
    demands = {
        "needs two oracles": len(claim.oracles) >= 2,
        "needs a statement, a domain and at least two instances": bool(claim.statement and claim.domain)
        and claim.instances >= 2,
        'relation must be "=", "<=", ">=" or "->"': claim.relation in ("=", "<=", ">=", "->"),
        'relation "->" and a limit belong together': (claim.relation == "->") == (claim.limit is not None),
        "a limit needs three steps, and a slack below 1": claim.limit is None
        or (len(claim.limit.steps) >= 3 and 0 <= claim.limit.slack < 1),
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
    finding.failures += _monotony(trials)
    finding.failures += [line for t in trials for line in oracles_agree(claim, t)]
    finding.failures += _independence(claim, trials[0].instance)
    if finding.failures:
        return
    finding.verdict, finding.max_error = _verdict(claim, trials, rng, finding.failures)
    finding.errors, finding.applied = by_oracle(claim, true_form(claim), trials)
    for check in (conditions, asides, code):
        finding.failures += check(claim, trials)
    finding.failures += equality(claim, rng)
    finding.counterexample, lines = counterexample(claim)
    finding.failures += lines


def _monotony(trials: list[Trial]) -> list[str]:
    """A domain of one instance, drawn again and again, shows no more than that instance."""
    try:
        different = {pickle.dumps(t.instance) for t in trials}
    except Exception:  # what cannot be pickled cannot be told apart
        return []
    return [f"draw gives the same instance {len(trials)} times"] if len(different) == 1 else []


def _independence(claim: Claim, instance: Any) -> list[str]:
    """Return what an oracle runs in common with another or with a form; forms may share among themselves."""
    asked: dict[str, Function] = {
        f"oracle {name!r}": partial(ask, claim, oracle) for name, oracle in claim.oracles.items()
    }
    lines = _named_twice({**claim.oracles, **_forms(claim)}, len(claim.oracles))
    for name, form in _forms(claim).items():
        sides = {side: partial(function, instance) for side, function in {**asked, name: form}.items()}
        lines += shared_functions(sides, _files(claim))
    return [f"not independent: {line}" for line in dict.fromkeys(lines)]


def _named_twice(functions: Mapping[str, Function], oracles: int) -> list[str]:
    """Return the pairs, an oracle and another side, that are one object: compiled code shows no frames."""
    sides = list(functions.items())
    pairs = (
        (name, other) for i, (name, f) in enumerate(sides[:oracles]) for other, g in sides[i + 1 :] if f is g
    )
    return [f"{name!r} and {other!r} are one function" for name, other in pairs]


def _forms(claim: Claim) -> dict[str, Function]:
    forms = {"the reading": claim.reading, "the corrected form": claim.corrected}
    printed = {"the printed form": claim.printed} if claim.printed else {}
    return {**printed, **{name: form.value for name, form in forms.items() if form}}


def _files(claim: Claim) -> set[str]:
    """Return the files that the claim's own functions were written in."""
    functions = (claim.draw, claim.printed, *claim.oracles.values())
    codes = (getattr(function, "__code__", None) for function in functions)
    return {code.co_filename for code in codes if code}


def _verdict(
    claim: Claim, trials: list[Trial], rng: np.random.Generator, failures: list[str]
) -> tuple[Verdict | None, float]:
    """Return the verdict that the numbers support, and the error of the form that is true."""
    if claim.printed is None:
        assert claim.reading is not None
        error = worst(claim, claim.reading.value, trials)
        return _notation(error, claim, trials, failures), error
    if not all(
        comparable(claim, claim.printed(t.instance), truth) for t in trials for truth in t.truths.values()
    ):
        failures.append(
            "the printed form is NaN, or has not the oracles' shape: choose the domain, or call it notation"
        )
        return None, float("inf")
    form = with_constant(claim) if claim.constant else claim.printed
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
        failures.append(f"the printed form is false, off by up to {error:.2g}; no corrected form is recorded")
        assert claim.printed is not None
        failures.append(refutation(claim, claim.printed, trials))
        return "misprint", error
    corrected = worst(claim, claim.corrected.value, trials)
    if outcome(corrected, claim.tolerance) != "agrees":
        failures.append(f"the corrected form is off by {corrected:.2g}")
    return "misprint", corrected
