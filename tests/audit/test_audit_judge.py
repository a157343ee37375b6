"""The audit cannot be fooled: planted wrong claims, each with what the judge must say of it."""

from dataclasses import replace
from functools import cache, partial
from operator import attrgetter

import numpy as np
import pytest

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Code,
    Condition,
    Constant,
    Counterexample,
    Definition,
    Estimate,
    Form,
    Limit,
    NotCheckable,
    judge,
    oracles,
)


def second_moment(w):
    return w.loc**2 + w.scale**2


def by_hermite(w):
    return oracles.normal_mean(lambda z: z**2, w.loc, w.scale)


def by_quadrature(w):
    return oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale)


@cache
def remembered(loc, scale):
    return loc**2 + scale**2


def writes_scale(w):
    w.scale = 0.0
    return w.loc**2


def leaves(w):
    raise SystemExit(0)


def nothing(w):
    return np.zeros(0)


LEAVING = {"adaptive": by_quadrature, "leaves": leaves}
LOC = attrgetter("loc")
oracles_square = partial(lambda function, w: oracles.normal_mean(function, w.loc, w.scale), np.square)


def own(w):
    return w.scale**2 + w.loc**2


GOOD = Claim(
    "test/1",
    statement=r"E[z^2] = \mu^2 + \sigma^2",
    verdict="holds",
    domain="μ real, σ in (0.1, 3)",
    draw=lambda rng: Case(loc=rng.normal(), scale=rng.uniform(0.1, 3.0)),
    printed=lambda w: w.loc**2 + w.scale**2,
    oracles={"Gauss-Hermite": by_hermite, "adaptive": by_quadrature},
    note="second moment",
)

MISPRINT = replace(
    GOOD,
    verdict="misprint",
    printed=lambda w: w.loc**2 + w.scale,
    corrected=Form(r"\mu^2+\sigma^2", second_moment),
    counterexample=Counterexample("μ = 0, σ = 2", Case(loc=0.0, scale=2.0)),
)

UP_TO_CONSTANT = replace(
    GOOD,
    verdict="holds-up-to-constant",
    printed=lambda w: w.loc**2,
    constant=Constant(
        r"\sigma^2",
        lambda w: w.scale**2,
        free_of="μ",
        vary=lambda w, rng: Case(loc=w.loc + 1.0, scale=w.scale),
    ),
)

MOVING = replace(
    UP_TO_CONSTANT.constant,
    free_of="μ and σ",
    vary=lambda w, rng: Case(loc=w.loc + 1.0, scale=w.scale + 1.0),
)

NOTATION = replace(
    GOOD, verdict="notation", printed=None, why="σ is unbound", reading=Form(r"\mu^2+\sigma^2", second_moment)
)

BOUND = replace(
    GOOD,
    relation=">=",
    printed=lambda w: w.loc**2,
    equality=lambda rng: Case(loc=rng.normal(), scale=0.0),
)

LIMIT = replace(
    GOOD,
    relation="->",
    limit=Limit(steps=(10, 100, 1000), rate=-1.0),
    printed=lambda w: w.loc,
    oracles={"shifted": lambda w, n: w.loc + 1 / n, "scaled": lambda w, n: (n * w.loc + 1) / n},
)


@pytest.mark.parametrize("claim", [GOOD, MISPRINT, UP_TO_CONSTANT, NOTATION, BOUND, LIMIT])
def test_sound_claims_pass_with_their_own_verdict(claim):
    finding = judge(claim)
    assert finding.failures == []
    assert finding.verdict == claim.verdict
    assert finding.instances == 12


