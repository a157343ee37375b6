"""LaTeX as MathML. What latex2mathml lacks is mended on its way in and out; what it cannot do stays LaTeX.

Nothing that is written in a formula reaches the page as markup: the tree that comes back is walked, its
texts are escaped, and an element or attribute that MathML Core does not have is not let through.
"""

import html
import re
from collections.abc import Callable
from xml.etree.ElementTree import Element, tostring

_ELEMENT = re.compile(
    "math|m(row|i|o|n|text|space|frac|sqrt|root|sub|sup|subsup|under|over|underover|table|tr|td|style|padded)"
)
_ATTRIBUTE = re.compile(
    "display(style)?|scriptlevel|mathvariant|stretchy|symmetric|fence|form|separator|accent|movablelimits"
    "|largeop|minsize|maxsize|lspace|rspace|width|height|depth|columnalign|linethickness"
)
_BEFORE_SIGN = frozenset("=≥≤≈∼∝→⇒⟹⟶≡,([{;:")
_ACCENTS = frozenset("^¯~˙¨→")
_ARROWS = frozenset("⟹⟶⇒→←∼")
_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_BIG = frozenset(("∑", "∏", "max", "min", "lim", "sup", "inf", "arg\u2009max", "arg\u2009min"))
_NARROW, _THIN, _THICK = "0.1em", "0.167em", "0.278em"


def serialised(root: Element) -> str:
    """Return a MathML tree as text."""
    return tostring(root, encoding="unicode")


def tree(latex: str, display: str = "block") -> Element:
    """Return the mended MathML tree; an exception of any kind where the source cannot be converted."""
    root = converter()(_mended(latex), display=display)
    _clean(root)
    for element in list(root.iter()):
        _limits_below(element)
        _space(element)
    return root


def width(element: Element) -> float:
    """Estimate the width of a formula in em, rather too large, so that print can set a long one smaller."""
    sizes = [width(child) for child in element]
    match element.tag:
        case "mi" | "mn" | "mtext":
            return 0.62 * len(element.text or "")
        case "mo":
            return _operator_width(element)
        case "mspace":
            return float((element.get("width") or "0em").removesuffix("em"))
        case "msub" | "msup" | "msubsup":
            return sizes[0] + 0.75 * max(sizes[1:])
        case "mfrac":
            return max(sizes) + 0.1
        case "munder" | "mover" | "munderover":
            return max(sizes[0], *(0.75 * size for size in sizes[1:]))
        case "mtable":
            return _table_width([[width(cell) for cell in row] for row in element])
    return sum(sizes)


def _operator_width(element: Element) -> float:
    text = element.text or ""
    if len(text) > 1:
        return 0.62 * len(text) + 0.6
    if text in ",.;":
        return 0.5
    return 0.5 if element.get("stretchy") or element.get("form") else 1.4


def _table_width(rows: list[list[float]]) -> float:
    columns = range(max(map(len, rows)))
    return sum(0.8 + max(row[i] for row in rows if i < len(row)) for i in columns)


def converter() -> Callable[..., Element]:
    """Return latex2mathml's conversion; ModuleNotFoundError says what to install."""
    try:
        from latex2mathml.converter import convert_to_element
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a report needs latex2mathml: pip install 'vbref[app]'") from error
    return convert_to_element


def _mended(latex: str) -> str:
    """Return the source in the LaTeX that latex2mathml knows."""
    latex = _balanced(latex)
    latex = re.sub(r"\\arg\s*\\(max|min)(?![a-zA-Z])", r"\\arg\1", latex.strip())
    latex = re.sub(r"\\math(bb|bf|cal|rm)\s+([a-zA-Z])", r"\\math\1{\2}", latex)
    latex = re.sub(r"\\tag\{(\w+)\}", r"\\qquad(\\text{\1})", latex)
    latex = re.sub(r"\\sim(?![a-zA-Z])", r"\\thicksim", latex).replace("||", r"\|")
    latex = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{split}", latex)
    latex = re.sub(r"\\substack\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\begin{array}{c}\1\\end{array}", latex)
    stacked = r"\\" in latex and r"\begin" not in latex
    return rf"\begin{{array}}{{l}}{latex}\end{{array}}" if stacked else latex


def _balanced(latex: str) -> str:
    """Return the source without closing braces that close nothing (the notes have one)."""
    depth, kept = 0, []
    for part in re.split(r"(\\.|[{}])", latex, flags=re.S):
        depth += {"{": 1, "}": -1}.get(part, 0)
        kept.append(part if depth >= 0 else "")
        depth = max(depth, 0)
    return "".join(kept)


def _clean(root: Element) -> None:
    """Decode the texts, and let nothing through but what MathML Core has."""
    for part in root.iter():
        part.text = _text(part.text or "")
        for name in [name for name in part.attrib if not _ATTRIBUTE.fullmatch(name)]:
            del part.attrib[name]
        if not _ELEMENT.fullmatch(part.tag):
            raise ValueError(f"no element of MathML: {part.tag}")


def _text(text: str) -> str:
    text = re.sub(r"\\([%$&_#{}])", r"\1", html.unescape(text))
    if "\\" in text or text == "&":
        raise ValueError(f"not converted: {text}")
    return text


def _limits_below(element: Element) -> None:
    """Give big operators their limits below and above; a browser moves them aside in running text."""
    if element.tag in _LIMITS and element[0].text in _BIG:
        element.tag = _LIMITS[element.tag]
        element[0].set("movablelimits", "true")
    if element.tag in ("mover", "munderover") and element[-1].text in _ACCENTS:
        element.set("accent", "true")


def _space(row: Element) -> None:
    """Set spaces as TeX does: close at bars and signs, thin around named functions, thick around arrows."""
    before: Element | None = None
    for child in list(row):
        if child.text in ("|", "‖") and child.get("form") is None:
            child.attrib.update(lspace=_NARROW, rspace=_NARROW)
        if child.text in _ARROWS:
            child.attrib.update(lspace=_THICK, rspace=_THICK)
        if child.text in ("−", "+") and before is not None and before.text in _BEFORE_SIGN:
            child.set("form", "prefix")
        before = child
    if row.tag in ("mrow", "mtd", "mstyle"):
        _set_names_apart(row)


def _set_names_apart(row: Element) -> None:
    children = list(row)
    row[:] = []
    for place, child in enumerate(children):
        if place and _named(child) and _ends_a_factor(children[place - 1]):
            row.append(Element("mspace", width=_THIN))
        row.append(child)
        if _named(child) and place + 1 < len(children) and not _opens(children[place + 1]):
            row.append(Element("mspace", width=_THIN))


def _named(element: Element) -> bool:
    text = element.text or ""
    return element.tag == "mi" and len(text) > 1 and text.isascii() and text.isalpha()


def _ends_a_factor(element: Element) -> bool:
    if element.tag == "mo":
        return element.text in (")", "]", "}")
    return element.tag != "mspace" and bool(len(element) or element.text)


def _opens(element: Element) -> bool:
    return element.tag == "mo" or (element.tag == "mrow" and len(element) > 0 and element[0].tag == "mo")
