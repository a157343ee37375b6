"""`vbref audit --power`: each operator makes what it says, a weak test lets a mutant live and it is named."""

import argparse
import ast
import pathlib
import time
import types
from importlib import import_module

import pytest

from vbref.audit import judge
from vbref.audit.claim import Claim
from vbref.audit.commands import add_parsers
from vbref.audit.power import compiled, equivalents, modules, operators, run
from vbref.audit.power.forks import TIMED_OUT, Task, limit_cpu, run_all
from vbref.audit.power.install import CannotInstall, claims_in, install
from vbref.audit.power.modules import formula_modules
from vbref.audit.power.mutants import Source
from vbref.audit.power.report import rate, report
from vbref.audit.registry import claims_of_notes

TESTS = pathlib.Path(__file__).parents[1]

MADE = {
    "sign": ("a - b", ["a + b"]),
    "sign ": ("-a", ["a"]),
    "dropped_term": ("a - b", ["a", "-b"]),
    "dropped_factor": ("x * x / v", ["x * x"]),
    "dropped_factor ": ("half * z", ["half", "z"]),
    "lost_power": ("scale ** 2", ["scale"]),
    "lost_function": ("math.log1p(x)", ["x", "math.log(x)"]),
    "swapped_arguments": ("kl(q, p)", ["kl(p, q)"]),
    "swapped_arguments ": (
        "kl(a, b, c, d)",
        ["kl(b, a, c, d)", "kl(a, c, b, d)", "kl(a, b, d, c)", "kl(c, d, a, b)"],
    ),
    "extremum": ("np.maximum", ["np.minimum"]),
    "sum_for_mean": ("w.sum(axis=0)", ["w.mean(axis=0)"]),
    "off_by_one": ("total / (K)", ["total / (K + 1)", "total / (K - 1)"]),
    "off_by_one ": ("range(1, n)", ["range(1, n - 1)", "range(1 + 1, n)"]),
    "constant": ("0.5", ["1.0"]),
    "constant ": ("12.0", ["24.0"]),
    "flipped_condition": ("a if x else b", ["b if x else a"]),
}


def source(text):
    return Source("planted", text)


@pytest.mark.parametrize("name", MADE)
def test_each_operator_makes_what_it_says(name):
    text, wanted = MADE[name]
    made = getattr(operators, name.strip())(ast.parse(text, mode="eval").body)
    assert [ast.unparse(node) for node in made] == [ast.unparse(ast.parse(text)) for text in wanted]


def test_operators_on_statements():
    text = "def kl(a_q, a_p):\n    'Words.'\n    t = 0.0\n    t += a_q\n    return t, a_p\n"
    made = {(m.operator, m.after) for m in source(text).mutants}
    assert {
        ("swapped_roles", "def kl(a_q, a_p): a_q, a_p = (a_p, a_q)"),
        ("sign", "t -= a_q"),
        ("dropped_term", "pass"),
        ("sign", "return (-t, a_p)"),
        ("sign", "return (t, -a_p)"),
        ("constant", "t = 1.0"),
    } == made


def test_words_and_refusals_are_no_formulas():
    text = (
        '"""1 + 1"""\nimport math\n\ndef f(x: int = 1 + 1):\n    """2 * 2."""\n'
        "    if x < 3:\n        raise ValueError(f'{x + 1} must be {1 + 2}')\n    return x[-1]\n"
    )
    assert {m.after for m in source(text).mutants} == {"return -x[-1]"}


EFFORT = [
    "_MOST = 9\ndef f(x):\n    return x < _MOST\n",
    "def f(x):\n    for _ in range(60):\n        pass\n",
    "def f(x):\n    return [x for _ in range(60)]\n",
    "def f(x):\n    return {x: quad(x, nodes=4, epsabs=1e-9)}\n",
    "def f(x):\n    z, w = np.polynomial.legendre.leggauss(40)\n",
    "def f(x):\n    return {x: x.sum() > 0}\n",
    "def f(x):\n    return _on_cuda(x + 1)\n\n\ndef g_cuda(x):\n    return 1 + x\n",
    "def f(x):\n    near = type(x)(0.1)\n    return {x: x < near * 0.5}\n",
]


@pytest.mark.parametrize("text", EFFORT)
def test_effort_and_thresholds_are_no_formulas(text):
    assert [m.after for m in source(text).mutants] == []


