"""xu/49, xu/52 and the end of xu/57: the ELBO with a critic for its log ratio."""

import numpy as np

from vbref.audit import Aside, Claim, Code, Condition, Counterexample, Form, oracles, worlds
from vbref.audit.claims.shared import ELBO, WORLD, kl_to_prior
from vbref.audit.claims.shared_critic import (
    DUEL,
    FREE,
    ONE_NUMBER,
    SEEN,
    TWO_POINT,
    TWO_POINT_TEXT,
    UNSEEN,
    critic_by_ascent,
    critic_by_bisection,
)
from vbref.audit.worlds_critic import duel, tables

# -- at each x --

_ELBO_AT_X = {
    "evidence less KL to the posterior": lambda w: np.array(
        [oracles.elbo_by_gap(w.at(x)) for x in range(len(w.q))]
    ),
    "slope of E_q[w^α] at 0": lambda w: np.array(
        [oracles.elbo_by_cumulant(w.at(x)) for x in range(len(w.q))]
    ),
}
_WITH_BEST_CRITIC = {
    "bisection of the critic's slope": lambda w: (
        np.sum(w.q * (np.log(w.lik) - critic_by_bisection(w)), axis=1) * w.dz
    ),
    "ascent in ψ by complex steps": lambda w: (
        np.einsum("xz,xz->x", w.q, np.log(w.lik) - critic_by_ascent(w)) * w.dz
    ),
}


def _fit(w):
    """E_q(z|x)[log p(x|z)] at each x."""
    return (w.q * np.log(w.lik)).sum(1) * w.dz


def _kl(w):
    """KL[q(z|x) ‖ p(z)] at each x."""
    return (w.q * np.log(w.q / w.prior)).sum(1) * w.dz


def _fit_plus_bound(w):
    """max over |T| ≤ 10 of E_q[log p(x|z) − T], linear in T: each (x, z) takes the corner that pays."""
    return np.stack([w.q * (np.log(w.lik) - t) for t in (-10.0, 10.0)]).max(0).sum(1)


CLAIMS = [
    Claim(
        "xu/49a",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}"
        r"[\log p_\theta(\mathbf x|\mathbf z)] - \text{KL}[q_\phi(\mathbf z|\mathbf x)\|p(\mathbf z)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w),
        oracles=ELBO,
        note="Split one, as xu/8",
        code=Code("vbref.bounds.elbo_split_one"),
    ),
    Claim(
        "xu/49b",
        statement=r"= \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}\left[\log p_\theta(\mathbf"
        r" x|\mathbf z) - \log\frac{q_\phi(\mathbf z|\mathbf x)}{p(\mathbf z)}\right]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.likelihood) - np.log(w.q / w.prior))),
        oracles=ELBO,
        note="The definition of KL",
    ),
    Claim(
        "xu/49c",
        statement=r"= \max_\psi \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}"
        r"[\log p_\theta(\mathbf x|\mathbf z) - T_\psi(\mathbf x,\mathbf z)]",
        verdict="misprint",
        domain="dense random tables; T any function with |T| ≤ 10, log q − log p among them; at each x",
        draw=tables,
        printed=_fit_plus_bound,
        oracles=_ELBO_AT_X,
        note="The critic has an objective of its own, xu/50; this one is linear in T and has no maximum."
        " A min would do for E_q[log p(x|z) − T] + E_p(z)[exp(T − 1)]",
        corrected=Form(
            r"\mathbb E_q[\log p_\theta(\mathbf x|\mathbf z) - T_{\psi^*}(\mathbf x,\mathbf z)],\ \psi^*"
            r" \text{ the argmax in xu/50}",
            lambda w: np.sum(w.q * (np.log(w.lik) - critic_by_ascent(w)), axis=1),
        ),
        counterexample=Counterexample(TWO_POINT_TEXT + ", |T| ≤ 10", TWO_POINT),
        aside=Aside(
            "it is E_q[log p(x|z)] + B for critics within ±B, B = 10 here: +∞ where T is free, and no KL",
            lambda w: _fit(w) + 10.0,
        ),
    ),
    Claim(
        "xu/49d",
        statement=r"= \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}[\log p_\theta(\mathbf"
        r" x|\mathbf z)"
        r" - T_\psi^*(\mathbf x,\mathbf z)]",
        verdict="holds",
        domain=DUEL + "; at each x, T* the argmax in xu/50",
        draw=duel,
        printed=lambda w: np.sum(w.q * (np.log(w.lik) - critic_by_ascent(w)), axis=1) * w.dz,
        oracles=_ELBO_AT_X,
        note="xu/52 is its proof",
        conditions=[Condition(FREE, ONE_NUMBER), Condition(SEEN, UNSEEN)],
    ),
    Claim(
        "xu/52",
        statement=r"\mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}[\log p_\theta(\mathbf x|\mathbf z)"
        r" - T_\psi^*(\mathbf x,\mathbf z)] = \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}[\log"
        r" p_\theta(\mathbf x|\mathbf z)] - KL[q_\phi(\mathbf z|\mathbf x)\|p(\mathbf z)]",
        verdict="holds",
        domain=DUEL + "; at each x, T* the argmax in xu/50",
        draw=duel,
        printed=lambda w: _fit(w) - _kl(w),
        oracles=_WITH_BEST_CRITIC,
        note="T* = log q − log p (xu/56), and its mean under q is the KL. A worse critic may err either way:"
        " nothing then bounds log p(x)",
        conditions=[Condition(FREE, ONE_NUMBER), Condition(SEEN, UNSEEN)],
    ),
    Claim(
        "xu/57b",
        statement=r"\mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}[\log p_\theta(\mathbf x|\mathbf z)"
        r" - T_\psi^*(\mathbf x,\mathbf z)] = \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}"
        r"\left[\log p_\theta(\mathbf x|\mathbf z) - \log\frac{q_\phi(\mathbf z|\mathbf x)}{p(\mathbf"
        r" z)}\right]",
        verdict="holds",
        domain=DUEL + "; at each x, T* the argmax in xu/50",
        draw=duel,
        printed=lambda w: (w.q * (np.log(w.lik) - np.log(w.q / w.prior))).sum(1) * w.dz,
        oracles=_WITH_BEST_CRITIC,
        note="xu/56 put in",
        conditions=[Condition(FREE, ONE_NUMBER), Condition(SEEN, UNSEEN)],
    ),
    Claim(
        "xu/57c",
        statement=r"= \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}[\log p_\theta(\mathbf"
        r" x|\mathbf z)]"
        r" - \text{KL}(q_\phi(\mathbf z|\mathbf x)\|p(\mathbf z))",
        verdict="holds",
        domain=DUEL + "; at each x, T* the argmax in xu/50",
        draw=duel,
        printed=lambda w: _fit(w) - _kl(w),
        oracles=_WITH_BEST_CRITIC,
        note="xu/52 again",
        conditions=[Condition(FREE, ONE_NUMBER), Condition(SEEN, UNSEEN)],
    ),
]
