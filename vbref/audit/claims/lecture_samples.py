"""lecture/D27 to lecture/D30, IB, IC and I5: the bound by samples, and how to draw them."""

import math

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Counterexample, Definition, Form, oracles, worlds
from vbref.audit.claims.shared import ELBO, TWO_POINT, WORLD


def _bound_less_one_and_more(w):
    """ELBO − 1 − E_q[q − 1 − log q]."""
    more = math.fsum(w.dz * w.q * (w.q - 1 - np.log(w.q)))
    return oracles.elbo_by_gap(w) - 1 - more


def _dense_x(rng):
    """x continuous, its density at least 1.5 q(z|x)/p(z): log(p(x, z) − q) has a value at every z."""
    w = worlds.finite(rng)
    likelihood = w.q / w.prior * rng.uniform(1.5, 4.0, size=len(w.q))
    return worlds.World(w.prior, likelihood, w.q, w.dz)


_FLAT = worlds.World(prior=np.full(2, 0.5), likelihood=np.full(2, 3.0), q=np.full(2, 0.5), dz=np.ones(2))


def _mean_of_pairs(w, term):
    """The mean, over every pair of samples, of the average of two terms: ≈ is read as unbiased."""
    return np.sum(np.outer(w.q, w.q) * (term[:, None] + term) / 2)


# -- lecture/I5: q(z|x) = N(μ, A Aᵀ) and a point z --


def _affine(rng):
    d = int(rng.integers(1, 4))
    return Case(mu=rng.normal(size=d), a=rng.normal(size=(d, d)) + 2 * np.eye(d), z=rng.normal(size=d))


def _log_density_by_scipy(w):
    from scipy.stats import multivariate_normal

    return float(multivariate_normal(w.mu, w.a @ w.a.T).logpdf(w.z))


def _log_density_by_coordinates(w):
    """A sum of one-dimensional log densities along the axes of the ellipsoid."""
    axes, scales, _ = np.linalg.svd(w.a)
    return math.fsum(
        -0.5 * (c / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
        for c, s in zip(axes.T @ (w.z - w.mu), scales, strict=True)
    )


def _log_density_of_map(w):
    """log p(ε) − log |det A| at ε = A⁻¹(z − μ)."""
    noise = np.linalg.solve(w.a, w.z - w.mu)
    log_p = -0.5 * noise @ noise - len(noise) / 2 * np.log(2 * np.pi)
    return log_p - np.log(abs(np.linalg.det(w.a)))


CLAIMS = [
    Definition(
        "lecture/D27a",
        r"\mathcal{L} = \int \log \frac{P(x, z)}{q(z|x)} q(z|x) dz",
        "The bound is named",
    ),
    Claim(
        "lecture/D27b",
        statement=r"= \mathbb E[\log P(x,z) - q(z|x)]",
        verdict="misprint",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.joint) - w.q)),
        oracles=ELBO,
        note="The logarithm of q is lost",
        corrected=Form(
            r"\mathbb E[\log P(x,z) - \log q(z|x)]",
            lambda w: w.integral(w.q * (np.log(w.joint) - np.log(w.q))),
        ),
        counterexample=Counterexample("two states, P(x, z) = (¼, ¼), q = (0.8, 0.2)", TWO_POINT),
        aside=Aside(
            "the bound with −E[q] for the entropy −E[log q]: looser by 1 + E[q − 1 − log q], which is 1 at"
            " least, as log q ≤ q − 1",
            _bound_less_one_and_more,
        ),
        code=Code("vbref.bounds.elbo", lambda elbo, w: w.integral(w.q * elbo(np.log(w.joint / w.q)[None]))),
    ),
    Claim(
        "lecture/D28",
        statement=r"\approx \frac1L\sum_l \log(P(x,z^l) - q(z^l|x)),\quad z^l\sim q(z|x)",
        verdict="misprint",
        domain="finite z and continuous x, where P(x, z) ≥ 1.5 q(z|x); L = 2, the average's mean over all"
        " pairs of samples",
        draw=_dense_x,
        printed=lambda w: _mean_of_pairs(w, np.log(w.joint - w.q)),
        oracles=ELBO,
        note="The logarithm of a difference stands for the difference of logarithms. Where P(x, z) < q(z|x),"
        " as at some z of every finite table unless P(x) = 1, it has no value",
        corrected=Form(
            r"\frac1L\sum_l [\log P(x,z^l) - \log q(z^l|x)]",
            lambda w: _mean_of_pairs(w, np.log(w.joint) - np.log(w.q)),
        ),
        counterexample=Counterexample("two states, P(x, z) = (1.5, 1.5), q = (½, ½): log 1 for log 3", _FLAT),
        aside=Aside(
            "with weights w = P/q, E_q[log(w − 1)] less the entropy of q",
            lambda w: (
                math.fsum(w.q * np.log(w.prior * w.likelihood / w.q - 1)) + math.fsum(w.q * np.log(w.q))
            ),
        ),
    ),
    Definition("lecture/D29", r"z^l = g(\varepsilon^l, x)", "The sampler is a deterministic map of noise"),
    Definition(
        "lecture/D30",
        r"g(\varepsilon) = \begin{bmatrix} 0 & 0 \\ 0 & 1 \end{bmatrix} \begin{bmatrix} \varepsilon_1"
        r" \\ \varepsilon_2 \end{bmatrix}",
        "An example of g. A singular one: z lies on the line z_1 = 0, and q has no density for a bound to"
        " use",
    ),
    Definition(
        "lecture/IB",
        r"Z=\mu+\sigma\varepsilon;\ P(Z)=?",
        "A map and a question. Its answer, for ε ~ N(0, 1): N(μ, σ²)",
        code=Code("vbref.dist.normal.sample"),
    ),
    Definition(
        "lecture/IC",
        r"Z=\mu+A\varepsilon;\ P(Z)=?",
        "A map and a question. Its answer, for ε ~ N(0, I): N(μ, AAᵀ)",
        code=Code("vbref.dist.multivariate_normal.sample"),
    ),
    Claim(
        "lecture/I5",
        statement=r"\log P(x|z) = \mu(x;\phi) + A(x;\phi)z",
        verdict="notation",
        domain="1 to 3 dimensions, A invertible; the log density of q(z|x) at a random z",
        draw=_affine,
        oracles={"SciPy": _log_density_by_scipy, "principal axes": _log_density_by_coordinates},
        why="A log density is a number and the right side a vector: it is the encoder's sampler, under"
        " another name",
        reading=Form(
            r"z = \mu(x;\phi) + A(x;\phi)\varepsilon \sim q_\phi(z|x) = \mathcal N(\mu, AA^T)",
            _log_density_of_map,
        ),
        note="lecture/IC, with the outputs of a network for μ and A",
        code=Code(
            "vbref.dist.multivariate_normal.log_prob",
            lambda log_prob, w: float(log_prob(w.z, mean=w.mu, cov=w.a @ w.a.T)),
        ),
    ),
]
