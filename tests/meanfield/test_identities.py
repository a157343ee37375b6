"""Identities of conjugate updates, on families alone and on every model; each sees a wrong update."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from vbref import kl
from vbref.meanfield import BinaryField, FiniteField, Gaussian, GaussianMixture, families, identities
from vbref.meanfield.linear_regression import LinearRegression
from vbref.meanfield.normal_gamma import Gammas, NormalGamma
from vbref.meanfield.regression_state import Design

RNG = np.random.default_rng(0)
MATRIX = np.array([[2.0, 0.3, -0.4], [0.3, 1.5, 0.2], [-0.4, 0.2, 1.0]])
MEAN = np.array([0.5, -1.0, 0.8])

POINTS = {
    "categorical": (families.Categorical(), (np.array([0.2, 0.5, 0.3]),)),
    "spin": (families.Spin(), (0.4,)),
    "gamma": (families.Gamma(), (2.3, 1.7)),
    "dirichlet": (families.Dirichlet(), (np.array([0.8, 2.0, 3.5]),)),
    "normal": (families.Normal(3), (MEAN, MATRIX)),
    "normal-gamma": (families.NormalGamma(3), (MEAN, MATRIX, 3.0, 2.0)),
    "beta": (families.Beta(), (2.3, 0.6)),
    "normal-wishart": (families.NormalWishart(3), (MEAN, 1.7, 4.5, MATRIX)),
    "normal-wishart in one dimension": (families.NormalWishart(1), (MEAN[:1], 1.7, 0.8, MATRIX[:1, :1])),
}


@pytest.mark.parametrize("name", POINTS)
def test_moments_are_the_gradient_of_the_log_normaliser(name):
    family, usual = POINTS[name]
    eta = family.natural(*usual)
    np.testing.assert_allclose(identities.moment_defect(family, eta, step=5e-4), 0, atol=1e-8)
    back = family.usual(eta)
    for given, found in zip(usual, back if len(usual) > 1 else (back,), strict=True):
        np.testing.assert_allclose(given, found, rtol=1e-12)


def test_moments_by_scipy_and_by_sampling():
    np.testing.assert_allclose(
        POINTS["gamma"][0].moments(np.array([1.3, -1.7]))[1], stats.gamma(2.3, 0, 1 / 1.7).mean()
    )
    family, (m, p, a, b) = POINTS["normal-gamma"]
    tau = RNG.gamma(a, 1 / b, 200_000)
    w = (
        m
        + RNG.standard_normal((len(tau), 3)) @ np.linalg.cholesky(np.linalg.inv(p)).T / np.sqrt(tau)[:, None]
    )
    rows, columns = np.tril_indices(3)
    draws = np.column_stack([np.log(tau), tau, tau[:, None] * w, tau[:, None] * w[:, rows] * w[:, columns]])
    z = (draws.mean(0) - family.moments(family.natural(m, p, a, b))) / (draws.std(0) / np.sqrt(len(tau)))
    assert (abs(z) < 4).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("categorical", {0: np.array([0.0, 1.0])}, "probs must be > 0"),
        ("categorical", {0: np.array([0.5, 0.6])}, "probs must sum to one"),
        ("spin", {0: 1.0}, r"mean must be in \(-1, 1\), was 1.0"),
        ("gamma", {1: -1.0}, "rate must be > 0, was -1.0"),
        ("beta", {0: 0.0}, "a must be > 0, was 0.0"),
        ("dirichlet", {0: np.array([1.0, 0.0])}, "concentration must be > 0"),
        ("normal", {0: MEAN[:2]}, "mean must have shape"),
        ("normal", {1: np.eye(2)}, "precision must have shape"),
        ("normal", {1: np.triu(MATRIX)}, "precision must be symmetric"),
        ("normal-gamma", {1: -MATRIX}, "precision must be positive definite"),
        ("normal-gamma", {3: 0.0}, "rate must be > 0"),
        ("normal-wishart", {2: 2.0}, "df_beyond_dim must be > 0, was 0.0"),
        ("normal-wishart", {1: 0.0}, "mean_precision must be > 0"),
        ("normal-wishart", {3: np.triu(MATRIX)}, "inverse_scale must be symmetric"),
        ("categorical", {0: np.full((2, 2), 0.5)}, "probs must have shape"),
        ("dirichlet", {0: np.ones((2, 2))}, "concentration must have shape"),
        ("gamma", {0: np.inf}, "concentration must be finite, was inf"),
        ("normal-wishart", {2: np.inf}, "df_beyond_dim must be finite"),
    ],
)
def test_parameters_out_of_their_domain_are_named(name, change, message):
    family, usual = POINTS[name]
    with pytest.raises(ValueError, match=message):
        family.natural(*[change.get(i, each) for i, each in enumerate(usual)])


@pytest.mark.parametrize(
    ("name", "eta", "message"),
    [
        ("gamma", [1.0, 1.0], "rate must be > 0, was -1.0"),
        ("gamma", [-2.0, -1.0], "concentration must be > 0, was -1.0"),
        ("beta", [1.0, -1.0], "b must be > 0, was 0.0"),
        ("dirichlet", [1.0, -1.0], "concentration must be > 0"),
        ("normal", np.zeros(9), "precision must be positive definite"),
        ("normal-gamma", np.zeros(11), "precision must be positive definite"),
        ("normal-gamma", [0.4, -1, 0, 0, 0, -1, 0, -1, 0, 0, -1.0], "concentration must be > 0"),
        ("normal-wishart", np.zeros(11), "mean_precision must be > 0"),
        ("normal-wishart", [-0.75, *-np.ones(10)], "df_beyond_dim must be > 0"),
        ("normal-wishart", [1.0, *-np.ones(4), 1, 0, 1, 0, 0, 1], "inverse_scale must be positive definite"),
    ],
)
def test_natural_parameters_out_of_their_domain_are_named(name, eta, message):
    with pytest.raises(ValueError, match=message):
        POINTS[name][0].log_normaliser(np.array(eta))


@pytest.mark.parametrize("name", POINTS)
def test_natural_parameters_of_another_shape_or_of_integers_are_named(name):
    family, usual = POINTS[name]
    eta = np.asarray(family.natural(*usual))
    other = [eta[None], np.ones((2, 2))]
    if name not in ("categorical", "dirichlet"):  # whose number of states is that of η
        other += [eta[:-1], np.append(eta, 1.0)]
    for function in (family.usual, family.log_normaliser, family.moments):
        for bad in other:
            with pytest.raises(ValueError, match="eta must have shape"):
                function(bad)
        with pytest.raises(ValueError, match="eta must be float32 or float64"):
            function(np.zeros(eta.shape, int))


def test_differences_need_floats():
    """Steps would be cut off integers, and every derivative be zero."""
    gamma = families.Gamma()
    for eta, options, message in [
        (np.array([1, -1]), {}, "eta must be float32 or float64"),
        (np.ones((1, 2)), {}, "eta must have shape"),
        (np.array([1.0, -1.0]), {"step": 0.0}, "step must be > 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            identities.jacobian(gamma.log_normaliser, eta, **options)


def test_steps_grow_with_the_parameter_of_either_sign():
    at = np.array([-1e8, 1e8])
    found = identities.jacobian(lambda v: np.exp(v * 1e-8).sum(), at)
    np.testing.assert_allclose(found, 1e-8 * np.exp(at * 1e-8), rtol=1e-10)


def test_defects_are_what_is_said_less_what_is_so():
    """A = ½ η², of moments η: N(η, 1)."""
    unit = SimpleNamespace(moments=lambda v: 1.0 * v, log_normaliser=lambda v: float(v @ v) / 2)
    off = SimpleNamespace(moments=lambda v: v + 0.5, log_normaliser=unit.log_normaliser)
    eta, updated = np.array([0.3]), np.array([1.0])
    np.testing.assert_allclose(identities.moment_defect(off, eta), [0.5], rtol=1e-9)

    def bound(v):
        return -float((v - updated) @ (v - updated)) / 2

    np.testing.assert_allclose(identities.update_defect(unit, bound, eta, updated - 0.2), [0.2], rtol=1e-9)
    assert abs(identities.gain_defect(unit, bound, eta, updated)) < 1e-14
    raised = identities.gain_defect(unit, lambda v: bound(v) + (v[0] == 1), eta, updated)
    assert raised == pytest.approx(1.0, rel=1e-14)


def lower(matrices):
    """The entries (..., D(D+1)/2) on and below the diagonal."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


