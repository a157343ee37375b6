"""xu/44 to xu/48: the stick-breaking variational autoencoder."""

from dataclasses import replace

import numpy as np

from vbref.audit import Case, Claim, Code, Condition, Definition, Estimate, worlds
from vbref.audit.claims import xu_update
from vbref.audit.claims.shared import ELBO, WORLD
from vbref.audit.worlds_sticks import Sticks, sticks

# -- the ELBO in π, in v, and in the noise behind v --


def _elbo_over_pi(w):
    """∫ q(π) [log p(x, π) − log q(π)] dπ at log-odds s of the breaks v, where dπ = ∏_{k≤K} π_k ds.

    A density of π is that of v over ∏_{k<K} |∂π_k/∂v_k| = ∏_{k<K} ∏_{l<k} (1 − v_l).
    """
    s = np.stack(np.meshgrid(*[np.linspace(-50.0, 50.0, 251)] * len(w.a), indexing="ij"), -1)
    log_v, log_rest = -np.logaddexp(0.0, -s), -np.logaddexp(0.0, s)
    log_left = np.cumsum(log_rest, -1)
    log_pi = np.concatenate([log_v, log_left[..., -1:]], -1)
    log_pi[..., 1:-1] += log_left[..., :-1]
    log_jacobian = log_left[..., :-1].sum(-1)
    log_p = w.log_prior(log_v, log_rest) - log_jacobian + np.log(np.exp(log_pi) @ w.lik)
    log_q = w.log_q(log_v) - log_jacobian
    mass = np.exp(log_q + log_pi.sum(-1)) * 0.4 ** len(w.a)
    return float((mass * (log_p - (w.log_q(log_v) if w.v_as_pi else log_q))).sum())


def _elbo_over_v(w):
    """∫ q(v) [log p(x, v) − log q(v)] dv over v = 1/(1 + e^(−s)), one break an axis."""
    axis = np.linspace(-50.0, 50.0, 251)
    s = np.stack(np.meshgrid(*[axis] * len(w.a), indexing="ij"), -1)
    v, rest = 1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))
    evidence, left = np.zeros(v.shape[:-1]), np.ones(v.shape[:-1])
    for k in range(len(w.a)):
        evidence, left = evidence + w.lik[k] * left * v[..., k], left * rest[..., k]
    log_v, log_rest = -np.log1p(np.exp(-s)), -np.log1p(np.exp(s))
    log_w = np.log(evidence + w.lik[-1] * left) + w.log_prior(log_v, log_rest) - w.log_q(log_v)
    return float((log_w * np.exp(w.log_q(log_v)) * np.prod(v * rest * 0.4, axis=-1)).sum())


def _elbo_over_noise(w):
    """E log p(x|π) over the uniform noise of xu/48, less the closed-form KL of Kumaraswamy and Beta."""
    from vbref.kl import kumaraswamy_beta

    t = np.linspace(-42.0, 42.0, 421)
    weight, log_u = 0.2 / (2 + 2 * np.cosh(t)), -np.logaddexp(0.0, -t)
    fit, mass, left = np.zeros(1), np.ones(1), np.ones(1)
    for a, b, lik in zip(w.a, w.b, w.lik, strict=False):
        v = (-np.expm1(log_u / b)) ** (1 / a)
        fit, mass = np.add.outer(fit, np.zeros(t.size)) + lik * np.multiply.outer(left, v), mass[..., None]
        mass, left = mass * weight, np.multiply.outer(left, 1 - v)
    kl = kumaraswamy_beta(w.a, w.b, np.ones(len(w.a)), np.full(len(w.a), w.alpha))
    return float((mass * np.log(fit + w.lik[-1] * left)).sum() - kl.sum())


_LOST_JACOBIAN = Sticks(1.0, np.array([2.0, 2.0]), np.array([1.0, 1.0]), np.full(3, 0.5), v_as_pi=True)


# -- the law of a sample, xu/48: P(v ≤ t) at three t --


def _kumaraswamy(rng):
    """The two parameters, and 20,000 pairs of gamma variates of shapes 1 and b."""
    a, b = rng.uniform(0.4, 4.0, size=2)
    gammas = rng.gamma([[1.0], [b]], size=(2, 20_000))
    return Case(a=a, b=b, t=np.array([0.2, 0.5, 0.8]), gammas=gammas)


def _below(w, sample):
    """The length of {u in (0, 1): sample(u) ≤ t}, for a sample that falls as u grows."""
    from scipy.optimize import brentq

    def excess(u, t):
        return sample(u) - t

    return np.array([1 - brentq(excess, 0.0, 1.0, args=(t,), xtol=1e-16) for t in w.t])


