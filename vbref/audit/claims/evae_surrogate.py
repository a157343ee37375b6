"""evae/D7 to evae/D10: the gradient with a generator for the prior and an encoder for the posterior."""

from dataclasses import replace
from functools import partial

import numpy as np

from vbref.audit import Claim, Condition, Definition, Form, oracles
from vbref.audit import worlds_energy as energy
from vbref.audit.claims.evae_shared import (
    MEAN_SCORE,
    OVER_LAWS,
    TABLES,
    evidence_by_complex_step,
    laws,
    two_states,
)

# -- D8 and D9: q(z|x) and the law of G(w) stand for the posterior and the prior --


def _exact(rng):
    """A table whose encoder is the posterior and whose generator's law is the prior."""
    w = energy.energies(rng)
    share = w.code / w.pushed[w.generator]  # how the codes of a state divide it among them
    return energy.energy_table(
        w.U,
        w.dU,
        w.lik,
        w.d_log_lik,
        encoder=w.posterior,
        generator=w.generator,
        code=w.prior[w.generator] * share,
        law=w.law,
    )


_WRONG_PRIOR = two_states(np.full((2, 2), 0.5), [0.8, 0.2])
_WRONG_POSTERIOR = two_states([[0.8, 0.2], [0.8, 0.2]], [0.5, 0.5])


def _own_law():
    """x is drawn from P_θ(x), which moves with θ; q is not the posterior."""
    w = energy.energy_table(
        [0.0, 0.0],
        [[1.0], [0.0]],
        [[0.8, 0.2], [0.2, 0.8]],
        np.zeros((2, 2, 1)),
        encoder=[[0.9, 0.1], [0.6, 0.4]],
        generator=[0, 1],
        code=[0.5, 0.5],
        law=[0.5, 0.5],
    )
    return replace(w, d_log_law=evidence_by_complex_step(w))


def _objective(w, t):
    """The bracket of D9 at θ + t, the laws q fixed, averaged over the outer law of x at θ + t.

    log P(x|z) moves by its scores: their mean is 0, and so is the slope of its normaliser.
    """
    u, log_lik = w.U + w.dU @ t, np.log(w.lik) + w.d_log_lik @ t
    at_x = w.code @ u[w.generator] + np.einsum("xz,zx->x", w.encoder, log_lik - u[:, None])
    return w.law * np.exp(w.d_log_law @ t) @ at_x


def _inside_by_scores(w):
    """E_{q(w)} ∇U(G(w)) + E_x E_{q(z|x)} ∇(log P(x|z) − U(z))."""
    return w.pushed @ w.dU + np.einsum("x,xz,zxm->m", w.law, w.encoder, w.d_log_lik - w.dU[:, None])


def _inside_by_differences(w):
    """The same with each ∇ a central difference in θ before the averages are taken."""
    from scipy.special import log_softmax

    def energy(z, t):
        """U(z) at θ + t less that at θ."""
        return w.dU[z] @ t

    def log_joint(x, z, t):
        return log_softmax(np.log(w.lik[z]) + w.d_log_lik[z] @ t)[x] - energy(z, t)

    def slope(function, *at):
        return oracles.central_difference(partial(function, *at), np.zeros(w.dU.shape[1]))

    of_energy = sum(q * slope(energy, z) for q, z in zip(w.code, w.generator, strict=True))
    return of_energy + sum(w.law[x] * q * slope(log_joint, x, z) for (x, z), q in np.ndenumerate(w.encoder))


CLAIMS = [
    Definition(
        "evae/D7",
        r"P_\theta(z) \sim q_\psi(z):\ KL(q_\psi(z)\|P_\theta(z));\quad q_\psi(z|x) \sim P_\theta(z|x):\ "
        r"KL(q_\psi(z|x)\|P_\theta(z|x))",
        "What stands for what, and the divergence that brings them together",
    ),
    Claim(
        "evae/D8",
        statement=r"\mathbb E_{P_\theta(x)} \nabla_\theta \ln P_\theta(x) \approx \mathbb E_{q_\psi(w)}"
        r" \nabla_\theta U_\theta(G(w)) + \mathbb E_{P_\theta(x)} \mathbb E_{q_\psi(z|x)} \nabla_\theta"
        r" (\ln P_\theta(x|z) - \nabla_\theta U_\theta(z))",
        verdict="notation",
        domain=OVER_LAWS + "; q(z|x) the posterior and the law of G(w) the prior, where ≈ becomes =",
        draw=_exact,
        oracles=MEAN_SCORE,
        why="∇ acts on ln P(x|z) − ∇U(z), a number less a vector",
        reading=Form(
            r"\mathbb E_{q_\psi(w)} \nabla_\theta U_\theta(G(w)) + \mathbb E_{P_\theta(x)} \mathbb"
            r" E_{q_\psi(z|x)} \nabla_\theta (\ln P_\theta(x|z) - U_\theta(z))",
            lambda w: (
                w.code @ w.dU[w.generator]
                + laws(w) @ np.einsum("xz,zxm->xm", w.encoder, w.d_log_lik - w.dU[:, None])
            ),
        ),
        note="evae/D6a with q for the prior and the posterior; ≈ is as good as they are",
        conditions=[
            Condition("the law of G(w) is the prior; outside, (0.8, 0.2) for (½, ½)", _WRONG_PRIOR),
            Condition("q(z|x) is the posterior; outside, (0.8, 0.2) for (½, ½)", _WRONG_POSTERIOR),
        ],
    ),
    Claim(
        "evae/D9",
        statement=r"= \nabla_\theta \mathbb E_{P_\theta(x)} \mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
        r" E_{q_\psi(z|x)} \ln P_\theta(x|z) - U_\theta(z)",
        verdict="notation",
        domain=TABLES + "; the law of x and both q free of θ",
        draw=energy.energies,
        instances=6,
        oracles={"averages of scores": _inside_by_scores, "averages of differences": _inside_by_differences},
        why="Brackets are missing: ∇ and the average over x must reach the end, and nothing binds the last z",
        reading=Form(
            r"\nabla_\theta \mathbb E_{p(x)}\Bigl[\mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
            r" E_{q_\psi(z|x)}\bigl[\ln P_\theta(x|z) - U_\theta(z)\bigr]\Bigr]",
            lambda w: oracles.complex_step(lambda t: _objective(w, t), np.zeros(w.dU.shape[1])),
        ),
        note="∇ is taken out of averages over laws that do not move with θ; evae/D23 writes p(x)",
        conditions=[
            Condition(
                "the outer law of x is free of θ: P_θ(x) as printed is the data's law p(x); outside, the"
                " model's own",
                _own_law(),
            )
        ],
    ),
    Definition("evae/D10", r"= \nabla_\theta \mathcal L_{EVAE}", "The objective is given its name"),
]
