"""The audit as one HTML page: no network, no scripts, formulas as MathML."""

from collections.abc import Sequence
from pathlib import Path

from vbref.audit.registry import Record
from vbref.audit.webpage import mathml
from vbref.audit.webpage.document import document


def write(records: Sequence[Record], directory: Path) -> Path:
    """Write `index.html` into the directory, which is made if it is not there; return the file's path."""
    text = document(records)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "index.html"
    file.write_text(text, encoding="utf-8")
    return file


__all__ = ["document", "mathml", "write"]
