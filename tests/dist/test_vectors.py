"""Multivariate normal, Dirichlet, Wishart: SciPy, mpmath, sixth-order differences, laws of the samples."""

import time
from contextlib import nullcontext

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from vbref.dist import beta, dirichlet, gamma, multivariate_normal, normal, wishart

RNG = np.random.default_rng(11)


def _cov(*shape):
    root = RNG.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(shape[-1])


def _directional(f, args, i, direction, step=1e-3):
    """Sixth-order central difference of f along a direction of its i-th argument."""
    total = 0.0
    for k, weight in ((1, 45), (2, -9), (3, 1)):
        for sign in (1, -1):
            moved = [a + sign * k * step * direction if j == i else a for j, a in enumerate(args)]
            total = total + sign * weight * np.asarray(f(*moved))
    return total / (60 * step)


def _check_gradients(f, args, cotangents, directions, rtol=1e-8):
    """Σ f's cotangent · direction against differences of Σ f, for every argument."""
    for i, (have, direction) in enumerate(zip(cotangents, directions, strict=True)):
        want = _directional(lambda *a: np.sum(f(*a)), args, i, direction)
        assert np.sum(have * direction) == pytest.approx(want, rel=rtol, abs=1e-9), f"argument {i}"


def _symmetric(*shape):
    m = RNG.normal(size=(*shape, shape[-1]))
    return 0.05 * (m + np.swapaxes(m, -1, -2))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_normal_against_scipy(d):
    mean, cov, x = RNG.normal(size=d), _cov(d), RNG.normal(size=(7, d))
    want = stats.multivariate_normal(mean, cov)
    np.testing.assert_allclose(multivariate_normal.log_prob(x, mean, cov), want.logpdf(x), rtol=1e-11)
    assert multivariate_normal.entropy(mean, cov) == pytest.approx(want.entropy(), rel=1e-13)
    np.testing.assert_array_equal(multivariate_normal.mean(mean, cov), mean)
    np.testing.assert_array_equal(multivariate_normal.covariance(mean, cov), cov)


def test_diagonal_normal_is_a_product_of_normals_at_extreme_scales():
    scale, z = np.array([1e-150, 1e-3, 1.0, 1e150]), np.array([0.5, -1.0, 2.0, 0.1])
    mean = np.zeros(4)
    want = normal.log_prob(scale * z, 0.0, scale).sum()
    assert multivariate_normal.log_prob(scale * z, mean, np.diag(scale**2)) == pytest.approx(want, rel=1e-14)
    assert multivariate_normal.entropy(mean, np.diag(scale**2)) == pytest.approx(
        normal.entropy(0.0, scale).sum()
    )
    np.testing.assert_allclose(multivariate_normal.sample(z, mean, np.diag(scale**2)), scale * z, rtol=1e-14)


def test_normal_gradients_over_a_batch():
    x, mean, cov = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), _cov(4, 3)
    tril = multivariate_normal.cholesky(cov)
    vector, lower = RNG.normal(size=(4, 3)), 0.05 * np.tril(RNG.normal(size=(4, 3, 3)))
    m = multivariate_normal
    _check_gradients(
        m.log_prob, (x, mean, cov), m.log_prob_grad(x, mean, cov), (vector, vector, _symmetric(4, 3))
    )
    _check_gradients(
        m.log_prob_tril, (x, mean, tril), m.log_prob_tril_grad(x, mean, tril), (vector, vector, lower)
    )
    _check_gradients(m.entropy, (mean, cov), m.entropy_grad(mean, cov), (vector, _symmetric(4, 3)))


