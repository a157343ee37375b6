"""lecture/D1 to lecture/D9: maximum likelihood, and the bound by Jensen's inequality."""

import math
from itertools import product

import numpy as np

from vbref.audit import Aside, Case, Claim, Condition, Counterexample, Form, oracles, worlds
from vbref.audit.claims.shared import EVIDENCE, TWO_POINT, WORLD

# -- lecture/D1 and D2: data X = (x_1, …, x_n) under candidate models θ --


def _data(rng):
    """3 candidate models, 4 observations, each with its own z."""
    z, x = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    models = [worlds.table(rng, z, x) for _ in range(3)]
    return Case(models=models, data=rng.integers(x, size=4), one_z=False)


def _one_z_for_all():
    """Two observations that share their z, and repeat it: P(X) = ½ where the product is ¼."""
    copies = worlds.Table(np.array([0.5, 0.5]), np.eye(2), np.full((2, 2), 0.5))
    return Case(models=[copies], data=np.array([0, 0]), one_z=True)


def _by_latents(w, model):
    """P_θ(X) as the sum of P(X, z_1, …, z_n) over every assignment of the latents."""
    states, n = range(len(model.prior)), len(w.data)
    tuples = [(z,) * n for z in states] if w.one_z else product(states, repeat=n)
    weight = (
        (lambda zs: model.prior[zs[0]]) if w.one_z else (lambda zs: math.prod(model.prior[z] for z in zs))
    )
    return math.fsum(
        weight(zs) * math.prod(model.likelihood[z, x] for z, x in zip(zs, w.data, strict=True))
        for zs in tuples
    )


def _by_counts(w, model):
    """P_θ(X) from the multinomial law of the counts, which all orders share alike. Independent data only."""
    from scipy.stats import multinomial

    counts = np.bincount(w.data, minlength=model.likelihood.shape[1])
    orders = math.factorial(len(w.data)) / math.prod(math.factorial(c) for c in counts)
    return multinomial.pmf(counts, len(w.data), model.prior @ model.likelihood) / orders


_MAX_LIKELIHOOD = {
    "sum over all latents": lambda w: max(_by_latents(w, m) for m in w.models),
    "multinomial law of the counts": lambda w: None if w.one_z else max(_by_counts(w, m) for m in w.models),
}

_MAX_LOG_LIKELIHOOD = {
    "sum over all latents": lambda w: max(math.log(_by_latents(w, m)) for m in w.models),
    "multinomial law of the counts": lambda w: (
        None if w.one_z else np.max([math.log(_by_counts(w, m)) for m in w.models])
    ),
}

_INDEPENDENT = Condition("the x_i are independent; outside, one z makes all of them", _one_z_for_all())
_DATA = "3 candidate finite models, 4 observations"


# -- lecture/D5: an integral over z is no mean over z --


def _wide_or_narrow(rng):
    """A finite table, where the display happens to be true, or `_narrow`, where it fails."""
    return worlds.finite(rng) if rng.random() < 0.5 else _narrow(rng)


def _narrow(rng):
    """z uniform on [0, L], x|z ~ N(z/100, 0.01²) near its mode: the joint density exceeds one."""
    w = _uniform(length=rng.uniform(2.0, 6.0), density=None, x=rng.uniform(0.0, 0.05))
    return w.with_q(worlds.dirichlet(rng, len(w.dz)) / w.dz)


def _uniform(length, density, x=0.0):
    points, weights = np.polynomial.legendre.leggauss(40)
    z = (points + 1) * length / 2
    likelihood = np.full(40, density) if density else worlds.normal_density(x, z / 100, 0.01)
    flat = np.full(40, 1 / length)
    return worlds.World(prior=flat, likelihood=likelihood, q=flat, dz=weights * length / 2)


def _evidence_by_inverse(w):
    """log p(x) from the posterior at one node, p(z)p(x|z)/p(z|x)."""
    posterior = w.joint / (w.joint @ w.dz)
    return math.log(w.prior[0] * w.likelihood[0] / posterior[0])


