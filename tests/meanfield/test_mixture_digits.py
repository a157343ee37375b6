"""Digits where numbers of very different size meet: rows and their prior, degrees of freedom, counts."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vbref
from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture.statistics import Frame, gather
from vbref.meanfield.mixture.weights import Sticks

KINDS = ("full", "tied", "diag", "spherical")


def log_evidence(x, kind, mean, mean_precision, df, inverse_scale):
    """log p(x) of one component at 60 digits, by the ratio of the normalisers; diag is a product over d."""
    n, d = x.shape
    with mp.workdps(60):
        if kind == "diag":
            return sum(
                log_evidence(x[:, [i]], "full", mean[i : i + 1], mean_precision, df, inverse_scale)
                for i in range(d)
            )
        rows, beta_0, nu_0 = mp.matrix(x.tolist()), mp.mpf(mean_precision), mp.mpf(df)
        center = [mp.fsum(rows[:, i]) / n for i in range(d)]
        gaps = mp.matrix(n, d)
        for i in range(d):
            for j in range(n):
                gaps[j, i] = rows[j, i] - center[i]
        gap = mp.matrix([c - mp.mpf(m) for c, m in zip(center, mean.tolist(), strict=True)])
        c_0 = mp.mpf(inverse_scale) * mp.eye(d)
        c = c_0 + gaps.T * gaps + beta_0 * n / (beta_0 + n) * gap * gap.T
        shared = d * mp.log(beta_0 / (beta_0 + n)) / 2 - n * d * mp.log(mp.pi) / 2
        if kind == "spherical":
            a_0, a = d * nu_0 / 2, d * (nu_0 + n) / 2
            trace_0, trace = (sum(m[i, i] for i in range(d)) for m in (c_0, c))
            return shared + mp.loggamma(a) - mp.loggamma(a_0) + a_0 * mp.log(trace_0) - a * mp.log(trace)
        gammas = sum(mp.loggamma((nu_0 + n - i) / 2) - mp.loggamma((nu_0 - i) / 2) for i in range(d))
        return shared + gammas + nu_0 / 2 * mp.log(mp.det(c_0)) - (nu_0 + n) / 2 * mp.log(mp.det(c))


def fitted(x, kind="full", **options):
    """One component, and what its bound should be."""
    given = {"mean": np.zeros(x.shape[1]), "mean_precision": 1.0, "df": x.shape[1] + 0.0} | options
    given = {"inverse_scale": 1.0} | given
    model = GaussianMixture(1, covariance=kind, **given).fit(x)
    return model, float(log_evidence(x.astype(np.float64), kind, **given))


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 2), (2, 3), (3, 6), (5, 6), (60, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e6, 1e8])
def test_a_prior_far_narrower_than_few_rows(scale, n, d, kind):
    """Rows that leave directions to C_0 = I alone: entries of the scatter do not see it from 1e8 on."""
    model, exact = fitted(scale * np.random.default_rng(n).standard_normal((n, d)), kind)
    assert model.elbo == pytest.approx(exact, rel=1e-12)
    assert sum(model.elbo_terms.values()) == pytest.approx(exact, rel=1e-12)
    assert model.ascent.converged


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_prior_far_narrower_than_columns_that_depend_on_each_other(kind):
    z = 1e6 * np.random.default_rng(0).standard_normal((50, 1))
    model, exact = fitted(np.hstack([z, 2 * z, z + 1]), kind)
    assert model.elbo == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [1e8, 1e12])
def test_a_mean_far_from_the_rows(offset, kind):
    model, exact = fitted(np.random.default_rng(0).standard_normal((30, 2)) + offset, kind)
    assert model.elbo == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("df", [1e4, 1e8, 1e12])
def test_many_degrees_of_freedom(df, kind):
    """Normalisers of 1e12 degrees of freedom are of size 1e13; their ratio is that of thirty rows."""
    x = np.random.default_rng(0).standard_normal((30, 2))
    model, exact = fitted(x, kind, df=df, inverse_scale=df)
    assert model.elbo == pytest.approx(exact, rel=1e-13)
    assert sum(model.elbo_terms.values()) == pytest.approx(exact, rel=1e-11)
    one_more = fitted(np.concatenate([x, [[1.0, 2.0]]]), kind, df=df, inverse_scale=df)[1]
    assert model.log_predictive(np.array([[1.0, 2.0]]))[0] == pytest.approx(one_more - exact, rel=1e-12)


@st.composite
def problems(draw):
    """Rows in few dimensions and hyperparameters that do not follow their scale."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.sampled_from([1, 2, 4, 6, 20])), draw(st.sampled_from([1, 2, 3, 6]))
    x = rng.standard_normal((n, d)) + 4 * rng.integers(0, 3, (n, 1))
    if draw(st.booleans()):
        x = x[rng.integers(0, n, n) // 2]
    x *= 10.0 ** draw(st.sampled_from([-8, 0, 3, 7, 8]))
    kind = draw(st.sampled_from(KINDS))
    least = d - 1 if kind in ("full", "tied") else 0
    return x, {
        "covariance": kind,
        "df": least + 10.0 ** draw(st.sampled_from([-3, 0, 1, 4, 10])),
        "mean": draw(st.sampled_from([0.0, 1.0, 1e4, -1e8])) * rng.standard_normal(d),
        "mean_precision": 10.0 ** draw(st.integers(-8, 5)),
        "inverse_scale": 10.0 ** draw(st.integers(-3, 4)),
    }


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from([1, 2, 3, 5]), st.integers(0, 100))
def test_the_bound_never_falls_whatever_the_prior(problem, k, seed):
    x, options = problem
    model = GaussianMixture(k, **options).fit(x, rng=seed, max_iter=15, tol=0.0)  # or BoundFell
    bounds = np.array([update.bound for update in model.history])
    assert (np.diff(bounds) > -1e-9 * np.maximum(abs(bounds[1:]), 1)).all()
    assert model._state.evidence_bound().rounding < 1e-2 * max(abs(model.elbo), 1)  # the guard is awake
    assert np.isfinite(model.log_predictive(x)).all()


