"""lecture/D10 to lecture/D19: the bound from the divergence to the posterior, and its parts."""

import math

import numpy as np

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Code,
    Counterexample,
    Definition,
    Form,
    oracles,
    worlds,
)
from vbref.audit.claims.shared import ELBO, EVIDENCE, TWO_POINT, WORLD, kl_to_prior


def _at_posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


def _posterior(w):
    return w.joint / w.integral(w.joint)


_KL = {
    "exact sum over nodes": lambda w: oracles.kl_by_sum(w.q * w.dz, w.joint / (w.joint @ w.dz) * w.dz),
    "slope of the Chernoff curve": lambda w: oracles.kl_by_slope(
        w.q * w.dz, w.joint * w.dz / (w.joint @ w.dz)
    ),
}


def _plus_entropy(w):
    """The bound plus H(q), as E_q log p(x|z) + E_q log p(z) + 2 H(q)."""
    entropy = -math.fsum(w.dz * w.q * np.log(w.q))
    return oracles.elbo_by_gap(w) + entropy


# -- lecture/D19: candidates (φ, θ) for one observation --


def _candidates(rng):
    return Case(pairs=[worlds.finite(rng, 3) for _ in range(5)])


_MAX_OBJECTIVE = {
    "evidence less KL to the posterior": lambda w: max(oracles.elbo_by_gap(pair) for pair in w.pairs),
    "slope of E_q[w^α] at 0": lambda w: np.max([oracles.elbo_by_cumulant(pair) for pair in w.pairs]),
}


