"""Side by side with scikit-learn: the same steps from the same start, and the bridge between the bounds."""

import warnings

import numpy as np
import pytest

import vbref
from vbref.meanfield import GaussianMixture, from_sklearn, sklearn_bound

mixture = pytest.importorskip("sklearn.mixture", reason="scikit-learn, an optional peer, is not installed")

KINDS = ("full", "tied", "diag", "spherical")
PRIORS = (
    {},
    {"mean_precision_prior": 0.05, "degrees_of_freedom_prior": 4.5, "weight_concentration_prior": 0.01},
    {"mean_prior": np.array([3.0, 60.0]), "mean_precision_prior": 3.0, "weight_concentration_prior": 20.0},
)


def random_start(k, seed):
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.3), len(vbref.load_faithful()))


class Started(mixture.BayesianGaussianMixture):
    """scikit-learn's mixture from given responsibilities."""

    def _initialize_parameters(self, X, random_state, *args, **kwargs):
        self._initialize(X, self.start)


def sklearn_fit(start, sweeps, x=None, **options):
    peer = Started(n_components=start.shape[1], max_iter=sweeps, tol=0.0, **({"reg_covar": 0.0} | options))
    peer.start = start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: it is compared step for step
        return peer.fit(vbref.load_faithful() if x is None else x)


@pytest.mark.parametrize("process", ["dirichlet_distribution", "dirichlet_process"])
@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(("k", "seed"), [(2, 0), (5, 1)])
def test_same_steps_and_same_bounds(kind, process, prior, k, seed):
    x, start = vbref.load_faithful(), random_start(k, seed)
    for sweeps in (1, 25):
        peer = sklearn_fit(
            start, sweeps, covariance_type=kind, weight_concentration_prior_type=process, **prior
        )
        ours = from_sklearn(peer).fit(x, resp=start, max_iter=sweeps, tol=0.0)
        assert ours.elbo == pytest.approx(sklearn_bound(peer), rel=1e-10)
        np.testing.assert_allclose(ours.means, peer.means_, rtol=1e-8)
        np.testing.assert_allclose(ours.covariances, peer.covariances_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours.predict_proba(x), peer.predict_proba(x), atol=1e-8)
        share = ours.weights / ours.weights.sum()  # it divides the truncated sticks by their sum
        np.testing.assert_allclose(share, peer.weights_, rtol=1e-8)


@pytest.mark.parametrize("process", ["dirichlet_distribution", "dirichlet_process"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", PRIORS)
def test_bridge_leads_to_our_bound_at_its_assignments(kind, process, prior):
    """The M-step of ours on the responsibilities of its last M-step: any kind, converged or not."""
    from vbref.meanfield.mixture.state import State
    from vbref.meanfield.mixture.statistics import moments

    x, start = vbref.load_faithful(), random_start(3, 2)
    options = {"covariance_type": kind, "weight_concentration_prior_type": process, **prior}
    if not prior:  # in three dimensions
        x = np.column_stack([x, np.sin(x.sum(axis=1))])
    peer, r = sklearn_fit(start, 4, x, **options), sklearn_fit(start, 3, x, **options).predict_proba(x)
    model = from_sklearn(peer)
    _, stated, *_ = model._prepared(x, None, 1, start, None)
    state = State(x, stated, moments(x - stated.center, r, kind in ("full", "tied")))
    assert state.bound == pytest.approx(sklearn_bound(peer), rel=1e-10)
    assert model.fit(x, resp=r, tol=1e-12).elbo > sklearn_bound(peer)


@pytest.mark.parametrize(("kind", "r"), [("full", 2e-4), ("tied", 2e-4), ("diag", 2e-4), ("spherical", 0.05)])
def test_bridge_counts_reg_covar(kind, r):
    """Off the optimum the loss is of second order in r; without its term it would be of first.

    Wide circles hardly feel it, and their assignments are no optimum of the bound: hence a larger r.
    """
    start = random_start(2, 3)
    exact, *biased = (
        sklearn_bound(sklearn_fit(start, 200, reg_covar=each, covariance_type=kind))
        for each in (0.0, r, 2 * r)
    )
    assert (exact - biased[1]) / (exact - biased[0]) == pytest.approx(4, rel=0.02)


def test_default_priors_are_the_same():
    x = vbref.load_faithful()
    for kind in ("full", "diag", "spherical"):
        peer = sklearn_fit(random_start(2, 0), 1, covariance_type=kind)
        ours = GaussianMixture(2, concentration=0.5, covariance=kind, process=True, truncation="posterior")
        start = random_start(2, 0)
        given = from_sklearn(peer).fit(x, resp=start, max_iter=3, tol=0.0)
        assert ours.fit(x, resp=start, max_iter=3, tol=0.0).elbo == pytest.approx(given.elbo, rel=1e-12)
