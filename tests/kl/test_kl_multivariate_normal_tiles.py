"""Tiles of many items against the plain loop, which sees the same items a few at a time."""

import numpy as np
import pytest

from vbref import kl
from vbref.kl.multivariate_normal_tiles import far_kl

N = 1041  # one more than whole tiles


def many(d, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)

    def side():
        root = rng.standard_normal((N, d, d))
        return rng.standard_normal((N, d)), root @ root.swapaxes(-1, -2) + 0.1 * np.eye(d)

    return [array.astype(dtype) for array in (*side(), *side())]


def plain(case):
    return np.concatenate([kl.multivariate_normal(*(a[i : i + 350] for a in case)) for i in range(0, N, 350)])


@pytest.mark.parametrize(("d", "dtype", "rtol"), [(1, "f8", 1e-13), (8, "f8", 1e-13), (5, "f4", 2e-5)])
def test_against_the_plain_loop(d, dtype, rtol):
    case = many(d, dtype)
    got = kl.multivariate_normal(*case)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, plain(case), rtol=rtol)
    raw = np.empty(N, dtype)
    far_kl(*case, raw)
    assert np.isnan(raw).mean() < 0.4  # or the comparison was of the plain loop with itself


def test_near_equality_keeps_its_digits():
    mean, cov, _, _ = many(4)
    case = mean, cov, mean, cov * (1 + 1e-9)
    np.testing.assert_array_equal(kl.multivariate_normal(*case), plain(case))


def test_extreme_scales():
    """Products of diagonals that leave the range of float64."""
    mean, cov, mean_p, cov_p = many(8)
    scale = np.full(N, 1e-60)
    scale[::3] = 1e-140
    scale[1::3] = 1e20
    case = mean * 1e-60, cov * scale[:, None, None] ** 2, mean_p * 1e-60, cov_p * 1e-120
    np.testing.assert_allclose(kl.multivariate_normal(*case), plain(case), rtol=1e-13)


def skewed(cov, roundings):
    cov[:, 0, 1] += roundings * np.finfo(np.float64).eps * cov.max(axis=(1, 2))


@pytest.mark.parametrize("scale", [1e-6, 1e12])
def test_covariances_symmetric_to_rounding_alone(scale):
    """They are vouched for, and what they differ from their transposes by is no part of the value."""
    mean_q, cov_q, mean_p, cov_p = many(3)
    raw, symmetric = np.empty((2, N))
    far_kl(mean_q * scale, cov_q * scale**2, mean_p * scale, cov_p * scale**2, symmetric)
    skewed(cov_q, 12)
    skewed(cov_p, -12)
    case = mean_q * scale, cov_q * scale**2, mean_p * scale, cov_p * scale**2
    far_kl(*case, raw)
    sure = ~np.isnan(symmetric)
    assert sure.mean() > 0.6
    np.testing.assert_allclose(raw[sure], plain(case)[sure], rtol=1e-12)
    far_kl(case[0], case[1], case[0], case[1] * (1 + 1e-9), raw)
    assert np.isnan(raw).all()  # what is near equality is not for a tile to say


def test_an_item_does_not_know_its_place():
    case = many(3)
    turned = [np.roll(array, 7, axis=0) for array in case]
    np.testing.assert_array_equal(np.roll(kl.multivariate_normal(*case), 7), kl.multivariate_normal(*turned))


def test_shared_arguments():
    mean_q, cov_q, mean_p, cov_p = many(3)
    got = kl.multivariate_normal(mean_q[:1040].reshape(104, 10, 3), cov_q[:10], mean_p[0], cov_p[0])
    np.testing.assert_allclose(
        got[7], kl.multivariate_normal(mean_q[70:80], cov_q[:10], mean_p[0], cov_p[0]), rtol=1e-13
    )


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("cov_q", (120, 0, 1), np.nan, "cov_q must be finite"),
        ("cov_q", (120, 2, 0), np.inf, "cov_q must be finite"),
        ("cov_p", (271, 0, 1), 0.3, "cov_p must be symmetric"),  # the last of its tile
        ("cov_p", (271, 2, 1), -30.0, "cov_p must be symmetric"),
        ("cov_q", (1040, 2, 1), 30.0, "cov_q must be symmetric"),
        ("cov_p", (299, 2, 2), -1.0, "cov_p must be positive definite"),
        ("cov_q", (5, 1, 1), 0.0, "cov_q must be positive definite"),
        ("mean_p", (7, 1), np.nan, "mean_p must be finite"),
        ("mean_q", (7, 1), np.inf, "mean_q must be finite"),
    ],
)
def test_one_bad_item_is_found(name, place, value, message):
    case = dict(zip(("mean_q", "cov_q", "mean_p", "cov_p"), many(3), strict=True))
    case[name][place] = value
    with pytest.raises(ValueError, match=message):
        kl.multivariate_normal(**case)


def test_more_skew_than_rounding_and_other_shapes_are_refused():
    mean_q, cov_q, mean_p, cov_p = many(3)
    with pytest.raises(ValueError, match=r"cov_p must have shape \(\.\.\., 3, 3\)"):
        kl.multivariate_normal(mean_q, cov_q, mean_p, np.ones((N, 2, 3)))
    skewed(cov_q, 24)
    raw = np.empty(N)
    far_kl(mean_q, cov_q, mean_p, cov_p, raw)
    assert np.isnan(raw).all()
    with pytest.raises(ValueError, match="cov_q must be symmetric"):
        kl.multivariate_normal(mean_q, cov_q, mean_p, cov_p)
