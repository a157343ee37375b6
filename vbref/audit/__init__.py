"""The audit: claims, oracles that could disagree with them, and verdicts computed from numbers.

A claim about a printed equation is a few lines; `vbref audit my_claims.py` judges a file of them, with the
same oracles, verdicts, table, `--json` and `--report` as the notes:

    from vbref.audit import Case, Claim, oracles

    second_moment = Claim(
        "paper/3",
        statement=r"E_{N(\\mu,\\sigma^2)}[z^2] = \\mu^2 + \\sigma^2",
        domain="μ real, σ > 0",
        draw=lambda rng: Case(loc=rng.normal(), scale=rng.uniform(0.1, 3.0)),
        printed=lambda w: w.loc**2 + w.scale**2,
        oracles={
            "Gauss-Hermite": lambda w: oracles.normal_mean(lambda z: z**2, w.loc, w.scale),
            "adaptive quadrature": lambda w: oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale),
        },
    )

The file's variables, and the lists among them, are its claims. A claim says "holds" unless `verdict` says
otherwise; where the numbers say something else the audit fails and prints them. `examples/renyi.py` has
equalities, bounds, a limit, a condition and a misprint. The pieces:

- `Claim`: one printed relation: `printed` is its right-hand side, transcribed; `oracles`, two or more, are
  independent ways to its left-hand side; `relation` is "=", "<=", ">=" or "->" (with a `Limit`).
- `Case`: an instance made of named numbers and arrays, what `draw(rng)` returns; or use one of `worlds`.
- `Form`: a formula as LaTeX and as a function: `corrected` of a misprint, `reading` of a notation.
- `Counterexample`: the smallest instance that shows a misprint. `Aside`: what the misprint still is.
- `Condition`: what a true form needs, with an instance outside it.
- `Constant`: what a display that says "+ const" or "∝" leaves out.
- `Code`: the function, of vbref or of your own package, that computes the claim; it is held to the oracles.
- `Estimate`: a Monte Carlo mean with its standard error, compared by z-score.
- `Definition`, `NotCheckable`: displays without a truth value.
- `oracles`: quadrature, derivatives, evidences, divergences.
- `worlds`: small models with a number for each symbol.
- `audit(entries)` and `judge(entry)` judge; `Record` and `Finding` are what comes out; `records`,
  `equations`, `claims_of_notes` and `claims_of_file` find what to judge.
"""

from vbref.audit import oracles, worlds
from vbref.audit.claim import (
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
)
from vbref.audit.judge import Finding, judge
from vbref.audit.registry import Record, audit, claims_of_notes, equations, records
from vbref.audit.userfile import claims_of_file

__all__ = [
    "Aside",
    "Case",
    "Claim",
    "Code",
    "Condition",
    "Constant",
    "Counterexample",
    "Definition",
    "Estimate",
    "Finding",
    "Form",
    "Limit",
    "NotCheckable",
    "Record",
    "audit",
    "claims_of_file",
    "claims_of_notes",
    "equations",
    "judge",
    "oracles",
    "records",
    "worlds",
]
