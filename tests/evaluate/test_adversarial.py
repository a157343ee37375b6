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


@pytest.mark.parametrize("bad", [{"neighbours": 0}, {"neighbours": 5}, {"fake": np.ones((0, 2))}])
def test_bad_input(bad):
    given = {"real": np.eye(5, 2), "fake": np.eye(3, 2)} | bad
    with pytest.raises(ValueError, match="neighbours must be"):
        adversarial.coverage(**given)
