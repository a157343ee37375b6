"""The engine: what it records, when it stops, what it refuses."""

import importlib.util
import io
import pickle
from contextlib import nullcontext

import numpy as np
import pytest

from vbref.meanfield.engine import ROUNDING_ULPS, Ascent, Bound, BoundFell, ascend, best_of


class Quadratic:
    """Coordinate ascent on −½ zᵀAz + bᵀz, whose optimum solves Az = b: Gauss–Seidel."""

    def __init__(self, wrong=1.0):
        self.a, self.b, self.z = np.array([[2.0, 1.2], [1.2, 1.0]]), np.array([1.0, -0.5]), np.zeros(2)
        self.updates = {"first": lambda: self.set(0, 1.0), "second": lambda: self.set(1, wrong)}

    def set(self, i, factor):
        self.z[i] = factor * (self.b[i] - self.a[i, 1 - i] * self.z[1 - i]) / self.a[i, i]

    def bound(self):
        return float(self.b @ self.z - 0.5 * self.z @ self.a @ self.z)


def test_converges_and_records_every_update():
    model = Quadratic()
    ascent = ascend(model.updates, model.bound, tol=0.0)
    np.testing.assert_allclose(model.z, np.linalg.solve(model.a, model.b), rtol=1e-7)
    assert ascent.converged
    assert [row.factor for row in ascent.history] == ["first", "second"] * ascent.sweeps
    assert [row.sweep for row in ascent.history[:4]] == [1, 1, 2, 2]
    assert ascent.bound == ascent.history[-1].bound == model.bound()


def test_stops_at_the_relative_tolerance_and_not_before():
    model = Quadratic()
    ascent = ascend(model.updates, model.bound, tol=1e-4)
    ends = np.array([row.bound for row in ascent.history if row.factor == "second"])
    small = np.abs(np.diff(ends)) <= 1e-4 * np.maximum(np.abs(ends[1:]), 1)
    assert small[-1]
    assert not small[:-1].any()


def test_a_bound_near_zero_stops_at_the_tolerance_in_nats():
    values = iter([-0.1, -1e-5, -1e-6, -1e-7])
    ascent = ascend({"only": lambda: None}, lambda: next(values), tol=1e-4)
    assert ascent.converged
    assert ascent.sweeps == 3


def test_reports_the_factor_that_lowered_the_bound():
    model = Quadratic(wrong=2.5)
    with pytest.raises(BoundFell, match="'second' lowered the bound") as caught:
        ascend(model.updates, model.bound)
    assert caught.value.factor == "second"
    assert caught.value.after < caught.value.before
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.factor, again.before, again.after) == ("second", caught.value.before, caught.value.after)


def test_inexact_updates_may_fall_when_asked_to():
    model = Quadratic(wrong=1.9)
    assert not ascend(model.updates, model.bound, max_iter=5, monotone=False).converged


def test_rounding_is_forgiven_and_no_more():
    values = iter([1.0, 1.0 - 1e-13, 1.0 - 1e-12])
    with pytest.raises(BoundFell):
        ascend({"q": lambda: None}, lambda: Bound(next(values), 1.0), tol=0.0)


@pytest.mark.parametrize("magnitudes", [(100.0, 1.0), (1.0, 100.0)])
def test_the_rounding_of_both_bounds_is_forgiven(magnitudes):
    unit = ROUNDING_ULPS * 2.0**-52
    for drop, falls in ((100.5 * unit, False), (101.5 * unit, True)):
        bounds = iter([Bound(1.0, magnitudes[0]), Bound(1.0 - drop, magnitudes[1])])
        with pytest.raises(BoundFell) if falls else nullcontext():
            ascend({"q": lambda: None}, lambda bounds=bounds: next(bounds), tol=1.0)


def test_a_bound_of_no_magnitude_has_its_own():
    values = iter([1e-14, 0.0])
    with pytest.raises(BoundFell):
        ascend({"q": lambda: None}, lambda: next(values))


def test_an_ascent_that_has_done_nothing():
    assert (Ascent().bound, Ascent().sweeps) == (-np.inf, 0)


def test_a_plain_number_is_as_rough_as_its_size_whatever_its_sign():
    values = iter([-1.0, -1.0 - 1e-15])
    assert ascend({"q": lambda: None}, lambda: next(values), tol=1e-9).converged


def test_before_any_update_the_bound_is_minus_infinity():
    assert Ascent().bound == -np.inf


def test_a_bound_that_is_not_finite_is_named():
    with pytest.raises(FloatingPointError, match="nan after the update of 'q'"):
        ascend({"q": lambda: None}, lambda: np.nan)


@pytest.mark.parametrize("options", [{"tol": -1.0}, {"tol": np.nan}, {"max_iter": 0}, {"max_iter": 1.5}])
def test_limits_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ascend({"q": lambda: None}, lambda: 0.0, **options)


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_a_bar_is_shown_where_it_is_asked_for_and_can_be(monkeypatch, progress, terminal, installed):
    if installed:
        pytest.importorskip("tqdm", reason="the bar is tqdm's")
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    screen = Screen(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    ascend({"q": lambda: None}, lambda: -1.25, tol=0.0, max_iter=7, progress=progress)
    if progress and terminal and installed:
        assert "2/7" in screen.getvalue()
        assert "bound=-1.2500" in screen.getvalue()
    else:
        assert not screen.getvalue()


def test_no_updates():
    with pytest.raises(ValueError, match="updates"):
        ascend({}, lambda: 0.0)


class Attempt:
    def __init__(self, rng):
        self.bound = rng.random()


def test_best_of_keeps_the_best_and_the_first_attempts_draws():
    drawn = [Attempt(child).bound for child in np.random.default_rng(3).spawn(5)]
    assert best_of(Attempt, 5, np.random.default_rng(3)).bound == max(drawn)
    assert best_of(Attempt, 2, np.random.default_rng(3)).bound == max(drawn[:2])
    with pytest.raises(ValueError, match="n_init"):
        best_of(Attempt, 0, np.random.default_rng(3))