def _below_by_quadrature(w):
    """∫₀ᵗ a b v^(a−1) (1 − v^a)^(b−1) dv, the power at 0 by a rule of its own."""
    from scipy.integrate import quad

    def rest(v):
        return w.a * w.b * (1 - v**w.a) ** (w.b - 1)

    def below(t):
        return quad(rest, 0.0, t, weight="alg", wvar=(w.a - 1, 0), epsabs=1e-14, epsrel=1e-13, limit=200)[0]

    return np.array([below(t) for t in w.t])


def _below_by_beta(w):
    from scipy.stats import beta

    return beta.cdf(w.t**w.a, 1.0, w.b)


def _below_by_sampling(w):
    """Another sampler: v = y^(1/a) with y ~ Beta(1, b), the first gamma variate's share of the two."""
    one, other = w.gammas
    v = (one / (one + other)) ** (1 / w.a)
    return Estimate.of(v[:, None] <= w.t)


_GAUSSIAN_NOISE = next(c for c in xu_update.CLAIMS if isinstance(c, Claim) and c.id == "xu/24b")


CLAIMS = [
    Claim(
        "xu/44a",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{\mathbf z\sim q_\phi(\mathbf z|\mathbf x)}"
        r"[\log p_\theta(\mathbf x,\mathbf z) - \log q_\phi(\mathbf z|\mathbf x)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.joint) - np.log(w.q))),
        oracles=ELBO,
        note="Split two, as xu/10",
        code=Code("vbref.bounds.elbo"),
    ),
    Claim(
        "xu/44b",
        statement=r"= \mathbb E_{\boldsymbol\pi\sim q_\phi(\boldsymbol\pi|\mathbf x)}"
        r"[\log p_\theta(\mathbf x,\boldsymbol\pi) - \log q_\phi(\boldsymbol\pi|\mathbf x)]",
        verdict="holds",
        domain="sticks of 2 or 3 pieces, p(v) = Beta(1, α), q(v) = Kumaraswamy(a, b), p(x|π) = Σ π_k p_k",
        draw=sticks,
        printed=_elbo_over_pi,
        oracles={"quadrature over v": _elbo_over_v, "noise, and the KL's closed form": _elbo_over_noise},
        note="π is the latent variable; v serves as well, as both densities change by one Jacobian. An"
        " endless π has no density: the stick is cut at K with v_K = 1",
        conditions=[
            Condition(
                "p and q are densities of the same variable; outside, q(v) stands in for q(π)", _LOST_JACOBIAN
            )
        ],
        instances=5,
    ),
    Definition(
        "xu/45",
        r"v_k\sim\text{Beta}(1,\alpha),\ \pi_k = v_k\prod_{l=1}^{k-1}(1-v_l),\ \theta_k\sim H,"
        r"\ G_0 = \sum_{k=1}^\infty \pi_k\delta_{\theta_k}",
        "The Dirichlet process by its sticks; θ_k is an atom here and not the decoder's θ",
    ),
    Definition(
        "xu/46a",
        r"\epsilon\sim\mathcal N(0,\mathbf I),\quad \mathbf z = \text{Encoder}_\phi(\mathbf x,\epsilon)",
        "The sampler of xu/24 again",
    ),
    replace(
        _GAUSSIAN_NOISE,
        id="xu/46b",
        note="xu/24 again: Σ is a covariance, and noise is scaled by its root",
    ),
    Definition(
        "xu/47",
        r"q(v) \equiv \text{Kumaraswamy}(v;a,b) = abv^{a-1}(1-v^a)^{b-1}",
        "The family is defined by its density on (0, 1); xu/48 draws from it",
        code=Code("vbref.dist.kumaraswamy.log_prob"),
    ),
    Claim(
        "xu/48",
        statement=r"v = (1-u^{\frac1b})^{\frac1a},\quad u\sim\text{Uniform}(0,1)",
        verdict="holds",
        domain="a and b in (0.4, 4); compared is P(v ≤ t) at t = 0.2, 0.5, 0.8 with that of xu/47",
        draw=_kumaraswamy,
        printed=lambda w: _below(w, lambda u: (1 - u ** (1 / w.b)) ** (1 / w.a)),
        oracles={
            "integral of the density": _below_by_quadrature,
            "SciPy: v^a has the law Beta(1, b)": _below_by_beta,
            "20,000 roots of beta draws": _below_by_sampling,
        },
        note="The quantile at 1 − u; the inverse CDF at u has 1 − u for u, and the law is one",
        code=Code(
            "vbref.dist.kumaraswamy.sample",
            lambda sample, w: _below(w, lambda u: float(sample(np.float64(u), w.a, w.b))),
        ),
    ),
]
