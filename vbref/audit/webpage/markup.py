"""Small pieces of HTML. Every text that comes from outside is escaped here, and nowhere else."""

import html
import re
from collections.abc import Collection, Iterable
from urllib.parse import quote

from vbref.audit.webpage import mathml

MARKS = {
    "holds": ("✓", "holds"),
    "holds-up-to-constant": ("✓", "holds up to a constant"),
    "notation": ("≈", "notation"),
    "misprint": ("✗", "misprint"),
    "definition": ("≔", "definition"),
    "not-checkable": ("–", "not checkable"),
    "not yet judged": ("·", "not yet judged"),
}


def escape(value: object) -> str:
    """Return a value as text that is safe in HTML."""
    return html.escape(str(value))


def element(name: str, content: str, **attributes: str) -> str:
    """Return an element around HTML that is safe already; attribute values are escaped."""
    written = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{written}>{content}</{name}>"


def lines(parts: Iterable[str]) -> str:
    """Return the parts that are not empty, one a line."""
    return "\n".join(part for part in parts if part)


def anchor(id: str) -> str:
    """Return an id as a fragment of a URL."""
    return quote(id, safe="/")


def link(id: str, text: str | None = None, **attributes: str) -> str:
    """Return a link to the place of an id on the page."""
    return element("a", escape(id if text is None else text), href=f"#{anchor(id)}", **attributes)


def prose(text: str, known: Collection[str] = ()) -> str:
    """Return a text escaped, with each id of the page that it names as a link."""
    parts = re.split(r"(?<![\w/])([\w.-]+/\w+)", text)
    return "".join(link(part) if part in known else escape(part) for part in parts)


def badge(verdict: str) -> str:
    """Return a verdict by mark and by word; the colour only repeats what they say."""
    mark, words = MARKS.get(verdict, ("!", verdict))
    return element(
        "span", f'<span aria-hidden="true">{mark}</span> {escape(words)}', class_=f"badge {verdict}"
    )


def formula(latex: str) -> str:
    """Return a formula in a box that scrolls by itself; --em is its width, by which print sets its size.

    What cannot be converted is shown as its source.
    """
    try:
        tree = mathml.tree(latex)
    except ModuleNotFoundError:
        raise
    except Exception:  # whatever a converter raises on odd input
        return element("pre", escape(latex), class_="tex")
    style = f"--em: {mathml.width(tree) + 1:.0f}"
    return element("div", mathml.serialised(tree), class_="formula", style=style)
