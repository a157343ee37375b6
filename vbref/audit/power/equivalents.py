"""Mutants that are no mistakes: the reviewed list, each with a proof in one line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vbref.audit.power.mutants import Mutant


@dataclass(frozen=True)
class Equivalent:
    """One entry: the mutant's key, and why it computes the same."""

    mutant: str
    why: str

    @property
    def module(self) -> str:
        return self.mutant.split(":")[0]


@cache
def equivalents() -> tuple[Equivalent, ...]:
    """The recorded mutants that no check can tell from the code."""
    text = resources.files("vbref.audit.power").joinpath("equivalents.json").read_text(encoding="utf-8")
    return tuple(Equivalent(**row) for row in json.loads(text))


def stale(mutants: Iterable[Mutant], modules: Iterable[str]) -> list[Equivalent]:
    """Return the entries about these modules that are about none of their mutants: edits outran them."""
    keys, read = {mutant.key for mutant in mutants}, set(modules)
    return [entry for entry in equivalents() if entry.module in read and entry.mutant not in keys]