CLAIMS = [
    Definition(
        "lecture/D10",
        r"q_{\phi}(z) \quad \min_{\phi} \text{Distance} \left( q_{\phi}(z), p(z|x) \right)",
        "The aim is stated: q_φ near the posterior, in a distance that lecture/D11 chooses",
    ),
    Claim(
        "lecture/D11a",
        statement=r"KL(q_\phi(z), p(z|x)) = \mathbb E_{q_\phi}\left[\log\frac{q_\phi(z|x)}{p(z|x)}\right]",
        verdict="notation",
        domain=WORLD,
        draw=worlds.latent,
        oracles=_KL,
        why="q_φ(z|x) is not defined: the notes have q_φ(z), for one x",
        reading=Form(
            r"\mathbb E_{q_\phi}\left[\log\frac{q_\phi(z)}{p(z|x)}\right]",
            lambda w: w.integral(w.q * np.log(w.q / _posterior(w))),
        ),
        note="The next step writes q_φ(z)",
    ),
    Claim(
        "lecture/D11b",
        statement=r"= \mathbb E_{q_\phi}\left[\log\frac{q_\phi(z)}{p(z|x)}\right]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.q / _posterior(w))),
        oracles=_KL,
        note="The definition of KL",
    ),
    Claim(
        "lecture/D12",
        statement=r"= E[\log p(z|x)]",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(_posterior(w))),
        oracles=_KL,
        note="log q is lost, and the sign. Its author struck it out, and lecture/D13 goes on from"
        " lecture/D11",
        corrected=Form(
            r"\mathbb E_{q_\phi}[\log q_\phi(z) - \log p(z|x)]",
            lambda w: w.integral(w.q * (np.log(w.q) - np.log(_posterior(w)))),
        ),
        counterexample=Counterexample(
            "two states, posterior (½, ½), q = (0.8, 0.2): −log 2 for a divergence", TWO_POINT
        ),
        aside=Aside(
            "it is −KL less the entropy of q, so that raising it collapses q on the mode",
            lambda w: -_KL["exact sum over nodes"](w) + math.fsum(w.dz * w.q * np.log(w.q)),
        ),
    ),
    Claim(
        "lecture/D13a",
        statement=r"= \mathbb E_\varphi\left[\log\frac{q_\varphi(z)p(x)}{p(x,z)}\right]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.q * w.integral(w.joint) / w.joint)),
        oracles=_KL,
        note="Bayes' rule; φ and ϕ are one letter, and 𝔼_φ is short for 𝔼 under q_φ",
    ),
    Claim(
        "lecture/D13b",
        statement=r"= \mathbb E_\varphi\log\frac{q_\varphi(z)}{p(x,z)} + \log p(x)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.q / w.joint)) + np.log(w.integral(w.joint)),
        oracles=_KL,
        note="log p(x) is a constant in z",
    ),
    Claim(
        "lecture/D14a",
        statement=r"\log P(X) = KL(q_\phi(z), p(z|X)) - \mathbb E_{q_\phi}\log\frac{q_\phi(z)}{p(z,X)}",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.q / _posterior(w))) - w.integral(w.q * np.log(w.q / w.joint))
        ),
        oracles=EVIDENCE,
        note="lecture/D13 solved for log P(X)",
    ),
    Claim(
        "lecture/D14b",
        statement=r"KL(q_\phi(z), p(z|X)) \geq 0",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_at_posterior,
        printed=lambda w: 0.0,
        oracles=_KL,
        note="The brace under the first term; 0 at q = posterior",
    ),
    Claim(
        "lecture/D15",
        statement=r"\log P(X) \geq \mathbb E_{q_\phi}\log\frac{P(z,X)}{q_\phi(z)}\quad(\text{ELBO})",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_at_posterior,
        printed=lambda w: w.integral(w.q * np.log(w.joint / w.q)),
        oracles=EVIDENCE,
        note="lecture/D14 without its non-negative part",
        code=Code("vbref.bounds.elbo"),
    ),
    Claim(
        "lecture/D16",
        statement=r"\mathbb E_{q_\phi}\log\frac{P(z,X)}{q_\phi(z)} = \mathbb E_{q_\phi}\log\frac{P(X|Z)}"
        r"{q_\phi(z)} + \mathbb E_{q_\phi}\log\frac{P(z)}{q_\phi(z)}",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.likelihood / w.q)) + w.integral(w.q * np.log(w.prior / w.q))
        ),
        oracles=ELBO,
        note="q_φ counted twice: it divides the joint once. The next line has it right",
        corrected=Form(
            r"\mathbb E_{q_\phi}\log P(X|Z) + \mathbb E_{q_\phi}\log\frac{P(z)}{q_\phi(z)}",
            lambda w: w.integral(w.q * np.log(w.likelihood)) + w.integral(w.q * np.log(w.prior / w.q)),
        ),
        counterexample=Counterexample(
            "two states, P(z) = P(X|z) = (½, ½), q = (0.8, 0.2): printed above log P(X) = −0.69", TWO_POINT
        ),
        aside=Aside("ELBO + H(q): no bound, and an encoder kept too wide", _plus_entropy),
    ),
    Claim(
        "lecture/D17",
        statement=r"= \mathbb E_{q_\phi}\log P(X|Z) - KL(q_\phi(z)\|p(z))",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w),
        oracles=ELBO,
        note="Of the left side of lecture/D16",
        code=Code(
            "vbref.bounds.elbo_split_one",
            lambda bound, w: w.integral(
                w.q * bound(np.log(w.likelihood)[None], np.full(len(w.q), kl_to_prior(w)))
            ),
        ),
    ),
    Definition(
        "lecture/D18",
        r"\max_{\phi, \theta} -D_{KL}(q_{\phi}(Z|x) \| p_{\theta}(z)) + \mathbb{E}_{q_{\phi}(z|x^{(i)})}"
        r" [\log p_{\theta}(x^{(i)}|z)]",
        "The objective is stated, for one x = x^(i) and with a prior that may learn; Z and z are one",
    ),
    Claim(
        "lecture/D19",
        statement=r"\max_{\phi,\theta} -\mathbb E_q\log\frac{q(z|x)}{p_\theta(z)} + \mathbb E_q[\log"
        r" p_\theta(x^{(i)}|z)]",
        verdict="holds",
        domain="5 candidate pairs (φ, θ) of finite tables: the maximum",
        draw=_candidates,
        printed=lambda w: max(
            -pair.integral(pair.q * np.log(pair.q / pair.prior))
            + pair.integral(pair.q * np.log(pair.likelihood))
            for pair in w.pairs
        ),
        oracles=_MAX_OBJECTIVE,
        note="The divergence of lecture/D18 written out",
    ),
]
