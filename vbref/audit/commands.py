"""`vbref audit` and `vbref show`: thin verbs over the registry."""

import argparse
import difflib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

from vbref.audit.claim import Entry
from vbref.audit.power import command as power
from vbref.audit.registry import (
    Record,
    audit,
    claims_of_notes,
    equation_of,
    equations,
    records,
)
from vbref.audit.show import show
from vbref.audit.table import summary
from vbref.audit.userfile import claims_of_file

_STDOUT = Path("-")


def add_parsers(subparsers: Any) -> None:
    """Mount `audit` and `show` on an argparse subparsers object; each sets `run(args) -> exit status`."""
    audit_parser = subparsers.add_parser("audit", help="judge the notes' equations, or your own claims")
    audit_parser.add_argument(
        "ids",
        nargs="*",
        metavar="ID",
        help="equation (xu/35), step (xu/35b), note (xu), or a file of your own claims",
    )
    audit_parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the records as JSON (- prints them)"
    )
    audit_parser.add_argument(
        "--report", metavar="DIR", type=Path, help="write one HTML page, DIR/index.html"
    )
    power.add_options(audit_parser)
    audit_parser.set_defaults(run=run_audit)
    show_parser = subparsers.add_parser("show", help="one equation: verdict, reasons, code, worked numbers")
    show_parser.add_argument("ids", nargs="+", metavar="ID", help="equation (xu/35) or step (xu/35b)")
    show_parser.set_defaults(run=run_show)


def run_audit(args: argparse.Namespace) -> int:
    """Judge what the arguments name, or all. Returns 0 as recorded, 1 a verdict differs, 2 bad usage."""
    if args.power:
        return power.run_power(args)
    try:
        write = _writer(args.report)
        if args.json and args.json != _STDOUT:
            args.json.touch()  # an exception at once where it could not be written
        found = _audited(args.ids)
        page = write(found)
        said = _as_json(found).rstrip() if args.json == _STDOUT else summary(found, colour=has_colour())
        if args.json and args.json != _STDOUT:
            args.json.write_text(_as_json(found), encoding="utf-8")
    except (LookupError, ValueError, OSError, ImportError) as error:
        return _refuse(error)
    print(said)
    if page and args.json != _STDOUT:
        print(f"\nreport: {page}")
    return 1 if any(record.failures for record in found) else 0


def _writer(directory: Path | None) -> Callable[[Sequence[Record]], Path | None]:
    """Return what writes the report; an exception at once where it could not."""
    if directory is None:
        return lambda found: None
    from vbref.audit import webpage

    webpage.mathml.converter()
    directory.mkdir(parents=True, exist_ok=True)
    return lambda found: webpage.write(found, directory)


def run_show(args: argparse.Namespace) -> int:
    """Print the pages of the equations that the arguments name. Exit codes as `run_audit`."""
    try:
        pages = [_audited([id]) for id in args.ids]
    except (LookupError, ValueError) as error:
        return _refuse(error)
    equations = [list(group) for page in pages for _, group in groupby(page, lambda record: record.equation)]
    print("\n\n\n".join(show(equation, has_colour()) for equation in equations))
    return 1 if any(record.failures for page in pages for record in page) else 0


def _audited(names: Sequence[str]) -> list[Record]:
    """Return the records that the names select: steps, equations, notes; files add their own claims."""
    files = [name for name in names if _is_file(name)]
    ids = [name for name in names if not _is_file(name)]
    own = [entry for file in files for entry in claims_of_file(file)]
    known = claims_of_notes() if ids or not files else ()
    selected = (
        {place: None for name in ids for place in _meaning(name, known)}
        if names
        else dict.fromkeys(equations())
    )
    wanted = [entry for entry in known if entry.id in selected or equation_of(entry.id) in selected]
    with _interruptible() as check:
        judged = audit([*wanted, *own], _progress(len(wanted) + len(own), check))
    broken = [record for record in judged[len(wanted) :] if record.raised]
    if broken:
        raise ValueError(f"{broken[0].raised} (claim {broken[0].id})")
    steps = [id for id in selected if id not in equations()]
    places = [id for id in selected if id in equations()]
    return [
        *records(judged[: len(wanted)], places),
        *[record for record in judged[: len(wanted)] if record.id in steps and record.equation not in places],
        *judged[len(wanted) :],
    ]


def _is_file(name: str) -> bool:
    return name.endswith(".py") or (name not in equations() and Path(name).is_file())


def _meaning(name: str, known: Iterable[Entry]) -> list[str]:
    """Return the ids of equations or steps that a name means; LookupError, with near matches, for none."""
    ids = dict.fromkeys([*equations(), *(entry.id for entry in known)])
    if name in ids:
        return [name]
    note = [id for id in equations() if id.startswith(f"{name}/")]
    if note:
        return note
    notes = dict.fromkeys(id.split("/")[0] for id in equations())
    near = difflib.get_close_matches(name, [*ids, *notes], n=3, cutoff=0.4)
    raise LookupError(f"no equation {name!r}" + (f"; near: {', '.join(near)}" if near else ""))


def _as_json(found: Sequence[Record]) -> str:
    return (
        json.dumps([record.as_json() for record in found], indent=1, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


def _refuse(error: Exception) -> int:
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    print(f"vbref: {' '.join(text.split())}", file=sys.stderr)
    return 2


def has_colour() -> bool:
    """True on a terminal, unless NO_COLOR or TERM=dumb says otherwise."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Yield a check that raises KeyboardInterrupt if Ctrl-C was pressed before and came to nothing.

    An extension module that is being imported turns the exception into an ImportError, which the judge takes
    for the claim's own.
    """
    pressed = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, before)


def _progress(total: int, check: Callable[[], None]) -> Callable[[Entry], None]:
    """Return what is called before each entry: it checks, and on a terminal rewrites one line."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    done = 0

    def step(entry: Entry) -> None:
        nonlocal done
        check()
        done += 1
        # the cursor goes back, so that whatever is printed next covers the line
        end = "\r\x1b[K" if done == total else "\r"
        if shown:
            print(f"\x1b[K{done:4}/{total}  {entry.id}", end=end, file=sys.stderr, flush=True)

    return step
