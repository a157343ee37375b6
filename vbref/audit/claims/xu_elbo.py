"""xu/1 to xu/12 and xu/U1: maximum likelihood, the evidence lower bound and its splits."""

import math

import numpy as np

from vbref.audit import (
    Case,
    Claim,
    Condition,
    Counterexample,
    Definition,
    Form,
    Limit,
    NotCheckable,
    oracles,
    worlds,
)

_WORLD = "dense random finite tables (2 to 6 states of z) and linear-Gaussian models (z on the real line)"
_COVERS = "q(z|x) > 0 wherever p(x, z) > 0"

# q leaves out a state that has a third of the joint mass
_UNCOVERED = worlds.World(
    prior=np.full(3, 1 / 3), likelihood=np.full(3, 0.6), q=np.array([0.5, 0.5, 0.0]), dz=np.ones(3)
)
_EVIDENCE = {
    "exact sum over z": oracles.log_evidence_by_sum,
    "Bayes' rule, or the Gaussian marginal": oracles.log_evidence_by_bayes,
}
_EVIDENCE_EVERYWHERE = {
    "exact sum over z": lambda w: np.full(len(w.q), oracles.log_evidence_by_sum(w)),
    "Bayes' rule, or the Gaussian marginal": lambda w: np.full(len(w.q), oracles.log_evidence_by_bayes(w)),
}
_ELBO = {
    "evidence less KL to the posterior": oracles.elbo_by_gap,
    "slope of log E_q[w^α] at 0": oracles.elbo_by_cumulant,
    "Gaussian moments": oracles.elbo_by_algebra,
}


def _posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


# -- data sets and candidate parameters: an argmax over θ is over a finite set of models --


def _candidates(rng):
    """Return 5 models θ of one shape with a common prior, and 8 observations."""
    z, x = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    prior = worlds.dirichlet(rng, z)
    models = [worlds.Table(prior, worlds.dirichlet(rng, z, x), worlds.dirichlet(rng, x, z)) for _ in range(5)]
    return Case(models=models, data=rng.integers(x, size=8))


def _with_argmax(objective):
    return np.append(objective, np.argmax(objective))


def _likelihood_by_sum(w):
    values = np.array([sum(oracles.log_evidence_by_sum(m.at(x)) for x in w.data) for m in w.models])
    return np.append(values, values.argmax())


def _likelihood_by_marginal(w):
    marginals = np.array([m.prior @ m.likelihood for m in w.models])
    counts = np.bincount(w.data, minlength=marginals.shape[1])
    values = np.log(marginals) @ counts
    return np.append(values, max(range(len(values)), key=values.__getitem__))


_MLE = {"exact sums": _likelihood_by_sum, "marginal table and counts": _likelihood_by_marginal}


def _with_posteriors(rng):
    """The candidates, and for each θ every encoder that may be chosen, among them the posterior of θ."""
    w = _candidates(rng)
    posteriors = [(m.likelihood * m.prior[:, None] / (m.prior @ m.likelihood)).T for m in w.models]
    others = [worlds.dirichlet(rng, *posteriors[0].shape) for _ in range(4)]
    return Case(models=w.models, data=w.data, encoders=[*posteriors, *others])


def _one_encoder():
    """Two models whose likelihoods are ordered one way, and an encoder that orders their bounds the other."""
    prior = np.array([0.5, 0.5])
    better = np.array([[0.9, 0.1], [0.1, 0.9]])
    worse = np.array([[0.45, 0.55], [0.45, 0.55]])
    flat = np.full((2, 2), 0.5)
    return Case(
        models=[worlds.Table(prior, better, flat), worlds.Table(prior, worse, flat)],
        data=np.array([0]),
        encoders=[flat],
    )


def _profile_elbo(w):
    """max over φ of Σ_i ELBO(φ; x_i), at each θ, and the θ-part of the argmax over both."""
    values = [
        max(
            sum(np.sum(q[x] * np.log(m.likelihood[:, x] * m.prior / q[x])) for x in w.data)
            for q in w.encoders
        )
        for m in w.models
    ]
    return np.append(values, np.argmax(values))


# -- Monte Carlo averages of k draws: w.world, and w.tied where all k draws are one and the same --


def _average(rng):
    return Case(world=worlds.finite(rng), tied=False)


def _band_by_moments(w, k):
    """ELBO plus one standard deviation of ELBO_k."""
    q, log_w = w.world.q, np.log(w.world.prior * w.world.likelihood) - np.log(w.world.q)
    mean = q @ log_w
    return mean + math.sqrt(q @ (log_w - mean) ** 2 / (1 if w.tied else k))


