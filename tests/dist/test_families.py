"""What holds for every elementwise continuous family: one table of families, one test a law.

Oracles: the printed formulas in mpmath at 60 digits with their numerical derivatives; quadrature; SciPy cdfs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from vbref.dist import beta, gamma, kumaraswamy, normal

mp.mp.dps = 60

UNITS = (1e-150, 1e-20, 1e-3, 0.3, 1.0, 2.5, 11.9, 12.0, 40.0, 1e3, 1e8, 1e15)
ORDINARY = (0.2, 0.9, 1.0, 3.5, 30.0)


@dataclass
class Family:
    module: ModuleType
    log_prob: Callable[..., Any]
    entropy: Callable[..., Any]
    cdf: Callable[..., Any]
    shapes: list[tuple[float, float]]
    wide: list[tuple[float, float]]
    points: Callable[[float, float], list[float]]
    to_support: Callable[..., Any]  # the map of the real line onto the support, with its derivative
    falling: bool = False  # whether sample(u) falls with u


def _unit(s: Any) -> tuple[Any, Any]:
    with np.errstate(over="ignore"):
        x = 1 / (1 + np.exp(-s))
    return x, x * (1 / (1 + np.exp(s)))


def _mp_normal(x, m, s):
    return -(((x - m) / s) ** 2) / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2


def _mp_gamma(x, a, b):
    return a * mp.log(b) + (a - 1) * mp.log(x) - b * x - mp.loggamma(a)


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def _mp_beta(x, a, b):
    return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) - _log_beta(a, b)


def _mp_kumaraswamy(x, a, b):
    return mp.log(a * b) + (a - 1) * mp.log(x) + (b - 1) * mp.log(-mp.expm1(a * mp.log(x)))


def _beta_entropy(a, b):
    psi = mp.digamma
    return _log_beta(a, b) - (a - 1) * psi(a) - (b - 1) * psi(b) + (a + b - 2) * psi(a + b)


def _gamma_points(a, b):
    return [a / b * r for r in (1e-8, 0.1, 0.999, 1.0, 1.3, 5.0)]


def _unit_points(a, b):
    m = a / (a + b)
    return [x for x in (1e-9, 0.1, 0.5, 0.9, m, 0.99 * m) if 0 < x < 1]


def _kumaraswamy_points(a, b):
    return [x for x in (1e-9, 0.1, 0.5, 0.9, 1 - 2.0**-50) if 0 < x < 1]


PAIRS = [(a, b) for a in ORDINARY for b in ORDINARY]
WIDE = [(a, b) for a in UNITS for b in UNITS]
FAMILIES = {
    "normal": Family(
        normal,
        _mp_normal,
        lambda m, s: mp.log(2 * mp.pi * mp.e) / 2 + mp.log(s),
        lambda x, m, s: stats.norm.cdf(x, m, s),
        [(0.0, 1.0), (-3.0, 0.2), (1.5, 7.0)],
        [(m, s) for m in (-1e8, -1.0, 0.0, 1e-150, 3.0) for s in (1e-150, 1e-3, 1.0, 1e8, 1e150)],
        lambda m, s: [m, m + s, m - 3 * s, m + 1e-3 * s],
        lambda s: (s, np.ones_like(s)),
    ),
    "gamma": Family(
        gamma,
        _mp_gamma,
        lambda a, b: a - mp.log(b) + mp.loggamma(a) + (1 - a) * mp.digamma(a),
        lambda x, a, b: stats.gamma.cdf(x, a, scale=1 / b),
        PAIRS,
        [(a, b) for a in UNITS for b in (1e-100, 1e-3, 1.0, 7.0, 1e100)],
        _gamma_points,
        lambda s: (np.exp(s), np.exp(s)),
    ),
    "beta": Family(
        beta,
        _mp_beta,
        _beta_entropy,
        stats.beta.cdf,
        PAIRS,
        WIDE,
        _unit_points,
        _unit,
    ),
    "kumaraswamy": Family(
        kumaraswamy,
        _mp_kumaraswamy,
        lambda a, b: -mp.log(a * b) + (1 - 1 / a) * (mp.digamma(b + 1) + mp.euler) + 1 - 1 / b,
        lambda x, a, b: 1 - (1 - x**a) ** b,
        PAIRS,
        WIDE,
        _kumaraswamy_points,
        _unit,
        falling=True,
    ),
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def _close(have, want, slack, tol=1e-13):
    """|have − want| ≤ tol(|want| + slack); slack: how far a relative unit of the arguments moves it."""
    error = abs(mp.mpf(float(have)) - want)
    bound = tol * (abs(want) + slack)
    assert error <= bound, (
        f"{float(have)!r} against {mp.nstr(want, 20)}: {mp.nstr(error / bound, 3)} of the bound"
    )


def _condition(f, *args):
    """Σ |argument · ∂f/∂argument|: the error that one relative rounding of every argument makes."""
    return sum(abs(arg * _diff(f, args, i)) for i, arg in enumerate(args) if arg)


def _diff(f, args, i):
    step = abs(args[i]) * mp.mpf("1e-25") or mp.mpf("1e-25")
    up, down = list(args), list(args)
    up[i], down[i] = args[i] + step, args[i] - step
    with mp.workdps(mp.mp.dps + 200):
        return (f(*up) - f(*down)) / (2 * step)


def _some(cases, count):
    """A seeded choice of the cases: mpmath is slow."""
    return [cases[i] for i in np.random.default_rng(0).permutation(len(cases))[:count]]


def _wide_cases(family):
    for a, b in family.wide:
        for x in family.points(a, b):
            yield x, a, b


@each_family
def test_log_prob_over_all_magnitudes(family):
    cases = _some(list(_wide_cases(family)), 150)
    have = family.module.log_prob(*np.array(cases).T)
    for value, case in zip(have, cases, strict=True):
        exact = [mp.mpf(v) for v in case]
        with mp.workdps(400):
            want = family.log_prob(*exact)
        _close(value, want, 1 + abs(mp.log(abs(exact[0]) or 1)) + _condition(family.log_prob, *exact))


@each_family
def test_log_prob_grad_is_the_derivative(family):
    cases = _some(list(_wide_cases(family)), 35)
    grads = family.module.log_prob_grad(*np.array(cases).T)
    for k, case in enumerate(cases):
        exact = [mp.mpf(v) for v in case]
        for i in range(3):
            want = _diff(family.log_prob, exact, i)
            if abs(want) < mp.mpf("1e300"):
                _close(
                    grads[i][k],
                    want,
                    _condition(lambda *args, i=i: _diff(family.log_prob, args, i), *exact) + 1,
                )


@each_family
def test_entropy_and_its_gradient_over_all_magnitudes(family):
    cases = _some(family.wide, 14)
    have = family.module.entropy(*np.array(cases).T)
    grads = np.transpose(family.module.entropy_grad(*np.array(cases[:6]).T))
    for value, case in zip(have, cases, strict=True):
        exact = [mp.mpf(v) for v in case]
        with mp.workdps(400):
            _close(value, family.entropy(*exact), 1 + _condition(family.entropy, *exact))
    for grad, case in zip(grads, cases[:6], strict=True):  # second derivatives in mpmath are slow
        exact = [mp.mpf(v) for v in case]
        for i in range(2):
            want = _diff(family.entropy, exact, i)
            if abs(want) < mp.mpf("1e300"):
                _close(
                    grad[i],
                    want,
                    _condition(lambda *args, i=i: _diff(family.entropy, args, i), *exact) + 1e-5,
                )


@each_family
def test_quadrature_gives_one_the_moments_and_the_entropy(family):
    for shape in family.shapes:
        if family.to_support is _unit and shape[1] < 0.5:
            continue  # the mass beyond the last double before 1 is not negligible
        moments = _quadrature(family, shape)
        mean, variance = family.module.mean(*shape), family.module.variance(*shape)
        want = [1.0, mean, variance + mean**2, family.module.entropy(*shape)]
        np.testing.assert_allclose(moments, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.4, 3.0), (2.0, 0.7), (30.0, 12.0)])
def test_means_and_variances_by_scipy(a, b):
    assert gamma.mean(a, b) == pytest.approx(stats.gamma.mean(a, scale=1 / b), rel=1e-13)
    assert gamma.variance(a, b) == pytest.approx(stats.gamma.var(a, scale=1 / b), rel=1e-13)
    assert beta.mean(a, b) == pytest.approx(stats.beta.mean(a, b), rel=1e-13)
    assert beta.variance(a, b) == pytest.approx(stats.beta.var(a, b), rel=1e-13)
    first, second = (b * special.beta(1 + n / a, b) for n in (1, 2))  # E xⁿ of a Kumaraswamy
    assert kumaraswamy.mean(a, b) == pytest.approx(first, rel=1e-13)
    assert kumaraswamy.variance(a, b) == pytest.approx(second - first**2, rel=1e-10)


@pytest.mark.parametrize(("a", "b"), [(1e-20, 3e-20), (3e-20, 1e-20)])
def test_beta_entropy_gradient_where_both_shapes_are_tiny(a, b):
    exact = mp.mpf(a), mp.mpf(b)
    for i, have in enumerate(beta.entropy_grad(a, b)):
        with mp.workdps(100):
            want = _diff(_beta_entropy, exact, i)
        assert have == pytest.approx(float(want), rel=1e-14)


def _quadrature(family, shape):
    """∫p, ∫px, ∫px², −∫p log p by the trapezoid rule on the whole line, where it converges geometrically."""
    s, step = np.linspace(-160, 160, 6_401, retstep=True)
    x, slope = family.to_support(s)
    inside = (x > 0) & (x < 1) if family.to_support is _unit else np.isfinite(x)
    x, slope = x[inside], slope[inside]
    log_p = family.module.log_prob(x, *shape)
    p = np.exp(log_p) * slope
    return [step * np.sum(v) for v in (p, p * x, p * x * x, -p * np.where(p > 0, log_p, 0))]


@each_family
def test_samples_are_quantiles(family):
    u = np.array([1e-6, 0.01, 0.3, 0.5, 0.77, 0.99, 1 - 1e-6])
    for shape in family.shapes:
        noise = stats.norm.ppf(u) if family.module is normal else u
        x = family.module.sample(noise, *shape)
        want = 1 - u if family.falling else u
        resolved = (x > 1e-290) & (x < 1 - 1e-3) if family.to_support is _unit else x != 0
        np.testing.assert_allclose(family.cdf(x[resolved], *shape), want[resolved], rtol=1e-9, atol=1e-13)


@each_family
def test_samples_of_random_noise_have_the_law(family):
    rng = np.random.default_rng(7)
    noise = rng.normal(size=4000) if family.module is normal else rng.uniform(size=4000)
    for shape in family.shapes[:3]:
        x = family.module.sample(noise, *shape)
        assert stats.kstest(x, lambda v, shape=shape: family.cdf(v, *shape)).pvalue > 1e-3


@each_family
def test_sample_grad_is_the_derivative(family):
    u = np.array([1e-4, 0.05, 0.3, 0.5, 0.77, 0.99])
    for shape in family.shapes:
        if family.module is not normal and min(shape) < 0.5:
            continue  # differences of SciPy's quantiles are too coarse there
        args = (u, *(np.full_like(u, v) for v in shape))
        for i, have in enumerate(family.module.sample_grad(*args)):
            np.testing.assert_allclose(have, _central(family.module.sample, args, i), rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("a", "u"),
    [*product((0.02, 0.5, 1.0, 60.0, 3000.0), (1e-3, 0.4, 0.999)), (1e-3, 0.99), (1e-6, 0.99996)],
)
def test_gamma_shape_gradient_against_mpmath(a, u):
    y = gamma.sample(u, a, 1.0)
    with mp.workdps(50):
        by_shape = mp.diff(lambda v: mp.gammainc(v, 0, mp.mpf(float(y)), regularized=True), mp.mpf(a))
        want = -by_shape / mp.exp(_mp_gamma(mp.mpf(float(y)), mp.mpf(a), mp.mpf(1)))
    assert gamma.sample_grad(u, a, 1.0)[1] == pytest.approx(float(want), rel=1e-11)


@pytest.mark.parametrize("a", [299_999.0, 300_001.0])
@pytest.mark.parametrize("u", [1e-30, 1e-12, 1e-7, 1e-3, 0.3, 0.999])
def test_gamma_quantiles_of_large_shapes_by_mpmath(a, u):
    """F at the quantile, in standard deviations of y."""
    y = gamma.sample(u, a, 1.0)
    with mp.workdps(30):
        f = mp.gammainc(mp.mpf(a), 0, mp.mpf(float(y)), regularized=True)
        slope = mp.exp(_mp_gamma(mp.mpf(float(y)), mp.mpf(a), mp.mpf(1)) + mp.log(a) / 2)
    assert abs(float((f - mp.mpf(u)) / slope)) < 3e-12


@pytest.mark.parametrize("u", [1e-12, 1 - 1e-9])
def test_the_series_of_a_gamma_quantile_is_right_to_the_order_that_it_has(u):
    """What it misses is a^−5/2 standard deviations to leading order: √10⁵ at a = 1e4 of what it is at 1e5."""
    z, missed = special.ndtri(u), []
    for a in (1e4, 1e5):
        y = float(gamma._by_normal_quantile(np.array(z), np.array(a)))
        with mp.workdps(30):
            f = mp.gammainc(mp.mpf(a), 0, mp.mpf(y), regularized=True)
            slope = mp.exp(_mp_gamma(mp.mpf(y), mp.mpf(a), mp.mpf(1)) + mp.log(a) / 2)
            missed.append(float((f - mp.mpf(u)) / slope) * a**2)
    assert abs(np.sqrt(10) * missed[1] - missed[0]) < 4e-3


@pytest.mark.parametrize("a", [1e8, 1e10, 1e14])
def test_gamma_quantiles_of_vast_shapes(a):
    """By Wilson and Hilferty: the cube root is normal but for some z³/a."""
    u = np.array([1e-12, 1e-7, 1e-3, 0.3, 0.5, 1 - 1e-9])
    cube_root = 1 - 1 / (9 * a) + special.ndtri(u) / (3 * np.sqrt(a))
    found, expected = gamma.sample(u, a, 1.0), a * cube_root**3
    assert (abs(found - expected) < (10 / a + 6e-16 * np.sqrt(a)) * np.sqrt(a)).all()


_ORDINARY_SHAPES = [(0.1, 0.2), (0.5, 3.0), (1.0, 1.0), (40.0, 7.0), (300.0, 0.8)]
_UNEQUAL_SHAPES = [(1e-3, 1e-3, 0.4995), (1e-3, 2.0, 0.99), (1e-6, 30.0, 0.9999), (20.0, 1e-7, 1e-6)]


@pytest.mark.parametrize(
    ("a", "b", "u"), [(a, b, u) for a, b in _ORDINARY_SHAPES for u in (1e-3, 0.4, 0.999)] + _UNEQUAL_SHAPES
)
def test_beta_shape_gradients_against_mpmath(a, b, u):
    x = beta.sample(u, a, b)
    with mp.workdps(50):
        exact = mp.mpf(float(x)), mp.mpf(a), mp.mpf(b)
        density = mp.exp(_mp_beta(*exact))
        rounding = float(abs(mp.diff(lambda v: _mp_beta(v, *exact[1:]), exact[0]) * exact[0]))
        for i, have in enumerate(beta.sample_grad(u, a, b)[1:]):
            by_shape = mp.diff(
                lambda p, q: mp.betainc(p, q, 0, exact[0], regularized=True), exact[1:], (1 - i, i)
            )
            want = float(-by_shape / density)
            assert have == pytest.approx(want, rel=1e-12 + 1e-15 * rounding)


@pytest.mark.parametrize(("b", "tol"), [(1e-30, 3e-16), (1e-6, 3e-16), (9.999e-3, 3e-16), (1.1e-2, 3e-14)])
def test_kumaraswamy_harmonic_number_keeps_its_digits(b, tol):
    want = mp.digamma(mp.mpf(b) + 1) + mp.euler
    assert kumaraswamy.harmonic(b) == pytest.approx(float(want), rel=tol)


@pytest.mark.parametrize("m", [-0.0999, -1e-3, 1e-9, 0.0999, 0.11, 3.0])
def test_one_minus_bernoullis_quotient_keeps_its_digits(m):
    want = 1 - mp.mpf(m) / mp.expm1(m)
    tol = 3e-16 if abs(m) < 0.1 else 5e-15
    assert kumaraswamy.one_minus_bernoulli(m) == pytest.approx(float(want), rel=tol)


@each_family
def test_no_nan_and_no_warning_at_any_magnitude(family):
    m = family.module
    magnitudes = [1e-300, 1e-150, 1e-10, 1.0, 1e10, 1e150, 1e300]
    x, u = np.array([0.0, 1e-300, 0.5, 1.0]), np.array([0.0, 0.3, 0.999])
    for a in magnitudes:
        for b in magnitudes:
            values = [m.log_prob(x, a, b), *m.log_prob_grad(x, a, b), m.entropy(a, b), *m.entropy_grad(a, b)]
            values += [m.mean(a, b), m.variance(a, b), m.sample(u, a, b), *m.sample_grad(u, a, b)]
            assert not any(np.isnan(v).any() for v in values), (a, b)


def test_beta_quantile_beside_a_vast_shape_is_a_gamma_quantile():
    u = np.array([1e-3, 0.4, 0.999])
    for a in (0.3, 2.0, 1e6):
        np.testing.assert_allclose(beta.sample(u, a, 1e150) * 1e150, gamma.sample(u, a, 1.0), rtol=1e-14)
        slope = gamma.sample_grad(u, a, 1.0)[1]
        np.testing.assert_allclose(beta.sample_grad(u, a, 1e150)[1] * 1e150, slope, rtol=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1e3, 1e9), (1e9, 1e3), (50.0, 1e11), (1e16, 1e17), (1e18, 1e16), (1e20, 1e20), (3e19, 1e19)]
    + [(1.8e18, 6.5e18), (5e18, 5.6e18), (1e7, 3e7)],
)
def test_beta_quantiles_where_scipys_inverse_goes_astray(a, b):
    u = np.array([7.4e-13, 1.48e-10, 1e-9, 1e-3, 0.3, 0.5, 0.77, 0.999])
    x = beta.sample(u, a, b)
    if a > 1e12:  # the logit is normal to 1e-8 of its scale, and x known to 32 units of rounding
        z = (np.log(x / (1 - x)) - np.log(a / b)) / np.sqrt(1 / a + 1 / b)
        np.testing.assert_allclose(z, stats.norm.ppf(u), atol=1e-6 + 8e-15 * np.sqrt(a))
    else:
        rounding = 1e-16 * np.sqrt(a * (a + b) / b)  # of x, in its standard deviations
        np.testing.assert_allclose(special.betainc(a, b, x), u, rtol=1e-9 + 10 * rounding)


@pytest.mark.parametrize(
    ("small", "large"), [(0.1, 1.3e16), (0.7, 1.3e16), (0.99, 1.3e16), (14.0, 1.3e16), (19.04, 9.63e17)]
)
def test_beta_quantiles_of_a_small_shape_beside_a_vast_one(small, large):
    """Where SciPy's inverse fails too: a gamma quantile over the large one, in its derivative if x is 1."""
    u = np.array([0.05, 0.1643, 0.4, 0.7])
    np.testing.assert_allclose(beta.sample(u, small, large), gamma.sample(u, small, large), rtol=1e-10)
    mirrored, slope = beta.sample_grad(1 - u, large, small)[2], gamma.sample_grad(u, small, large)[1]
    np.testing.assert_allclose(mirrored, -slope, rtol=1e-9)


