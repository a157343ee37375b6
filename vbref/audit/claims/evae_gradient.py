"""evae/D1 to evae/D6: the gradient of the evidence under an energy-based prior."""

from dataclasses import replace

import numpy as np

from vbref.audit import Aside, Claim, Counterexample, Form
from vbref.audit import worlds_energy as energy
from vbref.audit.claims.evae_shared import (
    MEAN_SCORE,
    OVER_LAWS,
    TABLES,
    UNIFORM,
    evidence_by_complex_step,
    evidence_by_differences,
    laws,
)

_AT_EVERY_X = TABLES + "; at every x"

# -- P_θ(x) and its gradient at every x: arrays (X,) and (X, M) --


def _marginal_by_gibbs(w):
    """P(x) as the stationary law of x → z ~ P(z|x) → x ~ P(x|z)."""
    values, vectors = np.linalg.eig((w.posterior @ w.lik).T)
    stationary = vectors[:, np.argmax(values.real)].real
    return stationary / stationary.sum()


def _marginal_by_harmonic_mean(w):
    """1/P(x) = E[1/P(x|z)] under the posterior."""
    return 1 / np.einsum("xz,zx->x", w.posterior, 1 / w.lik)


_MARGINAL = {
    "stationary law of Gibbs sampling": _marginal_by_gibbs,
    "harmonic mean": _marginal_by_harmonic_mean,
}
_GRADIENT = {
    "complex step": lambda w: evidence_by_complex_step(w, log=False),
    "differences of free energies": lambda w: evidence_by_differences(w, log=False),
}
_SCORE = {"complex step": evidence_by_complex_step, "differences of free energies": evidence_by_differences}


def _posterior_mean(w, values):
    """E_{P(z|x)} at every x; values (Z, M), or (Z, X, M) where they depend on x."""
    return np.einsum("xz,zm->xm" if values.ndim == 2 else "xz,zxm->xm", w.posterior, values)


def _prior_score(w):
    """∇ log P(x) in the parameters as they enter the prior alone."""
    return evidence_by_complex_step(replace(w, d_log_lik=np.zeros_like(w.d_log_lik)))