@settings(max_examples=60, deadline=None)
@given(problems())
def test_one_component_has_the_exact_evidence_whatever_the_prior(problem):
    x, options = problem
    options = dict(options)
    model, exact = fitted(x, options.pop("covariance"), **options)
    assert model.elbo == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_rows_that_float64_cannot_hold_beside_the_prior():
    x = np.random.default_rng(0).standard_normal((2, 3))
    for rows in (1e15 * x, 1e15 * x[:1]):
        with pytest.raises(FloatingPointError, match="inverse_scale is too small"):
            fitted(rows)
    stochastic = GaussianMixture(1, mean=np.zeros(3), df=3.0, inverse_scale=1.0)
    with pytest.raises(FloatingPointError, match="inverse_scale is too small"):
        stochastic.fit_stochastic(1e8 * x, batch_size=2, epochs=2, rng=0)


@pytest.mark.parametrize(
    "x", [vbref.load_faithful(), vbref.load_digits().x[:400]], ids=["faithful", "digits"]
)
def test_usual_rows_need_one_pass(x):
    state = GaussianMixture(3).fit(x.astype(np.float64), rng=0, max_iter=3)._state
    assert not state.components.law.coarse
    assert state.statistics.root is None


def test_refined_statistics_are_the_same():
    """And so are their sums and shares, with roots that square to the scatter."""
    rng = np.random.default_rng(0)
    x, means = 3 * rng.standard_normal((500, 3)), rng.standard_normal((2, 3))
    frame = Frame(means, np.stack([np.eye(3), np.tril(np.ones((3, 3)))]), np.zeros(2), means)
    fast, other = (gather(part, np.zeros(3), frame) for part in (x, x[:7]))
    for fine in (fast.refined(), fast.refined().scaled(0.25) + other.refined()):
        coarse = fast if fine.count.sum() > 400 else fast.scaled(0.25) + other
        for name in ("count", "mean", "scatter", "entropy"):
            np.testing.assert_allclose(getattr(fine, name), getattr(coarse, name), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(fine.root.swapaxes(1, 2) @ fine.root, fine.scatter, rtol=1e-12, atol=1e-11)


def test_what_is_left_of_a_stick_keeps_its_digits():
    """Rows after component k are summed from the end: of 1e6 + 1e-11 less 1e6 nothing would be left."""
    a, b = Sticks(3, 1e-12, True).posterior(np.array([1e6, 1e-11, 1e-13])).parameters
    np.testing.assert_allclose(a, [1e6 + 1, 1.0 + 1e-11], rtol=1e-15)
    np.testing.assert_allclose(b, [1.11e-11, 1.1e-12], rtol=1e-14)
