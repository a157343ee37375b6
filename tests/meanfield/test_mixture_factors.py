"""The factors of C_k by dense algebra, and what is said of their rounding, entry by entry."""

from contextlib import nullcontext

import numpy as np
import pytest

from vbref.meanfield.mixture import factors
from vbref.meanfield.mixture.scales import Scales, Unresolved
from vbref.meanfield.mixture.scales import factored as factored_scales

RNG = np.random.default_rng(0)
G, J, K, D = 2, 2, 3, 4


@pytest.fixture
def parts():
    """base (G, D, D), roots R (G, J, D, D), vectors v (G, K, D)."""
    root = RNG.standard_normal((G, D, D))
    return (
        root @ root.swapaxes(1, 2) + np.eye(D),
        RNG.standard_normal((G, J, D, D)),
        RNG.standard_normal((G, K, D)),
    )


def factored(base, rows, pulls, gram):
    tril, inverse = np.zeros((2, G, D, D))
    condition, rounding, pulled = np.zeros((3, G))
    done = factors.factor(gram, base, rows, pulls, tril, inverse, condition, rounding, pulled)
    return done, tril, inverse, (condition, rounding, pulled)


def test_factors_are_those_of_the_sum(parts):
    base, rows, pulls = parts
    gram = base + (rows.swapaxes(2, 3) @ rows).sum(axis=1)
    done, tril, inverse, _ = factored(base, rows, pulls, gram)
    assert done
    np.testing.assert_allclose(tril, np.linalg.cholesky(gram + pulls.swapaxes(1, 2) @ pulls), rtol=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.inv(tril), rtol=1e-11, atol=1e-13)


def test_what_rounding_does_is_counted_entry_by_entry(parts):
    base, rows, pulls = parts
    gram = base + (rows.swapaxes(2, 3) @ rows).sum(axis=1)
    _, _, inverse, (condition, rounding, pulled) = factored(base, rows, pulls, gram)
    for g in range(G):
        p = inverse[g].T @ inverse[g]
        assert condition[g] == pytest.approx(sum(abs(p[i, j] * gram[g, i, j]) for i, j in np.ndindex(D, D)))
        of_rows = 0.0
        for j in range(J):
            lengths = np.array([np.linalg.norm(rows[g, j, :, i]) for i in range(D)])
            for row in rows[g, j]:
                of_rows += abs(inverse[g] @ row) @ (abs(inverse[g]) @ lengths)
        of_base = sum(abs(p[i, j] * base[g, i, j]) for i, j in np.ndindex(D, D))
        assert rounding[g] == pytest.approx(of_base + of_rows, rel=1e-12)
        of_pulls = sum(abs((p @ v)[i] * v[i]) for v in pulls[g] for i in range(D))
        assert pulled[g] == pytest.approx(of_pulls, rel=1e-12)


def test_without_pulls_only_the_scatter_costs_digits():
    scales = factored_scales(np.eye(2), np.full((1, 2, 2), 0.5), None, np.zeros((1, 0, 2)))
    assert scales.pulled == 0
    assert scales.rounding == scales.condition > 1


def test_nine_digits_need_no_root_and_six_must_be_left():
    """The sensitivities are means over components by ν, a dimension: 10⁶ and 10⁻⁶/ε are the ends."""
    df, square = np.array([1.0, 3.0]), np.tile(np.eye(2), (2, 1, 1))

    def made(condition, rounding, pulled):
        each = (np.array([0.0, size * 2 * 4 / 3]) for size in (condition, rounding, pulled))
        return Scales(square, square, square, *each)

    for slip, beyond in ((1 - 1e-9, False), (1 + 1e-9, True)):
        assert made(slip * 1e6, 0, 0).coarse(df) == beyond
        with pytest.raises(Unresolved) if beyond else nullcontext():
            made(0, slip * 1e6, 0).check(df, True)
        with pytest.raises(Unresolved) if beyond else nullcontext():
            made(0, slip * 2e-7 * 2.0**52, slip * 8e-7 * 2.0**52).check(df, False)


def test_what_is_not_definite_is_said():
    base = np.stack([np.eye(D), -np.eye(D)])
    assert not factored(base, np.zeros((G, 0, D, D)), np.zeros((G, 0, D)), base)[0]