CLAIMS = [
    Claim(
        "evae/D1",
        statement=r"P_\theta(x) = \int P_\theta(z) P_\theta(x|z)\,dz",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: w.prior @ w.lik,
        oracles=_MARGINAL,
        note="Marginalisation",
    ),
    Claim(
        "evae/D2",
        statement=r"\nabla_\theta P_\theta(x) = \int \nabla_\theta P_\theta(z) P_\theta(x|z)\,dz"
        r" + P_\theta(z) \nabla_\theta P_\theta(x|z)\,dz",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_GRADIENT,
        why="The second term has a dz and no integral sign: z is unbound there",
        reading=Form(
            r"\int \bigl[(\nabla_\theta P_\theta(z)) P_\theta(x|z) + P_\theta(z) \nabla_\theta"
            r" P_\theta(x|z)\bigr]dz",
            lambda w: (
                np.einsum("zm,zx->xm", w.prior[:, None] * w.d_log_prior, w.lik)
                + np.einsum("z,zxm->xm", w.prior, w.lik[:, :, None] * w.d_log_lik)
            ),
        ),
        rejected={
            "∇ acts on the whole product, and once more on P(x|z)": lambda w: (
                np.einsum("zm,zx->xm", w.prior[:, None] * w.d_log_prior, w.lik)
                + 2 * np.einsum("z,zxm->xm", w.prior, w.lik[:, :, None] * w.d_log_lik)
            ),
        },
        note="The product rule under the integral sign",
    ),
    Claim(
        "evae/D3a",
        statement=r"\nabla_\theta \ln P_\theta(x) = \frac{\nabla_\theta P_\theta(x)}{P_\theta(x)}",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: (
            np.einsum("z,zx,zxm->xm", w.prior, w.lik, w.d_log_prior[:, None] + w.d_log_lik)
            / (w.prior @ w.lik)[:, None]
        ),
        oracles=_SCORE,
        note="The derivative of a logarithm, with ∇P(x) as in evae/D2",
    ),
    Claim(
        "evae/D3b",
        statement=r"= \int P_\theta(z|x) \nabla_\theta (\ln P_\theta(z) + \frac{P_\theta(z)}{P_\theta(x)}"
        r" \frac{P_\theta(x|z)}{P_\theta(x|z)} \nabla_\theta P_\theta(x|z)\,dz",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_SCORE,
        why="A bracket opens after ∇ and never closes",
        reading=Form(
            r"\int P_\theta(z|x) \nabla_\theta \ln P_\theta(z) + \frac{P_\theta(z)}{P_\theta(x)}"
            r" \frac{P_\theta(x|z)}{P_\theta(x|z)} \nabla_\theta P_\theta(x|z)\,dz",
            lambda w: (
                _posterior_mean(w, w.d_log_prior)
                + np.einsum(
                    "zx,zxm->xm",
                    w.prior[:, None] / w.marginal * (w.lik / w.lik),
                    w.lik[:, :, None] * w.d_log_lik,
                )
            ),
        ),
        rejected={
            "P(z|x) multiplies both terms": lambda w: (
                _posterior_mean(w, w.d_log_prior)
                + np.einsum(
                    "xz,zx,zxm->xm",
                    w.posterior,
                    w.prior[:, None] / w.marginal,
                    w.lik[:, :, None] * w.d_log_lik,
                )
            ),
        },
        note="The factor P(x|z)/P(x|z) is put in to make the posterior and ∇ ln P(x|z) of the next line",
    ),
    Claim(
        "evae/D4",
        statement=r"= \int P_\theta(z|x) (\nabla_\theta \ln P_\theta(z) + \nabla_\theta \ln"
        r" P_\theta(x|z))\,dz",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: _posterior_mean(w, w.d_log_prior[:, None] + w.d_log_lik),
        oracles=_SCORE,
        note="Fisher's identity: the score of the evidence is the posterior mean of the joint score",
    ),
    Claim(
        "evae/D5",
        statement=r"= \mathbb E_{P_\theta(z|x)} \nabla_\theta (\ln P_\theta(x|z)) - \nabla_\theta U_\theta(z)"
        r" + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_SCORE,
        why="Nothing binds the z of −∇U(z): the expectation's bracket closes before it",
        reading=Form(
            r"\mathbb E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta"
            r" U_\theta(z)\bigr] + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
            lambda w: _posterior_mean(w, w.d_log_lik - w.dU[:, None]) + w.prior @ w.dU,
        ),
        rejected={
            "z bound by the prior": lambda w: (
                _posterior_mean(w, w.d_log_lik) - w.prior @ w.dU + w.prior @ w.dU
            ),
        },
        note="By evae/D15 and ∇ ln Z = −E_{P(z)} ∇U: the energy rises where the prior is and falls where"
        " the posterior is",
    ),
    Claim(
        "evae/D6a",
        statement=r"\mathbb E_{P_\theta(x)} \nabla_\theta \ln P_\theta(x) = \mathbb E_{P_\theta(z)}"
        r" \nabla_\theta U_\theta(z) + \mathbb E_{z\sim P_\theta(z|x)} \nabla_\theta \ln P_\theta(x|z)"
        r" - \nabla_\theta U_\theta(z)",
        verdict="notation",
        domain=OVER_LAWS,
        draw=energy.energies,
        oracles=MEAN_SCORE,
        why="On the right x is free, averaged on the left alone, and no expectation reaches the last z",
        reading=Form(
            r"\mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z) + \mathbb E_{P_\theta(x)}\mathbb"
            r" E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta U_\theta(z)\bigr]",
            lambda w: w.prior @ w.dU + laws(w) @ _posterior_mean(w, w.d_log_lik - w.dU[:, None]),
        ),
        note="True for every outer law of x. With the model's own P_θ(x), as printed, both sides are 0 and"
        " nothing is learned: the law of the data is meant, p(x) in evae/D23",
        aside=Aside(
            "averaged over the model's own P_θ(x) it is 0: a score has mean zero",
            lambda w: np.vstack(
                [np.zeros(2), w.law @ evidence_by_complex_step(w), evidence_by_complex_step(w)]
            ),
        ),
    ),
    Claim(
        "evae/D6b",
        statement=r"\mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z) + \mathbb E_{z\sim P_\theta(z|x)}"
        r" \nabla_\theta \ln P_\theta(x|z) - \nabla_\theta U_\theta(z) = -\nabla_\theta U_\theta(z)"
        r" + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
        verdict="misprint",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: -_posterior_mean(w, w.dU) + w.prior @ w.dU,
        oracles=_SCORE,
        note="E_{P(z|x)} ∇ ln P(x|z) is dropped in the last step. −∇U(z) stands on both sides, so that they"
        " differ by this at every x, whatever binds z; z is bound here as in evae/D6a, which makes the left"
        " side ∇ ln P_θ(x). Only over the model's own P_θ(x) does the dropped term average to 0, as"
        " everything else does",
        corrected=Form(
            r"\mathbb E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta"
            r" U_\theta(z)\bigr] + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
            lambda w: _posterior_mean(w, w.d_log_lik) - _posterior_mean(w, w.dU) + w.prior @ w.dU,
        ),
        counterexample=Counterexample(
            "two uniform states z and x, energies (θ_1, 0), P(x=1|z=1) = σ(θ_2), at θ = 0; rows x = 0, 1",
            UNIFORM,
        ),
        aside=Aside(
            "it is the gradient by the prior's parameters alone: the decoder never learns", _prior_score
        ),
    ),
]