def test_a_beta_has_scipys_moments():
    family, (a, b) = POINTS["beta"]
    law = stats.beta(a, b)
    want = [law.expect(np.log), law.expect(lambda v: np.log1p(-v))]
    np.testing.assert_allclose(family.moments(family.natural(a, b)), want)


def normal_gamma_logpdf(w, tau):
    mean, precision, a, b = POINTS["normal-gamma"][1]
    weights = stats.multivariate_normal(mean, np.linalg.inv(tau * precision))
    return weights.logpdf(w) + stats.gamma(a, scale=1 / b).logpdf(tau)


POINT, TAU, SHARES = np.array([0.3, -1.1, 0.8]), 0.7, np.array([0.2, 0.5, 0.3])


@pytest.mark.parametrize(
    ("name", "statistics", "log_density"),
    [
        ("categorical", [0, 1], np.log(0.5)),
        ("spin", [-1], np.log((1 - 0.4) / 2)),
        ("gamma", [np.log(TAU), TAU], stats.gamma(2.3, scale=1 / 1.7).logpdf(TAU)),
        ("dirichlet", np.log(SHARES), stats.dirichlet([0.8, 2.0, 3.5]).logpdf(SHARES)),
        ("beta", np.log([0.5, 0.5]), stats.beta(2.3, 0.6).logpdf(0.5)),
        ("beta", np.log([0.99, 0.01]), stats.beta(2.3, 0.6).logpdf(0.99)),
        (
            "normal",
            [*POINT, *lower(np.outer(POINT, POINT))],
            stats.multivariate_normal(MEAN, np.linalg.inv(MATRIX)).logpdf(POINT),
        ),
        (
            "normal-gamma",
            [np.log(TAU), TAU, *(TAU * POINT), *(TAU * lower(np.outer(POINT, POINT)))],
            normal_gamma_logpdf(POINT, TAU),
        ),
    ],
)
def test_the_log_density_is_scipys(name, statistics, log_density):
    """ηᵀT − A, with every constant."""
    family, arguments = POINTS[name]
    eta = family.natural(*arguments)
    assert eta @ np.array(statistics) - family.log_normaliser(eta) == pytest.approx(log_density, rel=1e-12)