def test_normal_sample_and_cholesky_backward():
    m = multivariate_normal
    noise, mean, cov, d_x = (
        RNG.normal(size=(4, 3)),
        RNG.normal(size=(4, 3)),
        _cov(4, 3),
        RNG.normal(size=(4, 3)),
    )
    tril, vector = m.cholesky(cov), RNG.normal(size=(4, 3))
    lower = 0.05 * np.tril(RNG.normal(size=(4, 3, 3)))
    _check_gradients(
        lambda *args: d_x * m.sample(*args),
        (noise, mean, cov),
        m.sample_backward(d_x, noise, mean, cov),
        (vector, vector, _symmetric(4, 3)),
    )
    _check_gradients(
        lambda *args: d_x * m.sample_tril(*args),
        (noise, mean, tril),
        m.sample_tril_backward(d_x, noise, mean, tril),
        (vector, vector, lower),
    )
    weight = RNG.normal(size=(4, 3, 3))
    backward = m.cholesky_backward(np.tril(weight), tril)
    _check_gradients(lambda c: weight * m.cholesky(c), (cov,), (backward,), (_symmetric(4, 3),))
    np.testing.assert_array_equal(backward, np.swapaxes(backward, -1, -2))


def test_normal_samples_have_covariance_cov_not_its_square():
    cov = np.array([[4.0, 1.0], [1.0, 0.5]])
    noise = RNG.normal(size=(40_000, 2))
    whitened = np.linalg.solve(
        np.linalg.cholesky(cov), multivariate_normal.sample(noise, np.ones(2), cov).T - 1
    )
    z = (whitened @ whitened.T / 40_000 - np.eye(2)) / np.sqrt((1 + np.eye(2)) / 40_000)
    assert abs(z).max() < 4
    exact = multivariate_normal.sample(np.eye(2), np.zeros(2), cov)  # rows Lε for unit ε: LLᵀ = Σ
    np.testing.assert_allclose(exact.T @ exact, cov, rtol=1e-14)


def _mp_dirichlet(x, alpha):
    total = sum(alpha)
    inner = sum((a - 1) * mp.log(v) - mp.loggamma(a) for a, v in zip(alpha, x, strict=True))
    return inner + mp.loggamma(total)


def _mp_dirichlet_entropy(*alpha):
    total, psi = sum(alpha), mp.digamma
    rest = sum(mp.loggamma(a) - (a - 1) * psi(a) for a in alpha)
    return rest - mp.loggamma(total) + (total - len(alpha)) * psi(total)


SHAPES = [
    (1e-30, 2e-30, 5e-30),
    (1e-150, 1.0, 2.0),
    (1e-3, 0.3, 5.0),
    (1.0, 1.0, 1.0),
    (11.0, 13.0, 40.0),
    (1e8, 1e7, 3e8),
    (2.0, 1e12, 5.0),
]


@pytest.mark.parametrize("alpha", SHAPES)
def test_dirichlet_against_mpmath(alpha):
    with mp.workdps(400):
        exact = [mp.mpf(a) for a in alpha]
        assert dirichlet.entropy(np.array(alpha)) == pytest.approx(
            float(_mp_dirichlet_entropy(*exact)), rel=1e-12
        )
        grad = dirichlet.entropy_grad(np.array(alpha))[0]
        for i in range(3):
            want = mp.diff(
                _mp_dirichlet_entropy,
                exact,
                tuple(int(i == j) for j in range(3)),
                h=exact[i] * mp.mpf("1e-40"),
            )
            assert grad[i] == pytest.approx(float(want), rel=1e-10, abs=1e-16)
        # Points whose entries sum to one in floating point exactly.
        for x in ((0.25, 0.25, 0.5), (2.0**-40, 0.5, 0.5 - 2.0**-40), (0.125, 0.8125, 0.0625)):
            want = float(_mp_dirichlet([mp.mpf(v) for v in x], exact))
            slack = 1e-15 * max(abs(a - sum(alpha) * v) for a, v in zip(alpha, x, strict=True))
            assert dirichlet.log_prob(np.array(x), np.array(alpha)) == pytest.approx(
                want, rel=1e-13, abs=1e-12 + slack
            )
            by_alpha = dirichlet.log_prob_grad(np.array(x), np.array(alpha))[1]
            for i in range(3):
                want = float(mp.log(mp.mpf(x[i])) + mp.digamma(sum(exact)) - mp.digamma(exact[i]))
                assert by_alpha[i] == pytest.approx(want, rel=1e-13, abs=1e-13)