def test_beta_quantiles_of_a_vast_first_shape_are_mirrored():
    u = np.array([1e-3, 0.4, 0.999])
    slope = gamma.sample_grad(u, 2.0, 1.0)[1]
    np.testing.assert_allclose(beta.sample_grad(1 - u, 1e150, 2.0)[2] * 1e150, -slope, rtol=1e-9)


@pytest.mark.parametrize(
    ("u", "a", "b"),
    [(1e-17, 0.02, 1e-3), (4.8e-9, 0.02, 0.01), (3e-11, 0.01, 0.01), (2e-16, 0.04, 3e-3)]
    + [(0.8678, 5.8e-5, 1.4e7), (0.8486, 1.65e-4, 1.4e7)],  # where the logit's law is far from normal
)
def test_beta_quantiles_below_the_smallest_number_are_zero(u, a, b):
    assert (np.log(u * a) + np.log(special.beta(a, b))) / a < np.log(5e-324)  # u ≈ x^a/(a B)
    assert beta.sample(u, a, b) == 0
    assert beta.sample(1 - u, b, a) == 1


@pytest.mark.parametrize("a", [0.5, 2.0, 30.0])
def test_beta_shape_gradients_beside_a_vanishing_shape(a):
    """As b falls, F(x)/b → −log y − ψ(a) − γ for small y = 1 − x, so that y = e^(−u/b − ψ(a) − γ)."""
    b, depth = 1e-100, 200.0
    y = np.exp(-depth - special.digamma(a) - np.euler_gamma)
    _, by_a, by_b = beta.sample_grad(depth * b, a, b)
    assert by_a == pytest.approx(y * special.polygamma(1, a), rel=1e-11)
    assert by_b == pytest.approx(-y * depth / b, rel=1e-11)