def _times_length(w):
    """L (ELBO of the uniform q − log L)."""
    length = w.dz.sum()
    return length * (oracles.elbo_by_gap(w.with_q(np.full(len(w.q), 1 / length))) - math.log(length))


def _positive_pair(rng):
    return Case(a=rng.uniform(0.01, 5.0), b=rng.uniform(0.01, 5.0))


def _mean_log_by_integral(w):
    """½(log a + log b), with log a = ∫₀¹ (a − 1)/(1 + (a − 1) t) dt."""
    from scipy.integrate import quad

    slopes = [quad(lambda t, c=c: (c - 1) / (1 + (c - 1) * t), 0.0, 1.0, epsabs=1e-13)[0] for c in (w.a, w.b)]
    return sum(slopes) / 2


def _equal_pair(rng):
    return (lambda a: Case(a=a, b=a))(rng.uniform(0.01, 5.0))


def _posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


_BOUND = {
    "evidence less KL to the posterior": oracles.elbo_by_gap,
    "slope of E_q[w^α] at 0": oracles.elbo_by_cumulant,
    "Gaussian moments": oracles.elbo_by_algebra,
}


def _elbo_without_prior(w):
    """The bound less E_q log p(z)."""
    return oracles.elbo_by_gap(w) - math.fsum(w.dz * w.q * np.log(w.prior))


def _flat_optimum(w):
    """max over all q of E_q[log p(x|z)/q(z)], at q ∝ p(x|z)."""
    q = w.likelihood / w.integral(w.likelihood)
    return w.integral(q * np.log(w.likelihood / q))


def _true_optimum(w):
    q = w.joint / w.integral(w.joint)
    return w.integral(q * np.log(w.likelihood * w.prior / q))


