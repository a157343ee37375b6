"""Two families of bounds from papers, audited: `vbref audit examples/renyi.py`.

The Rényi bound (Li and Turner, 2016, arXiv:1602.02311): L_α = log E_q[(p(x,z)/q(z|x))^(1−α)] / (1−α).
The χ upper bound (Dieng et al., 2017, arXiv:1611.00328): CUBO_n = log E_q[(p(x,z)/q(z|x))^n] / n.
Both are over finite tables, where an expectation is a sum. The claim li2016/misquoted is false on purpose.
"""

import math

import numpy as np

from vbref.audit import Case, Claim, Condition, Counterexample, Form, Limit, oracles, worlds

TABLES = "dense random tables of 2 to 6 states"


def at_random_order(rng):
    """An observation x of a random table, and two orders 0 ≤ α ≤ β ≤ 3 away from 1."""
    alpha, beta = np.sort(rng.choice([0.0, 0.3, 0.7, 1.4, 2.0, 3.0], size=2, replace=False))
    return Case(world=worlds.finite(rng), alpha=alpha, beta=beta)


def at_the_posterior(rng):
    """The same where q is the posterior, so that every weight is p(x)."""
    case = at_random_order(rng)
    joint = case.world.prior * case.world.likelihood
    return Case(world=case.world.with_q(joint / joint.sum()), alpha=case.alpha, beta=case.beta)


def two_states(q, **orders):
    """p(z) = (½, ½), p(x|z) = ½: the joint is (¼, ¼) and the evidence ½."""
    half = np.array([0.5, 0.5])
    return Case(world=worlds.World(prior=half, likelihood=half, q=np.array(q), dz=np.ones(2)), **orders)


def weights(w):
    return w.prior * w.likelihood / np.where(w.q > 0, w.q, 1.0)


# -- two ways to L_α, and the two sides of the χ bound --


def by_divergence(w, alpha):
    """log p(x) − D_α(q ‖ posterior), with Rényi's divergence between probabilities."""
    joint = w.prior * w.likelihood
    support = w.q > 0
    q, posterior = w.q[support], (joint / joint.sum())[support]
    return math.log(joint.sum()) - math.log(math.fsum(q**alpha * posterior ** (1 - alpha))) / (alpha - 1)


def by_slopes(w, alpha):
    """log E_q[w^s] from 0 to s = 1 − α as the integral of its slope, a mean of log w under q·w^s."""
    from scipy.integrate import quad

    log_w, q = np.log(w.prior[w.q > 0] * w.likelihood[w.q > 0]) - np.log(w.q[w.q > 0]), w.q[w.q > 0]

    def slope(s):
        tilted = q * np.exp(s * log_w)
        return tilted @ log_w / tilted.sum()

    return quad(slope, 0, 1 - alpha, epsabs=1e-13, epsrel=1e-13)[0] / (1 - alpha)


RENYI = {
    "evidence less Rényi's divergence": lambda w: by_divergence(w.world, w.alpha),
    "integral over tilted means": lambda w: by_slopes(w.world, w.alpha),
}
EVIDENCE = {
    "exact sum": lambda w: oracles.log_evidence_by_sum(w.world),
    "Bayes' rule": lambda w: oracles.log_evidence_by_bayes(w.world),
}
CUBO_2 = {
    "sum of squares": lambda w: (
        0.5 * math.log(math.fsum((w.world.prior * w.world.likelihood) ** 2 / w.world.q))
    ),
    "integral over tilted means": lambda w: by_slopes(w.world, -1.0),
}


def chi_squared(w):
    """χ²(posterior ‖ q)."""
    posterior = weights(w.world) * w.world.q / np.sum(weights(w.world) * w.world.q)
    return np.sum((posterior - w.world.q) ** 2 / w.world.q)


def renyi(w, alpha):
    return np.log(np.sum(w.q * weights(w) ** (1 - alpha))) / (1 - alpha)


CLAIMS = [
    Claim(
        "li2016/monotone",
        statement=r"L_\alpha \geq L_\beta,\quad \alpha \leq \beta",
        domain=f"{TABLES}, orders from 0 to 3",
        draw=at_random_order,
        relation=">=",
        equality=at_the_posterior,
        printed=lambda w: renyi(w.world, w.beta),
        oracles=RENYI,
        note="Theorem 1: the bound falls as α grows, and is flat at the posterior",
    ),
    Claim(
        "li2016/evidence",
        statement=r"\log p(x) = L_0",
        domain=f"{TABLES}, q > 0 on all of them",
        draw=at_random_order,
        printed=lambda w: renyi(w.world, 0.0),
        oracles=EVIDENCE,
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", two_states([1.0, 0.0]))],
    ),
    Claim(
        "li2016/elbo",
        statement=r"\lim_{\alpha \to 1} L_\alpha = \mathbb{E}_q \log \frac{p(x, z)}{q(z|x)}",
        domain=f"{TABLES}, α = 1 + 1/n for n = 256, 512, 1024",
        draw=at_random_order,
        relation="->",
        limit=Limit(steps=(256, 512, 1024), rate=-1.0),
        printed=lambda w: np.sum(w.world.q * np.log(weights(w.world))),
        oracles={
            "evidence less Rényi's divergence": lambda w, n: by_divergence(w.world, 1 + 1 / n),
            "integral over tilted means": lambda w, n: by_slopes(w.world, 1 + 1 / n),
        },
    ),
    Claim(
        "li2016/misquoted",
        statement=r"L_\alpha = \frac{1}{1-\alpha}"
        r" \log \mathbb{E}_q \left(\frac{p(x, z)}{q(z|x)}\right)^{\alpha}",
        verdict="misprint",
        domain=f"{TABLES}, orders from 0 to 3",
        draw=at_random_order,
        printed=lambda w: np.log(np.sum(w.world.q * weights(w.world) ** w.alpha)) / (1 - w.alpha),
        oracles=RENYI,
        note="The exponent of the divergence, on a ratio that is the other way up. The paper has it right",
        corrected=Form(
            r"\frac{1}{1-\alpha} \log \mathbb{E}_q \left(\frac{p(x, z)}{q(z|x)}\right)^{1-\alpha}",
            lambda w: renyi(w.world, w.alpha),
        ),
        counterexample=Counterexample(
            "two states, p(x, z) = (¼, ¼), q = (¾, ¼), α = 2", two_states([0.75, 0.25], alpha=2.0)
        ),
    ),
    Claim(
        "dieng2017/upper",
        statement=r"\log p(x) \leq \text{CUBO}_2"
        r" = \frac{1}{2} \log \mathbb{E}_q \left(\frac{p(x, z)}{q(z|x)}\right)^2",
        domain=TABLES,
        draw=at_random_order,
        relation="<=",
        equality=at_the_posterior,
        printed=lambda w: np.log(np.sum(w.world.q * weights(w.world) ** 2)) / 2,
        oracles=EVIDENCE,
        conditions=[Condition("q(z|x) > 0 wherever p(x, z) > 0", two_states([1.0, 0.0]))],
    ),
    Claim(
        "dieng2017/gap",
        statement=r"\text{CUBO}_2 = \log p(x) + \frac{1}{2} \log(1 + \chi^2(p(z|x) \| q(z|x)))",
        domain=TABLES,
        draw=at_random_order,
        printed=lambda w: np.log(np.sum(w.world.prior * w.world.likelihood)) + np.log1p(chi_squared(w)) / 2,
        oracles=CUBO_2,
    ),
]