def test_shape_gradients_keep_their_digits_where_a_ratio_of_the_shapes_overflows():
    """log x ≈ log(u)/a of two tiny shapes, where beta's density is all at the ends: dx/db is finite."""
    values = beta.sample_grad(7.3e-248, 2.6e206, 4.0e-116)
    assert not np.isnan(values).any()


@pytest.mark.parametrize("module", [beta, gamma, kumaraswamy], ids=lambda m: m.__name__)
def test_quantiles_of_subnormal_shapes_are_refused_by_name(module):
    name = "concentration" if module is gamma else "a"
    for function in (module.sample, module.sample_grad):
        with pytest.raises(ValueError, match=f"{name} must be >= 2.23e-308"):
            function(0.3, 1e-310, 1.0)
    assert np.isfinite(module.log_prob(0.3, 1e-310, 1.0))


def test_betas_whose_shapes_add_up_to_more_than_there_is_are_refused():
    for function in (beta.mean, beta.variance, beta.entropy):
        with pytest.raises(ValueError, match="a \\+ b must be finite"):
            function(1e308, 1e308)


def test_quantiles_at_the_ends_and_their_shape_gradients():
    assert gamma.sample_grad(0.0, 2.0, 3.0)[1] == 0
    for module, u in product((beta, kumaraswamy), (0.0, 1.0)):
        assert module.sample_grad(u, 2.0, 3.0)[1:] == (0, 0)
    assert kumaraswamy.sample_grad(1.0, 1.0, 4.0)[0] == -0.25  # of 1 − u^¼
    for shapes in ((2.0, 1e150), (1e150, 2.0)):
        assert [beta.sample(u, *shapes) for u in (0.0, 1.0)] == [0, 1]
        assert [beta.sample_grad(u, *shapes)[1:] for u in (0.0, 1.0)] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(("a", "b"), [(0.3, 4.0), (2.0, 0.1), (1e-3, 50.0), (200.0, 1e3)])
