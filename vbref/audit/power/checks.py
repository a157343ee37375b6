"""What can kill a mutant: a test of pytest, or a claim of the audit. Both are asked the same way."""

from dataclasses import dataclass
from typing import Any, Protocol

from vbref.audit.claim import Claim, Entry
from vbref.audit.judge import judge


class Check(Protocol):
    """Something that passes on the right code; `passes` runs it in this process."""

    @property
    def name(self) -> str: ...

    def passes(self) -> bool: ...


@dataclass
class TestCheck:
    """One collected test; `failures` is where the server's plugin notes what failed."""

    item: Any
    failures: list[str]

    @property
    def name(self) -> str:
        return str(self.item.nodeid)

    def passes(self) -> bool:
        self.failures.clear()
        self.item.config.hook.pytest_runtest_protocol(item=self.item, nextitem=None)
        return not self.failures


@dataclass
class ClaimCheck:
    """One claim: its verdict must be the recorded one, without failures."""

    entry: Entry

    @property
    def name(self) -> str:
        return f"claim {self.entry.id}"

    def passes(self) -> bool:
        return not judge(self.entry).failures


def claim_checks(entries: Any) -> list[Check]:
    """The claims among the entries, each as a check."""
    return [ClaimCheck(entry) for entry in entries if isinstance(entry, Claim)]
