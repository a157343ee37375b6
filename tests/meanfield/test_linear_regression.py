"""Regression: exact evidence by SciPy and by quadrature, the bound by Monte Carlo, selection on real data."""

import dataclasses

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from vbref import load_digits, load_faithful
from vbref.meanfield import LinearRegression

ALPHA = np.array([0.5, 2.0, 1.7])


def problem(seed=0, n=7, d=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x, x @ np.linspace(1, -2, d) + 0.3 * rng.standard_normal(n)


def fixed(alpha=ALPHA, **options):
    options = {"noise_concentration": 1.3, "noise_rate": 0.7} | options
    return LinearRegression(prior="fixed", weight_precision=alpha, **options)


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_the_conjugate_bound_is_the_evidence(n):
    """y is a multivariate Student's t, 2a₀ degrees of freedom, shape (b₀/a₀)(I + X diag(1/α) Xᵀ)."""
    x, y = problem(n=n)
    model = fixed().fit(x, y)
    shape = 0.7 / 1.3 * (np.eye(n) + x / ALPHA @ x.T)
    exact = stats.multivariate_t(None, shape, 2.6).logpdf(y)
    assert model.log_evidence == pytest.approx(exact, rel=1e-12)
    assert model.elbo == pytest.approx(exact, rel=1e-12)


def test_a_bound_knows_the_size_of_its_addends():
    """Those of the terms, N, Σ α_j E[τ w_j²], and D times the condition of the least squares."""
    x, y = problem()
    model = fixed().fit(x, y)
    state, q = model._state, model._state.weight_noise
    scaled = model.noise_precision * q.mean**2 + np.diagonal(np.linalg.inv(q.root.T @ q.root))
    condition = max(np.linalg.norm(q.root[:, j]) / abs(q.root[j, j]) for j in range(3))
    sizes = [7, *map(abs, model.elbo_terms.values()), ALPHA @ scaled, 3 * condition]
    assert state.evidence_bound().magnitude == pytest.approx(sum(sizes), rel=1e-12)
    spread = np.diagonal(np.linalg.inv(q.root.T @ q.root))
    np.testing.assert_allclose(model.weight_scales, np.sqrt(spread / model.noise_precision), rtol=1e-12)
    np.testing.assert_allclose(model.relevance, 1 - ALPHA * spread, rtol=1e-12)
    turned = dataclasses.replace(q, root=-q.root)
    assert turned.condition == q.condition > 1


def exact_evidence(x, y, a0, b0):
    """The same Student's t at 50 digits."""
    with mp.workdps(50):
        n, a0, b0 = len(y), mp.mpf(a0), mp.mpf(b0)
        shape = (
            mp.eye(n) + mp.matrix((x / np.sqrt(ALPHA)).tolist()) * mp.matrix((x / np.sqrt(ALPHA)).tolist()).T
        )
        square = (mp.matrix([y.tolist()]) * mp.lu_solve(shape, mp.matrix(y.tolist())))[0]
        normal = -n * mp.log(2 * mp.pi * b0) / 2 - mp.log(mp.det(shape)) / 2
        gammas = mp.loggamma(a0 + mp.mpf(n) / 2) - mp.loggamma(a0)
        return gammas + normal - (a0 + mp.mpf(n) / 2) * mp.log(1 + square / (2 * b0))


@pytest.mark.parametrize("a0", [1e-6, 1e4, 1e8, 1e12])
def test_no_size_of_the_noise_prior_costs_digits(a0):
    """log Γ(10¹²) has three decimals; what seven rows make of it has all."""
    x, y = problem(n=8)
    model = fixed(noise_concentration=a0, noise_rate=a0 / 3).fit(x[:7], y[:7])
    exact, more = (exact_evidence(x[:n], y[:n], a0, a0 / 3) for n in (7, 8))
    assert model.log_evidence == pytest.approx(float(exact), rel=1e-13)
    assert model.elbo == pytest.approx(float(exact), rel=1e-13)
    assert model.log_predictive(x[7:], y[7:])[0] == pytest.approx(float(more - exact), rel=1e-13)


def test_the_evidence_by_quadrature():
    """The trapezoidal rule, in log τ and in u = √τ w, which falls off exponentially on all sides."""
    x, y = problem(n=3, d=1)
    log_tau, u = np.arange(-14, 6, 0.02), np.arange(-30, 30, 0.05)[:, None]
    tau = np.exp(log_tau)
    w = u / np.sqrt(tau)
    log_p = stats.norm.logpdf(y[:, None, None], x[:, :, None] * w, tau**-0.5).sum(axis=0)
    log_p += stats.norm.logpdf(w, 0, (2.0 * tau) ** -0.5) + stats.gamma.logpdf(tau, 1.3, scale=1 / 0.7)
    exact = np.logaddexp.reduce(log_p + log_tau - log_tau / 2, axis=None) + np.log(0.02 * 0.05)
    assert fixed(2.0).fit(x, y).elbo == pytest.approx(exact, abs=1e-10)


def test_predictions_are_ratios_of_evidences():
    """log p(y*|y) = log p(y, y*) − log p(y), which knows nothing of the posterior."""
    x, y = problem(n=9)
    model = fixed().fit(x[:8], y[:8])
    ratio = fixed().fit(x, y).log_evidence - model.log_evidence
    assert model.log_predictive(x[8:], y[8:])[0] == pytest.approx(ratio, rel=1e-11)
    loc, scale, df = model.predict(x[8:])
    assert stats.t.logpdf(y[8], df, loc[0], scale[0]) == pytest.approx(ratio, rel=1e-11)


def sampled_terms(model, x, y, prior, count=40_000):
    """Each term of the bound from draws of q, with SciPy's densities: (count,) a term."""
    rng, q = np.random.default_rng(5), model.posterior
    a, b = float(q["noise_concentration"]), float(q["noise_rate"])
    c, d = q["weight_concentration"], q["weight_rate"]
    tau = rng.gamma(a, 1 / b, count)
    alpha = rng.gamma(c, 1 / d, (count, len(c)))
    factor = np.linalg.cholesky(np.linalg.inv(q["precision"]))
    eps = rng.standard_normal((count, len(q["mean"])))
    w = q["mean"] + eps @ factor.T / np.sqrt(tau)[:, None]
    log_det = np.linalg.slogdet(q["precision"])[1]
    scaled = ((w - q["mean"]) @ np.linalg.cholesky(q["precision"])) ** 2
    log_q_w = (log_det - tau * scaled.sum(1) + eps.shape[1] * np.log(tau / 2 / np.pi)) / 2
    return {
        "E log p(y | w, tau)": stats.norm.logpdf(y, w @ x.T, tau[:, None] ** -0.5).sum(1),
        "E log p(w | tau, alpha)": stats.norm.logpdf(w, 0, (tau[:, None] * alpha) ** -0.5).sum(1),
        "E log p(tau)": stats.gamma.logpdf(tau, prior[2], scale=1 / prior[3]),
        "-E log q(w | tau)": -log_q_w,
        "-E log q(tau)": -stats.gamma.logpdf(tau, a, scale=1 / b),
        "E log p(alpha)": stats.gamma.logpdf(alpha, prior[0], scale=1 / prior[1]).sum(1),
        "-E log q(alpha)": -stats.gamma.logpdf(alpha, c, scale=1 / d).sum(1),
    }


@pytest.mark.parametrize("prior", ["shared", "ard"])
def test_each_term_of_the_bound_by_monte_carlo(prior):
    x, y = problem(n=5)
    hyper = (0.8, 1.7, 2.0, 0.6)
    names = ("weight_concentration", "weight_rate", "noise_concentration", "noise_rate")
    model = LinearRegression(prior=prior, **dict(zip(names, hyper, strict=True))).fit(x, y, max_iter=2)
    draws = sampled_terms(model, x, y, hyper)
    assert draws.keys() == model.elbo_terms.keys()
    for name, values in draws.items():
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - model.elbo_terms[name]) < 4 * error, name
    assert model.elbo == pytest.approx(sum(model.elbo_terms.values()), rel=1e-14)