def test_a_normal_wishart_is_scipys():
    """ηᵀT − A is the log density, and E[T] the mean of T over SciPy's draws, in standard errors."""
    family, (m, beta, nu, c) = POINTS["normal-wishart"]
    eta, wishart = family.natural(m, beta, nu, c), stats.wishart(nu, np.linalg.inv(c))
    precision = wishart.rvs(100_000, random_state=0)
    spread = np.linalg.inv(np.linalg.cholesky(precision)).mT / np.sqrt(beta)
    mu = m + (spread @ np.random.default_rng(1).standard_normal((len(precision), 3, 1)))[..., 0]
    pull = (precision @ mu[..., None])[..., 0]
    square = (mu * pull).sum(axis=1)
    t = np.column_stack([np.linalg.slogdet(precision)[1], square, pull, lower(precision)])
    z = (t.mean(0) - family.moments(eta)) / (t.std(0) / np.sqrt(len(t)))
    assert (abs(z) < 4).all()
    for i in range(3):
        normal = stats.multivariate_normal(m, np.linalg.inv(beta * precision[i]))
        exact = normal.logpdf(mu[i]) + wishart.logpdf(precision[i])
        assert eta @ t[i] - family.log_normaliser(eta) == pytest.approx(exact, rel=1e-11)


def normal_wishart_divergence(q, p):
    """KL of the Wisharts, and of the normals given Λ: ½D (log β_q/β_p − 1 + β_p/β_q) + ½β_p E|m_q − m_p|²."""
    (m_q, beta_q, nu_q, c_q), (m_p, beta_p, nu_p, c_p) = q, p
    d, gap = len(m_q), m_q - m_p
    ratio = beta_p / beta_q
    normals = d / 2 * (ratio - 1 - np.log(ratio)) + beta_p * nu_q / 2 * gap @ np.linalg.solve(c_q, gap)
    return normals + kl.wishart(nu_q, np.linalg.inv(c_q), nu_p, np.linalg.inv(c_p))


