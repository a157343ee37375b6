"""lecture/D20 to lecture/D26: the score-function gradient."""

import numpy as np

from vbref.audit import Aside, Claim, Code, Condition, Counterexample, Definition, Form, NotCheckable, oracles
from vbref.audit.claims.shared_slopes import slope
from vbref.audit.worlds_family import EdgeFamily, Family, NormalFamily, family, finite_family

_DOMAIN = "q_φ a softmax on 2 to 4 states, or N(φ_0, e^(2φ_1)) with f a sine; f has no φ"


def _by_complex_step(w):
    return oracles.complex_step(lambda phi: (w.dz * w.f_at(phi) * w.q(phi)).sum(), w.phi)


def _by_closed_form(w):
    """Differences of E f: a weighted average, or E sin(c z) = e^(−c²s²/2) sin(c m)."""
    if isinstance(w, EdgeFamily) or w.coupling:
        return None
    if isinstance(w, NormalFamily):
        return oracles.central_difference(
            lambda phi: np.exp(-((w.frequency * np.exp(phi[1])) ** 2) / 2) * np.sin(w.frequency * phi[0]),
            w.phi,
        )
    return oracles.central_difference(lambda phi: np.average(w.f, weights=np.exp(phi)), w.phi)


_GRADIENT = {"complex step": _by_complex_step, "differences of a closed form": _by_closed_form}


def _differences_over_q(w):
    """∇q/q at each z, ∇q by differences."""

    def at(z):
        return oracles.central_difference(lambda phi: w.q(phi)[z], w.phi) / w.q(w.phi)[z]

    return np.stack([at(z) for z in range(len(w.dz))], 1)


def _score(w):
    """e_z − q for a softmax; ((z − m)/s², (z − m)²/s² − 1) for N(m, s²) by m and log s."""
    if isinstance(w, NormalFamily):
        r = (w.z - w.phi[0]) / np.exp(w.phi[1])
        return np.stack([r / np.exp(w.phi[1]), r * r - 1])
    weights = np.exp(w.phi)
    return np.eye(len(w.phi)) - (weights / weights.sum())[:, None]


def _by_score_function(estimate, w):
    """The mean over z of vbref's estimate from one sample."""
    one_each = estimate(w.f[None], np.ascontiguousarray(_d_log_q(w).T)[None])
    return (w.q(w.phi) * w.dz) @ one_each


def _by_pairs(estimate, w):
    """The mean over every pair (z_1, z_2) of vbref's estimate from two samples."""
    first, second = np.indices((len(w.f), len(w.f))).reshape(2, -1)
    q, score = w.q(w.phi), _d_log_q(w).T
    both = estimate(np.stack([w.f[first], w.f[second]]), np.stack([score[first], score[second]]))
    return (q[first] * q[second]) @ both


# -- the pieces of the formulas: gradients by φ, one row an entry of φ, one column a node --


def _d_q(w):
    return slope(w.q, w.phi)


def _d_log_q(w):
    return slope(lambda phi: np.log(w.q(phi)), w.phi)


def _ratio(w):
    """∇q/q; any number where q is 0, which is then multiplied by it."""
    q = w.q(w.phi)
    return _d_q(w) / np.where(q > 0, q, 1.0)


def _mean_of_pairs(w):
    """The estimator at L = 2, averaged over every pair (z_1, z_2)."""
    q, term = w.q(w.phi), w.f * _d_log_q(w)
    return np.einsum("i,j,dij->d", q, q, (term[:, :, None] + term[:, None, :]) / 2)


_HALVES = Family(phi=np.zeros(2), f=np.array([1.0, 0.0]), dz=np.ones(2))
_COUPLED = Family(phi=np.zeros(2), f=np.array([1.0, 0.0]), dz=np.ones(2), coupling=1.0)
_LOST_STATE = EdgeFamily(phi=np.zeros(1), f=np.array([1.0, 0.0]), dz=np.ones(2))

_NO_PHI = Condition("f has no φ (and ∇ may go inside the integral); outside, f also has φ_0", _COUPLED)
_NO_HOLE = Condition("q_φ(z) > 0 wherever ∇q_φ(z) ≠ 0; outside, q = (φ, 1 − φ) at φ = 0", _LOST_STATE)


