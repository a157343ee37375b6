"""A user's own claims: the example that ships, and one clear line for whatever is wrong with a file."""

import textwrap
from pathlib import Path

import pytest

import vbref.audit
from vbref.audit import audit, claims_of_file
from vbref.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "renyi.py"
CLAIM = """from vbref.audit import Case, Claim, oracles

claim = Claim(
    "mine/1",
    statement="E z^2 = \\\\mu^2 + \\\\sigma^2",
    domain="any normal",
    draw=lambda rng: Case(loc=rng.normal(), scale=rng.uniform(0.5, 2.0)),
    printed=lambda w: {printed},
    oracles={{
        "Gauss-Hermite": lambda w: oracles.normal_mean(lambda z: z**2, w.loc, w.scale),
        "adaptive": lambda w: oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale),
    }},
)
"""
TRUE = CLAIM.format(printed="w.loc**2 + w.scale**2")


def test_the_example_is_judged_as_it_says(capsys):
    judged = {record.id: record for record in audit(claims_of_file(EXAMPLE))}
    assert {id: record.verdict for id, record in judged.items()} == {
        "li2016/monotone": "holds",
        "li2016/evidence": "holds",
        "li2016/elbo": "holds",
        "li2016/misquoted": "misprint",
        "dieng2017/upper": "holds",
        "dieng2017/gap": "holds",
    }
    assert [record.failures for record in judged.values()] == [[]] * 6
    shown = judged["li2016/misquoted"].counterexample
    assert shown["printed"] == pytest.approx(1.0986122886681098)  # log 3
    assert shown["true"] == pytest.approx(-0.916290731874155)  # −log 5/2
    assert main(["audit", str(EXAMPLE)]) == 0
    assert "li2016/misquoted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("was", "planted"),
    [
        ("w.q * weights(w) ** (1 - alpha)", "w.q * weights(w) ** alpha"),
        ("np.log1p(chi_squared(w)) / 2", "np.log1p(chi_squared(w))"),
        ('relation=">="', 'relation="<="'),
        (
            "np.log(np.sum(w.world.q * weights(w.world) ** 2)) / 2",
            "np.log(np.sum(w.world.q * weights(w.world) ** 2)) / 3",
        ),
    ],
)
def test_a_mistake_in_the_example_is_found(tmp_path, was, planted, capsys):
    text = EXAMPLE.read_text(encoding="utf-8")
    assert was in text
    file = tmp_path / "planted.py"
    file.write_text(text.replace(was, planted), encoding="utf-8")
    assert main(["audit", str(file)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_a_false_claim_fails_with_its_numbers(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(CLAIM.format(printed="w.loc**2 + w.scale"), encoding="utf-8")
    assert main(["audit", str(file)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILED mine/1: the printed form is false" in said
    assert (
        "(loc = -0.124677, scale = 1.78194): printed 1.79749, Gauss-Hermite 3.19086, adaptive 3.19086" in said
    )


def test_any_file_that_exists_holds_claims_and_may_import_its_neighbours(tmp_path, capsys):
    (tmp_path / "neighbour_of_claims.py").write_text(TRUE, encoding="utf-8")
    (tmp_path / "claims").write_text("from neighbour_of_claims import claim\n", encoding="utf-8")
    assert main(["audit", str(tmp_path / "claims"), "xu/35"]) == 0
    said = capsys.readouterr().out
    assert "mine" in said
    assert "xu/35b" in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = (\n", ":1: SyntaxError: '(' was never closed"),
        ("\ndef f():\n    return {}['a']\n\nf()\n", ":3: KeyError: 'a'"),
        ("import sys\nsys.exit(0)\n", ":2: SystemExit: 0"),
        ("import no_such_module\n", ":1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('one\\ntwo')\n", ":1: ValueError: one two"),
        ("from vbref.audit import Claim\nClaim('mine/1')\n", ":2: TypeError"),
        ("x = 1\n", ": declares no claims"),
        (
            f"{TRUE}again = Claim('mine/1', statement='', domain='', draw=0, oracles={{}})\n",
            ":14: claimed twice: mine/1",
        ),
        (CLAIM.format(printed="1 / 0"), ":8: ZeroDivisionError: division by zero (claim mine/1)"),
        (CLAIM.format(printed="w.size"), ":8: AttributeError: 'Case' object has no attribute 'size'"),
    ],
)
def test_a_broken_file_is_one_line_with_its_place(tmp_path, text, line, capsys):
    file = tmp_path / "broken.py"
    file.write_text(text, encoding="utf-8")
    assert main(["audit", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"{file}{line}" in said.err


def test_what_cannot_be_read_is_one_line(tmp_path, capsys):
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "none.py", tmp_path, binary):
        name = str(file) if file.suffix else f"{file}.py"
        assert main(["audit", name]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert name in said


def test_a_helper_in_the_next_file_is_shared_code_too(tmp_path, capsys):
    (tmp_path / "helper_of_claims.py").write_text("def square(w):\n    return w.loc**2 + w.scale**2\n")
    file = tmp_path / "mine.py"
    text = CLAIM.format(printed="square(w)").replace(
        "oracles.normal_mean_adaptive(lambda z: z**2, w.loc, w.scale)", "square(w)"
    )
    file.write_text(f"from helper_of_claims import square\n{text}", encoding="utf-8")
    assert main(["audit", str(file)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "not independent: oracle 'adaptive' and the printed form share square" in said


def test_the_docstring_s_claim_holds():
    listing = vbref.audit.__doc__.partition("as the notes:\n")[2].partition("\nThe file")[0]
    names = {}
    exec(textwrap.dedent(listing), names)
    (record,) = audit([names["second_moment"]])
    assert (record.verdict, record.failures) == ("holds", [])


def test_everything_public_is_in_the_docstring():
    assert [name for name in vbref.audit.__all__ if f"`{name}" not in vbref.audit.__doc__] == []
