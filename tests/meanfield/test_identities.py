"""Identities of conjugate updates, on families alone and on every model; each sees a wrong update."""

import dataclasses

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
}


@pytest.mark.parametrize("name", POINTS)
def test_moments_are_the_gradient_of_the_log_normaliser(name):
    family, usual = POINTS[name]
    eta = family.natural(*usual)
    np.testing.assert_allclose(identities.moment_defect(family, eta), 0, atol=1e-8)
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


def test_divergences_are_the_closed_forms():
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


FACTORS = [finite_table, spin, gaussian_block, regression_weights, regression_precision, mixture_weights]


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
