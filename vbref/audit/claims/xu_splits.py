"""xu/7 to xu/11: the two splits of the ELBO, and its gap."""

import numpy as np

from vbref.audit import (
    Aside,
    Claim,
    Code,
    Counterexample,
    Form,
    oracles,
    worlds,
)
from vbref.audit.claims.shared import ELBO, EVIDENCE, TWO_POINT, WORLD, kl_to_prior

_EVIDENCE_EVERYWHERE = {
    "exact sum over z": lambda w: np.full(len(w.q), oracles.log_evidence_by_sum(w)),
    "Bayes' rule, or the Gaussian marginal": lambda w: np.full(len(w.q), oracles.log_evidence_by_bayes(w)),
}


def _with_both_gaps(w):
    posterior = w.joint / (w.joint @ w.dz)
    gaps = (posterior * w.dz + w.q * w.dz) @ (np.log(posterior) - np.log(w.q))
    return oracles.log_evidence_by_sum(w) + gaps


def _kl(w, one, other):
    return w.integral(one * np.log(one / other))


CLAIMS = [
    Claim(
        "xu/7a",
        statement=r"\text{ELBO}(\phi) = \mathbb E_{z\sim q_\phi(z|x)}"
        r"\left[\log\left(\frac{p(z)}{q_\phi(z|x)} p_\theta(x|z)\right)\right]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.prior / w.q * w.likelihood)),
        oracles=ELBO,
        note="The product rule inside the logarithm",
    ),
    Claim(
        "xu/7b",
        statement=r"= \int \log\left(\frac{p(z)}{q_\phi(z|x)} p_\theta(x|z)\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(np.log(w.prior / w.q * w.likelihood) * w.q),
        oracles=ELBO,
        note="The expectation as an integral",
    ),
    Claim(
        "xu/8a",
        statement=r"= \int \log p_\theta(x|z)\, q_\phi(z|x)\,dz"
        r" + \int \log\left(\frac{p(z)}{q_\phi(z|x)}\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(np.log(w.likelihood) * w.q) + w.integral(np.log(w.prior / w.q) * w.q),
        oracles=ELBO,
        note="Split one; the logarithm ends before q",
    ),
    Claim(
        "xu/8b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" - \int \log\left(\frac{q_\phi(z|x)}{p(z)}\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - w.integral(np.log(w.q / w.prior) * w.q),
        oracles=ELBO,
        note="The ratio inverted, the sign with it",
    ),
    Claim(
        "xu/8c",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)] - \text{KL}[q_\phi(z|x)\|p(z)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - _kl(w, w.q, w.prior),
        oracles=ELBO,
        note="The definition of KL",
    ),
    Claim(
        "xu/9",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" + \left(-\text{KL}[q_\phi(z|x)\|p(z)]\right)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) + -_kl(w, w.q, w.prior),
        oracles=ELBO,
        note="xu/8 with names for its two terms",
        code=Code(
            "vbref.bounds.elbo_split_one",
            lambda bound, w: w.integral(
                w.q * bound(np.log(w.likelihood)[None], np.full(len(w.q), kl_to_prior(w)))
            ),
        ),
    ),
    Claim(
        "xu/10a",
        statement=r"= \int \log p_\theta(x|z) p(z) q_\phi(z|x)\,dz"
        r" + \int \log\left(\frac{1}{q_\phi(z|x)}\right) q_\phi(z|x)\,dz",
        verdict="notation",
        domain=WORLD,
        draw=worlds.latent,
        oracles=ELBO,
        why="Brackets are missing: a logarithm that ends after its first factor, as in xu/8 and in the"
        " next line,"
        " or one that runs to the end of the integrand, gives another value; neither gives the ELBO",
        reading=Form(
            r"\int \log\bigl[p_\theta(x|z) p(z)\bigr] q_\phi(z|x)\,dz + \int \log\frac{1}{q_\phi(z|x)}"
            r" q_\phi(z|x)\,dz",
            lambda w: w.integral(np.log(w.likelihood * w.prior) * w.q) + w.integral(np.log(1 / w.q) * w.q),
        ),
        rejected={
            "the logarithm ends after p(x|z)": lambda w: (
                w.integral(np.log(w.likelihood) * w.prior * w.q) + w.integral(np.log(1 / w.q) * w.q)
            ),
            "the logarithm runs to the end": lambda w: (
                w.integral(np.log(w.likelihood * w.prior * w.q)) + w.integral(np.log(1 / w.q) * w.q)
            ),
        },
        note="Split two",
    ),
    Claim(
        "xu/10b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z)] - \int \log q_\phi(z|x)\,"
        r" q_\phi(z|x)\,dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.joint)) - w.integral(np.log(w.q) * w.q),
        oracles=ELBO,
        note="The entropy of q, with its sign",
    ),
    Claim(
        "xu/10c",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z) - \log q_\phi(z|x)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.joint) - np.log(w.q))),
        oracles=ELBO,
        note="Linearity",
        code=Code("vbref.bounds.elbo", lambda elbo, w: w.integral(w.q * elbo(np.log(w.joint / w.q)[None]))),
    ),
    Claim(
        "xu/11a",
        statement=r"\log p_\theta(x) = \log p_\theta(x, z) - \log p_\theta(z|x)",
        verdict="holds",
        domain=WORLD + "; at every z",
        draw=worlds.latent,
        printed=lambda w: np.log(w.joint) - np.log(w.joint / w.integral(w.joint)),
        oracles=_EVIDENCE_EVERYWHERE,
        note="Bayes' rule, for any z with p(z|x) > 0",
    ),
    Claim(
        "xu/11b",
        statement=r"= \log\left(\frac{p_\theta(x,z)}{q_\phi(z|x)}\right) -"
        r" \log\left(\frac{p_\theta(z|x)}{q_\phi(z|x)}\right)",
        verdict="holds",
        domain=WORLD + "; at every z",
        draw=worlds.latent,
        printed=lambda w: np.log(w.joint / w.q) - np.log(w.joint / w.integral(w.joint) / w.q),
        oracles=_EVIDENCE_EVERYWHERE,
        note="log q added and taken away",
    ),
    Claim(
        "xu/11c",
        statement=r"= \int q_\phi(z|x)\log\left(\frac{p_\theta(x,z)}{q_\phi(z|x)}\right)dz"
        r" + \left(-\int q_\phi(z|x)\log\left(\frac{p_\theta(z|x)}{q_\phi(z|x)}\right)dz\right)",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.joint / w.q))
            + -w.integral(w.q * np.log(w.joint / w.integral(w.joint) / w.q))
        ),
        oracles=EVIDENCE,
        note="The expectation under q of a constant in z; both underbraces are right",
    ),
    Claim(
        "xu/11d",
        statement=r"= \text{ELBO}(\phi) + \text{KL}(p_\theta(z|x)\,\|\,q_\phi(z|x))",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.joint / w.q)) + _kl(w, w.joint / w.integral(w.joint), w.q)
        ),
        oracles=EVIDENCE,
        note="The arguments of KL are swapped against the underbrace above",
        corrected=Form(
            r"\text{ELBO}(\phi) + \text{KL}(q_\phi(z|x)\,\|\,p_\theta(z|x))",
            lambda w: w.integral(w.q * np.log(w.joint / w.q)) + _kl(w, w.q, w.joint / w.integral(w.joint)),
        ),
        counterexample=Counterexample("two states, posterior (½, ½), q = (0.8, 0.2), p(x) = ½", TWO_POINT),
        aside=Aside("it is log p(x) + KL(p(z|x) ‖ q) − KL(q ‖ p(z|x))", _with_both_gaps),
    ),
]
