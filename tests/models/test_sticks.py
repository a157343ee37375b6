"""Broken sticks and their fractions: SciPy's densities, Connor and Mosimann's on the simplex, differences."""

from math import lgamma

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from vbref.dist import kumaraswamy
from vbref.models.sticks import (
    GammaRatio,
    GaussLogit,
    Kumaraswamy,
    _bernoulli,
    break_stick,
    break_stick_backward,
    log1mexp,
)
from vbref.nn import check_gradient

FAMILIES = {"kumaraswamy": Kumaraswamy, "gauss-logit": GaussLogit, "gamma": GammaRatio}
EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@pytest.mark.parametrize("ends", [(0.01, 0.69), (0.7, 2.0), (2.0, 40.0)])
def test_log1mexp_on_both_sides_of_log_2(ends):
    """Half an eps at the root of the mean square: either form is worse on the other's side."""
    y = np.linspace(*ends, 200)
    with mpmath.workdps(40):
        exact = np.array([mpmath.log(1 - mpmath.exp(-mpmath.mpf(each))) for each in y.tolist()])
    error = ((log1mexp(y) - exact) / exact).astype(float)
    assert np.sqrt((error**2).mean()) < 0.5 * np.finfo(float).eps


def test_bernoullis_quotient_is_one_at_zero():
    y = np.array([0.0, 1e-9, 0.3, 50.0])
    expected = [1.0, *(float(each / mpmath.expm1(each)) for each in map(mpmath.mpf, y[1:]))]
    np.testing.assert_allclose(_bernoulli(y), expected, rtol=1e-14)


def pieces(v):
    return break_stick(np.log(v), np.log1p(-v))


def setting(family, rows=1, draws=4, fractions=3, seed=0, spread=0.7):
    rng = np.random.default_rng(seed)
    found = family()
    h = spread * rng.standard_normal((rows, found.per_fraction[0] * fractions))
    return found, h, rng.random((draws, rows, found.per_fraction[1] * fractions))


def test_pieces_by_the_product():
    v = np.random.default_rng(0).random((5, 4))
    left = np.cumprod(1 - v, axis=1)
    expected = np.concatenate([v[:, :1], v[:, 1:] * left[:, :-1], left[:, -1:]], axis=1)
    np.testing.assert_allclose(pieces(v), expected, rtol=1e-14)
    np.testing.assert_allclose(pieces(v).sum(axis=1), 1, rtol=1e-14)


def test_fractions_of_falling_betas_give_a_uniform_simplex():
    """v_k ~ Beta(1, T − k) breaks into Dirichlet(1, …, 1), each of whose pieces is Beta(1, T − 1)."""
    u = np.random.default_rng(1).random((4000, 4))
    found = pieces(1 - u ** (1 / np.array([4.0, 3, 2, 1])))
    assert all(stats.kstest(piece, stats.beta(1, 4).cdf).pvalue > 1e-3 for piece in found.T)


def test_densities_by_v_and_by_pieces_differ_by_the_jacobian():
    """Connor and Mosimann (1969): Π α (1 − Σ_{j≤k} π_j)^γ_k, γ_k = −1 but the last α − 1."""
    alpha, v, h = 2.3, np.array([0.3, 0.6, 0.2]), 1e-6
    step = h * np.eye(3)
    jacobian = np.array([(pieces(v + e) - pieces(v - e))[:3] / (2 * h) for e in step])
    left = 1 - np.cumsum(pieces(v)[:3])
    by_pieces = 3 * np.log(alpha) - np.log(left[:2]).sum() + (alpha - 1) * np.log(left[2])
    by_v = stats.beta(1, alpha).logpdf(v).sum()
    assert by_v == pytest.approx(by_pieces + np.linalg.slogdet(jacobian)[1], abs=1e-8)


def test_backward_of_the_stick():
    v = np.random.default_rng(2).random((2, 3))
    d = np.random.default_rng(3).standard_normal((2, 4))
    point = {"log_v": np.log(v), "log_rest": np.log1p(-v)}
    grads = dict(zip(point, break_stick_backward(d, pieces(v)), strict=True))
    check_gradient(lambda p: (d * break_stick(**p)).sum(), grads, point)


@EVERY
def test_backward_of_each_family(family):
    found, h, noise = setting(family, rows=2)
    d = np.random.default_rng(5).standard_normal((3, 4, 2, 3))

    def f(h):
        return sum((each * part).sum() for each, part in zip(d, found.sample(h, noise)[0], strict=True))

    check_gradient(f, found.sample_backward(*d, found.sample(h, noise)[1]), h)


