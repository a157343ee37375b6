"""What goes wrong between a critic and what it judges, as numbers."""

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check

_SURE = 0.01


def saturation(t_real: ArrayLike, t_fake: ArrayLike) -> float:
    """The share of logits at which a critic is right and sure: it has a slope below 0.01 there.

    The logistic objective's slopes are σ(−T) at a real draw and σ(T) at a fake one. Where most are gone the
    critic has nothing left to learn, and T far from the log ratio to say: the two laws barely overlap. t_real
    and t_fake are of any shape. 0 is a critic that doubts, 1 one that does not.
    """
    t_real, t_fake = check.floats(t_real=t_real, t_fake=t_fake)
    if t_real.size == 0 or t_fake.size == 0:
        raise ValueError("t_real and t_fake must have at least one logit each")
    sure = np.log(1 / _SURE - 1)
    return float(((t_real > sure).mean() + (t_fake < -sure).mean()) / 2)


def accuracy(t_real: ArrayLike, t_fake: ArrayLike) -> float:
    """The share that the sign of T gets right, half of it over each kind: ½ where it cannot tell."""
    t_real, t_fake = check.floats(t_real=t_real, t_fake=t_fake)
    return float(((t_real > 0).mean() + (t_fake < 0).mean()) / 2)


def coverage(real: ArrayLike, fake: ArrayLike, neighbours: int = 5) -> float:
    """The share of real rows (N, D) with a fake one (M, D) as near as their k-th real neighbour.

    With as many fakes of the same law it is 1 − 2^−k or so; a generator that has lost modes leaves those rows
    bare (Naeem et al. 2020). Raises ValueError unless N > `neighbours` >= 1 and there is a fake.
    """
    real, fake = check.floats(real=real, fake=fake)
    check.shape("real", real, (None, None))
    check.shape("fake", fake, (None, real.shape[1]))
    if not 1 <= neighbours < len(real) or len(fake) == 0:
        raise ValueError(f"neighbours must be in [1, {len(real)}) and fake have rows, was {neighbours}")
    own = np.partition(_squares(real, real), neighbours, axis=1)[:, neighbours]
    return float((_squares(real, fake).min(axis=1) <= own).mean())


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖a_i − b_j‖², by ‖a‖² − 2 a·b + ‖b‖², kept from below zero."""
    square = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.maximum(square, 0)
