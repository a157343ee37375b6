"""What the chapters on adversarial training share: two ways to the best critic. No claims.

The objective of xu/50 is E_p(x) E_q(z|x)[log σ(T)] + E_p(x) E_p(z)[log(1 − σ(T))].
"""

import numpy as np

from vbref.audit import oracles
from vbref.audit.worlds_critic import duel_table

DUEL = "dense random tables of x and z, and Gaussian worlds whose critics are quadratic in z"
FREE = "T may be any function; outside, it is one number"
SEEN = "p(x) > 0; outside, the objective does not see T at an x"

# one x, two z, p(x|z) = ½
TWO_POINT = duel_table(law=[1.0], prior=[0.5, 0.5], lik=[[0.5, 0.5]], q=[[0.75, 0.25]])
TWO_POINT_TEXT = "one x, two z, p(z) = (½, ½), q(z|x) = (¾, ¼), p(x|z) = ½"
UNSEEN = duel_table(law=[1.0, 0.0], prior=[0.5, 0.5], lik=[[0.5, 0.5]] * 2, q=[[0.75, 0.25], [0.25, 0.75]])
ONE_NUMBER = TWO_POINT.with_one_number()


def critic_by_bisection(w):
    """argmax over T at each (x, z), or over one number: where the objective stops to rise."""
    low, high = np.full(w.q.shape, -300.0), np.full(w.q.shape, 300.0)
    for _ in range(64):
        t = (low + high) / 2
        slope = w.law * w.q / (1 + np.exp(t)) - w.law * w.prior / (1 + np.exp(-t))
        rises = (slope.sum() if w.one_number else slope) > 0
        low, high = np.where(rises, t, low), np.where(rises, high, t)
    return (low + high) / 2


def critic_by_ascent(w):
    """argmax over ψ from ψ = 0, the objective's slope by complex steps; what it does not see stays at 0."""
    real, fake = w.law * w.q * w.dz, w.law * w.prior * w.dz

    def objective(psi):
        t = w.features @ psi
        return -(real * np.log1p(np.exp(-t)) + fake * np.log1p(np.exp(t))).sum()

    psi = np.zeros(w.features.shape[-1])
    for _ in range(15):  # Newton needs 9; with another curvature it does not arrive
        curvature = (real + fake) / (2 + 2 * np.cosh(w.features @ psi))
        hessian = np.einsum("xz,xzm,xzn->mn", curvature, w.features, w.features, optimize=True)
        step = np.linalg.lstsq(hessian, oracles.complex_step(objective, psi), rcond=None)[0]
        psi = psi + step
        if np.max(abs(step)) < 1e-13:
            break
    return w.features @ psi
