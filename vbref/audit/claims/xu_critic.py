"""xu/50, xu/51 and xu/54 to xu/57: the best critic, and the discriminator of a GAN that it is."""

from dataclasses import replace

import numpy as np

from vbref.audit import Aside, Case, Claim, Condition, Counterexample, Definition, Form, worlds
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
from vbref.audit.worlds_critic import duel, duel_table

_ARGMAX = {
    "bisection of the slope at each (x, z)": critic_by_bisection,
    "ascent in ψ by complex steps": critic_by_ascent,
}
_CONDITIONS = [Condition(FREE, ONE_NUMBER), Condition(SEEN, UNSEEN)]
_COVERED = Condition(
    "q > 0 wherever p > 0; outside, T* is −∞ and q exp(−T*) is 0 for every finite T",
    duel_table(law=[1.0], prior=[0.5, 0.5], lik=[[0.5, 0.5]], q=[[1.0, 0.0]]),
)


_SIGMA = {
    "bisection of the slope at each (x, z)": lambda w: 1 / (1 + np.exp(-critic_by_bisection(w))),
    "ascent in ψ by complex steps": lambda w: (1 + np.tanh(critic_by_ascent(w) / 2)) / 2,
}


# -- xu/50 and its repetitions --


def _objective_at(w, t):
    """E_p(x) E_q(z|x)[log σ(T)] + E_p(x) E_p(z)[log(1 − σ(T))]."""
    return w.mean_q(-np.log1p(np.exp(-t))) + w.mean_p(-np.log1p(np.exp(t)))


def _largest(w):
    """max_ψ of the objective: a number, set at every (x, z) that T* is a function of."""
    return np.full(w.q.shape, _objective_at(w, np.log(w.q / w.prior)))


def _twice_jensen_shannon(w):
    """E_p(x)[KL(q ‖ m) + KL(p ‖ m)], m = (q + p)/2."""
    middle = (w.q + w.prior) / 2
    return w.mean_q(np.log(w.q / middle)) + w.mean_p(np.log(w.prior / middle))


_TRUE_CRITIC = Form(
    r"T_\psi^*(\mathbf x,\mathbf z) = T_{\psi^*}(\mathbf x,\mathbf z),\ \psi^* = \arg\max_\psi\{\cdots\};"
    r"\ \text{then}\ T^* = \log q_\phi(\mathbf z|\mathbf x) - \log p(\mathbf z)",
    lambda w: np.log(w.q) - np.log(w.prior),
)

_FIFTY = Claim(
    "xu/50",
    statement=r"T_\psi^*(\mathbf x,\mathbf z) = \max_\psi \mathbb E_{p(\mathbf x)}\mathbb E_{q_\phi(\mathbf"
    r" z|\mathbf x)}[\log\sigma(T_\psi(\mathbf x,\mathbf z))] + \mathbb E_{p(\mathbf x)}\mathbb E_{p(\mathbf"
    r" z)}[\log(1-\sigma(T_\psi(\mathbf x,\mathbf z)))]",
    verdict="misprint",
    domain=DUEL + "; T* at every (x, z)",
    draw=duel,
    printed=_largest,
    oracles=_ARGMAX,
    note="max is a number where T*, a function of x and z, is what attains it: argmax",
    corrected=_TRUE_CRITIC,
    counterexample=Counterexample(TWO_POINT_TEXT + ": at z₁ and z₂", TWO_POINT),
    conditions=_CONDITIONS,
    aside=Aside(
        "it is E_p(x)[2 JS(q(z|x) ‖ p(z))] − log 4, JS the Jensen–Shannon divergence",
        lambda w: np.full(w.q.shape, _twice_jensen_shannon(w) - np.log(4.0)),
    ),
)

# -- the discriminator, xu/54 --


def _two_laws(rng):
    """p_r and p_g on 2 to 6 points, or two normals on a grid."""
    if rng.random() < 0.5:
        n = int(rng.integers(2, 7))
        return Case(real=worlds.dirichlet(rng, n), fake=worlds.dirichlet(rng, n), tied=False)
    x = np.linspace(-6.0, 6.0, 49)
    real, fake = (worlds.normal_density(x, rng.normal(), rng.uniform(0.7, 1.5)) for _ in range(2))
    return Case(real=real, fake=fake, tied=False)


def _discriminator_by_slope(w):
    """Bisection of p_r/D − p_g/(1 − D), summed over x where D is one number."""
    low, high = np.zeros(w.real.size), np.ones(w.real.size)
    for _ in range(60):
        d = (low + high) / 2
        slope = w.real / d - w.fake / (1 - d)
        rises = (slope.sum() if w.tied else slope) > 0
        low, high = np.where(rises, d, low), np.where(rises, high, d)
    return low


def _discriminator_by_search(w):
    """Ternary search: of two D, keep the side of the larger p_r log D + p_g log(1 − D)."""
    low, high = np.zeros(w.real.size), np.ones(w.real.size)
    for _ in range(110):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        gain = w.real * np.log1p((b - a) / a) + w.fake * np.log1p((a - b) / (1 - a))
        better = (gain.sum() if w.tied else gain) > 0
        low, high = np.where(better, a, low), np.where(better, high, b)
    return (low + high) / 2