def test_one_weight_of_unknown_precision_by_quadrature():
    """log p(y) = log ∫ p(y | α) p(α) dα ≥ bound; with one weight both priors are the same model."""
    x, y = problem(n=6, d=1)
    options = {"noise_concentration": 2.0, "noise_rate": 0.6}
    hyper = {"weight_concentration": 0.8, "weight_rate": 1.7}

    def integrand(log_alpha):
        alpha = np.exp(log_alpha)
        evidence = np.exp(fixed(alpha, **options).fit(x, y).log_evidence)
        return evidence * stats.gamma.pdf(alpha, 0.8, scale=1 / 1.7) * alpha

    exact = np.log(integrate.quad(integrand, -12, 5, epsabs=1e-12)[0])
    ard, shared = (LinearRegression(prior=p, **hyper, **options).fit(x, y) for p in ("ard", "shared"))
    assert ard.elbo == pytest.approx(shared.elbo, rel=1e-14)
    assert 0 < exact - ard.elbo < 0.15


def test_known_noise_is_bishops_model():
    """With a₀, b₀ → ∞ at a₀/b₀ = β his equations 10.93 to 10.102 hold, for α β in place of his α."""
    x, y = problem(n=20)
    beta, c0, d0 = 4.0, 0.8, 1.7
    model = LinearRegression(
        prior="shared", weight_concentration=c0, weight_rate=d0, noise_concentration=4e9, noise_rate=1e9
    ).fit(x, y, tol=1e-14)
    alpha = 1.0
    for _ in range(200):
        cov = np.linalg.inv(alpha * np.eye(3) + beta * x.T @ x)
        mean = beta * cov @ x.T @ y
        alpha = (c0 + 1.5) / (d0 / beta + 0.5 * (mean @ mean + np.trace(cov)))
    np.testing.assert_allclose(model.weights, mean, rtol=1e-6)
    assert model.expected_precision[0] * beta == pytest.approx(alpha, rel=1e-6)