def _band_by_cumulants(w, k):
    """The same from the cumulants of log w, Taylor coefficients of log E_q[w^u] by Cauchy's integral."""
    u = 0.1 * np.exp(2j * np.pi * np.arange(32) / 32)
    weights = w.world.prior * w.world.likelihood / w.world.q
    generating = np.log(np.array([(w.world.q * weights**point).sum() for point in u]))
    first, second = (np.mean(generating / u**order).real for order in (1, 2))
    return first + math.sqrt(2 * second / (1 if w.tied else k))


# -- Monte Carlo objectives over candidate pairs (θ, φ): fixed samples z^j, log-weights (pairs, n, k) --


def _log_weights(rng):
    return Case(log_w=rng.normal(size=(6, int(rng.integers(1, 5)), int(rng.integers(1, 6)))))


_TWO_POINT = worlds.World(
    prior=np.array([0.5, 0.5]), likelihood=np.array([0.5, 0.5]), q=np.array([0.8, 0.2]), dz=np.ones(2)
)

CLAIMS = [
    Definition(
        "xu/1",
        r"\hat\theta = \arg\max_\theta \sum_{i=1}^n \log p_\theta(x_i)",
        "The maximum-likelihood estimate is defined",
    ),
    Claim(
        "xu/2a",
        statement=r"\hat\theta = \arg\max_\theta \sum_{i=1}^n \log \int_{z_i} p_\theta(x_i, z_i)",
        verdict="holds",
        domain="8 observations under 5 candidate finite models; the objective at each and its argmax",
        draw=_candidates,
        printed=lambda w: _with_argmax(
            [sum(np.log((m.prior * m.likelihood[:, x]).sum()) for x in w.data) for m in w.models]
        ),
        oracles=_MLE,
        note="Marginalisation; the differential dz_i is left out, here and throughout",
    ),
    Claim(
        "xu/2b",
        statement=r"= \arg\max_\theta \sum_{i=1}^n \log \int_{z_i} p_\theta(x_i|z_i) p(z_i)",
        verdict="holds",
        domain="8 observations under 5 candidate finite models with one prior; the objective at each and"
        " its argmax",
        draw=_candidates,
        printed=lambda w: _with_argmax(
            [sum(np.log(m.likelihood[:, x] @ m.prior) for x in w.data) for m in w.models]
        ),
        oracles=_MLE,
        note="The product rule, with a prior that does not depend on θ",
    ),
    Claim(
        "xu/3a",
        statement=r"\log p_\theta(x) = \log \int_z p_\theta(x, z)",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.joint)),
        oracles=_EVIDENCE,
        note="Marginalisation",
    ),
    Claim(
        "xu/3b",
        statement=r"= \log \int_z \frac{p_\theta(x, z|\theta)}{q_\phi(z|x)} q_\phi(z|x)",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(np.where(w.q > 0, w.joint / w.q * w.q, 0.0))),
        oracles=_EVIDENCE,
        note="Multiplied and divided by q; θ as subscript and as condition says one thing twice",
        conditions=[Condition(_COVERS, _UNCOVERED)],
    ),
    Claim(
        "xu/3c",
        statement=r"= \log\left[\mathbb E_{z\sim q_\phi(z|x)}\left(\frac{p_\theta(x,"
        r" z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.q * np.where(w.q > 0, w.joint / w.q, 0.0))),
        oracles=_EVIDENCE,
        note="The integral against q is an expectation",
        conditions=[Condition(_COVERS, _UNCOVERED)],
    ),
    Claim(
        "xu/4a",
        statement=r"\log p_\theta(x) \geq \mathbb E_{z\sim q_\phi(z|x)}"
        r"\left[\log\left(\frac{p_\theta(x,z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        relation=">=",
        domain=_WORLD,
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: w.integral(w.q * np.log(w.joint / w.q)),
        oracles=_EVIDENCE,
        note="Jensen's inequality; equality at q = posterior. No condition on the support: what q misses"
        " only lowers it",
    ),
    Claim(
        "xu/4b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z|\theta)]"
        r" - \mathbb E_{z\sim q_\phi(z|x)}[\log q_\phi(z|x)]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.joint)) - w.integral(w.q * np.log(w.q)),
        oracles=_ELBO,
        note="Linearity, where both expectations are finite",
    ),
    Definition("xu/4c", r"= \text{ELBO}(\phi)", "The bound is given its name"),
    Definition("xu/4d", r"= \text{ELBO}(\phi, \theta)", "The same name with θ shown"),
    Definition(
        "xu/5",
        r"\text{ELBO}_k(\phi) = \frac1k \sum_{j=1}^k \log\frac{p_\theta(x, z^j)}{q_\phi(z^j|x)},"
        r"\ z^j\sim q_\phi(z|x)",
        "ELBO as in xu/4 again, and its k-sample average, a random variable whose mean it is",
    ),
    Claim(
        "xu/6",
        statement=r"\lim_{k\to\infty} \text{ELBO}_k(\phi) = \text{ELBO}(\phi)",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(10, 100, 1000, 10000), rate=-0.5, slack=1e-6),
        domain="finite tables; followed is ELBO_k's mean plus one standard deviation, exactly",
        draw=_average,
        printed=lambda w: w.world.integral(w.world.q * np.log(w.world.joint / w.world.q)),
        oracles={"exact moments": _band_by_moments, "cumulants by Cauchy's integral": _band_by_cumulants},
        note="The law of large numbers, with rate k^(-1/2) where log w has a variance. The limit needs"
        " no moment:"
        " E_q[log⁺ w] ≤ E_q[w] = p(x), so that the average converges even to an ELBO of −∞",
        conditions=[
            Condition("the z^j are independent; outside, all are one draw", Case(world=_TWO_POINT, tied=True))
        ],
    ),
    Claim(
        "xu/7a",
        statement=r"\text{ELBO}(\phi) = \mathbb E_{z\sim q_\phi(z|x)}"
        r"\left[\log\left(\frac{p(z)}{q_\phi(z|x)} p_\theta(x|z)\right)\right]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.prior / w.q * w.likelihood)),
        oracles=_ELBO,
        note="The product rule inside the logarithm",
    ),
    Claim(
        "xu/7b",
        statement=r"= \int \log\left(\frac{p(z)}{q_\phi(z|x)} p_\theta(x|z)\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(np.log(w.prior / w.q * w.likelihood) * w.q),
        oracles=_ELBO,
        note="The expectation as an integral",
    ),
    Claim(
        "xu/8a",
        statement=r"= \int \log p_\theta(x|z)\, q_\phi(z|x)\,dz"
        r" + \int \log\left(\frac{p(z)}{q_\phi(z|x)}\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(np.log(w.likelihood) * w.q) + w.integral(np.log(w.prior / w.q) * w.q),
        oracles=_ELBO,
        note="Split one; the logarithm ends before q",
    ),
    Claim(
        "xu/8b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" - \int \log\left(\frac{q_\phi(z|x)}{p(z)}\right) q_\phi(z|x)\,dz",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - w.integral(np.log(w.q / w.prior) * w.q),
        oracles=_ELBO,
        note="The ratio inverted, the sign with it",
    ),
    Claim(
        "xu/8c",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)] - \text{KL}[q_\phi(z|x)\|p(z)]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - _kl(w, w.q, w.prior),
        oracles=_ELBO,
        note="The definition of KL",
    ),
    Claim(
        "xu/9",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" + \left(-\text{KL}[q_\phi(z|x)\|p(z)]\right)",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) + -_kl(w, w.q, w.prior),
        oracles=_ELBO,
        note="xu/8 with names for its two terms",
    ),
    Claim(
        "xu/10a",
        statement=r"= \int \log p_\theta(x|z) p(z) q_\phi(z|x)\,dz"
        r" + \int \log\left(\frac{1}{q_\phi(z|x)}\right) q_\phi(z|x)\,dz",
        verdict="notation",
        domain=_WORLD,
        draw=worlds.latent,
        oracles=_ELBO,
        why="Brackets are missing: a logarithm that ends after its first factor, as in xu/8 and in the"
        " next line,"
        " or one that runs to the end of the integrand, gives another value; neither gives the ELBO",
        reading=Form(
            r"\int \log\bigl[p_\theta(x|z) p(z)\bigr] q_\phi(z|x)\,dz + \int \log\frac{1}{q_\phi(z|x)}"
            r" q_\phi(z|x)\,dz",
            lambda w: w.integral(np.log(w.likelihood * w.prior) * w.q) + w.integral(np.log(1 / w.q) * w.q),
        ),
        note="Split two",
    ),
    Claim(
        "xu/10b",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z)] - \int \log q_\phi(z|x)\,"
        r" q_\phi(z|x)\,dz",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.joint)) - w.integral(np.log(w.q) * w.q),
        oracles=_ELBO,
        note="The entropy of q, with its sign",
    ),
    Claim(
        "xu/10c",
        statement=r"= \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z) - \log q_\phi(z|x)]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.joint) - np.log(w.q))),
        oracles=_ELBO,
        note="Linearity",
    ),
    Claim(
        "xu/11a",
        statement=r"\log p_\theta(x) = \log p_\theta(x, z) - \log p_\theta(z|x)",
        verdict="holds",
        domain=_WORLD + "; at every z",
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
        domain=_WORLD + "; at every z",
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
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.joint / w.q))
            + -w.integral(w.q * np.log(w.joint / w.integral(w.joint) / w.q))
        ),
        oracles=_EVIDENCE,
        note="The expectation under q of a constant in z; both underbraces are right",
    ),
    Claim(
        "xu/11d",
        statement=r"= \text{ELBO}(\phi) + \text{KL}(p_\theta(z|x)\,\|\,q_\phi(z|x))",
        verdict="misprint",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: (
            w.integral(w.q * np.log(w.joint / w.q)) + _kl(w, w.joint / w.integral(w.joint), w.q)
        ),
        oracles=_EVIDENCE,
        note="The arguments of KL are swapped against the underbrace above",
        corrected=Form(
            r"\text{ELBO}(\phi) + \text{KL}(q_\phi(z|x)\,\|\,p_\theta(z|x))",
            lambda w: w.integral(w.q * np.log(w.joint / w.q)) + _kl(w, w.q, w.joint / w.integral(w.joint)),
        ),
        counterexample=Counterexample("two states, posterior (½, ½), q = (0.8, 0.2), p(x) = ½", _TWO_POINT),
    ),
    Definition(
        "xu/12a",
        r"\hat\theta = \arg\max_\theta \sum_{i=1}^n \log p_\theta(x_i)",
        "The estimate of xu/1 once more",
    ),
    Claim(
        "xu/12b",
        statement=r"\approx \arg\max_{\theta,\phi} \sum_{i=1}^n \text{ELBO}(\phi)",
        verdict="notation",
        domain="8 observations, 5 candidate finite models, 9 encoders with every posterior among them",
        draw=_with_posteriors,
        oracles=_MLE,
        why="The summand has no i, and the right side is a pair (θ, φ) where the left is θ alone",
        reading=Form(
            r"\hat\theta \text{ is the } \theta \text{ of } \arg\max_{\theta,\phi} \sum_i"
            r" \text{ELBO}(\theta, \phi; x_i)"
            r" \text{ where } q_\phi \text{ reaches the posterior}",
            _profile_elbo,
        ),
        note="The bound's maximum over q is the evidence, so that ≈ is = where the encoders hold the"
        " posteriors",
        conditions=[
            Condition("q_φ can be the posterior of every θ; outside, one flat encoder", _one_encoder())
        ],
    ),
    NotCheckable(
        "xu/12c",
        r"\approx \arg\max_{\theta,\phi} \sum_{i=1}^n \text{ELBO}_k(\phi)",
        "The right side is random, and ≈ states no sense in which it is near; xu/6 is what can be said",
    ),
    Claim(
        "xu/12d",
        statement=r"= \arg\max_{\theta,\phi} \sum_{i=1}^n \frac1k \sum_{j=1}^k"
        r" \log\frac{p_\theta(x,z^j)}{q_\phi(z^j|x)}",
        verdict="holds",
        domain="6 candidate pairs (θ, φ), 1 to 4 observations, 1 to 5 given samples",
        draw=_log_weights,
        printed=lambda w: np.argmax(
            [sum(1 / w.log_w.shape[2] * sum(row) for row in pair) for pair in w.log_w]
        ),
        oracles={
            "means": lambda w: w.log_w.mean(2).sum(1).argmax(),
            "exact sums": lambda w: max(range(6), key=lambda i: math.fsum(w.log_w[i].ravel())),
        },
        note="xu/5 put in, x and z^j standing for x_i and z_i^j",
    ),
    Claim(
        "xu/12e",
        statement=r"= \arg\max_{\theta,\phi} \sum_{i=1}^n \sum_{j=1}^k"
        r" \log\frac{p_\theta(x,z^j)}{q_\phi(z^j|x)}",
        verdict="holds",
        domain="6 candidate pairs (θ, φ), 1 to 4 observations, 1 to 5 given samples",
        draw=_log_weights,
        printed=lambda w: np.argmax([sum(sum(row) for row in pair) for pair in w.log_w]),
        oracles={
            "means": lambda w: w.log_w.mean(2).sum(1).argmax(),
            "exact sums": lambda w: max(range(6), key=lambda i: math.fsum(w.log_w[i].ravel())),
        },
        note="A positive factor does not move an argmax; it does move the gradient's size",
    ),
    Claim(
        "xu/U1",
        statement=r"\log p_\theta(x) = \log\left[\mathbb E_{z\sim q_\phi(z|x)}"
        r"\left(\frac{p_\theta(x,z|\theta)}{q_\phi(z|x)}\right)\right]",
        verdict="holds",
        domain=_WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.q * np.where(w.q > 0, w.joint / w.q, 0.0))),
        oracles=_EVIDENCE,
        note="xu/3 again",
        conditions=[Condition(_COVERS, _UNCOVERED)],
    ),
]


def _kl(w, one, other):
    return w.integral(one * np.log(one / other))
