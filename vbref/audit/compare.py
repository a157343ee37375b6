"""Agreement, disagreement, and the gap between them.

An error up to the tolerance is agreement; one above SEPARATION is disagreement; one in between proves
neither, so that no verdict is ever read off rounding noise.
"""

from typing import Any, Literal

import numpy as np

from vbref.audit.claim import Claim, Estimate, Limit, Relation

SEPARATION = 1e-6
Z_SCORE = 5.0  # 6e-7 two-sided: over all Monte Carlo comparisons of one audit a false alarm stays below 1e-3
WIDEST = 0.1  # a Monte Carlo band beyond this part of max(1, |truth|) says nothing

Outcome = Literal["agrees", "disagrees", "unclear"]


def outcome(error: float, tolerance: float) -> Outcome:
    """What an error says beside its tolerance: ten times it, and SEPARATION at least, to disagree."""
    if error <= tolerance:
        return "agrees"
    return "disagrees" if error > max(SEPARATION, 10 * tolerance) else "unclear"


def is_nan(value: Any) -> bool:
    """Whether anything in a value, or in the centre of an estimate, is NaN."""
    return bool(np.isnan(_center(value)).any())


def distance(value: Any, truth: Any, relation: Relation = "=") -> float:
    """Return the largest violation of `truth relation value`, relative to max(1, |truth|).

    Infinite where the shapes differ, nothing is there, or either is NaN; equal infinities agree. Where either
    is an `Estimate`, Z_SCORE standard errors are forgiven, unless they are so wide that nothing could
    disagree.
    """
    left, right = _center(truth), _center(value)
    if left.shape != right.shape or left.size == 0 or np.isnan(left).any() or np.isnan(right).any():
        return float("inf")
    same = left == right
    gap = np.where(same, 0.0, np.where(same, 0.0, left) - np.where(same, 0.0, right))
    violation = {"=": abs(gap), "<=": np.real(gap), ">=": -np.real(gap)}[relation]
    scale = np.where(np.isfinite(left), np.maximum(1.0, abs(left)), 1.0)
    slack = _slack(truth) + _slack(value)
    if not np.all(slack <= WIDEST * scale):
        return float("inf")
    return float(np.max(np.maximum(violation - slack, 0.0) / scale))


def limit_error(values: list[Any], limit_value: Any, limit: Limit) -> float:
    """Return 0 when |value_n − limit| falls as n**rate (or a limit at infinity is run off to), else inf."""
    if np.isinf(limit_value):
        return 0.0 if _runs_off(np.real(np.asarray(values)), float(np.sign(limit_value))) else float("inf")
    errors = np.array([np.max(abs(np.asarray(value) - limit_value)) for value in values])
    if (errors <= 1e-10).all():  # already there: a sequence that is constant, up to rounding
        return 0.0
    if not np.isfinite(errors).all() or (errors == 0).any():
        return float("inf")
    if limit.rate == 0:  # a distance that does not fall is no limit
        return float("inf")
    rate = np.polyfit(np.log(np.asarray(limit.steps, float)), np.log(errors), 1)[0]
    return 0.0 if abs(rate - limit.rate) <= limit.slack * abs(limit.rate) else float("inf")


def comparable(claim: Claim, value: Any, truth: Any) -> bool:
    """Whether a form's value has the truth's shape and holds no NaN: what has not can only disagree."""
    last = truth[-1] if claim.limit else truth
    return _center(value).shape == _center(last).shape and not is_nan(value)


def error_of(claim: Claim, value: Any, truth: Any) -> float:
    """Return the violation of the claim's relation between `truth` on its left and `value` on its right."""
    if claim.relation == "->":
        assert claim.limit is not None
        return limit_error(truth, value, claim.limit)
    return distance(value, truth, claim.relation)


def _runs_off(values: np.ndarray, sign: float) -> bool:
    growth = np.diff(sign * values)
    return bool((growth > 0).all() and (np.diff(growth) >= -1e-6 * abs(growth[0])).all())


def _center(value: Any) -> np.ndarray:
    return np.asarray(value.mean if isinstance(value, Estimate) else value)


def _slack(value: Any) -> Any:
    return Z_SCORE * np.asarray(value.standard_error) if isinstance(value, Estimate) else 0.0
