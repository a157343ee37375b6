import itertools

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal as scipy_normal

from vbref import kl

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True, scope="module")
def digits():
    with mp.workdps(60):
        yield


def random_cov(d, *lead):
    factor = RNG.normal(size=(*lead, d, d))
    return factor @ np.swapaxes(factor, -1, -2) / d + 0.2 * np.eye(d)


def random_case(d, *lead):
    return (
        RNG.normal(size=(*lead, d)),
        random_cov(d, *lead),
        RNG.normal(size=(*lead, d)),
        random_cov(d, *lead),
    )


def near(cov, step):
    """cov + a symmetric change of relative size `step`, symmetric to the last bit, definite to 0.1."""
    change = RNG.uniform(-0.5, 0.5, size=cov.shape) / len(cov)
    scale = np.sqrt(np.diag(cov))
    return cov + step * (change + change.T) * np.minimum(scale[:, None], scale) ** 2


def matrix(array):
    return mp.matrix(np.atleast_2d(array).tolist())


def exact(mean_q, cov_q, mean_p, cov_p):
    """xu/30 as printed, at 60 digits."""
    s, r = matrix(cov_q), matrix(cov_p)
    gap = matrix(mean_p).T - matrix(mean_q).T
    inner = r**-1 * s
    trace = mp.fsum(inner[i, i] for i in range(s.rows))
    return (mp.log(mp.det(r) / mp.det(s)) - s.rows + trace + (gap.T * (r**-1 * gap))[0]) / 2


def exact_grad(mean_q, cov_q, mean_p, cov_p):
    s, r = matrix(cov_q), matrix(cov_p)
    u = r**-1 * (matrix(mean_q).T - matrix(mean_p).T)
    by_p = (r**-1 - r**-1 * s * r**-1 - u * u.T) / 2
    return u, (r**-1 - s**-1) / 2, -u, by_p


def relative_error(got, want):
    return float(abs(mp.mpf(float(got)) - want) / abs(want))


def assert_matrix_close(got, want, tolerance):
    """Entrywise, beside the largest entry."""
    difference = matrix(got) - (want if np.ndim(got) == 2 else want.T)
    assert mp.mnorm(difference, mp.inf) <= tolerance * mp.mnorm(want, mp.inf)


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_against_60_digits(d):
    for _ in range(5):
        case = random_case(d)
        assert relative_error(kl.multivariate_normal(*case), exact(*case)) < 1e-13


