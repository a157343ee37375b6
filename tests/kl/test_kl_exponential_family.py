"""KLs of gammas, betas, Dirichlets, Wisharts: mpmath on the printed forms, quadrature, conjugate algebra."""

import itertools

import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from vbref.kl.beta import beta, beta_grad, dirichlet, dirichlet_grad
from vbref.kl.gamma import gamma, gamma_grad
from vbref.kl.wishart import wishart, wishart_grad

POSITIVE = st.floats(-8, 8).map(lambda e: 10.0**e)
STEP = st.sampled_from([0.0, 1e-8, -1e-8, 1e-4, -0.1, 0.3, 1.0, 1e4, -0.9999, -1 + 1e-13])


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(90):
        yield


def reals(*values):
    return [mp.mpf(float(v)) for v in values]


def exact_gamma(*arguments):
    a, b, c, d = arguments
    return (a - c) * mp.digamma(a) - mp.loggamma(a) + mp.loggamma(c) + c * mp.log(b / d) + a * (d / b - 1)


def exact_dirichlet(q, p):
    def normaliser(v):
        return sum(map(mp.loggamma, v)) - mp.loggamma(sum(v))

    total = mp.digamma(sum(q))
    cross = sum((a - b) * (mp.digamma(a) - total) for a, b in zip(q, p, strict=True))
    return normaliser(p) - normaliser(q) + cross


def exact_beta(a, b, c, d):
    return exact_dirichlet((a, b), (c, d))


def exact_wishart(df_q, scale_q, df_p, scale_p):
    rows = range(scale_q.rows)
    ratio = mp.inverse(scale_p) * scale_q
    trace = sum(ratio[i, i] for i in rows) - scale_q.rows
    gammas = sum(mp.loggamma((df_p - j) / 2) - mp.loggamma((df_q - j) / 2) for j in rows)
    slope = sum(mp.digamma((df_q - j) / 2) for j in rows)
    return (df_q * trace - df_p * mp.log(mp.det(ratio)) - (df_p - df_q) * slope) / 2 + gammas


def assert_close(got, want, tolerance=1e-10):
    assert got >= 0
    if want > mp.mpf(float(np.finfo(np.float64).max)):
        assert got == np.inf
        return
    assert abs(mp.mpf(float(got)) - want) <= tolerance * abs(want)


def gradient(function, point):
    unit = [tuple(int(i == j) for j in range(len(point))) for i in range(len(point))]
    return [float(mp.diff(function, tuple(point), order)) for order in unit]


@given(POSITIVE, POSITIVE, STEP, STEP)
def test_gamma_against_90_digits(a, b, t, u):
    for v in (u, t):  # t twice: the mean unchanged, where the printed form cancels most
        q = (a, b, a * (1 + t), b * (1 + v))
        assert_close(gamma(*q), exact_gamma(*reals(*q)))


@given(POSITIVE, POSITIVE, STEP, STEP)
def test_beta_against_90_digits(a, b, t, u):
    for v in (u, t):
        q = (a, b, a * (1 + t), b * (1 + v))
        assert_close(beta(*q), exact_beta(*reals(*q)))


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_far_from_equality(a, b, c, d):
    assert_close(gamma(a, b, c, d), exact_gamma(*reals(a, b, c, d)))
    assert_close(beta(a, b, c, d), exact_beta(*reals(a, b, c, d)))
    assert_close(beta(1e-8 * a, a, 1.0, c), exact_beta(*reals(1e-8 * a, a, 1.0, c)))


@given(st.lists(st.tuples(POSITIVE, STEP), min_size=1, max_size=4))
def test_dirichlet_against_90_digits(pairs):
    q = np.array([a for a, _ in pairs])
    p = np.array([a * (1 + t) for a, t in pairs])
    assert_close(dirichlet(q, p), exact_dirichlet(reals(*q), reals(*p)) if len(pairs) > 1 else 0)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("spread", [0.0, 1e-8, 1e-3, 1.0])