def test_dirichlet_against_scipy_and_the_beta():
    alpha, x = np.array([0.7, 2.0, 3.5, 1.0]), RNG.dirichlet(np.ones(4), size=5)
    want = [stats.dirichlet.logpdf(row, alpha) for row in x]
    np.testing.assert_allclose(dirichlet.log_prob(x, alpha), want, rtol=1e-12)
    assert dirichlet.entropy(alpha) == pytest.approx(stats.dirichlet.entropy(alpha), rel=1e-13)
    np.testing.assert_allclose(dirichlet.mean(alpha), stats.dirichlet.mean(alpha))
    np.testing.assert_allclose(dirichlet.covariance(alpha), stats.dirichlet.cov(alpha), rtol=1e-13)
    pair = np.array([0.3, 0.7])
    assert dirichlet.log_prob(pair, np.array([2.0, 0.4])) == pytest.approx(
        beta.log_prob(0.3, 2.0, 0.4), rel=1e-14
    )
    d_x = dirichlet.log_prob_grad(x, alpha)[0]
    np.testing.assert_allclose(d_x, (alpha - 1) / x, rtol=1e-15)


def test_dirichlet_at_the_ends_of_the_range():
    x = np.array([0.25, 0.25, 0.5])
    for alpha in (np.full(3, 1e-300), np.full(3, 1e300), np.array([1e-300, 1.0, 1e300])):
        values = [dirichlet.log_prob(x, alpha), *dirichlet.log_prob_grad(x, alpha), dirichlet.entropy(alpha)]
        values += [*dirichlet.entropy_grad(alpha), dirichlet.mean(alpha), dirichlet.covariance(alpha)]
        values += [dirichlet.sample(x, alpha), *dirichlet.sample_backward(x, x, alpha)]
        assert [i for i, v in enumerate(values) if np.isnan(v).any()] == []


def test_dirichlet_gradient_beside_the_mean_of_vast_concentrations():
    """log(α₀x_k/α_k) and ψ − log are both about 1e-9 there."""
    alpha = np.array([1e9, 3e9, 4e9])
    x = np.array([0.125 + 2.0**-31, 0.375, 0.5 - 2.0**-31])
    with mp.workdps(50):
        total = mp.digamma(mp.fsum(map(mp.mpf, alpha)))
        want = [
            float(mp.log(mp.mpf(v)) + total - mp.digamma(mp.mpf(a))) for v, a in zip(x, alpha, strict=True)
        ]
    np.testing.assert_allclose(dirichlet.log_prob_grad(x, alpha)[1], want, rtol=1e-12)


