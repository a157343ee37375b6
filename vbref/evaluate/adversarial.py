"""What goes wrong between a critic and what it judges, as numbers."""

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check

_SURE = 0.01


def saturation(t_real: ArrayLike, t_fake: ArrayLike) -> float:
    """The share of logits at which a critic is right and sure: it has a slope below 0.01 there.

    The logistic objective's slopes are σ(−T) at a real draw and σ(T) at a fake one. Where most are gone the
    critic has nothing left to learn, and T far from the log ratio to say: the two laws barely overlap. t_real
    and t_fake are of any shape. 0 is a critic that doubts, 1 one that does not. Raises ValueError where there
    are no logits of one kind.
    """
    t_real, t_fake = _logits(t_real, t_fake)
    sure = np.log(1 / _SURE - 1)
    return float(((t_real > sure).mean() + (t_fake < -sure).mean()) / 2)


def accuracy(t_real: ArrayLike, t_fake: ArrayLike) -> float:
    """The share that the sign of T gets right, half of it over each kind: ½ where it cannot tell.

    Arguments and exceptions are those of `saturation`.
    """
    t_real, t_fake = _logits(t_real, t_fake)
    return float(((t_real > 0).mean() + (t_fake < 0).mean()) / 2)


def _logits(t_real: ArrayLike, t_fake: ArrayLike) -> tuple[check.FloatArray, check.FloatArray]:
    t_real, t_fake = check.floats(t_real=t_real, t_fake=t_fake)
    if t_real.size == 0 or t_fake.size == 0:
        raise ValueError(f"t_real and t_fake must have a logit each, have {t_real.size} and {t_fake.size}")
    return t_real, t_fake


def coverage(real: ArrayLike, fake: ArrayLike, neighbours: int = 5) -> float:
    """The share of real rows (N, D) with a fake one (M, D) as near as their k-th real neighbour.

    With as many fakes of the same law it is 1 − 2^−k or so; a generator that has lost modes leaves those rows
    bare (Naeem et al. 2020). Raises ValueError unless N > `neighbours` >= 1 and there is a fake, and for real
    rows so far apart that the squares overflow.
    """
    from scipy.spatial.distance import cdist

    real, fake = check.floats(real=real, fake=fake)
    check.shape("real", real, (None, None))
    check.shape("fake", fake, (None, real.shape[1]))
    check.size(neighbours=neighbours)
    if neighbours >= len(real):
        raise ValueError(f"neighbours must be below the {len(real)} rows of real, was {neighbours}")
    if len(fake) == 0:
        raise ValueError("fake must have at least one row, has none")
    # From the differences: by ‖a‖² − 2 a·b + ‖b‖² nothing would be left far from the origin.
    own = np.partition(cdist(real, real, "sqeuclidean"), neighbours, axis=1)[:, neighbours]
    if not np.isfinite(own).all():
        raise ValueError("real must have rows whose squared distances stay within float64")
    return float((cdist(real, fake, "sqeuclidean").min(axis=1) <= own).mean())