def test_the_kumaraswamy_is_that_of_the_distributions():
    found, h, noise = setting(Kumaraswamy)
    a, b = found.shapes(h)
    (log_v, log_rest, log_q), _ = found.sample(h, noise)
    v = kumaraswamy.sample(noise, a, b)
    np.testing.assert_allclose(np.exp(log_v), v, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_rest), 1 - v, rtol=1e-9)
    np.testing.assert_allclose(log_q, kumaraswamy.log_prob(v, a, b), rtol=1e-9, atol=1e-9)


def law(family, h):
    """SciPy's (CDF of v, log density of v) for one row of statistics."""
    first, second = np.split(h[0], 2)
    if family is Kumaraswamy:
        a, b = np.exp(first), np.exp(second)
        return lambda v: 1 - (1 - v**a) ** b, lambda v: np.log(a * b * v ** (a - 1) * (1 - v**a) ** (b - 1))
    if family is GaussLogit:
        of_logit = stats.norm(first, np.exp(second / 2))
    else:
        a, b = np.exp(first), np.exp(second)
        centre = _log_root(a) - _log_root(b)
        of_logit = stats.laplace_asymmetric(np.sqrt(b / a), centre, 1 / np.sqrt(a * b))
    return (
        lambda v: of_logit.cdf(logit(v)),
        lambda v: of_logit.logpdf(logit(v)) - np.log(v) - np.log1p(-v),
    )


def _log_root(a):
    return np.array([lgamma(each + 1) / each for each in a])


@EVERY
def test_the_sampler_has_the_density_that_it_claims(family):
    found, h, noise = setting(family, draws=3000)
    (log_v, log_rest, log_q), _ = found.sample(h, noise)
    cdf, log_density = law(family, h)
    v = np.exp(log_v[:, 0])
    np.testing.assert_allclose(np.exp(log_rest[:, 0]), 1 - v, atol=1e-12)
    keep = (v > 1e-6) & (v < 1 - 1e-6)
    np.testing.assert_allclose(np.where(keep, log_q[:, 0] - log_density(v), 0), 0, atol=1e-7)
    uniform = cdf(v)
    assert all(stats.kstest(uniform[:, k], "uniform").pvalue > 1e-3 for k in range(3))


def test_what_the_gamma_composition_draws_is_a_beta_only_for_small_shapes():
    """The paper's approximation of the inverse CDF: close at a = b = 0.2, far at 2."""
    noise = np.random.default_rng(0).random((4000, 1, 2))

    def distance(shape):
        (log_v, _, _), _ = GammaRatio().sample(np.full((1, 2), np.log(shape)), noise)
        return stats.kstest(np.exp(log_v.ravel()), stats.beta(shape, shape).cdf).statistic

    assert distance(0.2) < 0.03
    assert distance(2.0) > 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@EVERY
def test_nothing_overflows_where_fractions_round_to_zero_or_one(family, dtype):
    found = family()
    limits = np.finfo(dtype)
    ends = np.array([limits.tiny, limits.eps, 0.5, 1 - limits.epsneg], dtype)
    noise = np.stack(np.meshgrid(*[ends] * found.per_fraction[1]), -1).reshape(-1, 1, found.per_fraction[1])
    for first in (-2.5, 0, 4):
        for second in (-2.5, 0, 4):
            h = np.array([[first, second]], dtype)
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                values, saved = found.sample(h, noise)
                ones = np.ones_like(values[0])
                d_h = found.sample_backward(ones, ones, ones, saved)
            assert all(np.isfinite(value).all() and value.dtype == dtype for value in (*values, d_h))
            assert max(values[0].max(), values[1].max()) <= 0


def test_the_rest_is_right_where_the_fraction_is_one_to_rounding():
    """At b = 0.02 and u = 1e-9, 1 − v = t/a with t = u^(1/b) = 1e-450, of which only the logarithm exists."""
    h = np.log(np.array([[3.0, 0.02]]))
    (log_v, log_rest, _), _ = Kumaraswamy().sample(h, np.full((1, 1, 1), 1e-9))
    assert log_v == 0
    assert log_rest.item() == pytest.approx(np.log(1e-9) / 0.02 - np.log(3), rel=1e-14)
    # With a = 1e6 it is −log(1 − e^−25)/a at y = 25.
    h = np.log(np.array([[1e6, 0.1]]))
    (_, log_rest, _), _ = Kumaraswamy().sample(h, np.full((1, 1, 1), np.exp(-2.5)))
    assert log_rest.item() == pytest.approx(np.log(-np.log1p(-np.exp(-25.0))) - np.log(1e6), rel=1e-13)
