"""vlb/D1, vlb/D2 and vlb/I2: the K-sample bound at its best encoder, and the bound with a learned prior."""

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Condition, Counterexample, Definition, Form, oracles, worlds
from vbref.audit.claims.shared import (
    COVERS,
    ELBO,
    EVIDENCE,
    TWO_POINT,
    UNCOVERED,
    WORLD,
    kl_to_prior,
    samples,
)

# -- vlb/D1: the maximum over θ and φ, φ ranging over encoders with the posterior of every θ among them --


_DOMAIN = (
    "2 candidate models of 2 latent and 3 observed states, 4 encoders with both posteriors among them,"
    " 3 observations, K from 1 to 3"
)


def _candidates(rng):
    """Two models θ of one shape, three observations, K, and four encoders."""
    models = [worlds.table(rng, z=2, x=3) for _ in range(2)]
    posteriors = [(m.likelihood * m.prior[:, None] / (m.prior @ m.likelihood)).T for m in models]
    others = [worlds.dirichlet(rng, 3, 2) for _ in range(2)]
    return Case(
        models=models, data=rng.integers(3, size=3), k=int(rng.integers(1, 4)), encoders=posteriors + others
    )


def _weak_encoder():
    """One model whose posterior is (0.9, 0.1) or (0.1, 0.9), and only a flat encoder."""
    model = worlds.Table(np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.full((2, 2), 0.5))
    return Case(models=[model], data=np.array([0]), k=2, encoders=[np.full((2, 2), 0.5)])


_MAX_VLB = {
    "max of the bound by enumeration": lambda w: max(
        sum(oracles.iwae_by_enumeration(m.at(x).with_q(q[x]), w.k) for x in w.data)
        for m in w.models
        for q in w.encoders
    ),
    "max of the bound by counts": lambda w: np.max(
        [
            [sum(oracles.iwae_by_counts(m.at(x).with_q(q[x]), w.k) for x in w.data) for q in w.encoders]
            for m in w.models
        ]
    ),
}


def _at_posterior(w):
    """max_θ Σ_i E_{z_k ~ p_θ(z|X_i)} log (1/K) Σ_k p(X_i|z_k) p(z_k) / p(z_k|X_i)."""

    def bound(world):
        exact = world.with_q(world.joint / world.integral(world.joint))
        ratios, mass = samples(exact, w.k)
        return np.sum(mass * np.log(ratios.sum(1) / w.k))

    return max(sum(bound(m.at(x)) for x in w.data) for m in w.models)


_MAX_LIKELIHOOD = {
    "exact sums": lambda w: max(sum(oracles.log_evidence_by_sum(m.at(x)) for x in w.data) for m in w.models),
    "Bayes' rule": lambda w: max(
        np.sum([oracles.log_evidence_by_bayes(m.at(x)) for x in w.data]) for m in w.models
    ),
}


def _less_kl(w):
    return oracles.elbo_by_gap(w) - oracles.kl_by_sum(w.q * w.dz, w.prior * w.dz)


def _posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