def test_against_cubature():
    """Gauss–Hermite with three nodes an axis is exact for the quadratic log q − log p."""
    mean_q, cov_q, mean_p, cov_p = random_case(2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    weights /= np.sqrt(2 * np.pi)
    points = mean_q + np.array(list(itertools.product(nodes, nodes))) @ np.linalg.cholesky(cov_q).T
    ratio = scipy_normal.logpdf(points, mean_q, cov_q) - scipy_normal.logpdf(points, mean_p, cov_p)
    want = ratio @ np.outer(weights, weights).ravel()
    assert kl.multivariate_normal(mean_q, cov_q, mean_p, cov_p) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("step", [0.1, 1e-3, 1e-6, 1e-9, 1e-12])
def test_near_equality(step):
    """KL falls to 1e-24 and keeps its digits."""
    for d in (1, 2, 5):
        mean, cov = np.zeros(d), random_cov(d)
        case = mean, near(cov, step), mean, cov
        assert relative_error(kl.multivariate_normal(*case), exact(*case)) < 1e-13


@pytest.mark.parametrize("power", [-300, -150, 0, 150, 300])
def test_every_magnitude(power):
    scale = 10.0**power
    mean_q, cov_q, mean_p, cov_p = random_case(3)
    root = np.sqrt(scale)
    case = mean_q * root, cov_q * scale, mean_p * root, cov_p * scale
    assert relative_error(kl.multivariate_normal(*case), exact(*case)) < 1e-13


def test_axes_of_very_different_scale():
    scale = np.array([1e-150, 1.0, 1e150])
    mean_q, cov_q, mean_p, cov_p = random_case(3)
    case = mean_q * scale, cov_q * np.outer(scale, scale), mean_p * scale, cov_p * np.outer(scale, scale)
    with mp.workdps(700):
        assert relative_error(kl.multivariate_normal(*case), exact(*case)) < 1e-13


@pytest.mark.parametrize(("q", "p"), [(1e-300, 1.0), (1.0, 1e-300), (1e-150, 1e150), (1e300, 1.0)])
def test_ratios_of_covariances(q, p):
    mean_q, cov_q, mean_p, cov_p = random_case(2)
    case = mean_q * 0, cov_q * q, mean_p * 0, cov_p * p
    with mp.workdps(700):
        assert relative_error(kl.multivariate_normal(*case), exact(*case)) < 1e-13


def test_infinite_beyond_float64():
    one = np.eye(1)
    assert kl.multivariate_normal(np.array([1e200]), one, np.zeros(1), one) == np.inf
    assert kl.multivariate_normal(np.zeros(1), one * 1e200, np.zeros(1), one * 1e-200) == np.inf


def test_one_dimension_is_normal():
    loc_q, loc_p = RNG.normal(size=(2, 20))
    scale_q, scale_p = np.exp(RNG.normal(size=(2, 20)))
    value = kl.multivariate_normal(
        loc_q[:, None], scale_q[:, None, None] ** 2, loc_p[:, None], scale_p[:, None, None] ** 2
    )
    np.testing.assert_allclose(value, kl.normal(loc_q, scale_q, loc_p, scale_p), rtol=1e-13)


@given(st.integers(1, 5), st.floats(1e-12, 1e3), st.integers(0, 2**32))
def test_non_negative_and_zero_only_at_equality(d, step, seed):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(2, d, d))
    cov = factor[0] @ factor[0].T + 1e-3 * np.eye(d)
    other = cov + step * np.diag(np.diag(factor[1] @ factor[1].T))
    zero = np.zeros(d)
    assert kl.multivariate_normal(zero, cov, zero, cov) == 0
    assert (kl.multivariate_normal(zero, other, zero, cov) > 0) == (other != cov).any()
    assert (kl.multivariate_normal(zero, cov, zero, other) > 0) == (other != cov).any()


def test_kl_of_a_product_is_the_sum():
    """Block-diagonal covariances (xu/33), in a shuffled order of the coordinates."""
    left, right = random_case(2), random_case(3)
    order = RNG.permutation(5)
    joint = []
    for a, b in zip(left, right, strict=True):
        if a.ndim == 1:
            joint.append(np.concatenate([a, b])[order])
        else:
            joint.append(np.block([[a, np.zeros((2, 3))], [np.zeros((3, 2)), b]])[np.ix_(order, order)])
    want = kl.multivariate_normal(*left) + kl.multivariate_normal(*right)
    assert kl.multivariate_normal(*joint) == pytest.approx(want, rel=1e-13)


def test_linear_maps_change_nothing():
    mean_q, cov_q, mean_p, cov_p = random_case(4)
    a = RNG.normal(size=(4, 4))
    cov_aq, cov_ap = (a @ c @ a.T for c in (cov_q, cov_p))
    moved = kl.multivariate_normal(a @ mean_q, (cov_aq + cov_aq.T) / 2, a @ mean_p, (cov_ap + cov_ap.T) / 2)
    assert moved == pytest.approx(kl.multivariate_normal(mean_q, cov_q, mean_p, cov_p), rel=1e-11)


@pytest.mark.parametrize("step", [None, 1e-9])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_grad_against_60_digits(d, step):
    mean_q, cov_q, mean_p, cov_p = random_case(d)
    cov_q = cov_q if step is None else near(cov_p, step)
    mean_q = mean_q if step is None else mean_p
    case = mean_q, cov_q, mean_p, cov_p
    for got, want in zip(kl.multivariate_normal_grad(*case), exact_grad(*case), strict=True):
        assert_matrix_close(got, want, 1e-12)