def test_kumaraswamy_cdf_and_its_inverse(a, b):
    for x in (0.0, 1e-200, 1e-9, 0.3, 0.9, 1 - 1e-9, 1.0):
        with mp.workdps(400):
            want = 1 - (1 - mp.mpf(x) ** a) ** b
        assert kumaraswamy.cdf(x, a, b) == pytest.approx(float(want), rel=1e-13)
    for p in (0.0, 1e-12, 0.3, 0.9, 1.0):
        with mp.workdps(400):
            want = (1 - (1 - mp.mpf(p)) ** (1 / mp.mpf(b))) ** (1 / mp.mpf(a))
        assert kumaraswamy.icdf(p, a, b) == pytest.approx(float(want), rel=1e-12)


def test_beta_gradient_by_a_shape_beside_which_the_other_vanishes():
    # ψ(a + b) − ψ(b) is 0 in floating point, each of the two −1e20.
    assert beta.log_prob_grad(1e-9, 1e-150, 1e-20)[2] == pytest.approx(np.log1p(-1e-9), rel=1e-14)


def _central(f, args, i):
    """Fourth-order central differences."""
    step = 2e-4 * np.maximum(abs(args[i]), 1e-3) if i else 1e-3 * args[i] * (1 - args[i])
    shifted = [f(*(a + k * step if j == i else a for j, a in enumerate(args))) for k in (-2, -1, 1, 2)]
    return (shifted[0] - 8 * shifted[1] + 8 * shifted[2] - shifted[3]) / (12 * step)


