"""The whole page: what was found, contents by note and by verdict, then every equation."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib import metadata, resources

from vbref.audit.registry import NOT_YET, Record, equations
from vbref.audit.table import equations_of, grouped, headline, rank, several
from vbref.audit.webpage.article import article
from vbref.audit.webpage.markup import MARKS, anchor, badge, element, escape, lines, link, prose

_TITLES = {
    "xu": "Variational Bayes with modern examples",
    "evae": "A variational autoencoder with an energy-based prior",
    "vlb": "The K-sample bound, a learned prior, gradients",
    "meanfield": "Amortised inference, the Gaussian VAE, mean field",
    "lecture": "The ELBO from Jensen and from KL, gradients",
}
_METHOD = """
<p>Each printed relation was transcribed literally into code and compared, on random instances of its domain,
with at least two oracles that share no code with it nor with each other: enumeration, quadrature, linear
algebra, complex steps. They agree where no error exceeds 1e-10 of max(1, |truth|), unless another tolerance
is given. The verdict is what the numbers give; none is typed in. A misprint has a corrected form that the
same oracles find true, and a counterexample with round numbers.</p>
"""
# Nothing is loaded and nothing runs, whatever a claim's text says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(records: Sequence[Record]) -> str:
    """Return the page of these records: equations with their steps after them, in the order of reading."""
    notes = grouped(records, "note")
    known = {record.id for record in records}
    title = "The notes, equation by equation" if known & equations().keys() else "Claims, one by one"
    main = [_opening(title, records), _contents(notes, records)]
    main += [_chapter(note, group, known) for note, group in notes.items()]
    return lines(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} · vbref audit</title>\n<style>\n{_style()}</style>\n</head>\n<body>",
            element("main", lines(main)),
            f"<footer><p>vbref {escape(metadata.version('vbref'))}</p></footer>\n</body>\n</html>\n",
        ]
    )


@cache
def _style() -> str:
    return resources.files("vbref.audit.webpage").joinpath("style.css").read_text(encoding="utf-8")


def _opening(title: str, records: Sequence[Record]) -> str:
    found = equations_of(records)
    count = Counter(record.verdict for record in found)
    counted = [f"<li>{badge(verdict)} <b>{count[verdict]}</b></li>" for verdict in _ordered(count)]
    failed = sum(bool(record.failures) for record in records)
    judged = f"{len(found) - count[NOT_YET]} of {several(len(found), 'equation')} judged."
    agreed = (
        f"{several(failed, 'claim')} failed." if failed else "Every computed verdict is the recorded one."
    )
    summary = element("p", escape(f"{judged} {agreed}"), class_="failed" if failed else "")
    return lines(
        [
            f'<header>\n<p class="label">vbref audit</p>\n<h1>{escape(title)}</h1>',
            summary,
            f'<ul class="counts">{lines(counted)}</ul>',
            f"{_METHOD}</header>",
        ]
    )


def _ordered(verdicts: Collection[str]) -> list[str]:
    """Return the verdicts that are there, the worst first; what has none comes last."""
    waiting = [verdict for verdict in verdicts if verdict == NOT_YET]
    return sorted(set(verdicts) - {NOT_YET}, key=rank, reverse=True) + waiting


def _contents(notes: Mapping[str, Sequence[Record]], records: Sequence[Record]) -> str:
    by_note = [_note_contents(note, group) for note, group in notes.items()]
    by_verdict = [_verdict_contents(verdict, records) for verdict in _ordered({r.verdict for r in records})]
    return lines(
        [
            '<nav id="contents" aria-label="contents">\n<h2>By note</h2>',
            *by_note,
            "<h2>By verdict</h2>",
            *by_verdict,
            "</nav>",
        ]
    )


def _note_contents(note: str, group: Sequence[Record]) -> str:
    ids = [_chip(record, record.equation) for record in equations_of(group)]
    return f'<h3>{link("note-" + note, _title(note))}</h3>\n<p class="ids">{lines(ids)}</p>'


def _chip(record: Record, id: str) -> str:
    """A short link whose title and mark say the verdict."""
    mark, words = MARKS.get(record.verdict, ("!", record.verdict))
    text = f"{id.partition('/')[2] or id} {mark}"
    return link(id, text, class_=f"chip {record.verdict}", title=f"{id}: {words}")


def _verdict_contents(verdict: str, records: Sequence[Record]) -> str:
    if verdict in ("misprint", "notation"):
        judged = [r for r in records if r.verdict == verdict and r.entry is not None]
        rows = [f"<dt>{link(r.id)}</dt><dd>{prose(headline(r))}</dd>" for r in judged]
        body = f"<dl>{lines(rows)}</dl>"
    else:
        rows = [link(r.equation) for r in equations_of(records) if r.verdict == verdict]
        body = f'<p class="ids">{lines(rows)}</p>'
    state = " open" if verdict == "misprint" else ""
    head = f"<summary>{badge(verdict)} {len(rows)}</summary>"
    return f"<details{state}>{head}{body}</details>" if rows else ""


def _title(note: str) -> str:
    return f"{note}: {_TITLES[note]}" if note in _TITLES else note


def _chapter(note: str, group: Sequence[Record], known: Collection[str]) -> str:
    articles = [article(records, known) for records in grouped(group, "equation").values()]
    up = link("contents", "contents", class_="up")
    head = f"<h2>{escape(_title(note))} {up}</h2>"
    return element("section", lines([head, *articles]), id="note-" + anchor(note), class_="chapter")