def test_grad_is_the_derivative():
    """Central differences of the value along symmetric directions."""
    case = random_case(3)
    grads = kl.multivariate_normal_grad(*case)
    h = 1e-5
    for i, grad in enumerate(grads):
        along = RNG.normal(size=grad.shape)
        along = along if grad.ndim == 1 else along + along.T
        up, down = (kl.multivariate_normal(*(c + sign * h * along * (i == j) for j, c in enumerate(case)))
                    for sign in (1, -1))  # fmt: skip
        assert (grad * along).sum() == pytest.approx((up - down) / (2 * h), rel=1e-7)
        assert grad.ndim == 1 or (grad == grad.T).all()


def test_grad_vanishes_at_equality():
    mean, cov, _, _ = random_case(3)
    for grad in kl.multivariate_normal_grad(mean, cov, mean, cov):
        assert (grad == 0).all()


def test_batches_broadcast():
    mean_q, cov_q = RNG.normal(size=(2, 1, 3)), random_cov(3, 4)
    mean_p, cov_p = np.zeros(3), np.eye(3)
    value = kl.multivariate_normal(mean_q, cov_q, mean_p, cov_p)
    grads = kl.multivariate_normal_grad(mean_q, cov_q, mean_p, cov_p)
    assert value.shape == (2, 4)
    assert [g.shape for g in grads] == [(2, 4, 3), (2, 4, 3, 3)] * 2
    for i, j in np.ndindex(2, 4):
        one = mean_q[i, 0], cov_q[j], mean_p, cov_p
        assert value[i, j] == kl.multivariate_normal(*one)
        for all_items, item in zip(grads, kl.multivariate_normal_grad(*one), strict=True):
            np.testing.assert_array_equal(all_items[i, j], item)


def test_empty_batch():
    case = np.zeros((0, 2)), np.zeros((0, 2, 2)), np.zeros(2), np.eye(2)
    assert kl.multivariate_normal(*case).shape == (0,)
    assert [g.shape for g in kl.multivariate_normal_grad(*case)] == [(0, 2), (0, 2, 2)] * 2


def test_arguments_are_left_alone():
    case = random_case(3)
    before = [a.copy() for a in case]
    kl.multivariate_normal(*case)
    kl.multivariate_normal_grad(*case)
    for a, b in zip(case, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_float32_stays_float32():
    case = [a.astype(np.float32) for a in random_case(3)]
    value = kl.multivariate_normal(*case)
    assert value.dtype == np.float32
    assert relative_error(value, exact(*(a.astype(float) for a in case))) < 1e-5
    assert all(g.dtype == np.float32 for g in kl.multivariate_normal_grad(*case))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cov_q": np.ones((2, 3))}, "cov_q must have shape"),
        ({"cov_q": np.array([[1.0, 0.5], [0.4, 1.0]])}, "cov_q must be symmetric"),
        ({"cov_p": np.array([[1.0, 2.0], [2.0, 1.0]])}, "cov_p must be positive definite"),
        ({"cov_q": np.zeros((2, 2))}, "cov_q must be positive definite"),
        ({"cov_p": np.ones((2, 2))}, "cov_p must be positive definite"),
        ({"cov_p": np.eye(3)}, "cov_p must have shape"),
        ({"mean_q": np.zeros(3)}, "mean_q must have shape"),
        ({"mean_p": 0.0}, "mean_p must have shape"),
        ({"mean_p": np.array([np.nan, 0])}, "mean_p must be finite"),
        ({"mean_q": np.zeros((2, 2)), "mean_p": np.zeros((3, 2))}, "do not broadcast"),
    ],
)
def test_bad_input(changed, message):
    good = {"mean_q": np.zeros(2), "cov_q": np.eye(2), "mean_p": np.zeros(2), "cov_p": np.eye(2)}
    for function in (kl.multivariate_normal, kl.multivariate_normal_grad):
        with pytest.raises(ValueError, match=message):
            function(**{**good, **changed})