@pytest.mark.parametrize(
    ("excess", "step"), list(itertools.product([1e-8, 1.0, 40.0, 1e8], [0.0, 1e-8, 1.0, -0.99]))
)
def test_wishart_against_90_digits(size, spread, excess, step):
    rng = np.random.default_rng(size)
    left, right = rng.normal(size=(2, size, size))
    scale_q = left @ left.T + 0.5 * np.eye(size)
    df_q, df_p = size - 1 + excess, size - 1 + excess * (1 + step)
    for scale_p in (scale_q + spread * right @ right.T, scale_q * (df_q / df_p) + spread * right @ right.T):
        want = exact_wishart(mp.mpf(df_q), mp.matrix(scale_q), mp.mpf(df_p), mp.matrix(scale_p))
        assert_close(wishart(df_q, scale_q, df_p, scale_p), want)


def test_extremes():
    for q in itertools.product([1e-150, 1e-8, 1.0, 1e150], repeat=4):
        with mp.workdps(320):
            assert_close(gamma(*q), exact_gamma(*reals(*q)))
            assert_close(beta(*q), exact_beta(*reals(*q)))
    tiny, huge = 1e-150 * np.eye(2), 1e150 * np.eye(2)
    with mp.workdps(400):
        for q, p in ((tiny, huge), (huge, tiny), (tiny, tiny)):
            assert_close(
                wishart(4.0, q, 3.0, p), exact_wishart(mp.mpf(4), mp.matrix(q), mp.mpf(3), mp.matrix(p))
            )


def test_equality_is_exactly_zero():
    for a, b in itertools.product([1e-300, 0.3, 20.0, 1e300], repeat=2):
        assert gamma(a, b, a, b) == 0
        assert not np.array(gamma_grad(a, b, a, b)).any()
    for a, b in itertools.product([1e-150, 0.3, 20.0, 1e150], repeat=2):
        assert beta(a, b, a, b) == 0
        assert not np.array(beta_grad(a, b, a, b)).any()
    scale = np.array([[2.0, 0.3], [0.3, 1.0]])
    assert wishart(4.0, scale, 4.0, scale) == 0
    assert not any(np.any(grad) for grad in wishart_grad(4.0, scale, 4.0, scale))


@pytest.mark.parametrize("case", [(2.0, 1.5, 3.0, 0.7), (0.8, 3.0, 1.7, 2.0)])
def test_quadrature(case):
    def integral(q, p, top):
        return quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), 0, top, epsabs=1e-12, epsrel=1e-12)[0]

    a, b, c, d = case
    gammas = [scipy.stats.gamma(shape, scale=1 / rate) for shape, rate in ((a, b), (c, d))]
    np.testing.assert_allclose(gamma(*case), integral(*gammas, 60.0), rtol=1e-8)
    np.testing.assert_allclose(
        beta(*case), integral(scipy.stats.beta(a, b), scipy.stats.beta(c, d), 1.0), rtol=1e-8
    )


def test_wishart_of_a_nearly_singular_scale():
    """Inside |S| < 1, and yet an eigenvalue of V_p⁻¹V_q is near 0."""
    scale = np.diag([1e-9, 1.0])
    want = exact_wishart(mp.mpf(5), mp.matrix(scale), mp.mpf(4), mp.eye(2))
    assert_close(wishart(5.0, scale, 4.0, np.eye(2)), want, 1e-14)


def test_families_meet():
    """A 1 × 1 Wishart is a gamma, a Dirichlet of two a beta, and merging components never raises the KL."""
    nu, v, mu, w = 5.0, 2.0, 3.0, 0.7
    np.testing.assert_allclose(
        wishart(nu, np.array([[v]]), mu, np.array([[w]])), gamma(nu / 2, 0.5 / v, mu / 2, 0.5 / w), rtol=1e-14
    )
    q, p = np.array([0.3, 2.0, 5.0]), np.array([1.3, 0.2, 4.0])
    np.testing.assert_allclose(dirichlet(q[:2], p[:2]), beta(*q[:2], *p[:2]), rtol=1e-14)
    assert beta(q[0], q[1:].sum(), p[0], p[1:].sum()) < dirichlet(q, p)
    for order in itertools.permutations(range(3)):
        np.testing.assert_allclose(dirichlet(q[list(order)], p[list(order)]), dirichlet(q, p), rtol=1e-14)


