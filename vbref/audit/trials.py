"""One claim on one instance: what the oracles say, and how far a form is from it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vbref.audit.claim import Claim
from vbref.audit.compare import distance, error_of, is_nan


@dataclass
class Trial:
    """One instance, and the value of the left-hand side by each oracle that applies to it."""

    name: str
    instance: Any
    truths: dict[str, Any]


def trial(claim: Claim, name: str, instance: Any) -> Trial:
    """Ask every oracle that applies to the instance for the left-hand side, each with a copy of its own."""
    values = {oracle: ask(claim, function, _copy(instance)) for oracle, function in claim.oracles.items()}
    return Trial(name, instance, {oracle: value for oracle, value in values.items() if value is not None})


def _copy(instance: Any) -> Any:
    """Return a copy, so that what one side writes into its instance no other side reads."""
    try:
        return copy.deepcopy(instance)
    except TypeError:  # an open file, a lock: nothing that holds numbers
        return instance


def ask(claim: Claim, oracle: Callable[..., Any], instance: Any) -> Any:
    """Return the oracle's value, or for a limit those at its steps; None where it does not apply."""
    if claim.limit is None:
        return oracle(instance)
    values = [oracle(instance, n) for n in claim.limit.steps]
    return None if any(value is None for value in values) else values


def oracles_agree(claim: Claim, t: Trial) -> list[str]:
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


def worst(claim: Claim, form: Callable[[Any], Any], trials: list[Trial]) -> float:
    """Return the largest violation of the claim's relation by `form`, over trials and oracles."""
    return max(error_of(claim, form(t.instance), truth) for t in trials for truth in t.truths.values())


def by_oracle(
    claim: Claim, form: Callable[[Any], Any], trials: list[Trial]
) -> tuple[dict[str, float], dict[str, int]]:
    """Return for each oracle the largest violation by `form`, and the number of trials it applied to."""
    values = [form(t.instance) for t in trials]
    errors = {
        name: [
            error_of(claim, v, t.truths[name])
            for v, t in zip(values, trials, strict=True)
            if name in t.truths
        ]
        for name in claim.oracles
    }
    return {name: max(e, default=0.0) for name, e in errors.items()}, {
        name: len(e) for name, e in errors.items()
    }


def with_constant(claim: Claim) -> Callable[[Any], Any]:
    """Return the printed form with the constant that it leaves out."""
    printed, constant = claim.printed, claim.constant
    assert printed is not None
    assert constant is not None
    if constant.factor:
        return lambda w: printed(w) * constant.value(w)
    return lambda w: printed(w) + constant.value(w)


def true_form(claim: Claim) -> Callable[[Any], Any]:
    """Return the form that the record calls true: corrected, or read, or printed (with its constant)."""
    if claim.corrected:
        return claim.corrected.value
    if claim.reading:
        return claim.reading.value
    assert claim.printed is not None
    return with_constant(claim) if claim.constant else claim.printed
