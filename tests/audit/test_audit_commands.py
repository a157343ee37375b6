"""`vbref audit` and `vbref show`, and the notes' claims as they stand."""

import argparse
import json

import pytest

from vbref.audit import claims_of_file, claims_of_notes, equations
from vbref.audit.commands import add_parsers
from vbref.audit.registry import equation_of

FIELDS = {
    "id": str,
    "note": str,
    "equation": str,
    "statement": str,
    "verdict": str,
    "corrected": (str, type(None)),
    "domain": str,
    "oracles": list,
    "instances": int,
    "max_error": (float, type(None)),
    "counterexample": (dict, type(None)),
}
SEVERITY = ["definition", "not-checkable", "holds", "holds-up-to-constant", "notation", "misprint"]

CLAIMS = """
from vbref.audit import Case, Claim, oracles

claim = Claim(
    "mine/1",
    statement="E z^2",
    verdict="{verdict}",
    domain="any normal",
    draw=lambda rng: Case(loc=rng.normal(), scale=rng.uniform(0.5, 2.0)),
    printed=lambda w: {printed},
    oracles={{
        "Gauss-Hermite": lambda w: oracles.normal_mean(lambda z: z**2, w.loc, w.scale),
        "adaptive": lambda w: oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale),
    }},
)
"""


def run(*argv):
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args([str(word) for word in argv])
    return args.run(args)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The audit of all notes, once: its exit status and its records."""
    file = tmp_path_factory.mktemp("audit") / "records.json"
    return run("audit", "--json", file), json.loads(file.read_text(encoding="utf-8"))


def test_every_computed_verdict_of_the_notes_is_the_recorded_one(whole):
    status, records = whole
    recorded = {entry.id: entry.verdict for entry in claims_of_notes()}
    assert status == 0
    assert {r["id"]: r["verdict"] for r in records if r["id"] in recorded} == recorded


def test_every_equation_has_a_record_of_the_designed_fields(whole):
    records = {record["id"]: record for record in whole[1]}
    assert set(equations()) <= set(records)
    for record in records.values():
        assert list(record)[: len(FIELDS)] == list(FIELDS)
        assert all(isinstance(record[name], kind) for name, kind in FIELDS.items()), record["id"]
        assert record["note"] == record["id"].split("/")[0]


def test_an_equation_has_the_worst_verdict_of_its_steps(whole):
    records = {record["id"]: record for record in whole[1]}
    for id in equations():
        steps = [r["verdict"] for r in records.values() if r["equation"] == id and r["id"] != id]
        if steps:
            assert records[id]["verdict"] == max(steps, key=SEVERITY.index), id


def test_the_first_thirty_six_of_xu_are_judged(whole):
    verdicts = {record["id"]: record["verdict"] for record in whole[1]}
    wanted = [*(f"xu/{n}" for n in range(1, 37)), "xu/U1", "xu/U2"]
    assert [id for id in wanted if verdicts[id] == "not yet judged"] == []


def test_every_misprint_has_a_correction_and_numbers_that_differ(whole):
    for record in whole[1]:
        if record["verdict"] == "misprint":
            assert record["corrected"], record["id"]
            assert record["counterexample"]["printed"] != record["counterexample"]["true"], record["id"]


def test_what_is_not_judged_yet_is_counted_aloud(capsys):
    run("audit", "xu")
    judged = {equation_of(entry.id) for entry in claims_of_notes()}
    waiting = [id for id in equations() if id.startswith("xu/") and id not in judged]
    said = capsys.readouterr().out
    assert (f"{len(waiting)} not yet judged" in said) == bool(waiting)


def test_show_has_verdict_numbers_and_the_code(capsys):
    assert run("show", "xu/34") == 0
    page = capsys.readouterr().out
    for part in (r"\sigma_p^2", "xu/34d: holds", "vbref.kl.normal", "def normal(", "worked, on"):
        assert part in page
    assert run("show", "xu/35b") == 0
    assert "μ = 2, σ = 1: printed 1, true 2" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["audit", "show"])
def test_an_unknown_equation_is_bad_usage_in_one_line(verb, capsys):
    assert run(verb, "xu/3z") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "xu/3" in said.err


def test_a_step_and_a_note_may_be_named(capsys):
    assert run("audit", "xu/35b") == 0
    assert "xu/35b" in capsys.readouterr().out


def test_a_user_s_own_claims_are_judged_by_the_same_rules(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(CLAIMS.format(verdict="holds", printed="w.loc**2 + w.scale**2"), encoding="utf-8")
    assert [claim.id for claim in claims_of_file(file)] == ["mine/1"]
    assert run("audit", file) == 0
    file.write_text(CLAIMS.format(verdict="holds", printed="w.loc**2 + w.scale"), encoding="utf-8")
    assert run("audit", file) == 1
    assert "FAILED mine/1" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["x = 1\n", "x = (\n", "raise KeyError('no')\n", "undefined\n"])
def test_a_file_without_claims_or_with_an_error_is_bad_usage(tmp_path, text, capsys):
    file = tmp_path / "broken.py"
    file.write_text(text, encoding="utf-8")
    assert run("audit", file) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run("audit", tmp_path / "none.py") == 2


def test_narrow_terminals_get_a_list(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert run("audit", "xu/35") == 0
    said = capsys.readouterr().out
    assert "misprint" in said
    assert "\x1b" not in said
    assert max(map(len, said.split("Misprints")[0].splitlines())) <= 40


def test_show_takes_a_whole_note(capsys):
    assert run("show", "xu/22", "xu/34") == 0
    both = capsys.readouterr().out
    assert both.index("xu/22: holds") < both.index("xu/34: holds")
