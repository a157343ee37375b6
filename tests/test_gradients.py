"""Each estimator's exact expectation against the derivative of the bound that it claims to estimate."""

import numpy as np
import pytest
from gradient_oracles import (
    by_score,
    by_vimco,
    check_finite,
    check_gaussian,
    dreg,
    plain,
    stl,
)

from vbref import bounds, gradients

# (check, estimator, K, m): with K samples, the expectation is the gradient of IWAE_m; m = 1 is the ELBO.
UNBIASED = [
    *((check_finite, by_score("none"), k, 1) for k in (1, 2, 3)),
    *((check_finite, by_score(-0.7), k, 1) for k in (1, 3)),
    *((check_finite, by_score("leave_one_out"), k, 1) for k in (2, 3)),
    *((check_finite, by_score("optimal_leave_one_out"), k, 1) for k in (2, 3)),
    *((check_finite, by_vimco(control), k, k) for k in (2, 3, 4) for control in ("geometric", "arithmetic")),
    *((check_gaussian, lambda w, p, s, b=b: by_score(b)(w, s), 2, 1) for b in ("none", "leave_one_out")),
    *((check_gaussian, lambda w, p, s: by_vimco("geometric")(w, s), k, k) for k in (2, 3)),
    *((check_gaussian, estimator, k, 1) for k in (1, 2, 3) for estimator in (plain, stl)),
    *((check_gaussian, estimator, k, k) for k in (1, 2, 3) for estimator in (gradients.iwae_pathwise, dreg)),
]


@pytest.mark.parametrize(("check", "estimator", "k", "target"), UNBIASED)
def test_unbiased(check, estimator, k, target):
    check(estimator, k, target)


# Mistakes that published code has made; the checks above must refuse each.


def missing_detach(log_w, path, score):
    """The derivative of Σ w̃ log w that also goes through w̃."""
    weight = bounds.iwae_grad(log_w)
    reported = (weight * log_w).sum(axis=0)
    return gradients.weighted(weight * (1 + log_w - reported), path - score)


def own_sample_in_baseline(log_w, score):
    return np.mean((log_w - log_w.mean(axis=0))[..., None] * score, axis=0)


MUTANTS = {
    "DReG with w̃ for w̃² (sticking the landing on IWAE)": (
        check_gaussian,
        lambda w, p, s: gradients.weighted(bounds.iwae_grad(w), p),
    ),
    "mean for sum in IWAE": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, p, s) / len(w)),
    "sum for mean in ELBO": (check_gaussian, lambda w, p, s: len(w) * plain(w, p, s), 1),
    "K ignored: ELBO for IWAE": (check_gaussian, plain),
    "log-mean against mean-log: IWAE for ELBO": (check_gaussian, gradients.iwae_pathwise, 1),
    "weights not detached": (check_gaussian, missing_detach),
    "score term of the wrong sign": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, p, -s)),
    "path term forgotten": (check_gaussian, lambda w, p, s: gradients.iwae_pathwise(w, 0 * p, s)),
    "VIMCO without −w̃": (check_finite, lambda w, s: gradients.weighted(gradients.vimco_signal(w), s)),
    "VIMCO averaged": (check_finite, lambda w, s: by_vimco("geometric")(w, s) / len(w)),
    "VIMCO's signal with the ELBO's baseline": (
        check_finite,
        lambda w, s: gradients.weighted(w - gradients.leave_one_out(w) - bounds.iwae_grad(w), s),
    ),
    "own sample in the mean baseline": (check_finite, own_sample_in_baseline, 1),
    "optimal baseline from the same samples": (check_finite, by_score("optimal"), 1),
    "score function summed": (check_finite, lambda w, s: len(w) * by_score("leave_one_out")(w, s), 1),
}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name, k):
    check, mutant, *target = MUTANTS[name]
    with pytest.raises(AssertionError):
        check(mutant, k, *target or [k])
