"""What a claim is made of. Nothing here computes: `judge` does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

Verdict = Literal["holds", "holds-up-to-constant", "notation", "misprint", "definition", "not-checkable"]
Relation = Literal["=", "<=", ">=", "->"]
Function = Callable[..., Any]

# From the best to the worst: an equation's verdict is the worst of its steps.
SEVERITY: tuple[str, ...] = (
    "definition",
    "not-checkable",
    "holds",
    "holds-up-to-constant",
    "notation",
    "misprint",
)


class Case(SimpleNamespace):
    """An instance made of named numbers and arrays: `Case(loc=0.0, scale=2.0)`."""


@dataclass(frozen=True)
class Form:
    """A formula twice: its LaTeX, and a function of the instance."""

    latex: str
    value: Function


@dataclass(frozen=True)
class Constant:
    """The constant of a display that itself says "+ const" or "∝": truth = printed + value, or printed ×
    value.

    `vary(instance, rng)` returns the instance with everything changed that the constant may not depend on,
    named in `free_of`; the judge sees that the value stays.
    """

    latex: str
    value: Function
    free_of: str
    vary: Function
    factor: bool = False


@dataclass(frozen=True)
class Counterexample:
    """The smallest instance that tells the printed form from the truth, with words for people."""

    text: str
    instance: Any


@dataclass(frozen=True)
class Condition:
    """What a true form needs, and an instance outside it where the form fails."""

    text: str
    outside: Any


@dataclass(frozen=True)
class Aside:
    """What a false printed form still is: `printed relation value` on every instance (`=`, `<=` or `>=`).

    A form that holds may have an aside too: a fact worth knowing, checked the same way.
    """

    text: str
    value: Function
    relation: Relation = "="


@dataclass(frozen=True)
class Limit:
    """How a claim with relation "->" is checked: oracles take (instance, n) for each n of `steps`.

    The distance to the printed limit must fall as n**rate over three steps or more, to a part `slack` of
    the rate; for an infinite limit, whose rate is 0, the sequence must run off to it.
    """

    steps: Sequence[float]
    rate: float
    slack: float = 0.15


@dataclass(frozen=True)
class Code:
    """The function of vbref that computes the claim: its dotted name, and how to call it on an instance.

    `formula` names the scalar function behind it, where there is one, so that it is shown too.
    `call(function, instance)` must agree with every oracle on every instance. Without a call the name is
    only shown.
    """

    name: str
    call: Function | None = None
    formula: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a Monte Carlo oracle returns; it is compared by z-score.

    Five standard errors beyond a tenth of max(1, |mean|) say nothing, and do not agree with anything.
    """

    mean: Any
    standard_error: Any

    @classmethod
    def of(cls, samples: Any) -> "Estimate":
        """Return mean and standard error over the first axis of independent samples."""
        samples = np.asarray(samples)
        return cls(samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples)))


@dataclass(frozen=True)
class Claim:
    """One printed relation and what would refute it.

    id: the equation's id; a step of a chain has a letter after it (`xu/35b`).
    statement: LaTeX of this step. domain: in words, what the instances range over.
    verdict: the recorded one; the judge computes its own from numbers and the audit fails where they differ.
    draw(rng): a random instance. instances: how many are drawn.
    printed(instance): the display's right-hand side, transcribed literally. None for `notation`, whose `why`
        says what keeps the display from having a value and whose `reading` is the evident meaning.
    rejected: where `notation` is ambiguous, the other readings by name; the judge must find each false.
    oracles: at least two functions of the instance for the left-hand side that share no code with the
        formula nor with each other; one that does not apply to an instance returns None, and two must apply
        to each instance. Each is handed a copy of the instance.
    relation: left `relation` right. For "<=" and ">=", `equality(rng)` draws instances where the two sides
        meet. For "->", `limit` says how the oracles run.
    constant: for a display that says "+ const" or "∝".
    corrected: the right form, for a misprint; checked by the same oracles. `counterexample` likewise.
    conditions: what the true form needs, each with an instance outside it that fails.
    aside: what the printed form still is; one with "=" pins a misprint's own value.
    code: the function of vbref that implements it.
    tolerance: largest error that counts as agreement, relative to max(1, |truth|); justify any but the
    default.
    """

    id: str
    statement: str
    domain: str
    draw: Function
    oracles: Mapping[str, Function]
    verdict: Verdict = "holds"
    printed: Function | None = None
    note: str = ""
    relation: Relation = "="
    limit: Limit | None = None
    equality: Function | None = None
    constant: Constant | None = None
    why: str = ""
    reading: Form | None = None
    rejected: Mapping[str, Function] = field(default_factory=dict)
    corrected: Form | None = None
    counterexample: Counterexample | None = None
    conditions: Sequence[Condition] = field(default_factory=tuple)
    aside: Aside | Sequence[Aside] = field(default_factory=tuple)
    code: Code | None = None
    instances: int = 12
    tolerance: float = 1e-10

    @property
    def asides(self) -> tuple[Aside, ...]:
        return (self.aside,) if isinstance(self.aside, Aside) else tuple(self.aside)


@dataclass(frozen=True)
class Definition:
    """A display that names something: nothing to check. `code` is what implements it."""

    id: str
    statement: str
    note: str
    code: Code | None = None
    verdict: Verdict = field(default="definition", init=False)


@dataclass(frozen=True)
class NotCheckable:
    """A display without a truth value, with the reason in `note`."""

    id: str
    statement: str
    note: str
    code: Code | None = None
    verdict: Verdict = field(default="not-checkable", init=False)


Entry = Claim | Definition | NotCheckable
