"""What is said of a quantile before it is trusted."""

import numpy as np
import pytest

from vbref.dist._quantile import astray, tail_integral


@pytest.mark.parametrize("u", [1e-300, 1e-9, 0.4, 0.6, 1 - 1e-9])
def test_a_tail_is_judged_by_its_own_digits(u):
    """The smaller tail off by a share of itself; the other one, nearly 1, would not show it."""
    tail = min(u, 1 - u)
    for share, off in ((1e-6, True), (3e-11, True), (1e-13, False)):
        moved = tail * (1 + share)
        tails = (moved, 1 - moved, 0.0) if u < 0.5 else (1 - moved, moved, 0.0)
        assert astray(np.array(u), tuple(map(np.array, tails))) == (off and share * tail > 1e-320)


@pytest.mark.parametrize(("u", "tails"), [(1e-10, (0.0, 1.0)), (1 - 1e-10, (1.0, 0.0))])
def test_a_tail_of_nothing_is_astray_however_steep_it_is_there(u, tails):
    assert astray(np.array(u), (*map(np.array, tails), np.array(1e8)))
    assert not astray(np.array(u), (np.array(u), np.array(1 - u), np.array(1e8)))


def test_what_the_rounding_of_the_quantile_explains_is_not_astray():
    u, slope = np.array(0.3), np.array(1e6)
    for off, expected in ((1e-9, False), (1e-7, True)):
        assert astray(u, (u + off, 1 - u - off, slope)) == expected
    assert astray(u, (u * np.nan, u, slope))


@pytest.mark.parametrize("rate", [1e-200, 1e-3, 1.0, 1e3, 1e200])
def test_a_tail_of_any_steepness(rate):
    got = tail_integral(lambda s: -rate * s, np.ones_like, np.zeros(1))
    np.testing.assert_allclose(got * rate, 1, rtol=1e-12)
