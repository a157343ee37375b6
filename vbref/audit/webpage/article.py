"""One equation of the page: what is printed, its verdict, and everything that was computed."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence

from vbref.audit.attachments import resolve, short
from vbref.audit.claim import Claim, Code
from vbref.audit.registry import Record, equations
from vbref.audit.show import source
from vbref.audit.webpage.markup import anchor, badge, element, escape, formula, lines, prose

Part = Callable[[Record, Claim, Collection[str]], str]


def article(records: Sequence[Record], known: Collection[str]) -> str:
    """Return the article of one equation: its own record, if there is one, and those of its steps."""
    id = records[0].equation
    whole = [record for record in records if record.id == id]
    steps = [record for record in records if record.id != id]
    verdict = badge(whole[0].verdict) if whole else ""
    printed = equations().get(id) or records[0].statement
    body = [_body(record, known) for record in whole if record.entry] + [_step(step, known) for step in steps]
    content = lines([f"<h3>{escape(id)} {verdict}</h3>", formula(printed), *body])
    return element("article", content, id=anchor(id))


def _step(record: Record, known: Collection[str]) -> str:
    head = f"<h4>{escape(record.id)} {badge(record.verdict)}</h4>"
    content = lines([head, formula(record.statement), _body(record, known)])
    return element("section", content, class_="step", id=anchor(record.id))


def _body(record: Record, known: Collection[str]) -> str:
    entry = record.entry
    failed = [element("p", f"Failed: {escape(line)}", class_="failed") for line in record.failures]
    if not isinstance(entry, Claim):
        code = entry.code if entry else None
        return lines([*failed, _paragraph(entry.note if entry else "", known), _code(code)])
    parts: tuple[Part, ...] = (
        _reasons,
        _reading,
        _constant,
        _corrected,
        _counterexample,
        _attached,
        _computed,
    )
    return lines([*failed, *(part(record, entry, known) for part in parts), _code(entry.code)])


def _paragraph(text: str, known: Collection[str]) -> str:
    text = text.strip()
    ended = text if text.endswith((".", "?", "!", ":")) else f"{text}."
    return element("p", prose(ended, known)) if text else ""


def _reasons(_record: Record, claim: Claim, known: Collection[str]) -> str:
    return lines(_paragraph(text, known) for text in (claim.why, claim.note))


def _labelled(label: str, content: str, kind: str = "") -> str:
    return element(
        "div", f'<p class="label">{escape(label)}</p>\n{content}', class_=f"labelled {kind}".strip()
    )


def _reading(_record: Record, claim: Claim, _known: Collection[str]) -> str:
    if claim.reading is None:
        return ""
    rejected = [f"<li>{escape(name)}</li>" for name in claim.rejected]
    others = f"<p>Readings that were tried and are false:</p>\n<ul>{lines(rejected)}</ul>" if rejected else ""
    return _labelled("Read as", lines([formula(claim.reading.latex), others]), "good")


def _constant(_record: Record, claim: Claim, known: Collection[str]) -> str:
    if claim.constant is None:
        return ""
    free = f"<p>It does not depend on {prose(claim.constant.free_of, known)}.</p>"
    label = "The factor" if claim.constant.factor else "The constant"
    return _labelled(label, formula(claim.constant.latex) + free, "good")


def _corrected(_record: Record, claim: Claim, _known: Collection[str]) -> str:
    return _labelled("Corrected form", formula(claim.corrected.latex), "good") if claim.corrected else ""


def _counterexample(record: Record, _claim: Claim, _known: Collection[str]) -> str:
    shown = record.counterexample
    if shown is None:
        return ""
    rows = [
        f'<tr><th scope="row">{name}</th><td>{escape(short(shown[name]))}</td></tr>'
        for name in ("printed", "true", "corrected")
    ]
    where = element("p", escape(shown["instance"]))
    return _labelled(
        "Counterexample", f'{where}\n<div class="scroll"><table>{lines(rows)}</table></div>', "bad"
    )


def _attached(_record: Record, claim: Claim, known: Collection[str]) -> str:
    """Conditions and asides, each a list."""
    asides = "As printed" if claim.corrected else "Besides"
    return lines(
        [
            _listed("True only if", (condition.text for condition in claim.conditions), known),
            _listed(asides, (aside.text for aside in claim.asides), known),
        ]
    )


def _listed(label: str, texts: Iterable[str], known: Collection[str]) -> str:
    items = [element("li", prose(text, known)) for text in texts]
    return _labelled(label, f"<ul>{lines(items)}</ul>") if items else ""


def _computed(record: Record, claim: Claim, known: Collection[str]) -> str:
    """The domain, and each oracle with its instances and largest error."""
    if not record.instances:
        return ""
    head = (
        '<tr><th scope="col">oracle</th><th scope="col">instances</th><th scope="col">largest error</th></tr>'
    )
    rows = [
        f"<tr><td>{escape(name)}</td><td>{_times(record, name)}</td><td>{_error(record, name)}</td></tr>"
        for name in record.oracles
    ]
    usual = claim.tolerance == Claim.tolerance
    instances = (
        claim.domain if usual else f"{claim.domain}; agreement to {claim.tolerance:.0e} of max(1, |truth|)"
    )
    table = f'<div class="scroll"><table class="oracles">{head}{lines(rows)}</table></div>'
    return _labelled("What was computed", f"{_paragraph(f'Instances: {instances}', known)}\n{table}")


def _times(record: Record, oracle: str) -> str:
    return escape(record.applied.get(oracle, record.instances))


def _error(record: Record, oracle: str) -> str:
    error = record.errors.get(oracle)
    if error is None or not math.isfinite(error):
        return "not known" if error is None else "∞"
    return f"{error:.1e}".replace("e-0", "e-") if error else "0"


def _code(code: Code | None) -> str:
    if code is None:
        return ""
    return lines(_source(name) for name in dict.fromkeys((code.formula, code.name)) if name)


def _source(name: str) -> str:
    try:
        text = source(resolve(name))
    except (ImportError, AttributeError, OSError, TypeError):  # judged as a failure already, if it is one
        return f"<p><code>{escape(name)}</code></p>"
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{escape(text)}</pre></details>"