def test_what_guards_a_divisor_is_no_formula():
    made = source("def f(x):\n    y = [np.where(x > 0, x, 1.0), np.maximum(x, 1e-300)]\n").mutants
    assert "constant" not in {m.operator for m in made}
    assert "constant" in {
        m.operator for m in source("def f(x):\n    y = np.where(x > 0, 2 * x, 1.0)\n").mutants
    }


def test_what_looks_like_effort_and_is_used_is_mutated():
    used = source("_MOST = 9\ndef f(x):\n    return [x < _MOST, _MOST]\n").mutants
    assert {m.after for m in used} == {"_MOST = 8"}
    loop = source("def f(x):\n    for i in range(60):\n        pass\n").mutants
    assert {m.after for m in loop} == {"for i in range(59)", "for i in range(60 - 1)"}


def test_a_grid_is_effort_in_the_audit_alone():
    text = "def f(x):\n    z = np.linspace(0.0, 9.0, 601)\n"
    assert Source("vbref.audit.worlds_planted", text).mutants == []
    assert source(text).mutants != []


def test_a_mutant_computes_the_mistake_and_leaves_the_source_as_it_was():
    planted = source("def f(a, b):\n    return a - b\n")
    values = {}
    for mutant in planted.mutants:
        space = {}
        exec(planted.code(mutant), space)
        values[mutant.after] = space["f"](5, 3)
    assert values == {"return -(a - b)": -2, "return a + b": 8, "return a": 5, "return -b": -3}
    assert ast.unparse(planted.tree) == "def f(a, b):\n    return a - b"
    assert "return a + b" in planted.text(planted.mutants[1])


def test_a_mutant_is_named_by_its_statement_so_that_other_edits_leave_it_be():
    one, two = source("def f(a):\n    return a + a\n"), source("x = 3\n\n\ndef f(a):\n    return a + a\n")
    keys = [m.key for m in one.mutants]
    assert len(set(keys)) == len(keys)
    assert keys == [m.key for m in two.mutants if m.function == "f"]


def test_of_a_claim_the_formulas_are_mutated_and_not_the_draw():
    text = (
        "CLAIMS = [Claim('mine/1', draw=lambda rng: Case(s=1 + rng.normal()), tolerance=0.5,\n"
        "    printed=lambda w: half(w) + w.s, oracles={'one': lambda w: 2 * w.s})]\n"
        "def half(w):\n    return w.s / 2\ndef unused(w):\n    return w.s + 1\n"
    )
    made = source(text).mutants
    assert {m.function for m in made} == {"mine/1 printed", "mine/1 oracles", "half"}


def judged(tmp_path, test):
    file = tmp_path / "test_planted.py"
    file.write_text(f"from vbref.numerics.special import trigamma_times\n\n\ndef test_it():\n    {test}\n")
    mutants = [m for m in run.source("vbref.numerics.special").mutants if m.function == "trigamma_times"]
    return [outcome for outcome, _ in run.judged(mutants, [str(file)], jobs=2)]


def test_a_weak_test_lets_mutants_live_and_they_are_listed(tmp_path):
    weak = judged(tmp_path, "assert trigamma_times(0.0, 3.0) == 0")
    text = report(weak)
    assert rate(weak) < 0.5
    assert "survived: vbref/numerics/special.py" in text
    assert "trigamma_times, dropped_factor" in text


def test_a_strong_test_kills_them_all(tmp_path):
    exact = "{(2.0, 0.5): 2 * 4.934802200544679, (2.0, 3.0): 2 * 0.3949340668482264, (1e-30, 1e-160): 1e290}"
    strong = judged(
        tmp_path, f"assert all(abs(trigamma_times(d, x) - y) < 1e-13 * y for (d, x), y in {exact}.items())"
    )
    assert [outcome.mutant.key for outcome in strong if outcome.status != "killed"] == []


def test_a_sample_of_formulas_is_killed_by_their_tests():
    mutants = run.sample(run.select(["vbref.nn.layers"]), 10, seed=1)
    outcomes = [outcome for outcome, _ in run.judged(mutants, [str(TESTS / "nn" / "test_layers.py")], jobs=2)]
    reviewed = {entry.mutant for entry in equivalents.equivalents()}
    assert {outcome.mutant.key for outcome in outcomes if outcome.status != "killed"} <= reviewed
    assert len(outcomes) == 10