@each_family
def test_float32_stays_float32_and_is_accurate(family):
    for shape in family.shapes:
        x = [v for v in family.points(*shape) if abs(v) > 1e-3 and np.float32(v) != 1]
        single = [np.float32(v) for v in shape]
        args32 = (np.array(x, np.float32), *single)
        args64 = tuple(np.asarray(v, np.float64) for v in args32)
        have = family.module.log_prob(*args32)
        slack = sum(abs(g * a) for g, a in zip(family.module.log_prob_grad(*args64), args64, strict=True))
        want = family.module.log_prob(*args64)
        assert have.dtype == np.float32
        assert (abs(have - want) <= 4e-6 * (1 + abs(want) + slack)).all()
        for values in (family.module.log_prob_grad(*args32), family.module.entropy_grad(*single)):
            assert all(v.dtype == np.float32 for v in values)
        np.testing.assert_allclose(
            family.module.entropy(*single), family.module.entropy(*args64[1:]), 2e-5, 2e-5
        )
        noise = np.array([0.25, 0.5], np.float32)
        assert family.module.sample(noise, *single).dtype == np.float32
        assert all(v.dtype == np.float32 for v in family.module.sample_grad(noise, *single))
        assert family.module.mean(*single).dtype == family.module.variance(*single).dtype == np.float32


