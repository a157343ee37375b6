"""What several chapters of `evae` use: oracles of the evidence's gradient, small tables. No claims."""

from functools import partial

import numpy as np

from vbref.audit import oracles
from vbref.audit import worlds_energy as energy
from vbref.audit.worlds import softmax

TABLES = "dense random tables of 2 to 4 states z and x; U and P(x|z) share 2 parameters"
OVER_LAWS = TABLES + "; averaged over P_θ(x), over a random law of x, and at every x"


# -- ∇P(x) or ∇log P(x) at every x: arrays (X, M) --


def evidence_by_complex_step(w, log=True):
    """∇P(x), or ∇log P(x): through the normalised prior and likelihood."""
    columns = []
    for direction in np.eye(w.dU.shape[1]):
        t = 1e-30j * direction
        moved = softmax(-w.U - w.dU @ t) @ softmax(np.log(w.lik) + w.d_log_lik @ t)
        columns.append(np.imag(np.log(moved) if log else moved) / 1e-30)
    return np.stack(columns, -1)


def evidence_by_differences(w, log=True):
    """The same by central differences of two free energies: log Σ e^(−U) P(x|z) − log Σ e^(−U).

    log P(x|z) moves by its scores: their mean is 0, and so is the slope of its normaliser.
    """

    def log_evidence(x, t):
        u = w.U + w.dU @ t
        log_joint = np.log(w.lik[:, x]) + w.d_log_lik[:, x] @ t - u
        return np.log(np.exp(log_joint).sum()) - np.log(np.exp(-u).sum())

    def value(x, t):
        return log_evidence(x, t) if log else np.exp(log_evidence(x, t))

    origin = np.zeros(w.dU.shape[1])
    return np.stack([oracles.central_difference(partial(value, x), origin) for x in range(len(w.law))])


# -- averaged over laws of x: the model's own, the outer one, and each x alone --


def laws(w):
    """The laws of x that averages are over, one a row."""
    return np.vstack([w.marginal, w.law, np.eye(len(w.law))])


MEAN_SCORE = {
    "complex step": lambda w: (
        np.vstack([w.marginal, w.law, np.eye(len(w.law))]) @ evidence_by_complex_step(w)
    ),
    "differences of free energies": lambda w: np.tensordot(
        np.vstack([w.marginal, w.law, np.eye(len(w.law))]), evidence_by_differences(w), 1
    ),
}


def two_states(encoder, code):
    """Two states each: energies (θ_1, 0) and P(x=1|z=1) = σ(θ_2) at θ = 0, where all laws are uniform."""
    half = np.full((2, 2), 0.5)
    score = np.zeros((2, 2, 2))
    score[1, :, 1] = [-0.5, 0.5]
    return energy.energy_table(
        [0.0, 0.0],
        [[1.0, 0.0], [0.0, 0.0]],
        half,
        score,
        encoder=encoder,
        generator=[0, 1],
        code=code,
        law=[0.5, 0.5],
    )


UNIFORM = two_states(np.full((2, 2), 0.5), [0.5, 0.5])