@pytest.mark.parametrize("seed", range(3))
def test_a_mutant_of_a_claim_changes_its_verdict(seed):
    (mutant,) = run.sample(run.select(["xu/34"]), 1, seed)
    code = run.source(mutant.module).code(mutant)
    entries = {entry.id: entry for entry in claims_in(import_module(mutant.module), code)}
    assert judge(entries[mutant.function.split(" ")[0]]).failures


def test_every_reviewed_equivalent_is_still_a_mutant_and_has_a_proof():
    entries = equivalents.equivalents()
    named = {entry.module for entry in entries}
    mutants = [mutant for module in sorted(named) for mutant in run.source(module).mutants]
    assert [entry.mutant for entry in equivalents.stale(mutants, named)] == []
    assert all(entry.why for entry in entries)
    assert len({entry.mutant for entry in entries}) == len(entries)


def test_a_test_that_fails_on_the_right_code_kills_nothing(monkeypatch):
    mutant = run.source("vbref.bounds").mutants[0]
    left = ["tests/sound.py::test", "tests/broken.py::test"]
    asked = []
    monkeypatch.setattr(run, "judged", lambda *_: [(run.Outcome(mutant, "survived", ""), left)])
    monkeypatch.setattr(run, "passing", lambda tests: (left[:1], 1.0))
    monkeypatch.setattr(run, "killed_by", lambda source, mutant, tests, limit: asked.extend(tests) or "")
    with pytest.warns(RuntimeWarning, match="fails by itself: tests/broken.py::test"):
        (outcome,) = run.measure([mutant], 1)
    assert outcome.status == "survived"
    assert asked == left[:1]


def test_a_survivor_is_asked_of_its_own_files_compiled_too(monkeypatch):
    mutant = run.source("vbref.evaluate.ais").mutants[0]
    asked = []
    monkeypatch.setattr(run, "judged", lambda *_: [(run.Outcome(mutant, "survived", ""), [])])
    monkeypatch.setattr(run, "passing", lambda files: (asked.extend(files) or ["own.py::test"], 1.0))
    monkeypatch.setattr(run, "killed_by", lambda source, mutant, tests, limit: tests[0])
    (outcome,) = run.measure([mutant], 1)
    assert (outcome.status, outcome.by) == ("killed", "own.py::test")
    assert asked
    assert not any(pathlib.Path(name).is_absolute() for name in asked)  # they run in a copy
    assert all("ais" in pathlib.Path(name).stem and (TESTS.parent / name).is_file() for name in asked)


def test_tests_that_are_not_there_kill_nothing():
    source = run.source("vbref.bounds")
    with pytest.raises(RuntimeError, match="could not run the tests"):
        compiled.killed_by(source, source.mutants[0], ["tests/test_nothing.py::test"], 60.0)


def test_every_published_mistake_can_be_planted():
    from vbref.audit.power.published import PUBLISHED

    made = [m for name in {p.module for p in PUBLISHED} for m in run.source(name).mutants]
    assert sum(m.operator.startswith("published") for m in made) == len(PUBLISHED)


def test_every_misprint_says_what_the_printed_form_is_so_that_a_slip_in_transcribing_it_is_seen():
    misprints = [e for e in claims_of_notes() if isinstance(e, Claim) and e.verdict == "misprint"]
    assert [claim.id for claim in misprints if "=" not in {aside.relation for aside in claim.asides}] == []


def test_every_room_of_formulas_has_tests():
    for room in {modules.room_of(name) for name in formula_modules()}:
        assert room == "audit.claims" or modules.tests_of(room, TESTS), room


def vbref(*argv):
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(list(argv))
    return args.run(args)


def test_what_names_no_formula_is_bad_usage(capsys):
    assert vbref("audit", "--power", "nonsense") == 2
    assert capsys.readouterr().err == "vbref: no formula to mutate in 'nonsense'\n"


def test_without_a_checkout_it_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(run, "tests_folder", lambda: None)
    assert vbref("audit", "--power", "vbref.kl.normal", "--sample", "1") == 2
    assert "in the source checkout only" in capsys.readouterr().err


def test_survivors_make_the_exit_status_1(monkeypatch, capsys):
    monkeypatch.setattr(
        run, "measure", lambda mutants, jobs, progress: [run.Outcome(mutants[0], "survived", "")]
    )
    assert vbref("audit", "--power", "vbref.kl.normal") == 1
    assert "survived: vbref/kl/normal.py" in capsys.readouterr().out


