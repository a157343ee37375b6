"""What a critic T is trained by, from draws of q and draws of p: a value and its slopes, to be raised by T.

    logistic       E_q log σ(T) + E_p log(1 − σ(T))    highest at T* = log q − log p           (xu/50, argmax)
    f-divergence   E_q T − E_p e^(T − 1)               highest at T* + 1, where it is KL(q ‖ p)

At each point the slopes are q σ(−T) − p σ(T) and q − p e^(T − 1), and both fall as T grows: one zero, T*. For
any other T the second is below KL(q ‖ p) (Nguyen, Wainwright and Jordan 2010), so that E_q[log p(x | z)] less
it is a saddle, its minimum over T the ELBO. Of the first only the argmax is of use: its maximum is
2 JS(q ‖ p) − log 4, no KL, and xu/53, which puts it inside the ELBO, is wrong.
"""

import numpy as np

from vbref.models.door import Array
from vbref.nn.layers import softplus

Objective = tuple[Array, Array, Array]


def logistic(t_q: Array, t_p: Array) -> Objective:
    """log σ(t_q) + log(1 − σ(t_p)) elementwise, and its slopes σ(−t_q) and −σ(t_p).

    log σ(t) = −log(1 + e^−t), so neither overflows; a critic that is sure has slopes of zero, in time.
    """
    (loss_q, slope_q), (loss_p, slope_p) = softplus(-t_q), softplus(t_p)
    return -loss_q - loss_p, slope_q, -slope_p


def f_divergence(t_q: Array, t_p: Array) -> Objective:
    """t_q − e^(t_p − 1) elementwise, and its slopes 1 and −e^(t_p − 1)."""
    weight = np.exp(t_p - 1)
    return t_q - weight, np.ones_like(t_q), -weight


OBJECTIVES = {"logistic": logistic, "f-divergence": f_divergence}
