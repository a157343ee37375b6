"""xu/1, xu/2 and xu/12: maximum likelihood, also by way of the bound."""

import math

import numpy as np

from vbref.audit import (
    Case,
    Claim,
    Condition,
    Definition,
    Form,
    NotCheckable,
    oracles,
    worlds,
)


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


def _log_weights(rng):
    return Case(log_w=rng.normal(size=(6, int(rng.integers(1, 5)), int(rng.integers(1, 6)))))


def _exact_objectives(w):
    values = [math.fsum(pair.ravel()) / pair.shape[1] for pair in w.log_w]
    return np.array([*values, max(range(len(values)), key=values.__getitem__)])


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
        domain="6 candidate pairs (θ, φ), 1 to 4 observations, 1 to 5 given samples; objectives and argmax",
        draw=_log_weights,
        printed=lambda w: _with_argmax(
            [sum(1 / w.log_w.shape[2] * sum(row) for row in pair) for pair in w.log_w]
        ),
        oracles={
            "means": lambda w: (lambda sums: [*sums, sums.argmax()])(w.log_w.mean(2).sum(1)),
            "exact sums": _exact_objectives,
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
]
