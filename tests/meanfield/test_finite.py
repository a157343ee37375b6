"""Any finite table against enumeration: values that a program with no algebra in common gives."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from vbref.meanfield import FiniteField, coordinate_ascent


def by_enumeration(log_joint, factors):
    """E_q[log p − log q], a Python loop over the states, with no array of states."""
    total = 0.0
    for z in itertools.product(*map(range, log_joint.shape)):
        q = math.prod(factor[i] for factor, i in zip(factors, z, strict=True))
        if q > 0:
            total += q * (log_joint[z] - math.log(q))
    return total


def random_table(seed, shape, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (2, 1, 4), (2, 3, 2, 2)])
def test_bound_and_evidence_by_enumeration(shape):
    table = random_table(0, shape) - 40
    model = coordinate_ascent(table, rng=1)
    assert model.elbo == pytest.approx(by_enumeration(table, model.factors), rel=1e-13)
    assert model.log_evidence == pytest.approx(math.log(math.fsum(np.exp(table).flat)), rel=1e-13)
    for exact, axis in zip(model.marginals, range(table.ndim), strict=True):
        others = tuple(k for k in range(table.ndim) if k != axis)
        np.testing.assert_allclose(exact, np.exp(table).sum(others) / np.exp(table).sum(), rtol=1e-12)


def test_a_bound_knows_the_size_of_its_addends():
    """E|log p| + Σ H + 1 a factor; −∞ where q has impossible states."""
    table, q = np.array([[-4.0, 3.0], [2.0, -1.0]]), np.array([0.5, 0.5])
    bound = FiniteField(table, [q, q]).evidence_bound()
    assert bound.value == pytest.approx(2 * np.log(2), rel=1e-14)
    assert bound.magnitude == pytest.approx(2.5 + 2 * np.log(2) + 2, rel=1e-14)
    assert FiniteField(np.where(table == 3, -np.inf, table), [q, q]).elbo == -np.inf


def test_it_starts_at_uniform_factors():
    table = random_table(7, (3, 4))
    started = coordinate_ascent(table, init=[np.full(3, 1 / 3), np.full(4, 1 / 4)])
    assert coordinate_ascent(table).history == started.history


def test_each_factor_is_the_equation():
    """q_j ∝ exp E_{−j} log p at the end, the expectation by a loop over the states of the others."""
    table = random_table(1, (3, 2, 4))
    model = coordinate_ascent(table, rng=0, tol=0.0)
    a, b, c = model.factors
    for j, q in enumerate(model.factors):
        log_q = np.zeros(table.shape[j])
        for z in itertools.product(*map(range, table.shape)):
            weight = math.prod(f[i] for k, (f, i) in enumerate(zip((a, b, c), z, strict=True)) if k != j)
            log_q[z[j]] += weight * table[z]
        np.testing.assert_allclose(q, np.exp(log_q) / np.exp(log_q).sum(), rtol=1e-6)


def test_the_first_sweep_from_uniform_by_hand():
    table = random_table(2, (3, 2))
    model = coordinate_ascent(table, max_iter=1)
    first = np.exp(table.mean(axis=1))
    first /= first.sum()
    second = np.exp(first @ table)
    np.testing.assert_allclose(model.factors[0], first, rtol=1e-13)
    np.testing.assert_allclose(model.factors[1], second / second.sum(), rtol=1e-13)


def test_a_table_of_independent_variables_has_no_gap():
    a, b, c = (random_table(k, n) for k, n in enumerate((2, 3, 4)))
    model = coordinate_ascent(a[:, None, None] + b[:, None] + c)
    assert model.gap == pytest.approx(0, abs=1e-14)
    for q, exact in zip(model.factors, model.marginals, strict=True):
        np.testing.assert_allclose(q, exact, rtol=1e-13)


def test_no_factors_nearby_are_better():
    """The optimum by a general optimiser, over softmax parameters, with its bound by enumeration."""
    table = random_table(3, (2, 3))

    def loss(logits):
        parts = [np.exp(part - np.logaddexp.reduce(part)) for part in np.split(logits, [2])]
        return -by_enumeration(table, parts)

    model = coordinate_ascent(table, rng=0, tol=0.0)
    found = minimize(loss, np.log(np.concatenate(model.factors)), tol=1e-12)
    assert model.elbo == pytest.approx(-found.fun, abs=1e-10)


def two_wells(deep, shallow):
    """Two bits that agree: p is large at (0, 0), less so at (1, 1), small where they differ."""
    return np.log([[deep, 0.001], [0.001, shallow]])


def test_converged_is_whether_the_last_sweep_stood_still():
    table = random_table(6, (2, 3, 2))
    model = coordinate_ascent(table, rng=0, tol=1e-6)
    assert model.converged
    assert not coordinate_ascent(table, rng=0, tol=1e-6, max_iter=model.ascent.sweeps - 1).converged


def test_a_local_optimum():
    """From a start beside the smaller mode coordinate ascent stays there, though the other is better."""
    table = two_wells(0.6, 0.398)
    near_shallow = coordinate_ascent(table, init=[[0.05, 0.95], [0.05, 0.95]])
    near_deep = coordinate_ascent(table, init=[[0.95, 0.05], [0.95, 0.05]])
    assert near_shallow.converged
    assert near_deep.converged
    assert near_shallow.factors[0][1] > 0.98
    # q sits on one mode alone, so that its gap is about −log of that mode's mass.
    assert near_shallow.gap == pytest.approx(-math.log(0.398), abs=0.02)
    assert near_deep.gap == pytest.approx(-math.log(0.6), abs=0.02)
    best = coordinate_ascent(table, rng=0, n_init=10)
    assert best.elbo == pytest.approx(near_deep.elbo, abs=1e-9)


def test_uniform_is_a_saddle_of_a_symmetric_table():
    table = two_wells(0.499, 0.499)
    assert coordinate_ascent(table).elbo < coordinate_ascent(table, rng=0).elbo - 0.5


def test_impossible_states_get_no_mass_and_agree_with_tiny_ones():
    table = random_table(4, (2, 3, 2))
    table[0, 1, 0] = table[1, 2, 1] = -np.inf
    model = coordinate_ascent(table, rng=3)
    product = np.einsum("i,j,k->ijk", *model.factors)
    assert product[np.isneginf(table)].max() == 0
    assert model.elbo == pytest.approx(by_enumeration(table, model.factors), rel=1e-13)
    nearly = np.where(np.isneginf(table), -1e9, table)
    again = coordinate_ascent(nearly, init=[q.copy() for q in model.factors])
    assert model.elbo == pytest.approx(again.elbo, rel=1e-12)


def test_a_constraint_that_no_uniform_start_can_meet():
    """z_0 ≠ z_1: the bound of any q of full support is −∞. What breaks the tie leads out of it."""
    tie = np.array([[-np.inf, 0.0], [0.0, -np.inf]])
    with pytest.raises(ValueError, match=r"mass 0\.5 of them"):
        coordinate_ascent(tie)
    assert coordinate_ascent(tie, rng=0).elbo == 0
    model = coordinate_ascent(tie + np.array([[0, 0.3], [-0.2, 0]]))
    assert model.elbo == 0.3
    np.testing.assert_array_equal(model.factors, [[1, 0], [0, 1]])


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e8]),
    holes=st.booleans(),
)
def test_bound_rises_and_stays_below_the_evidence(shape, seed, scale, holes):
    table = random_table(seed, shape, scale)
    if holes and table.size > 1:
        table[(0,) * table.ndim] = -np.inf
    model = coordinate_ascent(table, rng=seed, n_init=2)
    bounds = [row.bound for row in model.history]
    slack = 1e-13 * max(abs(model.finite).max(), 1)
    assert (np.diff(bounds) >= -slack).all()
    assert model.gap >= -slack
    np.testing.assert_allclose([q.sum() for q in model.factors], 1, rtol=1e-14)


def test_overflow_is_named():
    with pytest.raises(ValueError, match="log_joint must stay within"):
        coordinate_ascent(np.array([1.7e308, -1.7e308]))


def test_float32_is_taken_and_summed_in_float64():
    table = random_table(5, (3, 3)).astype(np.float32)
    assert coordinate_ascent(table, rng=0).elbo == coordinate_ascent(table.astype(float), rng=0).elbo


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (np.zeros((2, 2), int), {}, "log_joint must be float32 or float64"),
        (np.array([0.0, np.nan]), {}, "log_joint must be finite or -inf"),
        (np.array([0.0, np.inf]), {}, "log_joint must be finite or -inf"),
        (np.zeros((2, 0)), {}, "a state on each"),
        (np.array(0.0), {}, "an axis a variable"),
        (np.full((2, 2), -np.inf), {}, "possible state"),
        (np.zeros((2, 2)), {"init": [[0.5, 0.5]]}, "init must have 2 factors"),
        (np.zeros((2, 2)), {"init": 3}, "init must be a list of factors"),
        (np.zeros((2, 2)), {"init": [[0.5, 0.5], [0.5, 0.6]]}, r"init\[1\] must sum to one"),
        (np.zeros((2, 2)), {"init": [[0.5, 0.5], [0.2, 0.3, 0.5]]}, r"init\[1\] must have shape"),
        (np.zeros((2, 2)), {"init": [[0.5, 0.5]] * 2, "rng": 0}, "init must come without"),
        (np.zeros((2, 2)), {"n_init": 3}, "n_init must come with rng"),
        (np.zeros((2, 2)), {"rng": 0, "n_init": 0}, "n_init"),
        (np.zeros((2, 2)), {"tol": -1.0}, "tol"),
        (
            np.zeros((2, 2)),
            {"rng": "seven"},
            "rng must be a numpy.random.Generator or an integer >= 0, was 'seven'",
        ),
        (np.zeros((2, 2)), {"rng": -1}, "rng must be"),
        (np.zeros((2, 2)), {"rng": True}, "rng must be"),
    ],
)
def test_bad_input_is_named(table, options, message):
    with pytest.raises(ValueError, match=message):
        coordinate_ascent(table, **options)
