"""The README's Python runs as printed."""

import pathlib
import re
from typing import Any

import pytest

from vbref.audit import audit

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)


@pytest.mark.parametrize(
    "code", EXAMPLES, ids=["auditor", "learner", "framework engineer", "mean field", "gpu"]
)
def test_example(code: str) -> None:
    if "import torch" in code:
        pytest.importorskip("torch", reason="the framework engineer's example compares with PyTorch")
    exec(compile(code, "README.md", "exec"), {})


def test_the_auditor_s_claim_holds() -> None:
    names: dict[str, Any] = {}
    exec(compile(EXAMPLES[0], "README.md", "exec"), names)
    (record,) = audit([names["evidence"]])
    assert (record.verdict, record.failures) == ("holds", [])


def test_quick_start_is_two_lines() -> None:
    section = re.search(r"^## Quick start\n(.*?)^## ", README, re.S | re.M)
    assert section is not None
    blocks = re.findall(r"^```sh\n(.*?)^```", section.group(1), re.S | re.M)
    assert [len(block.splitlines()) for block in blocks] == [1, 1]
