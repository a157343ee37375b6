import numpy as np
import pytest

from vbref.evaluate import adversarial


def test_saturation_counts_slopes_below_a_hundredth():
    sure = np.log(99.0)
    assert adversarial.saturation(np.array([0.0, 1.0]), np.array([0.0, -1.0])) == 0
    assert adversarial.saturation(np.full(4, sure + 1e-9), np.full(3, -sure - 1e-9)) == 1
    assert adversarial.saturation(np.full(4, sure - 1e-9), np.full(3, -sure + 1e-9)) == 0
    assert adversarial.saturation(np.array([9.0, 0.0]), np.array([9.0])) == 0.25  # sure and wrong is no 1


def test_accuracy():
    assert adversarial.accuracy(np.array([1.0, -1.0]), np.array([-2.0, -1.0])) == 0.75


def test_coverage_of_the_same_law_and_of_a_lost_mode():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((800, 2)) + np.where(np.arange(800) < 400, -5, 5)[:, None]
    same = rng.standard_normal((800, 2)) + np.where(np.arange(800) < 400, -5, 5)[:, None]
    found = adversarial.coverage(real, same)
    assert abs(found - (1 - 2.0**-5)) < 5 * np.sqrt(2.0**-5 / 800)
    assert adversarial.coverage(real, same[:400]) == pytest.approx(found / 2, abs=0.02)
    assert adversarial.coverage(real, same[:1].repeat(800, axis=0)) < 0.03


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coverage_far_from_the_origin(dtype):
    """Each fake is further off than any real row; squares of the rows themselves would round that away."""
    real = (np.arange(8)[:, None] + np.array([4e6, 0])).astype(dtype)
    assert adversarial.coverage(real, real + dtype(8), neighbours=1) == 1 / 8
    assert adversarial.coverage(real, real[:1], neighbours=1) == 2 / 8


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"neighbours": 0}, "neighbours must be an integer >= 1, was 0"),
        ({"neighbours": 2.0}, "neighbours must be an integer >= 1, was 2.0"),
        ({"neighbours": 5}, "neighbours must be below the 5 rows of real, was 5"),
        ({"fake": np.ones((0, 2))}, "fake must have at least one row"),
        ({"real": np.ones(5)}, r"real must have shape \(\*, \*\), has \(5,\)"),
        ({"fake": np.eye(3)}, r"fake must have shape \(\*, 2\), has \(3, 3\)"),
        ({"real": 1e200 * np.eye(5, 2)}, "real must have rows whose squared distances"),
    ],
)
def test_bad_rows_are_named(bad, message):
    given = {"real": np.eye(5, 2), "fake": np.eye(3, 2), "neighbours": 4} | bad
    with pytest.raises(ValueError, match=message):
        adversarial.coverage(**given)


@pytest.mark.parametrize("measure", [adversarial.saturation, adversarial.accuracy])
@pytest.mark.parametrize("sizes", [(0, 2), (2, 0)])
def test_no_logits_are_refused(measure, sizes):
    with pytest.raises(
        ValueError, match="t_real and t_fake must have a logit each, have {} and {}".format(*sizes)
    ):
        measure(*map(np.ones, sizes))