@each_family
def test_broadcasting_and_empty_axes(family):
    column, row = np.full((3, 1), 0.25), np.full(4, 1.5)
    assert family.module.log_prob(column, row, 2.0).shape == (3, 4)
    assert family.module.sample(column, row, 2.0).shape == (3, 4)
    assert all(g.shape == (3, 4) for g in family.module.log_prob_grad(column, row, 2.0))
    assert all(g.shape == (3, 4) for g in family.module.sample_grad(column, row, 2.0))
    empty = np.empty((0, 4))
    assert family.module.log_prob(empty, row, 2.0).shape == (0, 4)
    assert family.module.sample_grad(empty, row, 2.0)[1].shape == (0, 4)
    assert family.module.entropy(empty + 1, row).shape == (0, 4)


@each_family
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1, True])
def test_bad_parameters_are_named(family, bad):
    name = "scale" if family.module is normal else "rate" if family.module is gamma else "b"
    for call in (
        lambda: family.module.log_prob(0.5, 1.0, bad),
        lambda: family.module.log_prob_grad(0.5, 1.0, bad),
        lambda: family.module.entropy(1.0, bad),
        lambda: family.module.sample(0.5, 1.0, bad),
        lambda: family.module.sample_grad(0.5, 1.0, bad),
        lambda: family.module.mean(1.0, bad),
        lambda: family.module.variance(1.0, bad),
    ):
        with pytest.raises(ValueError, match=rf"\b{name} must be"):
            call()