CLAIMS = [
    Definition(
        "lecture/D20",
        r"\mathbb{E}_{q_{\phi}}[f(z)] = \int f(z) q_{\phi}(z) dz",
        "The expectation is written out",
    ),
    NotCheckable(
        "lecture/D21",
        r"\neq \nabla_{\phi} (//)",
        "A fragment: a ditto mark under an operator, and no left side",
    ),
    Claim(
        "lecture/D22a",
        statement=r"\nabla_\phi \mathbb E_{q_\phi}[f(z)] = \int \nabla f(z) q_\phi(z)dz",
        verdict="misprint",
        domain=_DOMAIN,
        draw=family,
        printed=lambda w: w.integral(slope(w.f_at, w.phi) * w.q(w.phi)),
        oracles=_GRADIENT,
        note="∇ binds to f alone, as ∇ does everywhere else in these notes, and f has no φ. With ∇ over the"
        " product f q_φ it is true, and the next step is its reading",
        corrected=Form(
            r"\int \nabla_\phi[f(z) q_\phi(z)]dz",
            lambda w: w.integral(slope(lambda phi: w.f_at(phi) * w.q(phi), w.phi)),
        ),
        counterexample=Counterexample("two states, φ = (0, 0), f = (1, 0)", _HALVES),
        aside=Aside(
            "0, whatever f: the other half of the product rule, which is missing once f has φ",
            lambda w: np.zeros(len(w.phi)),
        ),
    ),
    Claim(
        "lecture/D22b",
        statement=r"\nabla_\phi \mathbb E_{q_\phi}[f(z)] = \int f(z) \nabla q_\phi(z)dz",
        verdict="holds",
        domain=_DOMAIN,
        draw=family,
        printed=lambda w: w.integral(w.f_at(w.phi) * _d_q(w)),
        oracles=_GRADIENT,
        note="∇ goes inside the integral",
        conditions=[_NO_PHI],
    ),
    Claim(
        "lecture/D23",
        statement=r"= \int f(z) \frac{\nabla q_\phi}{q_\phi} q_\phi dz",
        verdict="holds",
        domain=_DOMAIN,
        draw=family,
        printed=lambda w: w.integral(w.f * _ratio(w) * w.q(w.phi)),
        oracles=_GRADIENT,
        note="Multiplied and divided by q_φ",
        conditions=[_NO_HOLE],
    ),
    Claim(
        "lecture/D24",
        statement=r"\frac{\nabla_\phi q_\phi}{q_\phi} = \nabla_\phi\log q_\phi",
        verdict="holds",
        domain=_DOMAIN + "; at every z, in ±2 where q is normal",
        draw=lambda rng: family(rng, reach=2.0),
        printed=_d_log_q,
        oracles={
            "central differences of q": _differences_over_q,
            "the score in closed form": _score,
        },
        note="The chain rule, where q_φ > 0",
    ),
    Claim(
        "lecture/D25",
        statement=r"\int f(z)\nabla\log q_\phi\, q_\phi dz = \mathbb E[f(z)\nabla\log q_\phi]",
        verdict="holds",
        domain=_DOMAIN,
        draw=family,
        printed=lambda w: w.integral(w.q(w.phi) * (w.f * _d_log_q(w))),
        oracles=_GRADIENT,
        code=Code("vbref.gradients.score_function", _by_score_function),
        note="The score-function gradient; the oracles differentiate E f",
    ),
    Claim(
        "lecture/D26",
        statement=r"\approx \frac1L\sum f(z_i)\nabla\log q_\phi(z)",
        verdict="notation",
        domain="q_φ a softmax on 2 to 4 states, L = 2: the average's mean over all pairs of samples",
        draw=finite_family,
        oracles=_GRADIENT,
        why="z is bound by nothing, and the sum has no index",
        reading=Form(
            r"\frac1L\sum_{i=1}^L f(z_i)\nabla_\phi\log q_\phi(z_i),\quad z_i\sim q_\phi,\ \text{is"
            r" unbiased}",
            _mean_of_pairs,
        ),
        code=Code("vbref.gradients.score_function", _by_pairs),
        note="Linear in its samples, so that L does not matter to the mean. The notes call its variance"
        " large",
        aside=Aside(
            "it is the covariance of f and the score: a baseline taken from f changes the variance alone",
            lambda w: np.cov(np.vstack([w.f, _score(w)]), aweights=w.q(w.phi), bias=True)[0, 1:],
        ),
    ),
]