PLANTED = {
    "a false claim recorded as holding": (
        replace(GOOD, printed=lambda w: w.loc**2 + w.scale),
        "no corrected form is recorded",
    ),
    "a misprint recorded as holding": (replace(MISPRINT, verdict="holds"), "the numbers say misprint"),
    "a true claim recorded as a misprint": (
        replace(MISPRINT, printed=second_moment, corrected=Form("", second_moment)),
        "the printed form is true",
    ),
    "a correction that is wrong": (
        replace(MISPRINT, corrected=Form("", lambda w: w.loc**2 + w.scale**2 + 1e-4)),
        "the corrected form is off",
    ),
    "a correction that is wrong only on the counterexample": (
        replace(
            MISPRINT, corrected=Form("", lambda w: w.loc**2 + w.scale**2 + (1.0 if w.scale == 2.0 else 0.0))
        ),
        "the corrected form fails on the counterexample",
    ),
    "a counterexample that does not separate": (
        replace(MISPRINT, counterexample=Counterexample("σ = 1", Case(loc=0.0, scale=1.0))),
        "does not separate",
    ),
    "a misprint without a counterexample": (replace(MISPRINT, counterexample=None), "needs a counterexample"),
    "oracles that disagree": (
        replace(GOOD, oracles={"one": by_hermite, "other": lambda w: w.loc**2 + w.scale**2 * 1.0001}),
        "differ by",
    ),
    "one oracle": (replace(GOOD, oracles={"one": by_hermite}), "two oracles"),
    "one oracle under two names": (
        replace(GOOD, oracles={"one": by_hermite, "other": by_hermite}),
        "share by_hermite",
    ),
    "two oracles on one routine": (
        replace(
            GOOD,
            oracles={"one": by_hermite, "other": lambda w: oracles.normal_mean(np.square, w.loc, w.scale)},
        ),
        "share normal_mean",
    ),
    "an oracle behind a helper of the claims' own file": (
        replace(GOOD, oracles={"library": oracles_square, "own": own, "again": lambda w: own(w)}),
        "share own",
    ),
    "a correction that asks an oracle": (
        replace(MISPRINT, corrected=Form("", by_hermite)),
        "oracle 'Gauss-Hermite' and the corrected form share",
    ),
    "a formula that asks an oracle": (
        replace(GOOD, printed=by_quadrature),
        "not independent: oracle 'adaptive'",
    ),
    "an oracle that applies to nothing": (
        replace(GOOD, oracles={"one": by_hermite, "other": lambda w: None}),
        "1 oracle applies",
    ),
    "an oracle that is NaN": (
        replace(GOOD, oracles={"one": by_hermite, "other": lambda w: float("nan")}),
        "returned NaN",
    ),
    "two oracles that are both NaN": (
        replace(GOOD, oracles={"one": lambda w: float("nan"), "other": lambda w: np.nan}),
        "returned NaN",
    ),
    "a printed form that is NaN": (replace(GOOD, printed=lambda w: np.log(-w.scale)), "printed form is NaN"),
    "NaN offered as a misprint": (replace(MISPRINT, printed=lambda w: float("nan")), "printed form is NaN"),
    "a shape that would broadcast": (
        replace(GOOD, printed=lambda w: np.full(2, w.loc**2 + w.scale**2)),
        "has not the oracles' shape",
    ),
    "a shape offered as a misprint": (
        replace(MISPRINT, printed=lambda w: np.zeros(2)),
        "has not the oracles' shape",
    ),
    "a counterexample of another shape": (
        replace(
            MISPRINT, printed=lambda w: np.zeros(2) if w.loc == MISPRINT.counterexample.instance.loc else 0.0
        ),
        "does not separate",
    ),
    "a condition outside which only the shape fails": (
        replace(
            GOOD,
            printed=lambda w: w.loc**2 + w.scale**2 if w.scale < 50 else np.full(2, w.loc**2 + w.scale**2),
            conditions=[Condition("σ < 50", Case(loc=0.0, scale=99.0))],
        ),
        "does not fail outside its condition",
    ),
    "a difference in rounding's grey zone": (
        replace(GOOD, printed=lambda w: w.loc**2 + w.scale**2 + 1e-8),
        "neither rounding nor a clear difference",
    ),
    "a claim that raises": (replace(GOOD, printed=lambda w: w.nothing), "raised AttributeError"),
    "a constant that is none": (replace(UP_TO_CONSTANT, constant=MOVING), "the constant moves"),
    "a constant tested by moving nothing": (
        replace(UP_TO_CONSTANT, constant=replace(UP_TO_CONSTANT.constant, vary=lambda w, rng: w)),
        "does not move the printed form",
    ),
    "a wrong constant": (
        replace(UP_TO_CONSTANT, constant=replace(UP_TO_CONSTANT.constant, value=lambda w: w.scale)),
        "no corrected form is recorded",
    ),
    "up to a constant recorded as holding": (
        replace(UP_TO_CONSTANT, verdict="holds"),
        "the numbers say holds-up-to-constant",
    ),
    "a reading that is false": (
        replace(NOTATION, reading=Form("", lambda w: w.loc**2)),
        "the reading is off",
    ),
    "a rejected reading that is true": (
        replace(NOTATION, rejected={"the same": second_moment}),
        "a reading that is rejected is true",
    ),
    "a reading without a reason": (replace(NOTATION, why=""), "needs a reading"),
    "a bound the wrong way round": (replace(BOUND, relation="<="), "no corrected form is recorded"),
    "a bound that is too loose": (replace(BOUND, printed=lambda w: w.loc**2 - 1.0), "where they should meet"),
    "a limit that is another": (
        replace(LIMIT, printed=lambda w: w.loc + 1.0),
        "no corrected form is recorded",
    ),
    "a limit at another rate": (
        replace(LIMIT, limit=Limit(steps=(10, 100, 1000), rate=-2.0)),
        "no corrected form is recorded",
    ),
    "a condition that is not needed": (
        replace(GOOD, conditions=[Condition("σ > 1", Case(loc=0.0, scale=0.5))]),
        "does not fail outside its condition",
    ),
    "an aside that is false": (
        replace(MISPRINT, aside=Aside("it is an upper bound", second_moment, relation=">=")),
        "aside is off",
    ),
    "code that computes something else": (
        replace(GOOD, code=Code("math.hypot", lambda f, w: f(w.loc, w.scale))),
        "math.hypot is off",
    ),
    "code that is not there": (replace(GOOD, code=Code("math.nothing")), "names code that is not there"),
    "a tolerance that swallows mistakes": (replace(GOOD, tolerance=1.0), "leave a gap"),
    "an oracle that leaves": (replace(GOOD, printed=second_moment, oracles=LEAVING), "raised SystemExit"),
    "an oracle that writes into its instance": (
        replace(
            GOOD, printed=lambda w: w.loc**2, oracles={"writes": writes_scale, "adaptive": by_quadrature}
        ),
        "differ by",
    ),
    "oracles that remember one helper": (
        replace(
            GOOD,
            oracles={
                "one": lambda w: remembered(w.loc, w.scale),
                "other": lambda w: remembered(w.loc, w.scale),
            },
        ),
        "share remembered",
    ),
    "one compiled function on every side": (
        replace(GOOD, printed=LOC, oracles={"one": LOC, "other": LOC}),
        "are one function",
    ),
    "nothing compared with nothing": (
        replace(GOOD, printed=nothing, oracles={"one": lambda w: [], "other": lambda w: np.zeros(0)}),
        "differ by inf",
    ),
    "Monte Carlo too wide to disagree": (
        replace(GOOD, oracles={"adaptive": by_quadrature, "guess": lambda w: Estimate(0.0, 1e9)}),
        "differ by inf",
    ),
    "an endless standard error in the formula": (
        replace(GOOD, printed=lambda w: Estimate(0.0, np.inf)),
        "no corrected form is recorded",
    ),
    "one instance for a domain": (
        replace(GOOD, draw=lambda rng: Case(loc=0.0, scale=2.0)),
        "the same instance 12 times",
    ),
    "a limit at one step": (
        replace(LIMIT, printed=lambda w: np.inf, limit=Limit(steps=(10,), rate=0.0)),
        "three steps",
    ),
    "a limit with room for any rate": (
        replace(LIMIT, limit=Limit(steps=(10, 100, 1000), rate=-1.0, slack=9.0)),
        "slack below 1",
    ),
    "a limit that stays away": (
        replace(
            LIMIT,
            limit=Limit(steps=(10, 100, 1000), rate=0.0),
            oracles={"one": lambda w, n: w.loc + 7, "other": lambda w, n: (n * w.loc + 7 * n) / n},
        ),
        "no corrected form is recorded",
    ),
    "a condition outside which only a broken oracle fails": (
        replace(
            GOOD,
            oracles={"adaptive": by_quadrature, "signed": lambda w: w.loc**2 + w.scale * abs(w.scale)},
            conditions=[Condition("σ > 0", Case(loc=0.0, scale=-2.0))],
        ),
        "does not fail outside its condition",
    ),
    "a definition without a word": (Definition("test/2", "x", ""), "needs a note"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_mistakes_are_flagged(name):
    claim, words = PLANTED[name]
    failures = judge(claim).failures
    assert any(words in failure for failure in failures), failures


def test_an_aside_may_be_an_inequality():
    assert (
        judge(
            replace(MISPRINT, aside=Aside("below its square root", lambda w: 100.0, relation="<="))
        ).failures
        == []
    )


def test_monte_carlo_is_judged_by_z_score():
    def sampled(w, shift):
        noise = np.random.default_rng(int(1e9 * w.scale)).standard_normal(20_000)
        return Estimate.of((w.loc + w.scale * noise) ** 2 + shift * w.scale**2)

    monte_carlo = partial(sampled, shift=0.0)
    claim = replace(GOOD, oracles={"adaptive": by_quadrature, "Monte Carlo": lambda w: monte_carlo(w)})
    assert judge(claim).failures == []
    wrong = replace(GOOD, oracles={"adaptive": by_quadrature, "Monte Carlo": lambda w: sampled(w, shift=0.2)})
    assert any("differ by" in failure for failure in judge(wrong).failures)


def test_infinite_limits_run_off():
    runs_off = replace(
        LIMIT,
        limit=Limit(steps=(1e-1, 1e-2, 1e-3, 1e-4), rate=0.0),
        printed=lambda w: -np.inf,
        oracles={
            "log": lambda w, d: np.log(d) + w.loc,
            "log10": lambda w, d: np.log10(d) * np.log(10.0) + w.loc,
        },
    )
    assert judge(runs_off).failures == []
    stays = replace(runs_off, oracles={"one": lambda w, d: -1 + d, "other": lambda w, d: (d * d - d) / d})
    assert judge(stays).failures != []


def test_what_has_no_truth_value_keeps_its_verdict():
    assert judge(NotCheckable("test/3", "x", "a proposal")).verdict == "not-checkable"
    assert judge(Definition("test/4", "x", "a name")).failures == []


def test_a_verdict_is_the_same_from_run_to_run():
    assert judge(GOOD).max_error == judge(GOOD).max_error
