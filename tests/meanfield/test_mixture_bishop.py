"""Old Faithful step by step beside the printed equations: every term of the bound, and the predictive."""

import numpy as np
import pytest
from bishop import Mixture

import vbref
from vbref.meanfield import GaussianMixture

PRIORS = [
    (1e-3, [3.0, 70.0], 1e-3, 1.5, [[1.0, 0.0], [0.0, 1.0]]),
    (1.0, [3.5, 71.0], 1.0, 2.0, [[2.0, 1.0], [1.0, 50.0]]),
    (10.0, [0.0, 0.0], 20.0, 30.0, [[0.1, 0.0], [0.0, 4.0]]),
]


@pytest.mark.parametrize("prior", PRIORS, ids=["vague", "middling", "strong"])
@pytest.mark.parametrize("k", range(1, 7))
def test_terms_and_predictive(k, prior):
    alpha_0, m_0, beta_0, nu_0, c_0 = prior
    x = vbref.load_faithful()
    start = np.random.default_rng(k).dirichlet(np.ones(k), len(x))
    theirs = Mixture(x, start, alpha_0, np.array(m_0), beta_0, nu_0, np.linalg.inv(c_0))
    for _ in range(5):
        theirs.assign()
        theirs.update()
    ours = GaussianMixture(
        k, concentration=alpha_0, mean=m_0, mean_precision=beta_0, df=nu_0, inverse_scale=c_0
    ).fit(x, resp=start, max_iter=5, tol=0.0)
    np.testing.assert_allclose(list(ours.elbo_terms.values()), theirs.terms(), rtol=1e-10, atol=1e-10)
    assert ours.elbo == pytest.approx(sum(theirs.terms()), rel=1e-12)
    np.testing.assert_allclose(ours.log_predictive(x), theirs.log_predictive(x), rtol=1e-11)
    np.testing.assert_allclose(ours.weights, theirs.alpha / theirs.alpha.sum(), rtol=1e-11)
    np.testing.assert_allclose(ours.means, theirs.m, rtol=1e-11)
    np.testing.assert_allclose(
        ours.covariances, np.linalg.inv(theirs.nu[:, None, None] * theirs.w), rtol=1e-9, atol=1e-12
    )
    theirs.assign()
    np.testing.assert_allclose(ours.predict_proba(x), theirs.r, atol=1e-11)


def test_a_bound_that_bayespy_computed():
    """BayesPy 0.6.6: Mixture(Categorical(Dirichlet), Gaussian, GaussianGamma), five updates of Z, μτ, π."""
    x = vbref.load_faithful()[:, 1:]
    start = np.eye(3)[np.digitize(x[:, 0], [60.0, 75.0])]
    model = GaussianMixture(3, concentration=0.7, mean=[70.0], mean_precision=0.5, df=4.0, inverse_scale=50.0)
    assert model.fit(x, resp=start, max_iter=5, tol=0.0).elbo == pytest.approx(-1056.9578560887117, rel=1e-13)
