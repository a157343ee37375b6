"""The bound against exact evidence, brute force over assignments, and Monte Carlo over q."""

import numpy as np
import pytest
from conjugate import (
    Chain,
    log_chinese_restaurant,
    log_dirichlet_multinomial,
    log_evidence,
    log_sticks,
    partitions,
)
from scipy import integrate, stats
from scipy.special import logsumexp

import vbref
from vbref.meanfield import GaussianMixture

KINDS = ("full", "tied", "diag", "spherical")


def prior(kind, d, seed=0):
    """Hyperparameters as keywords of ours, and the chain with the same."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((d, d))
    full = root @ root.T + np.eye(d)
    c0 = {"diag": np.diag(full).copy(), "spherical": 1.7}.get(kind, full)
    m0, beta0, nu0 = rng.standard_normal(d), 0.3, d + 0.5
    ours = {"mean": m0, "mean_precision": beta0, "df": nu0, "inverse_scale": c0, "covariance": kind}
    return ours, Chain(kind, m0, beta0, nu0, c0)


@pytest.mark.parametrize("process", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (40, 1), (40, 3), (2, 5)])
def test_one_component_has_the_exact_evidence(kind, n, d, process):
    ours, chain = prior(kind, d)
    x = np.random.default_rng(n).standard_normal((n, d)) * 3 + 5
    exact = chain.log_joint(x, np.zeros(n, int))
    model = GaussianMixture(1, process=process, **ours).fit(x, rng=0)
    assert model.elbo == pytest.approx(exact, rel=1e-11)
    assert sum(model.elbo_terms.values()) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_old_faithful_evidence_of_one_component(kind):
    ours, chain = prior(kind, 2)
    x = vbref.load_faithful()
    exact = chain.log_joint(x, np.zeros(len(x), int))
    assert GaussianMixture(1, **ours).fit(x, rng=0).elbo == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_below_the_evidence_by_enumeration(kind):
    """Of the Dirichlet, of the cut sticks, and of the whole process by its partitions."""
    ours, chain = prior(kind, 2, 1)
    x = np.random.default_rng(1).standard_normal((5, 2)) + 5 * np.array([[0, 1, 0, 1, 1]]).T
    exact = log_evidence(chain, x, 2, lambda z: log_dirichlet_multinomial(z, 2, 0.8))
    model = GaussianMixture(2, concentration=0.8, **ours).fit(x, rng=0, n_init=3)
    assert model.elbo < exact
    cut = log_evidence(chain, x, 2, lambda z: log_sticks(z, 2, 0.8))
    assert GaussianMixture(2, concentration=0.8, process=True, **ours).fit(x, rng=0, n_init=3).elbo < cut
    whole = [log_chinese_restaurant(z, 0.8) + chain.log_joint(x, z) for z in partitions(5)]
    options = {"concentration": 0.8, "process": True, "truncation": "posterior"}
    assert GaussianMixture(3, **options, **ours).fit(x, rng=0, n_init=3).elbo < logsumexp(whole)


def test_gap_is_the_label_symmetry_where_assignments_are_certain():
    """D = 1 with N = 6 near each of two far points: log p(x) − ELBO → log 2 + KL of the parameters alone."""
    x = np.array([0.0, 0.1, -0.1, 1e4, 1e4 + 0.1, 1e4 - 0.1])[:, None]
    ours = {"mean": np.zeros(1), "mean_precision": 1e-9, "df": 3.0, "inverse_scale": 1.0}
    chain = Chain("full", np.zeros(1), 1e-9, 3.0, np.eye(1))
    exact = log_evidence(chain, x, 2, lambda z: log_dirichlet_multinomial(z, 2, 1.0))
    model = GaussianMixture(2, **ours).fit(x, means=np.array([[0.0], [1e4]]))
    assert exact - model.elbo == pytest.approx(np.log(2), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("process", [False, True])
def test_terms_by_monte_carlo(kind, process):
    """Each of Bishop 10.71–10.77 is an expectation under q, whose densities SciPy has."""
    ours, _ = prior(kind, 2)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((8, 2)) + np.repeat([[0.0], [2.5]], 4, axis=0)
    model = GaussianMixture(2, concentration=1.3, process=process, **ours).fit(x, rng=0, max_iter=4, tol=0.0)
    draws = sampled_terms(model, ours, x, kind, process, rng, 20_000)
    for name, values in draws.items():
        error = values.std() / np.sqrt(len(values)) + 1e-12
        assert abs(values.mean() - model.elbo_terms[name]) < 4.5 * error, name


def sampled_terms(model, ours, x, kind, process, rng, draws):
    post, d = model.posterior, x.shape[1]
    r = last_assignments(model, x)
    log_pi, log_p_pi, log_q_pi = sampled_weights(post["weights"], process, rng, draws)
    log_lik, log_p, log_q = np.zeros((draws, len(x), 2)), np.zeros(draws), np.zeros(draws)
    shared = None
    for k in range(2):
        if kind != "tied" or k == 0:
            precisions, p, q = sampled_precisions(post, ours, kind, k, d, rng, draws)
            log_p, log_q, shared = log_p + p, log_q + q, precisions
        for cov_scale, mean, add in (
            (post["mean_precision"][k], post["mean"][k], "q"),
            (ours["mean_precision"], ours["mean"], "p"),
        ):
            if add == "q":
                root = np.linalg.cholesky(np.linalg.inv(cov_scale * shared))
                mu = mean + (root @ rng.standard_normal((draws, d, 1)))[..., 0]
                log_q = log_q + gaussian(mu - mean, cov_scale * shared)
            else:
                log_p = log_p + gaussian(mu - mean, cov_scale * shared)
        log_lik[:, :, k] = gaussian(x - mu[:, None], shared[:, None])
    return {
        "E log p(X | Z, mu, Lambda)": (log_lik * r).sum(axis=(1, 2)),
        "E log p(Z | pi)": log_pi @ r.sum(axis=0),
        "E log p(pi)": log_p_pi,
        "E log p(mu, Lambda)": log_p,
        "-E log q(Z)": np.full(draws, stats.entropy(r.T).sum()),
        "-E log q(pi)": -log_q_pi,
        "-E log q(mu, Lambda)": -log_q,
    }


def last_assignments(model, x):
    """The r of the last M-step: fits stop after it, so those of the fit one sweep shorter."""
    again = GaussianMixture(
        2,
        concentration=model.concentration,
        process=model.process,
        mean=model.mean,
        mean_precision=model.mean_precision,
        df=model.df,
        inverse_scale=model.inverse_scale,
        covariance=model.covariance,
    )
    return again.fit(x, rng=0, max_iter=3, tol=0.0).predict_proba(x)


def sampled_weights(parameters, process, rng, draws):
    if process:
        a, b = (array[0] for array in parameters)
        v = rng.beta(a, b, draws)
        log_pi = np.log(np.stack([v, 1 - v], axis=1))
        return log_pi, stats.beta.logpdf(v, 1, 1.3), stats.beta.logpdf(v, a, b)
    pi = rng.dirichlet(parameters[0], draws)
    return np.log(pi), stats.dirichlet.logpdf(pi.T, [1.3, 1.3]), stats.dirichlet.logpdf(pi.T, parameters[0])


def sampled_precisions(post, ours, kind, k, d, rng, draws):
    nu0, c0, nu, c = ours["df"], ours["inverse_scale"], post["df"][k], post["inverse_scale"][k]
    if kind in ("full", "tied"):
        q, p = stats.wishart(nu, np.linalg.inv(c)), stats.wishart(nu0, np.linalg.inv(c0))
        drawn = q.rvs(draws, random_state=rng)
        return drawn, p.logpdf(np.moveaxis(drawn, 0, -1)), q.logpdf(np.moveaxis(drawn, 0, -1))
    m = d if kind == "spherical" else 1
    q, p = (
        stats.gamma(m * nu / 2, scale=2 / (m * c)),
        stats.gamma(m * nu0 / 2, scale=2 / (m * np.atleast_1d(c0))),
    )
    drawn = q.rvs((draws, len(c)), random_state=rng)
    return drawn[:, :, None] * np.eye(d), p.logpdf(drawn).sum(axis=1), q.logpdf(drawn).sum(axis=1)


def gaussian(gaps, precision):
    quadratic = np.einsum("...i,...ij,...j->...", gaps, precision, gaps)
    return 0.5 * (np.linalg.slogdet(precision)[1] - gaps.shape[-1] * np.log(2 * np.pi) - quadratic)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truncation", ["model", "posterior"])
def test_predictive_integrates_to_one(kind, truncation):
    ours, _ = prior(kind, 1)
    x = np.random.default_rng(0).standard_normal((30, 1)) * 4
    model = GaussianMixture(3, process=True, truncation=truncation, **ours).fit(x, rng=0)
    density = lambda t: float(np.exp(model.log_predictive(np.array([[t]])))[0])  # noqa: E731
    total, error = integrate.quad(density, -np.inf, np.inf, limit=400, epsabs=1e-9, points=None)
    assert total == pytest.approx(1, abs=max(1e-7, 10 * error))


@pytest.mark.parametrize("kind", KINDS)
def test_predictive_is_the_evidence_ratio_for_one_component(kind):
    ours, chain = prior(kind, 3)
    x = np.random.default_rng(5).standard_normal((21, 3))
    model = GaussianMixture(1, **ours).fit(x[:20], rng=0)
    ratio = chain.log_joint(x, np.zeros(21, int)) - chain.log_joint(x[:20], np.zeros(20, int))
    assert model.log_predictive(x[20:])[0] == pytest.approx(ratio, rel=1e-12)


def test_predictive_is_scipys_students():
    x = vbref.load_faithful()
    model = GaussianMixture(3, concentration=0.2).fit(x, rng=1)
    post = model.posterior
    t = post["df"] - 1
    widening = (1 + post["mean_precision"]) / post["mean_precision"] / t
    students = [
        np.log(model.weights[k])
        + stats.multivariate_t.logpdf(x, post["mean"][k], post["inverse_scale"][k] * widening[k], df=t[k])
        for k in range(3)
    ]
    np.testing.assert_allclose(model.log_predictive(x), logsumexp(students, axis=0), rtol=1e-12)
