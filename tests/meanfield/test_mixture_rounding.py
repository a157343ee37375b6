"""What a mixture's bound says of its own rounding, from the rows themselves."""

import dataclasses

import numpy as np
import pytest

from vbref.meanfield.mixture.components import ComponentPrior, Wishart
from vbref.meanfield.mixture.statistics import moments


def components(d, tied=False, share=1.0):
    """Three components of a few rows each, and the rows, their responsibilities and statistics."""
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((20, d)) + 2, share * rng.dirichlet(np.ones(3), 20)
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