def test_the_log_normaliser_of_a_normal_is_that_of_its_density():
    """A = ηᵀT(z) − log N(z), at any z."""
    family, (mean, precision) = POINTS["normal"]
    z = np.array([0.3, 1.0, -2.0])
    eta, statistics = family.natural(mean, precision), np.concatenate([z, lower(np.outer(z, z))])
    log_density = stats.multivariate_normal(mean, np.linalg.inv(precision)).logpdf(z)
    assert family.log_normaliser(eta) == pytest.approx(eta @ statistics - log_density, rel=1e-12)


def test_divergences_are_the_closed_forms():
    beta = families.Beta()
    found = identities.divergence(beta, beta.natural(2.3, 0.6), beta.natural(1.0, 4.0))
    assert found == pytest.approx(kl.beta(2.3, 0.6, 1.0, 4.0), rel=1e-12)
    both = (MEAN, 0.7, 4.5, MATRIX), (0 * MEAN, 2.0, 3.0, np.eye(3))
    family = families.NormalWishart(3)
    found = identities.divergence(family, *(family.natural(*point) for point in both))
    assert found == pytest.approx(normal_wishart_divergence(*both), rel=1e-12)
    gamma = families.Gamma()
    found = identities.divergence(gamma, gamma.natural(2.0, 3.0), gamma.natural(1.5, 0.5))
    assert found == pytest.approx(kl.gamma(2.0, 3.0, 1.5, 0.5), rel=1e-13)
    normal = families.Normal(3)
    found = identities.divergence(normal, normal.natural(MEAN, MATRIX), normal.natural(0 * MEAN, np.eye(3)))
    exact = kl.multivariate_normal(MEAN, np.linalg.inv(MATRIX), 0 * MEAN, np.eye(3))
    assert found == pytest.approx(exact, rel=1e-12)
    both = np.array([0.8, 2.0, 3.5]), np.array([1.0, 1.0, 2.0])
    dirichlet = families.Dirichlet()
    found = identities.divergence(dirichlet, *map(dirichlet.natural, both))
    assert found == pytest.approx(kl.dirichlet(*both), rel=1e-12)


def finite_table():
    """A factor of three states of a table of three variables."""
    factors = [RNG.dirichlet(np.ones(n)) for n in (2, 3, 2)]
    table, family = RNG.standard_normal((2, 3, 2)), families.Categorical()

    def bound(eta):
        return FiniteField(table, [factors[0], family.usual(eta), factors[2]]).elbo

    model = FiniteField(table, list(factors))
    model.update(1)
    return family, bound, family.natural(factors[1]), family.natural(model.factors[1])


def spin():
    """A spin among four, whose update is its field."""
    j = np.triu(RNG.standard_normal((4, 4)), 1)
    model, m, family = (
        BinaryField(j + j.T, RNG.standard_normal(4)),
        RNG.uniform(-0.9, 0.9, 4),
        families.Spin(),
    )

    def bound(eta):
        return model.bound_at([m[0], m[1], family.usual(eta), m[3]])

    return family, bound, family.natural(m[2]), (model.couplings @ m + model.fields)[2:3]