def test_wishart_by_monte_carlo():
    scale_q, scale_p = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[1.0, -0.2], [-0.2, 1.5]])
    q, p = scipy.stats.wishart(5, scale_q), scipy.stats.wishart(4, scale_p)
    x = np.moveaxis(q.rvs(20_000, random_state=3), 0, -1)
    log_ratio = q.logpdf(x) - p.logpdf(x)
    error = log_ratio.std() / log_ratio.size**0.5
    assert abs(log_ratio.mean() - wishart(5.0, scale_q, 4.0, scale_p)) < 4 * error


@pytest.mark.parametrize(
    "case",
    [
        (2.3, 0.7, 1.1, 4.0),
        (0.4, 3.0, 0.4 * (1 + 1e-8), 3.0),
        (30.0, 1e-3, 0.01, 2.0),
        (1e-3, 50.0, 2e-3, 51.0),
    ],
)
def test_gamma_and_beta_gradients(case):
    np.testing.assert_allclose(gamma_grad(*case), gradient(exact_gamma, reals(*case)), rtol=1e-12)
    np.testing.assert_allclose(beta_grad(*case), gradient(exact_beta, reals(*case)), rtol=1e-12)


@pytest.mark.parametrize(
    "case", [(2e7, 3e7, 4e-5, 0.02), (5e10, 2.0, 3e10, 1.3), (1e15, 1.0, 1.0, 3e-15), (13.0, 1.0, 5.0, 0.3)]
)
def test_gamma_gradient_at_large_shapes(case):
    """By a_q it is b_p/b_q − a_p/a_q and a part of order 1/a_q, which b_p/b_q − 1 − d_a ψ′(a_q) loses."""
    np.testing.assert_allclose(gamma_grad(*case), gradient(exact_gamma, reals(*case)), rtol=1e-12)


def slopes(a_q, b_q, a_p, b_p):
    """The derivatives of the beta KL by a_q and by a_p, each with the part that rounding p − q disturbs."""
    s_q, s_p = a_q + b_q, a_p + b_p
    part_q = (b_p - b_q) * mp.psi(1, s_q)
    part_p = mp.digamma(a_p + b_q) - mp.digamma(s_p)
    drop = (a_p - a_q) * (mp.psi(1, s_q) - mp.psi(1, a_q))
    by_a_p = mp.digamma(a_p) - mp.digamma(a_q) - mp.digamma(s_p) + mp.digamma(s_q)
    return [(part_q + drop, part_q), (by_a_p, part_p)]


def assert_slopes(got, want):
    """To 1e-10 relative, but beside a zero of the derivative, where a rounding of p − q is larger than that.

    Large shapes in one proportion, a_p/a_q = b_p/b_q, are such a corner: the two parts agree but for 1/a, and
    each is rounded some twenty times.
    """
    for value, (exact, part) in zip(got, want, strict=True):
        assert abs(mp.mpf(float(value)) - exact) <= 1e-10 * abs(exact) + 1e-14 * abs(part) + mp.mpf(10) ** -85


def check_beta_grad(a_q, b_q, a_p, b_p):
    by_a_q, by_b_q, by_a_p, by_b_p = beta_grad(a_q, b_q, a_p, b_p)
    assert_slopes([by_a_q, by_a_p], slopes(*reals(a_q, b_q, a_p, b_p)))
    assert_slopes([by_b_q, by_b_p], slopes(*reals(b_q, a_q, b_p, a_p)))


@given(POSITIVE, POSITIVE, STEP, STEP)
def test_beta_gradient_near(a, b, t, u):
    check_beta_grad(a, b, a * (1 + t), b * (1 + u))


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_beta_gradient_far(a, b, c, d):
    check_beta_grad(a, b, c, d)


@pytest.mark.parametrize(
    "case",
    [
        (7.9e6, 1.6e-7, 2.07, 5.5e-8),
        (1e7, 1e6, 1.0, 2.0),
        (6e7, 5e6, 0.3, 0.09),
        (1e8, 1e3, 1e-3, 1e-8),
        (3e5, 2e-6, 3e5 * (1 + 1e-9), 3e-6),
        (40.0, 1e-8, 40.0, 1.00001e-8),
    ],
)
def test_beta_gradient_where_plain_differences_cancel(case):
    want = [value for value, _ in slopes(*reals(*case))]
    np.testing.assert_allclose(np.array(beta_grad(*case))[[0, 2]], [float(v) for v in want], rtol=1e-12)


