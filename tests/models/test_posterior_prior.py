"""Posteriors and the prior: against SciPy's densities, vbref.kl and each other."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vbref import kl
from vbref.models.inference import PerPoint
from vbref.models.posterior import DiagonalPosterior, FullPosterior
from vbref.models.prior import DiagonalPrior
from vbref.nn.gradcheck import check_gradient

D, N, K = 3, 4, 2


def setting(posterior):
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, posterior.width)), rng.standard_normal((K, N, D)), rng


def test_rows_of_three_tables_side_by_side_and_back():
    points = PerPoint(rows=3, parts={"a": 1, "b": 2, "c": 1})
    params = {name: np.arange(table.size).reshape(table.shape) for name, table in points.init(None).items()}
    h, saved = points.forward(params, np.zeros((2, 1)), index=[2, 2])
    np.testing.assert_array_equal(h, [[2, 4, 5, 2], [2, 4, 5, 2]])
    grads = points.backward(h + 10.0, saved)
    assert [grad[2].tolist() for grad in grads.values()] == [[24.0], [28.0, 30.0], [24.0]]
    assert not any(grad[:2].any() for grad in grads.values())


@pytest.mark.parametrize("posterior", [DiagonalPosterior(D), FullPosterior(D)])
def test_log_q_and_its_score_are_the_density(posterior):
    h, noise, _ = setting(posterior)
    z, log_q, saved = posterior.sample(h, noise)
    loc, factor = posterior.parameters(h)
    factor = factor if factor.ndim == 3 else factor[:, None] * np.eye(D)
    for k, n in np.ndindex(K, N):
        q = multivariate_normal(loc[n], factor[n] @ factor[n].T)
        assert log_q[k, n] == pytest.approx(q.logpdf(z[k, n]), rel=1e-11)
        check_gradient(q.logpdf, posterior.score(saved)[k, n], z[k, n], rtol=1e-6)


@pytest.mark.parametrize("posterior", [DiagonalPosterior(D), FullPosterior(D)])
def test_backward_alone(posterior):
    h, noise, rng = setting(posterior)
    d_z, d_log_q = rng.standard_normal((K, N, D)), rng.standard_normal((K, N))
    d_mean, d_var, d_entropy = (rng.standard_normal(shape) for shape in ((N, D), (N, D), N))

    def sampled(h):
        z, log_q, _ = posterior.sample(h, noise)
        return (d_z * z).sum() + (d_log_q * log_q).sum()

    def moments(h):
        mean, var, entropy, _ = posterior.moments(h)
        return (d_mean * mean).sum() + (d_var * var).sum() + (d_entropy * entropy).sum()

    check_gradient(sampled, posterior.sample_backward(d_z, d_log_q, posterior.sample(h, noise)[-1]), h)
    check_gradient(moments, posterior.moments_backward(d_mean, d_var, d_entropy, posterior.moments(h)[-1]), h)


def test_a_diagonal_factor_is_the_diagonal_posterior():
    diagonal, full = DiagonalPosterior(D), FullPosterior(D)
    h, noise, _ = setting(diagonal)
    tril = np.zeros((N, D * (D + 1) // 2))
    tril[:, [0, 2, 5]] = h[:, D:] / 2
    same = np.concatenate([h[:, :D], tril], axis=1)
    for one, other in zip(diagonal.sample(h, noise)[:2], full.sample(same, noise)[:2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    for one, other in zip(diagonal.moments(h)[:3], full.moments(same)[:3], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("posterior", [DiagonalPosterior(D), FullPosterior(D)])
def test_expected_log_prior_and_entropy_make_the_kl(posterior, learned):
    h, _, rng = setting(posterior)
    prior = DiagonalPrior(D, learned)
    params = {name: rng.standard_normal(shape) for name, shape in prior.shapes().items()}
    mean, var, entropy, _ = posterior.moments(h)
    found = -entropy - prior.expected_log_prob(params, mean, var)[0]
    loc, factor = posterior.parameters(h)
    factor = factor if factor.ndim == 3 else factor[:, None] * np.eye(D)
    p_cov = np.diag(np.exp(params.get("prior.log_var", np.zeros(D))))
    expected = kl.multivariate_normal(loc, factor @ factor.mT, params.get("prior.loc", np.zeros(D)), p_cov)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_prior_density_and_sample():
    rng = np.random.default_rng(0)
    params = {"prior.loc": rng.standard_normal(D), "prior.log_var": rng.standard_normal(D)}
    noise = rng.standard_normal((K, N, D))
    for prior, loc, var in [
        (DiagonalPrior(D, True), params["prior.loc"], np.exp(params["prior.log_var"])),
        (DiagonalPrior(D), np.zeros(D), np.ones(D)),
    ]:
        z = prior.sample(params, noise)
        np.testing.assert_allclose(z, loc + np.sqrt(var) * noise, rtol=1e-14)
        dense = multivariate_normal(loc, np.diag(var)).logpdf(z)
        np.testing.assert_allclose(prior.log_prob(params, z)[0], dense, rtol=1e-12)
