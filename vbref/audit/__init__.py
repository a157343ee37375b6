"""The audit: claims, oracles that could disagree with them, and verdicts computed from numbers.

A claim about a printed equation is a few lines (see `Claim`); `vbref audit my_claims.py` judges a file of
them:

    from vbref.audit import Case, Claim, Form, oracles

    CLAIMS = [
        Claim(
            "paper/3",
            statement=r"E_{N(\\mu,\\sigma^2)}[z^2] = \\mu^2 + \\sigma^2",
            verdict="holds",
            domain="μ real, σ > 0",
            draw=lambda rng: Case(loc=rng.normal(), scale=rng.uniform(0.1, 3.0)),
            printed=lambda w: w.loc**2 + w.scale**2,
            oracles={
                "Gauss-Hermite": lambda w: oracles.normal_mean(lambda z: z**2, w.loc, w.scale),
                "adaptive quadrature": lambda w: oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale),
            },
        )
    ]
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