@pytest.mark.parametrize(
    ("q", "p"),
    [
        ([2e-5, 5.7e7, 9e-7, 3e-8, 5e6], [2e-6, 0.27, 1e-5, 0.09, 2e-4]),
        ([1e8, 1e-8, 1e-7], [1e8 * (1 + 1e-8), 1.1e-8, 3e-7]),
        ([1e-8, 1.0, 1e8], [1.0, 1e8, 1e-8]),
    ],
)
def test_dirichlet_gradient_at_wide_shapes(q, p):
    """By each component as if the others were one: a Dirichlet's merged components are a beta."""
    by_q, by_p = dirichlet_grad(np.array(q), np.array(p))
    for i in range(len(q)):
        exact_q, exact_p = reals(*q), reals(*p)
        pair = (exact_q[i], sum(exact_q) - exact_q[i], exact_p[i], sum(exact_p) - exact_p[i])
        want = [float(value) for value, _ in slopes(*pair)]
        np.testing.assert_allclose([by_q[i], by_p[i]], want, rtol=1e-12)


def test_dirichlet_gradient():
    q, p = np.array([0.3, 2.0, 5.0]), np.array([1.3, 0.2, 4.0])
    want = gradient(lambda *v: exact_dirichlet(v[:3], v[3:]), reals(*q, *p))
    np.testing.assert_allclose(np.concatenate(dirichlet_grad(q, p)), want, rtol=1e-12)
    assert [list(grad) for grad in dirichlet_grad(q[:1], p[:1])] == [[0], [0]]


@pytest.mark.parametrize("far", [1.0, 1e-6])
def test_wishart_gradient(far):
    scale_q, direction = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[0.3, 0.2], [0.2, -0.5]])
    scale_p = scale_q + far * np.array([[1.0, -0.5], [-0.5, 0.4]])
    by_df_q, by_scale_q, by_df_p, by_scale_p = wishart_grad(5.0, scale_q, 5.0 + far, scale_p)

    def moved(a, b, c, d):
        steps = mp.matrix(direction)
        return exact_wishart(
            5 + a, mp.matrix(scale_q) + b * steps, 5 + mp.mpf(far) + c, mp.matrix(scale_p) + d * steps
        )

    got = [by_df_q, (by_scale_q * direction).sum(), by_df_p, (by_scale_p * direction).sum()]
    np.testing.assert_allclose(got, gradient(moved, reals(0, 0, 0, 0)), rtol=1e-9)
    assert (by_scale_q == by_scale_q.T).all()
    assert (by_scale_p == by_scale_p.T).all()


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.sampled_from([1, 2]))
def test_wishart_gradient_far(excess_q, v, excess_p, w, size):
    """Against the printed forms; ψ′ and ψ are those of mpmath, the matrices are multiples of one."""
    shape = np.array([[2.0, 0.5], [0.5, 1.0]])[:size, :size]
    nu, mu = size - 1 + excess_q, size - 1 + excess_p
    q, p = v * shape, w * shape
    by_df_q, by_scale_q, by_df_p, by_scale_p = wishart_grad(nu, q, mu, p)
    (x, y), ratio = reals(nu / 2, mu / 2), mp.mpf(v) / mp.mpf(w)
    rows = [mp.mpf(j) / 2 for j in range(size)]
    excess = size * (ratio - 1) / 2
    slope = (y - x) * sum(mp.psi(1, x - h) for h in rows) / 2
    growth = sum(mp.digamma(y - h) - mp.digamma(x - h) for h in rows) / 2
    inverse = np.linalg.inv(shape)
    want = [
        (by_df_q, excess - slope, excess),
        (by_scale_q[0, 0], inverse[0, 0] * (x / mp.mpf(w) - y / mp.mpf(v)), x / mp.mpf(w)),
        (by_df_p, growth - size * mp.log(ratio) / 2, growth),
        (by_scale_p[0, 0], inverse[0, 0] * (y / mp.mpf(w) - x * ratio / mp.mpf(w)), y / mp.mpf(w)),
    ]
    for got, exact, part in want:
        assert abs(mp.mpf(float(got)) - exact) <= 1e-10 * abs(exact) + 1e-14 * abs(part)