def standardised(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def strong(model):
    """Columns whose weights are further than four of their scales from zero."""
    return set(np.nonzero(abs(model.weights) > 4 * model.weight_scales)[0])


def test_selection_finds_the_neighbours_of_a_pixel_among_columns_of_noise():
    """Digits: pixel 28 from the 60 others that vary and 20 columns of noise, on every second image."""
    images = load_digits().x
    others = [p for p in np.nonzero(images.std(axis=0) > 0)[0] if p != 28]
    noise = np.random.default_rng(0).standard_normal((len(images), 20))
    x, y = standardised(np.concatenate([images[:, others], noise], axis=1)), standardised(images[:, 28])
    ard, shared = (LinearRegression(prior=p).fit(x[::2], y[::2]) for p in ("ard", "shared"))
    neighbours = {others.index(p) for p in (20, 36, 27, 29)}
    assert set(np.argsort(-abs(ard.weights))[:4]) == neighbours
    assert neighbours <= strong(ard)
    assert not strong(ard) & set(range(60, 80))
    assert np.median(abs(ard.weights[60:])) < np.median(abs(shared.weights[60:])) / 5
    held_out = [m.log_predictive(x[1::2], y[1::2]).mean() for m in (ard, shared)]
    assert held_out[0] > held_out[1]


def test_selection_on_old_faithful():
    """The wait from the eruption's length and thirty columns of noise."""
    data = standardised(load_faithful())
    x = np.concatenate([data[:, :1], np.random.default_rng(1).standard_normal((272, 30))], axis=1)
    model = LinearRegression().fit(x, data[:, 1])
    assert strong(model) == {0}
    assert model.weights[0] == pytest.approx(np.corrcoef(data.T)[0, 1], abs=0.02)
    assert model.relevance[0] > 0.99


@given(
    n=st.integers(1, 8),
    d=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    prior=st.sampled_from(["fixed", "shared", "ard"]),
    size=st.sampled_from([1e-8, 1.0, 1e8]),
    kind=st.sampled_from(["plain", "duplicates", "constant", "zeros", "offset", "exact"]),
    hyper=st.sampled_from([1e-6, 1.0, 1e4]),
)
def test_it_rises_on_any_data(n, d, seed, prior, size, kind, hyper):
    x, y = problem(seed, n, d)
    x, y = {
        "plain": (x, y),
        "duplicates": (np.repeat(x[:1], n, axis=0), y),
        "constant": (np.column_stack([np.ones(n), np.repeat(x[:, :1], d - 1, axis=1)]), y),
        "zeros": (0 * x, 0 * y),
        "offset": (x + 1e8, y - 1e8),
        "exact": (x, x @ np.ones(d)),
    }[kind]
    options = {"weight_concentration": hyper, "weight_rate": hyper, "noise_rate": hyper}
    model = LinearRegression(prior=prior, **options)
    if kind == "offset" and size == 1e8:
        x = x - 1e8  # both at once are more than float64 holds: the test below
    model.fit(size * x, y, max_iter=60)
    assert np.isfinite([model.elbo, model.noise_precision, *model.weights]).all()
    assert (model.relevance <= 1).all()
    assert np.isfinite(model.log_predictive(size * x, y)).all()
    if prior == "fixed":
        slack = 1e-11 * (1 + sum(map(abs, model.elbo_terms.values())))
        assert model.elbo == pytest.approx(model.log_evidence, abs=slack)


def test_a_prior_lost_beside_the_data_is_named():
    """Two columns of 1e16 and one row: P = XᵀX + I has eigenvalues 1e32 and 1."""
    with pytest.raises(FloatingPointError, match="cannot be seen in float64"):
        LinearRegression(prior="fixed").fit([[1e16, 2e16]], [1.0])
    assert np.isfinite(LinearRegression(prior="fixed").fit([[1e16, 0.0], [0.0, 1e16]], [1.0, 2.0]).elbo)


@pytest.mark.parametrize(("size_x", "size_y"), [(1e300, 1.0), (1.0, 1e300)])
def test_overflow_is_named(size_x, size_y):
    x, y = problem()
    with pytest.raises(ValueError, match="x, y and the hyperparameters must stay within"):
        LinearRegression().fit(size_x * x, size_y * y)
    with pytest.raises(ValueError, match="x and y must stay within"):
        LinearRegression().fit(x, y).log_predictive(x, 1e300 * y)


def test_dtypes():
    x, y = problem(n=9)
    narrow = LinearRegression().fit(x.astype(np.float32), y.astype(np.float32))
    wide = LinearRegression().fit(x.astype(np.float32).astype(float), y.astype(np.float32).astype(float))
    assert narrow.elbo == wide.elbo
    assert narrow.predict(x.astype(np.float32)).loc.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "flat"}, "prior must be one of"),
        ({"weight_precision": 0.0}, "weight_precision must be > 0"),
        ({"noise_rate": -1.0}, "noise_rate must be > 0"),
        ({"weight_rate": np.ones(2)}, "weight_rate must have shape"),
        ({"noise_concentration": np.inf}, "noise_concentration must be a finite number"),
        ({"noise_concentration": "1"}, "noise_concentration must be a finite number, was '1'"),
        ({"weight_precision": "1"}, "weight_precision must be a number or an array of them, was '1'"),
        ({"weight_precision": np.nan}, "weight_precision must be finite"),
    ],
)
def test_bad_hyperparameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LinearRegression(**options)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2), int), np.zeros(3), "x must be float32 or float64"),
        (np.zeros((3, 2)), np.zeros(2), "y must have shape"),
        (np.zeros(3), np.zeros(3), "x must have shape"),
        (np.zeros((0, 2)), np.zeros(0), "at least one row"),
        (np.zeros((2, 0)), np.zeros(2), "at least one row and one column"),
        (np.full((2, 1), np.nan), np.zeros(2), "x must be finite"),
    ],
)
def test_bad_data_are_named(x, y, message):
    with pytest.raises(ValueError, match=message):
        LinearRegression().fit(x, y)


def test_what_does_not_fit_is_named():
    x, y = problem()
    with pytest.raises(ValueError, match="weight_precision must have shape"):
        fixed(np.ones(2)).fit(x, y)
    for other, targets, message in [(x[:, :1], y, "x must"), (1.0, 1.0, "x must"), (x, y[:, None], "y must")]:
        with pytest.raises(ValueError, match=f"{message} have shape"):
            LinearRegression().fit(x, y).log_predictive(other, targets)
    with pytest.raises(ValueError, match="log_evidence is exact for"):
        _ = LinearRegression().fit(x, y).log_evidence
    with pytest.raises(ValueError, match="must be fitted first"):
        _ = LinearRegression().elbo