def test_dirichlet_gradient_on_a_face_of_concentration_one():
    by_x, _ = dirichlet.log_prob_grad(np.array([0.0, 0.25, 0.75]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(by_x, [0, 4, 8 / 3], rtol=1e-15)


def test_dirichlet_faces_and_one_category():
    face = np.array([0.0, 0.25, 0.75])
    assert dirichlet.log_prob(face, np.array([0.5, 1.0, 1.0])) == np.inf
    assert dirichlet.log_prob(face, np.array([2.0, 1.0, 1.0])) == -np.inf
    assert dirichlet.log_prob(face, np.ones(3)) == pytest.approx(np.log(2), rel=1e-14)
    with pytest.raises(ValueError, match=r"\bx must not lie where"):
        dirichlet.log_prob(np.array([0.0, 0.0, 1.0]), np.array([0.5, 2.0, 1.0]))
    one = np.ones(1)
    assert dirichlet.log_prob(one, one * 3) == 0
    assert dirichlet.entropy(one * 3) == pytest.approx(0, abs=1e-15)
    assert dirichlet.sample(one / 2, one * 3) == 1


def test_dirichlet_rows_are_as_one_by_one():
    alpha = RNG.uniform(0.1, 9.0, (4, 3))
    for function in (dirichlet.mean, dirichlet.covariance, dirichlet.entropy, dirichlet.entropy_grad):
        whole = np.squeeze(function(alpha))
        np.testing.assert_allclose(whole, [np.squeeze(function(row)) for row in alpha], rtol=1e-13)


def test_dirichlet_samples_have_their_marginals_also_for_tiny_concentrations():
    u = RNG.uniform(size=(4000, 3))
    for alpha in (np.array([0.7, 2.0, 3.5]), np.array([0.05, 0.2, 0.1])):
        x = dirichlet.sample(u, alpha)
        np.testing.assert_allclose(x.sum(axis=-1), 1, rtol=1e-14)
        assert stats.kstest(x[:, 1], stats.beta(alpha[1], alpha.sum() - alpha[1]).cdf).pvalue > 1e-3
    assert np.isfinite(dirichlet.sample(u, np.full(3, 1e-3))).all()


@pytest.mark.parametrize("alpha", [np.array([0.7, 2.0, 3.5]), np.array([1e-3, 2e-3, 1.5e-3])])
def test_dirichlet_sample_backward(alpha):
    noise, d_x = RNG.uniform(0.1, 0.9, size=(5, 3)), RNG.normal(size=(5, 3))
    batch = np.broadcast_to(alpha, (5, 3))
    directions = 0.01 * RNG.normal(size=(5, 3)), 0.1 * alpha * RNG.normal(size=(5, 3))
    cotangents = dirichlet.sample_backward(d_x, noise, batch)
    _check_gradients(
        lambda *args: d_x * dirichlet.sample(*args), (noise, batch), cotangents, directions, 1e-6
    )


@pytest.mark.parametrize("d", [1, 2, 4])
def test_wishart_against_scipy(d):
    df, scale = d + 1.3, _cov(d)
    x = wishart.sample(RNG.normal(size=(6, d, d)), RNG.uniform(size=(6, d)), df, scale)
    want = np.atleast_1d(stats.wishart.logpdf(np.moveaxis(x, 0, -1), df, scale))
    np.testing.assert_allclose(wishart.log_prob(x, df, scale), want, rtol=1e-9, atol=1e-9)
    assert wishart.entropy(df, scale) == pytest.approx(stats.wishart(df, scale).entropy(), rel=1e-12)
    np.testing.assert_allclose(wishart.mean(df, scale), np.atleast_2d(stats.wishart.mean(df, scale)))
    np.testing.assert_allclose(wishart.variance(df, scale), np.atleast_2d(stats.wishart.var(df, scale)))


@pytest.mark.parametrize("df", [0.5, 3.0, 1e6, 1e12])
def test_wishart_of_one_dimension_is_a_gamma(df):
    v, x = 0.7, df * 0.7 * (1 + 0.3 / np.sqrt(df))
    cell = np.array([[1.0]])
    want = gamma.log_prob(x, df / 2, 1 / (2 * v))
    assert wishart.log_prob(x * cell, df, v * cell) == pytest.approx(want, rel=1e-10)
    slope = gamma.log_prob_grad(x, df / 2, 1 / (2 * v))[1] / 2
    assert wishart.log_prob_grad(x * cell, df, v * cell)[1] == pytest.approx(slope, rel=1e-9)
    assert wishart.entropy(df, v * cell) == pytest.approx(gamma.entropy(df / 2, 1 / (2 * v)), rel=1e-13)
    u = np.array([0.3])
    assert wishart.sample(0 * cell, u, df, v * cell) == pytest.approx(gamma.sample(0.3, df / 2, 1 / (2 * v)))


@pytest.mark.parametrize("df", [4.5, 1e3, 1e9])
def test_wishart_entropy_against_mpmath(df):
    with mp.workdps(60):
        nu, d = mp.mpf(df), 3
        half = nu / 2
        log_gamma_d = mp.mpf(d * (d - 1)) / 4 * mp.log(mp.pi) + sum(
            mp.loggamma(half - mp.mpf(i) / 2) for i in range(d)
        )
        psi = sum(mp.digamma(half - mp.mpf(i) / 2) for i in range(d))
        want = mp.mpf(d * (d + 1)) / 2 * mp.log(2) + log_gamma_d - (nu - d - 1) / 2 * psi + nu * d / 2
    assert wishart.entropy(df, np.eye(3)) == pytest.approx(float(want), rel=1e-13)


def test_wishart_gradients_over_a_batch():
    df, scale = np.array([3.2, 9.0]), _cov(2, 3)
    x = wishart.sample(RNG.normal(size=(2, 3, 3)), RNG.uniform(0.2, 0.8, size=(2, 3)), df, scale)
    directions = 0.01 * _symmetric(2, 3), np.array([0.1, 0.2]), _symmetric(2, 3)
    _check_gradients(wishart.log_prob, (x, df, scale), wishart.log_prob_grad(x, df, scale), directions, 1e-7)
    _check_gradients(wishart.entropy, (df, scale), wishart.entropy_grad(df, scale), directions[1:], 1e-7)


def test_wishart_sample_backward():
    df, scale = np.array([3.2, 9.0]), _cov(2, 3)
    normals, uniforms = RNG.normal(size=(2, 3, 3)), RNG.uniform(0.1, 0.9, size=(2, 3))
    d_x = RNG.normal(size=(2, 3, 3))
    d_normals, d_df, d_scale = wishart.sample_backward(d_x, normals, uniforms, df, scale)
    _check_gradients(
        lambda z, nu, v: d_x * wishart.sample(z, uniforms, nu, v),
        (normals, df, scale),
        (d_normals, d_df, d_scale),
        (RNG.normal(size=(2, 3, 3)), np.array([0.1, 0.2]), _symmetric(2, 3)),
        1e-7,
    )


def test_wishart_samples_have_the_mean_and_the_variance():
    n, df, scale = 20_000, 4.5, _cov(2)
    x = wishart.sample(RNG.normal(size=(n, 2, 2)), RNG.uniform(size=(n, 2)), df, scale)
    z = (x.mean(axis=0) - wishart.mean(df, scale)) / np.sqrt(wishart.variance(df, scale) / n)
    assert abs(z).max() < 4
    square = (x - wishart.mean(df, scale)) ** 2
    assert (
        abs(square.mean(axis=0) - wishart.variance(df, scale)) < 4 * square.std(axis=0) / np.sqrt(n)
    ).all()
    log_det = np.linalg.slogdet(x)[1]
    want = special.digamma([df / 2, (df - 1) / 2]).sum() + 2 * np.log(2) + np.linalg.slogdet(scale)[1]
    assert abs(log_det.mean() - want) < 4 * log_det.std() / np.sqrt(n)


def test_leading_axes_broadcast_and_may_be_empty():
    eye, x = np.eye(2), np.full((0, 3, 2), 0.5)
    assert multivariate_normal.log_prob(x, np.zeros(2), eye).shape == (0, 3)
    assert multivariate_normal.sample(x, np.zeros((3, 1, 2))[:, 0], eye).shape == (0, 3, 2)
    assert multivariate_normal.log_prob_grad(x, np.zeros(2), eye)[2].shape == (0, 3, 2, 2)
    assert dirichlet.log_prob(x, np.ones(2)).shape == (0, 3)
    assert dirichlet.sample_backward(x, x, np.ones(2))[1].shape == (0, 3, 2)
    empty = np.empty((0, 2, 2))
    assert wishart.log_prob(empty, 3.0, eye).shape == (0,)
    assert wishart.sample(empty, np.empty((0, 2)), 3.0, eye).shape == (0, 2, 2)
    assert wishart.entropy(np.full((3, 1), 4.0), np.broadcast_to(eye, (5, 2, 2))).shape == (3, 5)


def test_float32_stays_float32():
    v, eye = np.full(2, 0.5, np.float32), np.eye(2, dtype=np.float32)
    m, df = multivariate_normal, np.float32(3)
    values = [m.log_prob(v, v, eye), *m.log_prob_grad(v, v, eye), m.entropy(v, eye), *m.entropy_grad(v, eye)]
    values += [m.sample(v, v, eye), *m.sample_backward(v, v, v, eye), *m.log_prob_tril_grad(v, v, eye)]
    values += [
        dirichlet.log_prob(v, v),
        *dirichlet.log_prob_grad(v, v),
        dirichlet.entropy(v),
        dirichlet.sample(v, v),
    ]
    values += [*dirichlet.entropy_grad(v), *dirichlet.sample_backward(v, v, v), dirichlet.covariance(v)]
    values += [wishart.log_prob(eye, df, eye), *wishart.log_prob_grad(eye, df, eye), wishart.entropy(df, eye)]
    values += [*wishart.entropy_grad(df, eye), wishart.sample(eye, v, df, eye), wishart.variance(df, eye)]
    values += [*wishart.sample_backward(eye, eye, v, df, eye), wishart.mean(df, eye)]
    assert [i for i, value in enumerate(values) if value.dtype != np.float32] == []


def test_float32_is_accurate():
    x, mean, cov = RNG.normal(size=(9, 3)), RNG.normal(size=3), _cov(3)
    point, alpha = np.array([0.25, 0.125, 0.625]), np.array([0.3, 20.0, 4.0])
    for f, args in (
        (multivariate_normal.log_prob, (x, mean, cov)),
        (dirichlet.log_prob, (point, alpha)),
        (dirichlet.entropy, (alpha,)),
        (wishart.log_prob, (cov, np.array(5.5), np.eye(3))),
        (wishart.entropy, (np.array(5.5), cov)),
    ):
        single = [np.asarray(a, np.float32) for a in args]
        want = f(*(a.astype(np.float64) for a in single))
        np.testing.assert_allclose(f(*single), want, rtol=1e-5, atol=3e-5)


EYE, SKEW, HALF = np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]), np.full(2, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multivariate_normal.log_prob(HALF, HALF, -EYE), "cov must be positive definite"),
        (lambda: multivariate_normal.log_prob(HALF, HALF, SKEW), "cov must be symmetric"),
        (lambda: multivariate_normal.log_prob(HALF, HALF, 1e-20 * SKEW), "cov must be symmetric"),
        (lambda: multivariate_normal.log_prob(HALF, HALF, np.ones((2, 3))), "cov must have shape"),
        (lambda: multivariate_normal.log_prob(np.zeros(3), HALF, EYE), "x must have shape"),
        (lambda: multivariate_normal.log_prob(HALF, np.zeros(3), EYE), "mean must have shape"),
        (lambda: multivariate_normal.sample(np.array([0.5, np.nan]), HALF, EYE), "noise must be finite"),
        (
            lambda: multivariate_normal.log_prob_tril(HALF, HALF, SKEW),
            "scale_tril must be lower",
        ),
        (lambda: multivariate_normal.log_prob_tril(HALF, HALF, -EYE), "diagonal of scale_tril must be > 0"),
        (
            lambda: multivariate_normal.log_prob_tril(HALF, HALF, np.ones((3, 2))),
            "scale_tril must have shape",
        ),
        (
            lambda: multivariate_normal.sample_tril_backward(np.ones((3, 2)), HALF, HALF, EYE),
            r"d_x must have shape \(2\)",
        ),
        (lambda: multivariate_normal.entropy(HALF.astype(np.float32), EYE), "share one dtype"),
        (lambda: dirichlet.log_prob(HALF, np.zeros(2)), "concentration must be > 0"),
        (lambda: dirichlet.log_prob(np.ones(2), HALF), "x must sum to one"),
        (lambda: dirichlet.log_prob(HALF, np.ones(3)), "x must have shape"),
        (lambda: dirichlet.sample(np.array([0.0, 0.5]), HALF), "noise must be > 0"),
        (lambda: dirichlet.sample(np.array([0.5, 1.0]), HALF), "noise must be in"),
        (lambda: dirichlet.entropy(np.empty((2, 0))), "concentration must have a last axis"),
        (lambda: wishart.log_prob(EYE, 1.0, EYE), "df must be > D - 1"),
        (lambda: wishart.log_prob(EYE, 3.0, -EYE), "scale must be positive definite"),
        (lambda: wishart.log_prob(-EYE, 3.0, EYE), "x must be positive definite"),
        (lambda: wishart.log_prob(np.eye(3), 3.0, EYE), "x must have shape"),
        (lambda: wishart.sample(np.eye(1), HALF[:1], 1e-310, np.eye(1)), "df must be >= 2.23e-308"),
        (lambda: wishart.sample_backward(np.eye(3), EYE, HALF, 3.0, EYE), "d_x must have shape"),
        (lambda: dirichlet.sample_backward(np.ones((5, 2)), HALF, np.ones(2)), "d_x must have shape"),
        (lambda: dirichlet.sample_backward(np.ones(2, "f4"), HALF, np.ones(2)), "d_x"),
        (lambda: dirichlet.sample(HALF, np.full(2, 1e-310)), "concentration must be >= 2.23e-308"),
        (lambda: wishart.sample(EYE, np.ones(2), 3.0, EYE), "uniforms must be in"),
        (lambda: wishart.sample(np.eye(3), HALF, 3.0, EYE), "normals must have shape"),
        (lambda: wishart.sample(EYE, np.full(1, 0.5), 3.0, EYE), "uniforms must have shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_symmetric_is_to_sixteen_units_of_the_largest_entry():
    for units, enough in ((15, True), (17, False)):
        cov = np.array([[2.0, 0.0], [units * 2.0**-51, 1.0]])
        with nullcontext() if enough else pytest.raises(ValueError, match="cov must be symmetric"):
            multivariate_normal.entropy(np.zeros(2), cov)


def test_entries_that_are_all_negative_are_symmetric_for_all_that():
    cov = np.array([[-2.0, -1.0], [np.nextafter(-1.0, 0), -2.0]])
    with pytest.raises(ValueError, match="cov must be positive definite"):
        multivariate_normal.entropy(np.zeros(2), cov)


def test_many_points_share_one_factor():
    """One solve, some twenty times as fast as one a point; the values and derivatives are the same."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(16, 16))
    cov, x = root @ root.T + np.eye(16), rng.normal(size=(5000, 16))
    repeated = np.broadcast_to(cov, (5000, 16, 16))

    def seconds(function, *arguments):
        starts = [time.perf_counter(), *(function(*arguments) is None or time.perf_counter() for _ in "123")]
        return min(np.diff(starts))

    shared = seconds(multivariate_normal.log_prob, x, np.zeros(16), cov)
    assert 4 * shared < seconds(multivariate_normal.log_prob, x, np.zeros(16), repeated)
    m = multivariate_normal
    for function in (m.log_prob, m.log_prob_grad, m.log_prob_tril_grad):
        one, many = (
            (cov, repeated) if function is not m.log_prob_tril_grad else map(m.cholesky, (cov, repeated))
        )
        for got, want in zip(function(x, x[0], one), function(x, x[0], many), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_dirichlet_quantile_below_the_smallest_number():
    u, a, h = np.array([0.3, 0.33]), np.array([1e-3, 1.1e-3]), 1e-8
    log_y = dirichlet._log_quantile(u, a)
    with mp.workdps(40):
        back = [float(mp.gammainc(b, 0, mp.exp(y), regularized=True)) for y, b in zip(log_y, a, strict=True)]
    np.testing.assert_allclose(back, u, rtol=1e-12)
    slope = (dirichlet._log_quantile(u, a + h) - dirichlet._log_quantile(u, a - h)) / (2 * h)
    np.testing.assert_allclose(dirichlet._log_quantile_grad(log_y, a)[1], slope, rtol=1e-6)