@each_family
def test_shapes_that_do_not_broadcast_are_refused(family):
    with pytest.raises(ValueError, match="do not broadcast"):
        family.module.log_prob(np.full(3, 0.5), np.full(4, 0.5), 1.0)
    with pytest.raises(ValueError, match="do not broadcast"):
        family.module.sample(np.full(3, 0.5), np.full(4, 0.5), 1.0)


@pytest.mark.parametrize("module", [beta, gamma, kumaraswamy], ids=lambda m: m.__name__)
def test_outside_the_support_is_refused_and_the_boundary_has_its_limit(module):
    with pytest.raises(ValueError, match=r"\bx must be"):
        module.log_prob(-1e-9, 2.0, 2.0)
    assert module.log_prob(0.0, 0.5, 3.0) == np.inf
    assert module.log_prob(0.0, 1.0, 3.0) == pytest.approx(np.log(3))
    assert module.log_prob(0.0, 2.0, 3.0) == -np.inf
    if module is not gamma:
        with pytest.raises(ValueError, match=r"\bx must be"):
            module.log_prob(1 + 1e-9, 2.0, 2.0)
        assert [float(module.log_prob(1.0, 3.0, b)) for b in (0.5, 1.0, 2.0)] == [
            np.inf,
            np.log(3.0),
            -np.inf,
        ]