def gaussian_block():
    """A block of two of three coordinates; the bound is −KL by the package's own divergence."""
    cov, family = np.linalg.inv(MATRIX), families.Normal(2)
    blocks, rest = [[0, 2], [1]], np.array([[0.7]])
    start = np.array([1.0, 0.3, -0.5])
    model = Gaussian(MEAN, cov, blocks=blocks).fit(start=start, max_iter=1)

    def bound(eta):
        m, precision = family.usual(eta)
        q_mean, q_cov = np.array([m[0], start[1], m[1]]), np.zeros((3, 3))
        q_cov[np.ix_([0, 2], [0, 2])], q_cov[1, 1] = np.linalg.inv(precision), rest[0, 0]
        return -kl.multivariate_normal(q_mean, q_cov, MEAN, cov)

    found = model.path[1][[0, 2]], np.linalg.inv(model.covariance[np.ix_([0, 2], [0, 2])])
    return family, bound, family.natural(start[[0, 2]], np.eye(2)), family.natural(*found)


def regression_state():
    x = RNG.standard_normal((6, 3))
    model = LinearRegression(
        weight_concentration=0.8, weight_rate=1.7, noise_concentration=2.0, noise_rate=0.6
    )
    state = model._start(Design.of(x, x @ MEAN + RNG.standard_normal(6)))
    state.weight_noise = normal_gamma(MEAN, MATRIX, 3.0, 2.0)
    state.weight_law = Gammas(np.array([1.5, 2.0, 0.7]), np.array([0.4, 2.0, 1.0]))
    return state


def normal_gamma(mean, precision, a, b):
    return NormalGamma(mean, np.linalg.cholesky(precision).T, Gammas(np.asarray(a), np.asarray(b)))


def regression_weights():
    state, family = regression_state(), families.NormalGamma(3)

    def bound(eta):
        return (
            dataclasses.replace(state, weight_noise=normal_gamma(*family.usual(eta))).evidence_bound().value
        )

    updated = dataclasses.replace(state)
    updated.update_weights()
    q = updated.weight_noise
    found = q.mean, q.root.T @ q.root, float(q.noise.concentration), float(q.noise.rate)
    return family, bound, family.natural(MEAN, MATRIX, 3.0, 2.0), family.natural(*found)


def regression_precision():
    state, family = regression_state(), families.Gamma()
    c, d = state.weight_law.concentration, state.weight_law.rate

    def bound(eta):
        a, b = family.usual(eta)
        law = Gammas(np.array([c[0], a, c[2]]), np.array([d[0], b, d[2]]))
        return dataclasses.replace(state, weight_law=law).evidence_bound().value

    updated = dataclasses.replace(state)
    updated.update_precision()
    law = updated.weight_law
    return family, bound, family.natural(c[1], d[1]), family.natural(law.concentration[1], law.rate[1])


def mixture_weights():
    """The Dirichlet of a mixture after a sweep and a half, its concentration anywhere."""
    rows = np.concatenate([RNG.standard_normal((8, 2)), 4 + RNG.standard_normal((5, 2))])
    model = GaussianMixture(3, concentration=0.7).fit(rows, rng=0, max_iter=1)
    state, family = model._state, families.Dirichlet()
    state.update_assignments()

    def bound(eta):
        state.weights = state.prior.weights.posterior(family.usual(eta) - 0.7)
        return state.evidence_bound().value

    state.update_weights()
    return family, bound, np.array([1.0, 0.3, 2.5]), family.natural(state.weights.parameters[0])


PRIOR = np.array([0.3, -0.2]), 0.4, 3.5, np.array([[1.0, 0.2], [0.2, 0.6]])
ROWS = np.random.default_rng(1).standard_normal((9, 2))
RESP = np.random.default_rng(2).dirichlet(np.ones(3), len(ROWS))
STICKS = np.array([[1.5, 2.0], [0.8, 1.1]])