CLAIMS = [
    _FIFTY,
    replace(
        _FIFTY,
        id="xu/51",
        statement=r"T_\psi^*(\mathbf x,\mathbf z) = \max_\psi \mathbb E_{p(\mathbf x)}\mathbb"
        r" E_{q_\phi(\mathbf z|\mathbf x)}[\log\sigma(T(\mathbf x,\mathbf z))]"
        r" + \mathbb E_{p(\mathbf x)}\mathbb E_{p(\mathbf z)}[\log(1-\sigma(T(\mathbf x,\mathbf z)))]",
        note="xu/50 again, in the lemma that defines T*: argmax for max; T has lost its ψ too",
    ),
    Claim(
        "xu/54",
        statement=r"\max_D \mathbb E_{\mathbf x\sim p_r}[\log D(\mathbf x)] + \mathbb E_{\mathbf x\sim"
        r" p_g^\theta}[\log(1-D(\mathbf x))] \implies D^*(x) = \frac{p_r(x)}{p_r(x)+p_g^\theta(x)}",
        verdict="holds",
        domain="two laws on 2 to 6 points, or two normals on a grid; D* at every x",
        draw=_two_laws,
        printed=lambda w: w.real / (w.real + w.fake),
        oracles={
            "bisection of the slope": _discriminator_by_slope,
            "ternary search": _discriminator_by_search,
        },
        note="The maximum is taken at each x by itself, wherever p_r + p_g > 0",
        conditions=[
            Condition(
                "D may be any function; outside, it is one number",
                Case(real=np.array([0.75, 0.25]), fake=np.array([0.5, 0.5]), tied=True),
            )
        ],
    ),
    Claim(
        "xu/55a",
        statement=r"\sigma(T^*(\mathbf x,\mathbf z)) = \frac{p(\mathbf x)q_\phi(\mathbf z|\mathbf x)}"
        r"{p(\mathbf x)q_\phi(\mathbf z|\mathbf x)+p(\mathbf x)p(\mathbf z)}",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: w.law * w.q / (w.law * w.q + w.law * w.prior),
        oracles=_SIGMA,
        note="xu/54 with D = σ(T), p_r = p(x)q(z|x) and p_g = p(x)p(z); 0/0 where p(x) = 0",
        conditions=[Condition(FREE, ONE_NUMBER)],
    ),
    Claim(
        "xu/55b",
        statement=r"= \frac{q_\phi(\mathbf z|\mathbf x)}{q_\phi(\mathbf z|\mathbf x)+p(\mathbf z)}",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: w.q / (w.q + w.prior),
        oracles=_SIGMA,
        note="p(x) cancels",
        conditions=_CONDITIONS,
    ),
    Definition("xu/55c", r"= \frac{q}{q+p}", "Shorter names"),
    Claim(
        "xu/56a",
        statement=r"\frac{1}{1+\exp(-T^*)} = \frac{q}{q+p}",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: w.q / (w.q + w.prior),
        oracles=_SIGMA,
        note="The definition of σ",
        conditions=_CONDITIONS,
    ),
    Claim(
        "xu/56b",
        statement=r"q(1+\exp(-T^*)) = q + p",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: w.q + w.prior,
        oracles={
            "bisection of the slope at each (x, z)": lambda w: w.q * (1 + np.exp(-critic_by_bisection(w))),
            "ascent in ψ by complex steps": lambda w: w.q + np.exp(np.log(w.q) - critic_by_ascent(w)),
        },
        note="Multiplied out",
        conditions=[*_CONDITIONS, _COVERED],
    ),
    Claim(
        "xu/56c",
        statement=r"q\exp(-T^*) = p",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: np.broadcast_to(w.prior, w.q.shape),
        oracles={
            "bisection of the slope at each (x, z)": lambda w: w.q * np.exp(-critic_by_bisection(w)),
            "ascent in ψ by complex steps": lambda w: np.exp(np.log(w.q) - critic_by_ascent(w)),
        },
        note="q taken away",
        conditions=[*_CONDITIONS, _COVERED],
    ),
    Claim(
        "xu/56d",
        statement=r"-T^* = \log\frac pq",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: np.log(w.prior / w.q),
        oracles={
            "bisection of the slope at each (x, z)": lambda w: -critic_by_bisection(w),
            "ascent in ψ by complex steps": lambda w: -critic_by_ascent(w),
        },
        note="Where q > 0; as q or p vanishes T* runs off to an infinity",
        conditions=_CONDITIONS,
    ),
    Claim(
        "xu/56e",
        statement=r"T_\psi^* = \log(q_\phi(\mathbf z|\mathbf x)) - \log p(\mathbf z)",
        verdict="holds",
        domain=DUEL + "; at every (x, z)",
        draw=duel,
        printed=lambda w: np.log(w.q) - np.log(w.prior),
        oracles=_ARGMAX,
        note="The sign turned: T* is the log ratio whose mean under q is the KL",
        conditions=_CONDITIONS,
    ),
    replace(
        _FIFTY,
        id="xu/57a",
        note="xu/50 again: argmax for max",
    ),
]
