"""The report page: complete, self-contained, safe against its own texts, legible in both colour schemes."""

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from vbref.audit import Case, Claim, Definition, audit, claims_of_notes, equations, oracles, records
from vbref.audit.registry import equation_of
from vbref.audit.webpage import document, write

pytest.importorskip("latex2mathml", reason="reports need the extra 'app'")

SHOWN = ("xu/1", "xu/4", "xu/17", "xu/30", "xu/35", "evae/D4", "evae/L1", "evae/D3", "vlb/I4")
VOID = {"meta", "br", "mspace", "mi", "mtd", "mrow"}


@pytest.fixture(scope="module")
def found():
    judged = audit(entry for entry in claims_of_notes() if equation_of(entry.id) in SHOWN)
    return records(judged, SHOWN)


@pytest.fixture(scope="module")
def page(found):
    return document(found)


class Structure(HTMLParser):
    """Elements in order, ids, links, and whether every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.names, self.ids, self.attributes, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page):
    structure = Structure(page)
    assert structure.open == []
    assert not {"script", "link", "img", "iframe", "object"} & set(structure.names)
    assert all(value.startswith("#") for name, value in structure.attributes if name in ("href", "src"))
    assert not [name for name, _ in structure.attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_every_record_is_there_once_and_every_link_leads_somewhere(page, found):
    structure = Structure(page)
    assert len(structure.ids) == len(set(structure.ids))
    assert {record.id for record in found} <= set(structure.ids)
    assert {value[1:] for name, value in structure.attributes if name == "href"} <= set(structure.ids)


def test_a_record_shows_what_was_computed(page, found):
    (step,) = (record for record in found if record.id == "xu/35b")
    article = page.partition('id="xu/35b"')[2].partition("</article>")[0]
    for text in (
        step.entry.note,
        step.domain,
        "misprint",
        "Counterexample",
        "μ = 2, σ = 1",
        "Corrected form",
    ):
        assert text in article, text
    for oracle in step.oracles:
        assert step.errors[oracle] <= 1e-10
        assert f"<td>{oracle}</td><td>12</td><td>{step.errors[oracle]:.1e}" in article
    assert "def normal(\n" in page


def test_one_equation_s_errors_are_those_of_its_oracles(found):
    for record in found:
        if record.errors and record.entry.verdict != "holds-up-to-constant":
            assert max(record.errors.values()) == pytest.approx(record.max_error), record.id
            assert sum(record.applied.values()) >= 2 * record.instances


def test_conditions_constants_readings_and_asides_are_said(page):
    for text in ("True only if", "The constant", "It does not depend on", "Read as", "As printed"):
        assert text in page, text


HOSTILE = '</main><script>alert("1")</script><img src=x onerror=alert(1)>'


def hostile(id):
    return Claim(
        id,
        statement=rf"\text{{{HOSTILE}}}",
        domain=HOSTILE,
        note=HOSTILE,
        draw=lambda rng: Case(loc=rng.normal()),
        printed=lambda w: w.loc,
        oracles={
            HOSTILE: lambda w: oracles.normal_mean(lambda z: z, w.loc, 1.0),
            "adaptive": lambda w: oracles.normal_mean_adaptive(lambda z: z, w.loc, 1.0),
        },
    )


def test_no_text_of_a_claim_becomes_markup():
    entries = [hostile(f"{HOSTILE}/1"), Definition('a" onclick="b/1', HOSTILE, HOSTILE)]
    text = document(audit(entries))
    structure = Structure(text)
    assert structure.open == []
    assert not {"script", "img"} & set(structure.names)
    assert not [name for name, _ in structure.attributes if name.startswith("on")]
    assert "&lt;script&gt;" in text


def test_steps_without_their_equation_and_nothing_judged():
    steps = audit(e for e in claims_of_notes() if e.id == "xu/35b")
    assert 'id="xu/35b"' in document(steps)
    assert "not yet judged" in document(records([], ["xu/35"]))


def test_write_makes_the_folder(tmp_path, found):
    file = write(found, tmp_path / "new" / "folder")
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


def luminance(colour):
    if len(colour) == 4:
        colour = "#" + "".join(2 * digit for digit in colour[1:])
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_is_legible_on_its_ground_by_day_by_night_and_in_print():
    css = resources.files("vbref.audit.webpage").joinpath("style.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(schemes) == 3
    for scheme in schemes:
        pairs = [(name, f"{name}-ground") for name in ("good", "read", "bad", "plain")]
        pairs += [(name, ground) for name in ("ink", "quiet", "link") for ground in ("ground", "panel")]
        assert all(contrast(scheme[ink], scheme[ground]) >= 4.5 for ink, ground in pairs)


def test_the_whole_of_the_notes_has_a_place():
    assert set(equations()) <= set(Structure(document(records([]))).ids)