@pytest.mark.parametrize(
    ("module", "noise"), [*product((beta, gamma, kumaraswamy), (-1e-9, 1.5)), (gamma, 1.0)]
)
def test_noise_outside_its_range_is_refused(module, noise):
    for function in (module.sample, module.sample_grad):
        with pytest.raises(ValueError, match=r"\bnoise must be in"):
            function(noise, 2.0, 3.0)


@pytest.mark.parametrize("module", [beta, gamma, kumaraswamy], ids=lambda m: m.__name__)
def test_boundary_gradients_are_limits_not_nan(module):
    for x, a, b in product((0.0, 1.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0)):
        grads = module.log_prob_grad(x, a, b)
        assert not np.isnan(grads).any(), (x, a, b)
        assert grads[0] == _slope_at_the_boundary(module, x, a, b), (x, a, b)
        if x == 1 and module is kumaraswamy:
            assert grads[1] == b / a  # 1/a − (b − 1) x^a log(x)/(1 − x^a), whose quotient goes to −1/a


def _slope_at_the_boundary(module, x, a, b):
    """∂ log p/∂x at x = 0 and 1, which is infinite where the shape that rules there is not 1."""
    if module is gamma and x == 1:
        return a - 1 - b
    shape, finite = (b, a - 1) if x == 1 else (a, -b if module is gamma else 1 - b)
    return finite if shape == 1 else np.inf * (1 if (shape < 1) == (x == 1) else -1)


@pytest.mark.parametrize("module", [beta, gamma, kumaraswamy], ids=lambda m: m.__name__)
def test_extreme_noise_and_shapes_never_give_nan(module):
    for u in (0.0, 1e-300, 0.5, 1 - 2.0**-53):
        for a in (1e-3, 1.0, 1e4):
            assert np.isfinite(module.sample(u, a, 2.0))
            assert not np.isnan(module.sample_grad(u, a, 2.0)).any(), (u, a)


def test_entropy_has_the_shape_of_all_its_arguments():
    assert normal.entropy(np.zeros(3), np.array(2.0)).shape == (3,)
