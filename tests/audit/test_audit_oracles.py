"""The oracles against values known otherwise: mpmath, hand-made numbers, exact fractions."""

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from vbref.audit import oracles, worlds
from vbref.audit.independence import functions_run, shared_functions
from vbref.audit.worlds_family import Family
from vbref.audit.worlds_tied import Tied

RNG = np.random.default_rng(20)


@pytest.mark.parametrize("mean", [oracles.normal_mean, oracles.normal_mean_adaptive])
def test_normal_means_against_closed_forms(mean):
    assert mean(lambda z: z**4, 0.5, 2.0) == pytest.approx(0.5**4 + 6 * 0.25 * 4 + 3 * 16, rel=1e-13)
    assert mean(np.cos, 0.5, 1.5) == pytest.approx(math.cos(0.5) * math.exp(-(1.5**2) / 2), rel=1e-13)


def test_gaussian_mean_of_a_quartic():
    cov = np.array([[2.0, 0.6], [0.6, 1.0]])
    value = oracles.gaussian_mean(lambda x: x[:, 0] ** 2 * x[:, 1] ** 2, np.zeros(2), cov)
    assert value == pytest.approx(2.0 * 1.0 + 2 * 0.6**2, rel=1e-13)


@pytest.mark.parametrize(
    ("gradient", "tolerance"), [(oracles.complex_step, 1e-15), (oracles.central_difference, 1e-11)]
)
def test_gradients(gradient, tolerance):
    at = np.array([[0.3, -0.7], [1.1, 0.2]])
    value = gradient(lambda x: np.sin(x[0, 0] * x[0, 1]) + np.exp(x[1, 0]) * x[1, 1] ** 3, at)
    s = math.cos(0.3 * -0.7)
    truth = [[s * -0.7, s * 0.3], [math.exp(1.1) * 0.008, math.exp(1.1) * 3 * 0.04]]
    np.testing.assert_allclose(value, truth, rtol=0, atol=tolerance)


def exact_world(q):
    """Three states with p(z) = (1/2, 1/4, 1/4), p(x|z) = (1/2, 1/4, 1/8): p(x) = 11/32."""
    return worlds.World(np.array([0.5, 0.25, 0.25]), np.array([0.5, 0.25, 0.125]), np.array(q), np.ones(3))


@pytest.mark.parametrize("evidence", [oracles.log_evidence_by_sum, oracles.log_evidence_by_bayes])
def test_evidence_of_a_table_of_fractions(evidence):
    w = exact_world([0.2, 0.3, 0.5])
    assert evidence(w) == pytest.approx(math.log(Fraction(11, 32)), rel=1e-14)
    impossible = replace(w, prior=np.array([0.5, 0.0, 0.5]))
    assert evidence(impossible) == pytest.approx(math.log(Fraction(5, 16)), rel=1e-14)


@pytest.mark.parametrize("bound", [oracles.elbo_by_gap, oracles.elbo_by_cumulant])
def test_elbo_of_a_table_in_fifty_digits(bound):
    q = [mpmath.mpf(x) for x in (0.25, 0.25, 0.5)]
    joint = [mpmath.mpf(x) for x in (0.25, 0.0625, 0.03125)]
    with mpmath.workdps(50):
        truth = sum(a * mpmath.log(b / a) for a, b in zip(q, joint, strict=True))
    assert bound(exact_world([0.25, 0.25, 0.5])) == pytest.approx(float(truth), rel=1e-14)


def test_elbo_oracles_agree_in_gaussian_worlds_and_reach_the_evidence_at_the_posterior():
    for _ in range(20):
        w = worlds.gaussian(RNG)
        assert oracles.elbo_by_algebra(w) == pytest.approx(oracles.elbo_by_gap(w), abs=1e-12)
        posterior = w.with_q(w.joint / w.integral(w.joint))
        assert oracles.elbo_by_cumulant(posterior) == pytest.approx(
            oracles.log_evidence_by_bayes(w), abs=1e-12
        )


def test_gaussian_worlds_are_normalised_on_their_grid():
    for _ in range(20):
        w = worlds.gaussian(RNG)
        assert [w.integral(w.prior), w.integral(w.q)] == pytest.approx([1.0, 1.0], rel=1e-13)
        assert np.isfinite(np.log(w.joint / w.q)).all()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_three_ways_to_iwae(k):
    w = worlds.finite(RNG, 3)
    ways = [oracles.iwae_by_enumeration(w, k), oracles.iwae_by_counts(w, k), oracles.iwae_by_laplace(w, k)]
    assert ways == pytest.approx([ways[0]] * 3, abs=1e-11)


@pytest.mark.parametrize("kl", [oracles.kl_by_sum, oracles.kl_by_slope])
def test_kl_of_tables(kl):
    assert kl(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == pytest.approx(
        math.log(2 / math.sqrt(3)), rel=1e-14
    )
    assert kl(np.array([1.0, 0.0]), np.array([0.25, 0.75])) == pytest.approx(math.log(4), rel=1e-14)


def test_two_ways_to_a_gaussian_kl():
    known = worlds.GaussianPair(np.array([1.0]), np.array([[4.0]]), np.zeros(1), np.eye(1))
    truth = (4 + 1 - 1 - math.log(4)) / 2
    assert oracles.gaussian_kl_by_quadrature(known) == pytest.approx(truth, rel=1e-14)
    assert oracles.gaussian_kl_by_eigenvalues(known) == pytest.approx(truth, rel=1e-14)


def test_a_tied_encoder_is_the_likelihood_read_the_other_way():
    prior, likelihood = np.log([0.5, 0.5]), np.log([[0.2, 0.8], [0.6, 0.4]])
    table = Tied(prior, likelihood, encoder=np.zeros((2, 2))).table()
    np.testing.assert_allclose(table.likelihood, [[0.2, 0.8], [0.6, 0.4]], rtol=1e-15)
    np.testing.assert_allclose(table.encoder, [[0.25, 0.75], [2 / 3, 1 / 3]], rtol=1e-15)


def test_what_a_coupled_f_adds_to_the_gradient_is_its_coupling():
    coupled = Family(phi=np.array([0.3, -0.2]), f=np.array([1.0, 2.0]), dz=np.ones(2), coupling=0.5)

    def gradient(family):
        return oracles.complex_step(lambda phi: family.integral(family.f_at(phi) * family.q(phi)), family.phi)

    added = gradient(coupled) - gradient(replace(coupled, coupling=0.0))
    np.testing.assert_allclose(added, [0.5, 0.0], atol=1e-15)


def test_the_judge_sees_functions_shared_through_a_helper():
    def helper():
        return oracles.kl_by_sum(np.array([1.0]), np.array([1.0]))

    code = oracles.kl_by_sum.__code__
    assert code in functions_run(helper, "")
    lines = shared_functions({"a": helper, "b": lambda: oracles.kl_by_sum(np.ones(1), np.ones(1))}, "")
    assert lines == ["a and b share kl_by_sum"]
    assert shared_functions({"a": helper, "b": lambda: oracles.kl_by_slope(np.ones(1), np.ones(1))}, "") == []
