"""Every formula of the notes becomes MathML that has the source's letters, and nothing else gets through."""

import re
import unicodedata
from xml.etree import ElementTree

import pytest

from vbref.audit import Claim, claims_of_notes, equations
from vbref.audit.webpage import mathml
from vbref.audit.webpage.markup import formula

pytest.importorskip("latex2mathml", reason="reports need the extra 'app'")

_WORDS = r"\\(?:arg(?:max|min)?|max|min|log|ln|lim|exp|det)(?![a-zA-Z])"


def claimed():
    """Every formula that the claims add to the notes' own."""
    for entry in claims_of_notes():
        yield entry.id, entry.statement
        if isinstance(entry, Claim):
            forms = (entry.corrected, entry.reading, entry.constant)
            yield from ((entry.id, form.latex) for form in forms if form)


def letters_of_source(latex):
    """Latin letters of a LaTeX source, sorted: those of commands count only for named functions."""
    latex = re.sub(r"\\(begin|end)\{[a-z*]+\}(\{[lcr]+\})?", "", latex)
    latex = re.sub(_WORDS, lambda word: word.group()[1:] + " ", latex)
    return sorted(re.sub(r"\\[a-zA-Z]+|[^a-zA-Z]", "", latex))


def letters_of_tree(root):
    text = unicodedata.normalize("NFKC", "".join(root.itertext()))
    return sorted(re.sub(r"[^a-zA-Z]", "", text))


@pytest.mark.parametrize("id", equations())
def test_every_equation_becomes_mathml_with_its_letters(id):
    latex = equations()[id]
    root = ElementTree.fromstring(formula(latex))
    assert root[0].tag == "math"
    assert letters_of_tree(root) == letters_of_source(latex)
    for command, tag in ((r"\frac", "mfrac"), (r"\begin{cases}", "mtable"), (r"\substack", "mtable")):
        assert len(list(root.iter(tag))) >= latex.count(command), command
    rows = latex.count(r"\\")
    assert len(list(root.iter("mtr"))) >= rows + (rows > 0)


def test_no_formula_of_a_claim_stays_source():
    assert [id for id, latex in claimed() if formula(latex).startswith("<pre")] == []


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\mathbb E_q", "𝔼q"),
        (r"\mathbf x|\mathcal N", "𝐱|𝒩"),
        (r"\arg \max_q x", "arg\u2009maxqx"),
        (r"a \sim b, a \simeq b", "a∼b,a≃b"),
        (r"\text{99\% of}} x", "99%\u00a0ofx"),
        (r"p || q \tag{3}", "p‖q(3)"),
    ],
)
def test_what_latex2mathml_lacks_is_mended(latex, shown):
    assert "".join(ElementTree.fromstring(formula(latex)).itertext()) == shown


def test_a_formula_that_cannot_be_converted_is_shown_as_its_source():
    for latex in (r"\frac", r"\nosuchcommand x", r"a & b", "{", r"\fbox{x}"):
        assert formula(latex).startswith('<pre class="tex">')


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\text{&lt;img src=x onerror=alert(1)&gt;}",
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(http://a.b)}{x}",
        r"\class{a\" onclick=\"alert(1)}{x}",
        r"a<b>c \text{</math><b>}",
        r"\color{red;x:url(//a)}{x}",
        r"</pre><script>\frac",
    ],
)
def test_no_markup_gets_through(latex):
    root = ElementTree.fromstring(formula(latex))
    assert root.tag in ("div", "pre")
    assert all(element.tag.startswith("m") or element is root for element in root.iter())
    allowed = "class|style|display|displaystyle|lspace|rspace|width|stretchy|fence|form|mathvariant|accent"
    assert all(re.fullmatch(allowed, name) for element in root.iter() for name in element.attrib)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml.converter", None)
    with pytest.raises(ModuleNotFoundError, match=r"vbref\[app\]"):
        formula("x")


def test_width_grows_with_the_formula():
    short, long = (mathml.width(mathml.tree(latex)) for latex in ("x = y", equations()["xu/53"]))
    assert short < 5 < 45 < long