CLAIMS = [
    Claim(
        "lecture/D1",
        statement=r"\max_\theta P(X) = P(x) = \prod_\theta P(x_i)",
        verdict="notation",
        domain=_DATA,
        draw=_data,
        oracles=_MAX_LIKELIHOOD,
        why="The product runs over θ and leaves i unbound; the maximum is taken on the left alone; X is"
        " also x",
        reading=Form(
            r"\max_\theta P_\theta(X),\quad P_\theta(X) = \prod_i P_\theta(x_i)",
            lambda w: max(math.prod((m.prior @ m.likelihood)[x] for x in w.data) for m in w.models),
        ),
        note="Maximum likelihood",
        conditions=[_INDEPENDENT],
    ),
    Claim(
        "lecture/D2",
        statement=r"\max_\theta \log P_\theta(X) = \sum_i \log P_\theta(x_i)",
        verdict="notation",
        domain=_DATA,
        draw=_data,
        oracles=_MAX_LOG_LIKELIHOOD,
        why="θ is bound by the maximum on the left and by nothing on the right",
        reading=Form(
            r"\max_\theta \log P_\theta(X) = \max_\theta \sum_i \log P_\theta(x_i)",
            lambda w: max(np.log(m.prior @ m.likelihood)[w.data].sum() for m in w.models),
        ),
        note="The logarithm of a product",
        conditions=[_INDEPENDENT],
    ),
    Claim(
        "lecture/D3",
        statement=r"\log P(x) = \log \int P(x,z)dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.joint)),
        oracles=EVIDENCE,
        note="Marginalisation",
    ),
    Claim(
        "lecture/D4",
        statement=r"= \log \int P(x|z)P(z)dz",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.likelihood * w.prior)),
        oracles=EVIDENCE,
        note="The product rule",
    ),
    Claim(
        "lecture/D5",
        statement=r"\geq \int \log[P(x|z)P(z)]dz",
        verdict="misprint",
        relation=">=",
        domain="finite tables; z uniform on [0, L], L in (2, 6), x|z ~ N(z/100, 0.01²)",
        draw=_wide_or_narrow,
        equality=lambda rng: (lambda w: w.with_q(w.joint / w.integral(w.joint)))(_wide_or_narrow(rng)),
        printed=lambda w: w.integral(np.log(w.likelihood * w.prior)),
        oracles={"exact sum over nodes": oracles.log_evidence_by_sum, "Bayes' rule": _evidence_by_inverse},
        note="Jensen's inequality wants a mean, and dz is no probability: over the real line the right side"
        " is −∞, and it is no bound where the joint density exceeds one. True on finite tables, whose entries"
        " are at most one",
        corrected=Form(
            r"\geq \int \log\left[\frac{P(x|z)P(z)}{q(z)}\right] q(z)dz",
            lambda w: w.integral(np.log(w.likelihood * w.prior / w.q) * w.q),
        ),
        counterexample=Counterexample(
            "z in [0, 10], P(x|z) = 20, P(z) = 1/10: log 20 is not ≥ 10 log 2", _uniform(10.0, density=20.0)
        ),
        aside=Aside(
            "∫dz times (the bound of a uniform q, less log ∫dz): that q is what was forgotten", _times_length
        ),
    ),
    Claim(
        "lecture/D6",
        statement=r"\frac12(\log a + \log b) \leq \log\frac{a+b}{2}",
        verdict="holds",
        relation="<=",
        domain="a and b in (0.01, 5)",
        draw=_positive_pair,
        equality=_equal_pair,
        printed=lambda w: np.log((w.a + w.b) / 2),
        oracles={
            "log of the geometric mean": lambda w: math.log(math.sqrt(w.a * w.b)),
            "log as an integral": _mean_log_by_integral,
        },
        note="The logarithm is concave; equality at a = b",
    ),
    Claim(
        "lecture/D7",
        statement=r"\geq \int \log\frac{P_\theta(x|z)P(z)}{q(z)} q(z)dz",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: w.integral(np.log(w.likelihood * w.prior / w.q) * w.q),
        oracles=EVIDENCE,
        note="Jensen's inequality with q; equality at q = posterior. It goes on from lecture/D4: below the"
        " right side of lecture/D5 it need not be",
    ),
    Claim(
        "lecture/D8",
        statement=r"\underbrace{\int \log\frac{P_\theta(x|z)P(z)}{q(z)}q(z)dz}_{\mathbb E_q \log"
        r" \frac{P_\theta(x|z)}{q(z)_\psi}}",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood / w.q)),
        oracles=_BOUND,
        note="The brace under lecture/D7 has lost P(z)",
        corrected=Form(
            r"\mathbb E_{q_\psi} \log\frac{P_\theta(x|z)P(z)}{q_\psi(z)}",
            lambda w: w.integral(w.q * np.log(w.likelihood * w.prior / w.q)),
        ),
        counterexample=Counterexample(
            "two states, P(z) = P(x|z) = (½, ½), q = (0.8, 0.2): the brace is −0.19 > log P(x) = −0.69",
            TWO_POINT,
        ),
        aside=Aside(
            "the bound less E_q log P(z), so that nothing draws q to the prior, and no bound on log P(x)",
            _elbo_without_prior,
        ),
    ),
    Claim(
        "lecture/D9",
        statement=r"\max_{\theta,\psi} \mathbb E \log\frac{P_\theta(x|z)}{q_\psi(z)}\quad(\text{ELBO})",
        verdict="misprint",
        domain=WORLD + "; at one θ, the maximum over all q",
        draw=worlds.latent,
        printed=_flat_optimum,
        oracles=EVIDENCE,
        note="Called the ELBO, whose maximum over q is log P(x), and P(z) is lost as in lecture/D8",
        corrected=Form(
            r"\max_{\theta,\psi} \mathbb E_{q_\psi} \log\frac{P_\theta(x|z)P(z)}{q_\psi(z)}", _true_optimum
        ),
        counterexample=Counterexample("two states, P(z) = P(x|z) = (½, ½): log 1 for log ½", TWO_POINT),
        aside=Aside(
            "its maximum is log ∫ P(x|z)dz, at q ∝ P(x|z): the evidence under a flat P(z) = 1",
            lambda w: math.log(math.fsum(w.likelihood * w.dz)),
        ),
    ),
]
