"""Spins: against loops over states, a transfer matrix, a binomial sum; Curie and Weiss's phase transition."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.special import gammaln

from vbref.meanfield import BinaryField, coordinate_ascent
from vbref.meanfield.binary_field import _Run


def couplings(seed, d, size=1.0):
    upper = np.triu(np.random.default_rng(seed).standard_normal((d, d)), 1)
    return size * (upper + upper.T)


def problem(seed, d, size=1.0):
    return couplings(seed, d, size), np.random.default_rng(seed + 1).standard_normal(d)


def log_weight(s, j, h):
    return sum(j[a, b] * s[a] * s[b] for a, b in itertools.combinations(range(len(h)), 2)) + sum(
        h[a] * s[a] for a in range(len(h))
    )


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_enumeration_by_a_loop_over_states(d):
    j, h = problem(0, d)
    states = list(itertools.product([-1, 1], repeat=d))
    weights = [math.exp(log_weight(s, j, h)) for s in states]
    z = math.fsum(weights)
    exact = BinaryField(j, h, constant=1.5).exact()
    assert exact.log_partition == pytest.approx(math.log(z) + 1.5, rel=1e-13)
    means = sum(w / z * np.array(s) for w, s in zip(weights, states, strict=True))
    pairs = sum(w / z * np.outer(s, s) for w, s in zip(weights, states, strict=True))
    np.testing.assert_allclose(exact.means, means, atol=1e-14)
    np.testing.assert_allclose(exact.correlations, pairs, atol=1e-14)


def test_twenty_spins_in_a_ring_by_the_transfer_matrix():
    """Z = tr Tⁿ, T = [[e^{K+h}, e^−K], [e^−K, e^{K−h}]]; in little memory beside 20 numbers a state."""
    k, h, n = 0.7, 0.2, 20
    ring = k * (np.eye(n, k=1) + np.eye(n, k=-1) + np.eye(n, k=n - 1) + np.eye(n, k=1 - n))
    transfer = np.exp([[k + h, -k], [-k, k - h]])
    tracemalloc.start()
    exact = BinaryField(ring, np.full(n, h)).exact()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert exact.log_partition == pytest.approx(
        np.log(np.trace(np.linalg.matrix_power(transfer, n))), rel=1e-14
    )
    assert peak < 5 * 8 * 2**n
    with pytest.raises(ValueError, match="at most 20 spins, has 21"):
        BinaryField(np.zeros((21, 21)), np.zeros(21)).exact()


def test_the_complete_graph_by_a_binomial_sum():
    """log Z = log Σ_k C(n, k) exp(βJ (M² − n)/2(n − 1) + βh M), M = 2k − n."""
    n, coupling, h = 16, 1.4, 0.1
    k = np.arange(n + 1)
    m = 2 * k - n
    log_count = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    log_terms = log_count + coupling * (m**2 - n) / (2 * (n - 1)) + h * m
    exact = BinaryField.curie_weiss(n, coupling, h).exact()
    assert exact.log_partition == pytest.approx(np.logaddexp.reduce(log_terms), rel=1e-13)
    p = np.exp(log_terms - np.logaddexp.reduce(log_terms))
    np.testing.assert_allclose(exact.means, p @ m / n, rtol=1e-12)


def test_the_means_are_the_gradient_of_log_z():
    j, h = problem(3, 5)
    step, eye = 1e-5, np.eye(5)
    at = [[BinaryField(j, h + sign * step * e).exact().log_partition for e in eye] for sign in (1, -1)]
    slope = (np.array(at[0]) - at[1]) / (2 * step)
    np.testing.assert_allclose(BinaryField(j, h).exact().means, slope, atol=1e-9)


def test_a_boltzmann_machine_of_zeros_and_ones():
    w, b = problem(4, 4)
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    log_p = (states @ w * states).sum(1) / 2 + states @ b
    exact = BinaryField.from_boltzmann(w, b).exact()
    assert exact.log_partition == pytest.approx(np.logaddexp.reduce(log_p), rel=1e-13)
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    np.testing.assert_allclose((1 + exact.means) / 2, p @ states, rtol=1e-12)


def test_the_bound_of_a_boltzmann_machine_is_that_of_its_table():
    w, b = problem(6, 3, 0.5)
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    table = ((states @ w * states).sum(1) / 2 + states @ b).reshape(2, 2, 2)
    model, general = BinaryField.from_boltzmann(w, b).fit(tol=1e-15), coordinate_ascent(table, tol=1e-15)
    assert model.elbo == pytest.approx(general.elbo, rel=1e-12)
    np.testing.assert_allclose((1 + model.means) / 2, [q[1] for q in general.factors], atol=1e-6)


@pytest.mark.parametrize("damping", [0.0, 0.6])
def test_it_is_coordinate_ascent_on_the_table_of_states(damping):
    """The general equation on 2^D states: the same bound, and without damping the same path."""
    j, h = problem(5, 4, 0.6)
    table = np.array([log_weight(s, j, h) for s in itertools.product([-1, 1], repeat=4)]).reshape((2,) * 4)
    start = np.array([0.3, -0.2, 0.9, 0.0])
    model = BinaryField(j, h).fit(init=start, damping=damping, tol=1e-15)
    general = coordinate_ascent(table, init=[[(1 - m) / 2, (1 + m) / 2] for m in start], tol=1e-15)
    np.testing.assert_allclose([q[1] - q[0] for q in general.factors], model.means, atol=1e-6)
    assert general.elbo == pytest.approx(model.elbo, rel=1e-12)
    if not damping:
        bounds = [[row.bound for row in fitted.history[:8]] for fitted in (model, general)]
        np.testing.assert_allclose(*bounds, rtol=1e-12)


def test_a_damped_update_goes_a_part_of_the_way():
    j, h = problem(5, 3, 0.6)
    m = np.array([0.3, -0.2, 0.9])
    model = BinaryField(j, h).fit(init=m, damping=0.6, max_iter=1)
    for i in range(3):
        m[i] = 0.6 * m[i] + 0.4 * np.tanh(j[i] @ m + h[i])
    np.testing.assert_allclose(model.means, m, rtol=1e-13)


def test_independent_spins_have_no_gap():
    h = np.array([0.3, -2.0, 0.0, 40.0])
    model = BinaryField(np.zeros((4, 4)), h).fit()
    assert model.elbo == pytest.approx(model.exact().log_partition, rel=1e-14)
    np.testing.assert_allclose(model.means, np.tanh(h), rtol=1e-14)


def test_a_parallel_sweep_oscillates_where_damping_does_not():
    """Two spins that repel, from the same side: they flip together for ever, at a bound that stands still."""
    repel = BinaryField([[0.0, -2.0], [-2.0, 0.0]], [0.0, 0.0])
    flipping = repel.fit(init=[0.9, 0.9], sweep="parallel", max_iter=200)
    assert flipping.residual > 1.9
    assert flipping.ascent.converged
    assert not flipping.converged
    assert repel.fit(init=[0.9, 0.8], sweep="parallel", damping=0.5, max_iter=500).converged
    in_turn = repel.fit(init=[0.9, 0.9])
    assert in_turn.converged
    assert in_turn.means[0] == pytest.approx(-in_turn.means[1], abs=1e-5)


def test_converged_is_whether_the_bound_stood_still():
    model = BinaryField.curie_weiss(6, 1.5).fit(rng=0)
    assert model.converged
    assert not model.fit(rng=0, max_iter=model.ascent.sweeps - 1).converged
    assert model.fit(rng=0, tol=1e-4).converged
    assert model.residual > 1e-4  # as near as that bound can say
    assert model.fit(rng=0, tol=0.0).converged  # to rounding
    assert model.residual > 0
    far = BinaryField(model.couplings, model.fields, constant=1e10).fit(rng=0)
    assert far.converged
    assert far.residual > 4e-6  # that is the root of 1e-12, and 1e-12 of the bound is a hundredth of a nat


@pytest.mark.parametrize(("constant", "root"), [(0.0, 1.0), (100.0, 10.0), (-100.0, 10.0)])
def test_converged_asks_for_the_root_of_the_tolerance_and_of_the_bound(constant, root):
    field = BinaryField(np.zeros((1, 1)), np.array([0.0]), constant=constant - np.log(2)).fit(tol=1e-8)
    for residual, near in ((3.99e-4, True), (4.01e-4, False)):
        field._run.means[:] = root * residual
        assert field.converged == near


def test_a_bound_knows_the_size_of_its_addends():
    """½ |m_i (Jm)_i|, |h_i m_i|, H(m_i) and |c|: 0.3 a spin, 0.3 + 0.1, twice that of p = ¾, and 2."""
    field = BinaryField(np.array([[0.0, -2.4], [-2.4, 0.0]]), np.array([0.6, -0.2]), constant=-2.0)
    run = _Run(field, np.array([0.5, 0.5]), 0.0)
    size = 0.6 + 0.4 + 2 * stats.entropy([0.75, 0.25]) + 2
    assert run.evidence_bound().magnitude == pytest.approx(size, rel=1e-14)
    assert run.evidence_bound().value == pytest.approx(size - 4 - 1.2 - 0.2, rel=1e-13)


def test_means_keep_their_digits_on_the_way_to_zero():
    """m₂ = tanh Jm₁ after a sweep: Jm is no sum of all the changes since the start, with their rounding."""
    repel = BinaryField([[0.0, -0.7], [-0.7, 0.0]], [0.0, 0.0]).fit(init=[0.9, 0.4], tol=0.0)
    assert 1e-12 < abs(repel.means[1]) < 1e-7
    assert repel.means[1] == pytest.approx(np.tanh(-0.7 * repel.means[0]), rel=1e-12)


def magnetisation(coupling, field=0.0, start=0.95, n=10):
    model = BinaryField.curie_weiss(n, coupling, field)
    model.fit(init=np.full(n, start), sweep="parallel", tol=0.0, max_iter=100_000)
    assert model.means == pytest.approx(model.means[0], rel=1e-12)
    return model.means[0]


@pytest.mark.parametrize(("coupling", "field"), [(0.5, 0.0), (0.9, 0.0), (1.1, 0.0), (1.5, 0.0), (1.2, 0.3)])
def test_the_magnetisation_solves_its_equation(coupling, field):
    """m = tanh(βJ m + βh): zero below the transition, the positive root above it."""
    roots = [0.0]
    if coupling > 1 or field:
        roots = [brentq(lambda m: np.tanh(coupling * m + field) - m, 1e-3, 1)]
    assert magnetisation(coupling, field) == pytest.approx(roots[0], abs=2e-6)


def test_the_bifurcation_is_at_one():
    """Where m = 0 stops being the best: the curvature of the bound at m = 0 is βJ − 1."""
    for coupling in (0.99, 1.01):
        model = BinaryField.curie_weiss(12, coupling)
        magnetised = model.bound_at(np.full(12, 0.05)) - model.bound_at(np.zeros(12))
        assert (magnetised > 0) == (coupling > 1)
    assert abs(magnetisation(0.99)) < 1e-5
    assert magnetisation(1.01) > 0.17


def test_critical_exponents():
    """tanh x = x − x³/3 + …: with t = βJ − 1, m = (3t)^½ (1 + O(t)), and at t = 0 m ≈ (3βh)^⅓."""
    t = np.array([1e-3, 2e-3, 4e-3])
    m = np.array([magnetisation(1 + each) for each in t])
    np.testing.assert_allclose(np.diff(np.log(m)) / np.diff(np.log(t)), 0.5, atol=t[-1])
    np.testing.assert_allclose(m, np.sqrt(3 * t), rtol=t[-1])
    h = np.array([1e-5, 1e-4])
    m = np.array([magnetisation(1.0, each) for each in h])
    assert np.diff(np.log(m))[0] / np.log(10) == pytest.approx(1 / 3, abs=1e-3)


def test_a_metastable_state_is_a_local_optimum():
    """Magnetised against a weak field: a solution, worse than that along it; a strong field turns it over."""
    n = 20
    weak, strong = (BinaryField.curie_weiss(n, 1.5, field) for field in (0.05, 0.3))
    against = weak.fit(init=np.full(n, -0.9))
    assert against.converged
    assert against.means.max() < -0.7
    worse = against.elbo
    assert weak.fit(init=np.full(n, 0.9)).elbo > worse + 1
    assert weak.fit(rng=0, n_init=8).elbo > worse + 1
    assert strong.fit(init=np.full(n, -0.9)).means.min() > 0.8


@given(
    d=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 2),
    size=st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e8]),
    damping=st.sampled_from([0.0, 0.5, 0.95]),
)
def test_it_rises_and_stays_below_log_z(d, seed, size, damping):
    j, h = problem(seed, d, size)
    model = BinaryField(j, h).fit(rng=seed, n_init=2, damping=damping, max_iter=100)
    slack = 1e-13 * (1 + abs(j).sum() + abs(h).sum())
    assert (np.diff([row.bound for row in model.history]) >= -slack).all()
    assert model.elbo <= model.exact().log_partition + slack
    assert (abs(model.means) <= 1).all()


@pytest.mark.parametrize(
    ("j", "h", "message"),
    [
        (np.zeros((2, 2), int), np.zeros(2), "couplings must be float32 or float64"),
        (np.zeros((2, 3)), np.zeros(2), "couplings must have shape"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "fields must have shape"),
        (np.zeros((1, 1)), 0.0, "fields must have shape"),
        (np.eye(2), np.zeros(2), "zero diagonal"),
        (np.array([[0, 1.0], [0.5, 0]]), np.zeros(2), "symmetric"),
        (np.zeros((0, 0)), np.zeros(0), "at least one spin"),
        (np.full((1, 1), np.nan), np.zeros(1), "couplings must be finite"),
    ],
)
def test_bad_fields_are_named(j, h, message):
    with pytest.raises(ValueError, match=message):
        BinaryField(j, h)
    with pytest.raises(ValueError, match=message.replace("couplings", "weights").replace("fields", "biases")):
        BinaryField.from_boltzmann(j, h)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": [0.0]}, "init must have shape"),
        ({"init": [0.0, 1.1]}, r"init must be in \[-1, 1\]"),
        ({"sweep": "random"}, "sweep must be"),
        ({"damping": 1.0}, "damping must be"),
        ({"damping": "a"}, "damping must be a finite number"),
        ({"n_init": 2}, "n_init must come with rng"),
        ({"init": [0.0, 0.0], "rng": 0}, "init or from rng"),
        ({"max_iter": 0}, "max_iter"),
    ],
)
def test_bad_fits_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        BinaryField(np.zeros((2, 2)), np.zeros(2)).fit(**options)


@pytest.mark.parametrize(
    ("means", "message"),
    [
        ([0.0], "means must have shape"),
        ([0.0, 1.5], "means must be in"),
        ([0.0, -1.5], "means must be in"),
    ],
)
def test_bad_means_are_named(means, message):
    with pytest.raises(ValueError, match=message):
        BinaryField(np.zeros((2, 2)), np.zeros(2)).bound_at(means)


def test_overflow_is_named():
    j = 1e308 * (1 - np.eye(3))
    with pytest.raises(ValueError, match="couplings and fields must stay within"):
        BinaryField(j, np.zeros(3)).bound_at(np.ones(3))
    with pytest.raises(ValueError, match="weights and biases must stay within"):
        BinaryField.from_boltzmann(j, np.full(3, 1e308))
    with pytest.raises(ValueError, match="couplings and fields must stay within"):
        BinaryField(j, np.zeros(3)).fit(init=[0.9, 0.9, 0.9])


def test_sizes_and_order_are_named():
    with pytest.raises(ValueError, match="coupling must be a finite number"):
        BinaryField.curie_weiss(3, "a")
    for constant in (1j, -np.inf):
        with pytest.raises(ValueError, match="constant must be a finite number"):
            BinaryField(np.zeros((2, 2)), np.zeros(2), constant=constant)
    with pytest.raises(ValueError, match="n must be an integer >= 2"):
        BinaryField.curie_weiss(1, 1.0)
    with pytest.raises(ValueError, match="must be fitted first"):
        _ = BinaryField(np.zeros((2, 2)), np.zeros(2)).means
