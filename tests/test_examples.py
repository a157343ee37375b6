"""The examples run, and what they print is true."""

import importlib.util
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def meanfield():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    spec = importlib.util.spec_from_file_location("meanfield_example", EXAMPLES / "meanfield.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(text, before):
    """Those that follow each of `before`, in order."""
    return [float(found) for found in re.findall(re.escape(before) + r" ?(-?\d+\.\d+)", text)]


def test_the_table_and_the_normal(meanfield, tmp_path, capsys):
    meanfield.finite_table(tmp_path)
    meanfield.gaussian(tmp_path)
    said = capsys.readouterr().out
    better, worse = numbers(said, "bound")
    assert worse < better - 0.1
    assert numbers(said, "the error by") == numbers(said, "ρ² =") == [0.81]
    assert numbers(said, "KL(q ‖ p) =") == numbers(said, "−½ log(1 − ρ²) =")
    assert (tmp_path / "gaussian.png").stat().st_size > 10_000


def test_curie_and_weiss(meanfield, tmp_path, capsys):
    meanfield.curie_weiss(tmp_path, n=6)
    said = capsys.readouterr().out
    found, predicted = numbers(said, ": m =")[:4], numbers(said, "tanh(βJ m) =")  # the fifth is exact
    assert found == pytest.approx(predicted, abs=2e-4)
    assert max(found[:2]) < 1e-3 < 0.3 < min(found[2:])
    assert (tmp_path / "curie-weiss.png").stat().st_size > 10_000


def test_the_amortisation_gap(meanfield, tmp_path, capsys):
    meanfield.amortisation(tmp_path, rows=25)
    seen = re.findall(r"seen: (\S+) ± (\S+)", capsys.readouterr().out)
    assert len(seen) == 2
    assert all(float(gap) > 3 * float(error) for gap, error in seen)


def test_old_faithful_by_ascent_and_by_steps(meanfield, tmp_path, capsys):
    meanfield.old_faithful(tmp_path)
    meanfield.in_steps(tmp_path)
    said = capsys.readouterr().out
    _, stochastic = numbers(said, "bound")
    assert stochastic == pytest.approx(numbers(said, "coordinate ascent has")[0], abs=0.1)
    assert numbers(said, "the means differ by") == [0.0]
    for name in ("bound", "mixture", "stochastic"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