def test_an_interrupt_reports_what_was_judged_and_exits_130(monkeypatch, capsys):
    def interrupted(mutants, jobs, progress):
        yield run.Outcome(mutants[0], "killed", "a test")
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "measure", interrupted)
    assert vbref("audit", "--power", "vbref.kl.normal") == 130
    said = capsys.readouterr()
    assert said.err.startswith("\nvbref: interrupted after 1 of ")
    assert "vbref.kl.normal" in said.out


def test_the_table_goes_by_room_and_module():
    mutants = run.select(["vbref.nn.layers"])[:1] + run.select(["vbref.nn.mlp"])[:2]
    rows = report([run.Outcome(m, "killed", "a test") for m in mutants]).splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [
        ["vbref.nn", "3"],
        ["vbref.nn.layers", "1"],
        ["vbref.nn.mlp", "2"],
        ["all", "3"],
    ]


def test_a_method_that_loses_its_call_of_super_is_installed_too(tmp_path, monkeypatch):
    text = (
        "class A:\n    def f(self, a, *, b=1):\n        return a\n"
        "class B(A):\n    def f(self, a, *, b=1):\n        return super().f(a) + b\n"
    )
    (tmp_path / "planted_super.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    planted = Source("planted_super", text, str(tmp_path / "planted_super.py"))
    module = import_module("planted_super")
    kept = module.B()
    assert kept.f(5) == 6
    by_name = {m.after: m for m in planted.mutants}
    for after, value in {"return super().f(a) - b": 4, "return b": 1}.items():
        install(module, planted.code(by_name[after]))
        assert kept.f(5) == value, after


def test_a_stand_in_for_an_imported_module_stays(tmp_path, monkeypatch):
    """Numba's `math`, put in the place of Python's, outlives a mutant: else any overflow would kill it."""
    text = "import math\ndef f(x):\n    return math.log(x) + 1\n"
    (tmp_path / "planted_math.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    planted = Source("planted_math", text, str(tmp_path / "planted_math.py"))
    module = import_module("planted_math")
    monkeypatch.setattr(module, "math", types.SimpleNamespace(log=lambda x: -float("inf")))
    (mutant,) = (m for m in planted.mutants if m.after == "return math.log(x) + 2")
    install(module, planted.code(mutant))
    assert module.f(0) == -float("inf")


def test_what_a_decorator_wraps_is_mutated_too(tmp_path, monkeypatch):
    text = (
        "import contextlib, functools\n@contextlib.contextmanager\ndef quiet():\n    yield\n"
        "class A:\n    @quiet()\n    def f(self, a, b):\n        return a - b\n"
        "    @functools.cached_property\n    def g(self):\n        return 1 + 1\n"
        "@functools.cache\ndef h(a):\n    return a + 1\n"
    )
    (tmp_path / "planted_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    planted = Source("planted_module", text, str(tmp_path / "planted_module.py"))
    module = import_module("planted_module")
    kept, by_name = module.A(), {m.after: m for m in planted.mutants}
    assert module.h(1) == 2
    for after, value in {
        "return a + b": lambda: kept.f(5, 3) == 8,
        "return 2 + 1": lambda: module.A().g == 3,
        "return a - 1": lambda: module.h(1) == 0,
    }.items():
        install(module, planted.code(by_name[after]))
        assert value(), after
    with pytest.raises(CannotInstall):
        install(module, planted.code(by_name["return a - 1"]))


@pytest.mark.parametrize("limited", [True, False])
def test_what_takes_too_long_is_ended_by_its_own_limit_or_the_task_s(limited):
    def spin():
        if limited:
            limit_cpu(0.2)
        while True:
            pass

    start = time.monotonic()
    ((task, result),) = run_all([Task("spin", spin, 60.0 if limited else 1.0)], jobs=1)
    assert (task.name, result) == ("spin", TIMED_OUT)
    assert time.monotonic() - start < 30


def test_a_limit_is_from_now_on():
    def work():
        limit_cpu(0.2)
        limit_cpu(60.0)
        end = time.process_time() + 0.4
        while time.process_time() < end:
            pass
        return "done"

    assert [result for _, result in run_all([Task("work", work, 60.0)], jobs=1)] == ["done"]
