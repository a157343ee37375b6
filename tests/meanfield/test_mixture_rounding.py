"""What a mixture's bound says of its own rounding, from the rows themselves."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture.components import ComponentPrior, Gammas, Wishart, _spread
from vbref.meanfield.mixture.statistics import gather, moments
from vbref.meanfield.mixture.weights import Sticks


def components(d, tied=False, share=1.0):
    """Three components of a few rows each, and the rows, their responsibilities and statistics."""
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((20, d)) + 2 * (-1.0) ** np.arange(d), share * rng.dirichlet(np.ones(3), 20)
    found = moments(x, r, True)
    prior = ComponentPrior(np.zeros(d), 0.7, Wishart(d + 1.5, 0.3 * np.eye(d), tied))
    return prior.posterior(found), x, r, found


@pytest.mark.parametrize("share", [1.0, 1e-3])
@pytest.mark.parametrize("tied", [False, True])
def test_far_means_cost_ulps_of_the_matrix_times_the_gap(tied, share):
    """Σ_ki (|A_k| |x̄_k − m_k|)_i √(N_k Σ_n r_nk y_nki²) with y_nk = A_k (x_n − m_k): none where m_k = x̄_k."""
    q, x, r, found = components(3, tied, share)
    at_home = dataclasses.replace(q, means=found.mean)
    expected = 0.0
    for k, root in enumerate(q.law.root):
        y = (x - q.means[k]) @ root.T
        entry = abs(root) @ abs(found.mean[k] - q.means[k])
        expected += entry @ np.sqrt(r[:, k].sum() * (r[:, k] @ y**2))
    lost = q.cancellation(found) - at_home.cancellation(found)
    assert lost == pytest.approx(expected, rel=1e-9)
    assert lost > share


def test_the_scatter_costs_ulps_of_its_root():
    """Σ_ij |ARᵀ|_ij (|A| s)_i for the scatter RᵀR, whose columns have the lengths s."""
    q, x, r, found = components(3)
    expected = 0.0
    for k, root in enumerate(q.law.root):
        lengths = np.sqrt(r[:, k] @ np.square(x - found.mean[k]))
        expected += (abs(root @ found.root[k].T).sum(axis=1) * (abs(root) @ lengths)).sum()
    at_home = dataclasses.replace(q, means=found.mean)
    assert at_home.cancellation(found) - q.law.sensitivity == pytest.approx(expected, rel=1e-10)


def test_the_scatter_itself_costs_ulps_of_its_entries():
    """Σ_ij |AᵀA|_ij |scatter|_ij where its root is not known, and then the trace is the same."""
    q, _, _, found = components(3)
    plain, at_home = dataclasses.replace(found, root=None), dataclasses.replace(q, means=found.mean)
    expected = sum(
        abs(root.T @ root)[i, j] * abs(scatter[i, j])
        for root, scatter in zip(q.law.root, found.scatter, strict=True)
        for i, j in np.ndindex(3, 3)
    )
    assert at_home.cancellation(plain) - q.law.sensitivity == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(_spread(q.law.root, plain), _spread(q.law.root, found), rtol=1e-11)


def test_independent_coordinates_cost_the_scale_alone():
    """½ ν_k a coordinate, of which log C moves the likelihood by N_k/2 and the divergence by less."""
    _, x, r, _ = components(3)
    found = moments(x, r, False)
    for spherical in (False, True):
        law = Gammas(2.5, np.full(1 if spherical else 3, 0.3), spherical, 3)
        q = ComponentPrior(np.zeros(3), 0.7, law).posterior(found)
        at_home = dataclasses.replace(q, means=found.mean)
        expected = 3 * (2.5 + r.sum(axis=0)).sum() / 2
        assert at_home.cancellation(found) == pytest.approx(expected, rel=1e-12)


def test_the_scale_of_several_dimensions_is_weighed_by_what_rows_add():
    """½ (N_k + ν_k min(lost_k, 1)) of what rounding does to log|C_k|, where lost is D − tr C⁻¹C_0."""
    q, *_, found = components(3, share=0.3)
    own = (found.count / (0.7 + found.count))[:, None]
    pull = np.sqrt(0.7 * own) * found.mean
    scales = Wishart(4.5, 0.3 * np.eye(3), False)._scales(found, pull, (3, 1))
    lost = 3 - 0.3 * np.trace(np.linalg.inv(q.law.inverse_scale), axis1=1, axis2=2)
    assert lost.max() > 1
    weight = found.count + q.law.df * np.minimum(lost, 1)
    expected = weight @ (scales.rounding + scales.pulled) / 2
    assert q.law.sensitivity == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("prior_mean", "row", "count"), [(0.0, 1e8, 1e-20), (1e8, 1e-3, 1e20)], ids=["few rows", "many"]
)
def test_a_mean_is_formed_from_the_end_that_it_is_near(prior_mean, row, count):
    """x̄ = 10⁸ pulls by 10⁻²⁰ of itself; from 10⁸ the rows leave 10⁻¹² and their own mean."""
    found = moments(np.array([[row]]), np.array([[1.0]]), True)
    found = dataclasses.replace(found, count=np.array([count]))
    q = ComponentPrior(np.array([prior_mean]), 1.0, Wishart(2.0, np.eye(1), False)).posterior(found)
    assert q.means[0, 0] == pytest.approx(row + prior_mean / count if prior_mean else row * count, rel=1e-12)


def test_a_bound_knows_the_size_of_its_addends():
    """Of each term the sizes of its own addends, and what these do not show."""
    x = np.random.default_rng(0).standard_normal((20, 2))
    state = GaussianMixture(2, process=True).started(x, rng=0)
    s, w, c = state.statistics, state.weights, state.components
    sizes = [abs(c.log_likelihood(s)), abs(s.count * w.expected_log), [s.entropy], [w.kl], abs(c.kl)]
    expected = sum(map(sum, sizes)) + c.cancellation(s)
    assert c.cancellation(s) > 1
    assert state.evidence_bound().magnitude() == pytest.approx(expected, rel=1e-12)


def test_a_copy_of_a_state_goes_its_own_way():
    state = GaussianMixture(2).started(np.random.default_rng(0).standard_normal((20, 2)), rng=0)
    state.gather = partial(gather)
    other, before = state.copy(), state.bound
    assert (other.bound, other.gather) == (before, state.gather)
    state.update_assignments()
    assert state.bound > before == other.bound


@pytest.mark.parametrize("whole", [True, False])
def test_expected_weights_are_products_of_expected_fractions(whole):
    """Beta(1 + N_k, γ + Σ_{j>k} N_j) each; with `whole` the last takes all that is left."""
    q = Sticks(3, 2.0, whole).posterior(np.array([4.0, 1.0, 2.5]))
    taken = [5 / (5 + 5.5), 2 / (2 + 4.5), 1.0 if whole else 3.5 / 5.5]
    expected = [taken[0], taken[1] * (1 - taken[0]), taken[2] * (1 - taken[1]) * (1 - taken[0])]
    np.testing.assert_allclose(q.mean, expected, rtol=1e-14)


def test_statistics_of_several_copies_of_the_rows():
    _, x, r, once = components(3)
    twice, found = moments(np.concatenate([x, x]), np.concatenate([r, r]), True), once.scaled(2.0)
    for name in ("count", "mean", "scatter", "entropy"):
        np.testing.assert_allclose(getattr(found, name), getattr(twice, name), rtol=1e-12)
    np.testing.assert_allclose(found.root.swapaxes(1, 2) @ found.root, twice.scatter, rtol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_the_likelihood_s_terms_are_the_rows(tied):
    """Σ_nk r_nk E[log N(x_n)], each `offsets` less ½|A_k (x_n − m_k)|²."""
    q, x, r, found = components(3, tied)
    squares = [
        np.square((x - m) @ root.T).sum(axis=1)
        for m, root in zip(q.means, np.broadcast_to(q.law.root, (3, 3, 3)), strict=True)
    ]
    expected = (r * (q.offsets - np.array(squares).T / 2)).sum()
    assert q.log_likelihood(found).sum() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_the_bound_moves_with_the_scale_as_much_as_is_said(tied):
    """In one dimension, by log C: n/2 in the likelihood, ν_0/2 − ½ν C_0/C = ½(ν lost − n) in the divergence.

    lost is 1 − C_0/C; the sum of the sizes is ½(n + ν lost).
    """
    q, _, r, _ = components(1, tied)
    c = q.law.inverse_scale.ravel()
    n = r.sum(axis=0).reshape(len(c), -1).sum(axis=1)
    assert q.law.sensitivity == pytest.approx((n + q.law.df * (1 - 0.3 / c)).sum() / 2, rel=1e-12)