CLAIMS = [
    Claim(
        "vlb/D1a",
        statement=r"\max_{\theta,\phi}\sum_{i=1}^N \text{VLB}^{(K)}_{\theta,\phi}(X_i) \approx \max_\theta"
        r" \sum_{i=1}^N \mathbb E_{z_1,\dots,z_K\sim p_\theta(z|x)}\left[\log\frac1K\sum_{k=1}^K"
        r" \frac{p_\theta(z|z_k)p_\theta(z_k)}{p_\theta(z_k|x)}\right]",
        verdict="notation",
        domain=_DOMAIN,
        draw=_candidates,
        oracles=_MAX_VLB,
        why="z in p(z|z_k) and x in p(z_k|x) are bound by nothing: both stand for X_i",
        reading=Form(
            r"\max_\theta\sum_i \mathbb E_{z_1,\dots,z_K\sim p_\theta(z|X_i)}\left[\log\frac1K\sum_k"
            r" \frac{p_\theta(X_i|z_k)p_\theta(z_k)}{p_\theta(z_k|X_i)}\right]",
            _at_posterior,
        ),
        note="≈ is = when q_φ can be every posterior",
        conditions=[Condition("q_φ can be the posterior; outside, one flat encoder", _weak_encoder())],
    ),
    Claim(
        "vlb/D1b",
        statement=r"= \max_\theta \sum_{i=1}^N \log\left(\frac1K\sum_{k=1}^K p_\theta(z)\right)",
        verdict="notation",
        domain=_DOMAIN,
        draw=_candidates,
        oracles=_MAX_LIKELIHOOD,
        why="z is bound by nothing: it stands for X_i",
        reading=Form(
            r"\max_\theta \sum_i \log\left(\frac1K\sum_{k=1}^K p_\theta(X_i)\right)",
            lambda w: max(
                sum(np.log(1 / w.k * sum((m.prior @ m.likelihood)[x] for _ in range(w.k))) for x in w.data)
                for m in w.models
            ),
        ),
        note="At the posterior every weight is p(X_i), whatever z_k was drawn",
    ),
    Claim(
        "vlb/D1c",
        statement=r"= \max_\theta \sum_{i=1}^N \log p_\theta(z)",
        verdict="notation",
        domain=_DOMAIN,
        draw=_candidates,
        oracles=_MAX_LIKELIHOOD,
        why="z is bound by nothing: it stands for X_i",
        reading=Form(
            r"\max_\theta \sum_i \log p_\theta(X_i)",
            lambda w: max(np.log(m.prior @ m.likelihood)[w.data].sum() for m in w.models),
        ),
        note="The mean of K equal terms: maximum likelihood",
    ),
    Claim(
        "vlb/D2a",
        statement=r"\log p_\theta(X_i) = \log\left(\mathbb E_{z\sim r_\lambda(z)}[p_\theta(X_i|z)]\right)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.prior * w.likelihood)),
        oracles=EVIDENCE,
        note="Marginalisation, with the learned prior r_λ",
    ),
    Claim(
        "vlb/D2b",
        statement=r"= \log\left(\mathbb E_{z\sim q_\phi(z|X_i)}\left[\frac{p_\theta(X_i|z)r_\lambda(z)}"
        r"{q_\phi(z|X_i)}\right]\right)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(np.sum((w.q * (w.joint / w.q) * w.dz)[w.q > 0])),
        oracles=EVIDENCE,
        note="Importance sampling",
        conditions=[Condition(COVERS, UNCOVERED)],
    ),
    Claim(
        "vlb/D2c",
        statement=r"\geq \mathbb E_{z\sim q_\phi(z|X_i)}\left[\log\left(\frac{p_\theta(X_i|z)r_\lambda(z)}"
        r"{q_\phi(z|X_i)}\right)\right]",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood * w.prior / w.q)),
        oracles=EVIDENCE,
        note="Jensen's inequality; equality at q = posterior",
        code=Code("vbref.bounds.elbo"),
    ),
    Definition("vlb/D2d", r"= \text{VLB}_{\theta,\phi,\lambda}(X_i)", "The bound is given its name"),
    Claim(
        "vlb/I2",
        statement=r"\text{VLB}_{\theta,\phi,\lambda}(X_i) = \mathbb E_{q_\phi(Z|X_i)}[\log p_\theta(X_i|Z)]"
        r" - D_{KL}(q_\phi(Z|X_i)\|r_\lambda(Z)) + \mathbb E[\log(r_\lambda/q_\phi)]",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w) + w.integral(w.q * np.log(w.prior / w.q))
        ),
        oracles=ELBO,
        note="Counted twice: the last expectation is −KL itself, another way to write the second term",
        corrected=Form(
            r"\mathbb E_q[\log p_\theta(X_i|Z)] - D_{KL}(q_\phi(Z|X_i)\|r_\lambda(Z))",
            lambda w: w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w),
        ),
        counterexample=Counterexample("two states, r = (½, ½), p(X|z) = ½, q = (0.8, 0.2)", TWO_POINT),
        aside=[
            Aside("the objective of a β-VAE with β = 2: the bound less KL(q ‖ r)", _less_kl),
            Aside("so that it is a lower bound still, and a looser one", oracles.elbo_by_gap, "<="),
        ],
    ),
]