@pytest.mark.parametrize(
    ("nu", "v", "mu", "want"),
    [(1e10, 1e-10, 1.0001, "4.999499999833283570e-11"), (1e8, 1e-3, 1e-3, None), (40.0, 2.0, 40.1, None)],
)
def test_wishart_gradient_by_df_at_large_df(nu, v, mu, want):
    x, y = reals(nu / 2, mu / 2)
    exact = (mp.mpf(v) - 1 - (y - x) * mp.psi(1, x)) / 2
    if want:
        assert abs(exact - mp.mpf(want)) < 1e-15 * exact
    got = wishart_grad(nu, np.array([[v]]), mu, np.eye(1))
    np.testing.assert_allclose(got[0], float(exact), rtol=1e-12)
    np.testing.assert_allclose(got[1][0, 0], float(x - y / mp.mpf(v)), rtol=1e-9)


def test_batches():
    rng = np.random.default_rng(0)
    df_q, df_p = rng.uniform(2, 9, (4, 1)), rng.uniform(2, 9, 3)
    root = rng.normal(size=(3, 2, 2))
    scale = root @ root.transpose(0, 2, 1) + np.eye(2)
    whole, grads = wishart(df_q, scale, df_p, np.eye(2)), wishart_grad(df_q, scale, df_p, np.eye(2))
    assert [grad.shape for grad in grads] == [(4, 3), (4, 3, 2, 2), (4, 3), (4, 3, 2, 2)]
    for i, j in np.ndindex(4, 3):
        assert whole[i, j] == wishart(df_q[i, 0], scale[j], df_p[j], np.eye(2))
    q = rng.uniform(0.1, 3, (4, 1, 3))
    assert dirichlet(q, np.ones((5, 3))).shape == (4, 5)
    assert dirichlet(q, np.ones((5, 3)))[2, 1] == dirichlet(q[2, 0], np.ones(3))
    assert dirichlet(np.ones((2, 0, 3)), np.ones(3)).shape == (2, 0)
    assert wishart(np.ones(0) * 4, np.eye(2), 3.0, np.eye(2)).shape == (0,)


@given(POSITIVE, POSITIVE, STEP, STEP)
def test_float32_degrades_gracefully(a, b, t, u):
    narrow = [np.float32(v) for v in (a, b, a * (1 + max(t, -0.99)), b * (1 + max(u, -0.99)))]
    wide = [float(v) for v in narrow]
    for function in (gamma, beta):
        got = function(*narrow)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, function(*wide), rtol=1e-3)


def test_refused():
    one, two = np.eye(2), np.array([[1.0, 0.5], [0.2, 1.0]])
    with pytest.raises(ValueError, match="rate_p must be > 0"):
        gamma(1.0, 1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="b_q must be > 0"):
        beta(1.0, -1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="concentration_q must have a last axis"):
        dirichlet(1.0, np.ones(3))
    with pytest.raises(ValueError, match="shapes do not broadcast"):
        dirichlet(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"df_q must be > D - 1 = 1, has 1\.0"):
        wishart(1.0, one, 3.0, one)
    with pytest.raises(ValueError, match="scale_p must be symmetric"):
        wishart(3.0, one, 3.0, two)
    with pytest.raises(ValueError, match="scale_q must be positive definite"):
        wishart(3.0, -one, 3.0, one)
    with pytest.raises(ValueError, match="scale_p must have shape"):
        wishart(3.0, one, 3.0, np.eye(3))
    with pytest.raises(ValueError, match="out of the range of float64"):
        beta(5e-324, 5e-324, 5e-324, 1e-300)
    with pytest.raises(ValueError, match="out of the range of float64"):
        dirichlet(np.array([5e-324, 5e-324]), np.array([5e-324, 1e-300]))
    with pytest.raises(ValueError, match="out of the range of float64"):
        beta_grad(1e-300, 1e-300, 1e150, 1e150)
    assert list(beta_grad(1e-150, 1e-150, 1.0, 1e150)) == [np.inf, -np.inf, 5e149, 5e149]