def process():
    """A Dirichlet process of three components at given responsibilities: q(v), q(μ, Λ) are the updates."""
    m, beta, nu, c = PRIOR
    model = GaussianMixture(
        3, process=True, concentration=0.7, mean=m, mean_precision=beta, df=nu, inverse_scale=c
    )
    return model.started(ROWS, resp=RESP)


def points(state):
    """(m, β, ν, C) of each component."""
    c = state.components
    return list(
        zip(c.means + state.prior.center, c.mean_precision, c.law.df, c.law.inverse_scale, strict=True)
    )


def bound_of_process(sticks, components):
    """The bound at any q, from the families and the package's divergences: no code of the mixture."""
    log_v = np.array([families.Beta().moments(families.Beta().natural(a, b)) for a, b in sticks])
    log_pi = np.append(log_v[:, 0], 0) + np.append(0, np.cumsum(log_v[:, 1]))
    prior = sum(kl.beta(float(a), float(b), 1.0, 0.7) for a, b in sticks)
    prior += sum(normal_wishart_divergence(point, PRIOR) for point in components)
    density = np.empty_like(RESP)
    for k, (m, beta, nu, c) in enumerate(components):
        family, gaps = families.NormalWishart(2), ROWS - m
        log_det = family.moments(family.natural(m, beta, nu, c))[0]
        squares = nu * (gaps * np.linalg.solve(c, gaps.T).T).sum(axis=1) + 2 / beta
        density[:, k] = log_det / 2 - np.log(2 * np.pi) - squares / 2
    return (RESP * (log_pi + density - np.log(RESP))).sum() - prior


def test_the_bound_of_a_process_by_its_families():
    state = process()
    found = bound_of_process(np.stack(state.weights.parameters, axis=1), points(state))
    assert state.evidence_bound().value == pytest.approx(found, rel=1e-13)


def mixture_stick():
    """The second stick, the first and the components anywhere."""
    state, family = process(), families.Beta()
    others = [(m + 0.1, beta, nu, c) for m, beta, nu, c in points(state)]

    def bound(eta):
        return bound_of_process([STICKS[0], family.usual(eta)], others)

    a, b = state.weights.parameters
    return family, bound, family.natural(*STICKS[1]), family.natural(a[1], b[1])


def mixture_component():
    """q(μ, Λ) of the second component, from the prior; the sticks and the other components anywhere."""
    state, family = process(), families.NormalWishart(2)

    def bound(eta):
        return bound_of_process(STICKS, [PRIOR, family.usual(eta), PRIOR])

    return family, bound, family.natural(*PRIOR), family.natural(*points(state)[1])


FACTORS = [
    finite_table,
    spin,
    gaussian_block,
    regression_weights,
    regression_precision,
    mixture_weights,
    mixture_stick,
    mixture_component,
]


@pytest.mark.parametrize("factor", FACTORS)
def test_the_natural_gradient_is_the_update_less_what_there_is(factor):
    family, bound, eta, updated = factor()
    defect = identities.update_defect(family, bound, eta, updated)
    np.testing.assert_allclose(defect, 0, atol=2e-9 * (1 + abs(updated).max()))
    wrong = identities.update_defect(family, bound, eta, updated * 1.01)
    assert abs(wrong).max() > 1e-3 * abs(updated).max()


@pytest.mark.parametrize("factor", FACTORS)
def test_the_gain_of_an_update_is_a_divergence(factor):
    family, bound, eta, updated = factor()
    assert bound(updated) > bound(eta)
    assert identities.gain_defect(family, bound, eta, updated) == pytest.approx(0, abs=1e-13)
    assert abs(identities.gain_defect(family, bound, eta, updated * 1.01)) > 1e-5


def test_a_term_missing_from_the_bound_is_seen():
    """A bound without its entropy still rises, under its own update; the identities see it."""
    family, bound, eta, updated = finite_table()

    def no_entropy(eta):
        q = family.usual(eta)
        return bound(eta) + q @ np.log(q)

    assert abs(identities.update_defect(family, no_entropy, eta, updated)).max() > 0.1
    assert abs(identities.gain_defect(family, no_entropy, eta, updated)) > 0.01
