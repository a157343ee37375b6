"""Mean field for a normal: against dense algebra, kl.multivariate_normal, an optimiser, a measured rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.optimize import minimize

from vbref import kl
from vbref.meanfield import Gaussian


def problem(seed, d, noise=0.3):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((d, d))
    return rng.standard_normal(d), a @ a.T + noise * np.eye(d)


def test_means_are_exact_and_variances_are_the_inverse_of_the_precision():
    mean, cov = problem(0, 4)
    model = Gaussian(mean, cov).fit(tol=0.0, max_iter=10_000)
    assert model.converged
    np.testing.assert_allclose(model.means, mean, atol=1e-7)
    np.testing.assert_allclose(model.variances, 1 / np.diagonal(np.linalg.inv(cov)), rtol=1e-12)
    np.testing.assert_array_equal(model.variances, model.optimal_variances)
    assert (model.variances < np.diagonal(cov)).all()


def test_before_a_fit_it_has_the_blocks_of_p():
    mean, cov = problem(3, 3)
    cov[0] *= 7
    cov[:, 0] *= 7
    model = Gaussian(mean, cov, blocks=[[0, 1], [2]])
    np.testing.assert_allclose(model.covariance, block_diag(cov[:2, :2], cov[2:, 2:]), rtol=1e-13)
    assert model.path.shape == (0, 3)
    assert model.elbo == pytest.approx(-kl.multivariate_normal(mean, model.covariance, mean, cov), rel=1e-12)


def test_bishops_two_dimensions():
    """Figure 10.2: correlation r, variances 1 − r² times the true ones, gap −½ log(1 − r²), rate r²."""
    r = 0.9
    model = Gaussian([0.5, -1.0], [[4.0, 2 * r], [2 * r, 1.0]]).fit(start=[3.0, 3.0])
    np.testing.assert_allclose(model.variances, (1 - r**2) * np.array([4.0, 1.0]), rtol=1e-14)
    assert model.optimal_gap == pytest.approx(-np.log(1 - r**2) / 2, rel=1e-14)
    assert model.rate == pytest.approx(r**2, rel=1e-14)
    assert model.elbo == pytest.approx(-model.optimal_gap, abs=1e-10)


def test_the_bound_is_minus_kl_at_every_state():
    mean, cov = problem(1, 5)
    for sweeps in (1, 2, 7):
        model = Gaussian(mean, cov).fit(start=np.full(5, 4.0), max_iter=sweeps)
        exact = -kl.multivariate_normal(model.means, model.covariance, mean, cov)
        assert model.elbo == pytest.approx(exact, rel=1e-12)


def test_a_bound_knows_the_size_of_its_addends():
    """Σ|Λ ∘ S| + |log|ΛS|| + |e|ᵀ|Λ||e| + D; for unit variances no scales are divided out."""
    cov = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    model = Gaussian(np.zeros(3), cov, blocks=[[0, 1], [2]]).fit(start=np.full(3, 4.0), max_iter=2)
    precision, e = np.linalg.inv(cov), abs(model.means)
    parts = [
        abs(precision * model.covariance).sum(),
        abs(np.linalg.slogdet(precision @ model.covariance)[1]),
        e @ abs(precision) @ e,
        3,
    ]
    assert min(parts) > 0.1
    assert model.evidence_bound().magnitude == pytest.approx(sum(parts), rel=1e-12)


def test_nothing_independent_is_nearer():
    """A general optimiser of KL over means and log variances finds the same q."""
    mean, cov = problem(2, 3)

    def loss(theta):
        return kl.multivariate_normal(theta[:3], np.diag(np.exp(theta[3:])), mean, cov)

    found = minimize(loss, np.zeros(6), tol=1e-14)
    model = Gaussian(mean, cov)
    assert model.optimal_gap == pytest.approx(found.fun, rel=1e-9)
    np.testing.assert_allclose(np.exp(found.x[3:]), model.optimal_variances, rtol=1e-4)


@pytest.mark.parametrize("blocks", [None, [[0, 3], [1], [2, 4]], [[2, 1], [4, 0, 3]]])
def test_the_measured_rate_is_the_predicted_one(blocks):
    """Sweep by sweep errors fall by ρ, and gaps of the bound by ρ², once the other modes are gone."""
    mean, cov = problem(4, 5)
    model = Gaussian(mean, cov, blocks=blocks)
    factors, rho = len(model.blocks), model.rate
    sweeps = int(np.log(1e-9) / np.log(rho))
    model.fit(start=mean + 1, tol=0.0, max_iter=sweeps)
    errors = np.linalg.norm((model.path - mean)[::factors], axis=1)
    assert (errors[-1] / errors[-6]) ** 0.2 == pytest.approx(rho, rel=1e-4)
    gaps = -model.optimal_gap - np.array([row.bound for row in model.history])[factors - 1 :: factors]
    half = len(gaps) // 2
    assert (gaps[half] / gaps[half - 5]) ** 0.2 == pytest.approx(rho**2, rel=1e-3)


def test_the_sweep_matrix_is_gauss_seidel():
    """With one factor a coordinate G = −L⁻¹U for the triangles of Λ; a sweep multiplies the error by it."""
    mean, cov = problem(4, 4)
    error = np.array([1.0, -2.0, 0.5, 3.0])
    precision = np.linalg.inv(cov)
    lower = np.tril(precision)
    model = Gaussian(mean, cov)
    np.testing.assert_allclose(model.sweep_matrix, -np.linalg.solve(lower, precision - lower), atol=1e-12)
    model.fit(start=mean + error, max_iter=1)
    np.testing.assert_allclose(model.means - mean, model.sweep_matrix @ error, rtol=1e-9)


def test_blocks_keep_their_own_correlations():
    mean, cov = problem(5, 5)
    blocks = [[0, 3], [1], [2, 4]]
    model = Gaussian(mean, cov, blocks=blocks).fit(tol=0.0, max_iter=10_000)
    precision = np.linalg.inv(cov)
    q = np.zeros_like(cov)
    for b in blocks:
        q[np.ix_(b, b)] = np.linalg.inv(precision[np.ix_(b, b)])
    np.testing.assert_allclose(model.covariance, q, rtol=1e-10)
    assert model.optimal_gap == pytest.approx(kl.multivariate_normal(mean, q, mean, cov), rel=1e-11)
    assert model.optimal_gap < Gaussian(mean, cov).optimal_gap
    whole = Gaussian(mean, cov, blocks=[[4, 2, 0, 1, 3]]).fit()
    assert whole.elbo == pytest.approx(0, abs=1e-13)
    assert whole.rate == pytest.approx(0, abs=1e-13)


def test_converged_is_whether_the_last_sweep_stood_still():
    model = Gaussian([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]])
    sweeps = model.fit(start=[3.0, 3.0]).ascent.sweeps
    assert model.converged
    assert not model.fit(start=[3.0, 3.0], max_iter=sweeps - 1).converged


def test_independent_blocks_have_no_gap_and_take_one_sweep():
    cov = block_diag([[2.0]], [[3.0]], [[0.1]])
    model = Gaussian([1.0, 2.0, 3.0], cov).fit(tol=0.0)
    assert model.ascent.sweeps == 2
    assert model.elbo == pytest.approx(0, abs=1e-15)
    assert model.optimal_gap == pytest.approx(0, abs=1e-15)


@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 6),
    noise=st.sampled_from([1e-6, 1e-2, 1.0, 1e3]),
    size=st.sampled_from([1e-150, 1.0, 1e8, 1e150]),
)
def test_it_rises_to_the_closed_form_at_any_scale(seed, d, noise, size):
    mean, cov = problem(seed, d, noise)
    sizes = size ** np.linspace(0, 1, d) if d > 1 else np.array([size])
    model = Gaussian(mean * sizes, cov * sizes * sizes[:, None]).fit(start=np.zeros(d), max_iter=40)
    bounds = np.array([row.bound for row in model.history])
    reference = Gaussian(mean, cov)
    slack = 1e-13 * np.linalg.cond(reference._lambda) * (1 + abs(bounds[0]))
    assert (np.diff(bounds) >= -slack).all()
    assert (bounds <= -model.optimal_gap + slack).all()
    assert model.optimal_gap == pytest.approx(reference.optimal_gap, rel=1e-9, abs=slack)
    assert model.rate == pytest.approx(reference.rate, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("mean", "cov", "blocks", "message"),
    [
        ([0, 1], np.eye(2), None, "mean must be float32 or float64"),
        ([0.0, 1.0, 2.0], np.eye(2), None, "cov must have shape"),
        ([[0.0]], np.eye(1), None, "mean must have shape"),
        ([0.0, 0.0], np.ones((2, 2)), None, "cov must be positive definite"),
        ([0.0, 0.0], np.eye(2), [[0]], "blocks must hold"),
        ([0.0, 0.0], np.eye(2), [[0, 1], [1]], "blocks must hold"),
        ([0.0, 0.0], np.eye(2), [[0, 1], []], "blocks must hold"),
        ([0.0, 0.0], np.eye(2), [[0.0, 1.0]], "blocks must hold"),
        ([0.0, 0.0], np.eye(2), 3, "blocks must hold"),
        ([0.0, 0.0], np.eye(2), [[0, [1]]], "blocks must hold"),
        ([0.0, 0.0], np.eye(2), [], "blocks must hold"),
        (0.0, 1.0, None, "mean must have shape"),
    ],
)
def test_bad_input_is_named(mean, cov, blocks, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(mean, cov, blocks=blocks)


def test_overflow_is_named():
    with pytest.raises(ValueError, match="mean, cov and start must stay within"):
        Gaussian([0.0, 1e300], [[2.0, 1.0], [1.0, 2.0]]).fit()


def test_a_bad_start_is_named():
    with pytest.raises(ValueError, match="start must have shape"):
        Gaussian([0.0], [[1.0]]).fit(start=[0.0, 1.0])
    with pytest.raises(ValueError, match="start must be float32 or float64"):
        Gaussian([0.0], [[1.0]]).fit(start=[1])
