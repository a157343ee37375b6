"""evae/L1 and evae/D27 to evae/D30: a generator's entropy by its information, at fixed noise."""

import math
from dataclasses import replace

import numpy as np

from vbref.audit import (
    Case,
    Claim,
    Code,
    Condition,
    Constant,
    Definition,
    Limit,
    oracles,
    worlds,
)
from vbref.audit import worlds_energy as energy

# -- L1: noisy linear generators --


def _other_generator(w, rng):
    """Another G of the same shape, with the same noise."""
    return energy.linear_generator(rng.normal(size=w.G.shape), w.delta, E=w.E, sigma=w.sigma, P=w.P)


_ONE = energy.linear_generator([[1.0]], 2.0, E=[[1.0]], sigma=[1.0], P=[[1.0]])

# -- D28 and D29: n dimensions, noise δ --


def _noise(rng):
    return Case(n=int(rng.integers(1, 5)), delta=rng.uniform(0.1, 2.0))


def _entropy_by_hermite(n, delta):
    """−E log N(t δ; 0, δ²), t ~ N(0, 1), in each dimension."""
    return n * oracles.normal_mean(
        lambda t: -np.log(worlds.normal_density(t * delta, 0.0, delta)), 0.0, 1.0, nodes=4
    )


def _entropy_by_scipy(n, delta):
    from scipy.stats import norm

    return n * float(norm.entropy(0.0, delta))


# -- D30: w takes finitely many values, z = G(w) + δε on the line: q(z) is a mixture --


def _mixture(rng):
    count = int(rng.integers(2, 5))
    return _mixture_of(worlds.dirichlet(rng, count), rng.normal(size=count), rng.uniform(0.3, 1.0))


def _mixture_of(code, centers, delta, scales=None):
    """scales: of the noise at each w, all δ unless told otherwise."""
    return Case(
        code=code,
        centers=centers,
        delta=delta,
        scales=np.full(len(code), delta) if scales is None else scales,
    )


def _other_mixture(w, rng):
    count = int(rng.integers(2, 5))
    return _mixture_of(worlds.dirichlet(rng, count), rng.normal(size=count), w.delta)


def _mixture_entropy(w):
    """H[q(z)] by the trapezoid rule."""
    z = np.linspace(w.centers.min() - 9 * w.scales.max(), w.centers.max() + 9 * w.scales.max(), 1201)
    q = w.code @ worlds.normal_density(z, w.centers[:, None], w.scales[:, None])
    return -np.sum(q * np.log(q)) * (z[1] - z[0])


def _information_by_components(w):
    """Σ_w q(w) KL(q(z|w) ‖ q(z)), by an even rule in t = (z − G(w))/δ."""
    t = np.linspace(-9.0, 9.0, 601)
    phi = np.exp(-t * t / 2) / math.sqrt(2 * math.pi) * (t[1] - t[0])
    total = 0.0
    for mass, center, scale in zip(w.code, w.centers, w.scales, strict=True):
        z = center + scale * t
        components = [
            c / (math.sqrt(2 * math.pi) * s) * np.exp(-(((z - m) / s) ** 2) / 2)
            for c, m, s in zip(w.code, w.centers, w.scales, strict=True)
        ]
        own = -t * t / 2 - math.log(math.sqrt(2 * math.pi) * scale)
        total += mass * (phi @ (own - np.log(sum(components))))
    return total


def _information_by_posterior(w):
    """H[w] − E_{q(z)} H[w|z], by Gauss-Legendre panels."""
    points, weights = np.polynomial.legendre.leggauss(40)
    edges = np.linspace(w.centers.min() - 9 * w.scales.max(), w.centers.max() + 9 * w.scales.max(), 25)
    half = np.diff(edges)[:, None] / 2
    z, dz = (edges[:-1, None] + half * (1 + points)).ravel(), (half * weights).ravel()
    joint = np.stack(
        [
            c * np.exp(-0.5 * ((z - m) / s) ** 2) / s
            for c, m, s in zip(w.code, w.centers, w.scales, strict=True)
        ]
    ) / math.sqrt(2 * math.pi)
    posterior = joint / joint.sum(0)
    conditional = -np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), 0)
    return -math.fsum(c * math.log(c) for c in w.code) - dz @ (joint.sum(0) * conditional)


# -- D30b: I(z, w) − H(z) as the noise of a linear generator goes --


def _excess_by_determinants(w, delta):
    information = np.linalg.slogdet(np.eye(w.d) + w.G.T @ w.G / delta**2)[1] / 2
    return information - np.linalg.slogdet(2 * np.pi * np.e * (w.G @ w.G.T + delta**2 * np.eye(w.n)))[1] / 2


def _excess_by_singular_values(w, delta):
    s = np.append(np.linalg.svd(w.G, compute_uv=False), np.zeros(max(0, w.n - w.d)))[: w.n]
    gains = [math.log1p((v / delta) ** 2) / 2 for v in s]
    return math.fsum(gains) - math.fsum(math.log(math.tau * math.e * (v * v + delta * delta)) / 2 for v in s)


CLAIMS = [
    Claim(
        "evae/L1",
        statement=r"I(z, w) = H[q_\psi(z)] + \text{Const.}",
        verdict="holds-up-to-constant",
        domain="linear generators z = Gw + δε of 1 or 2 codes in 1 or 2 dimensions, δ in (0.3, 1.5)",
        draw=energy.generators,
        printed=lambda w: 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * w.cov_z)),
        oracles={
            "Gauss-Hermite of the joint law against the product": lambda w: oracles.gaussian_kl_by_quadrature(
                w.against_product
            ),
            "joint eigenbasis": lambda w: oracles.gaussian_kl_by_eigenvalues(w.against_product),
        },
        constant=Constant(
            r"-H[q_\psi(z|w)] = -\tfrac n2 \ln(2\pi e\delta^2)",
            lambda w: -w.n / 2 * np.log(2 * np.pi * np.e * w.delta**2),
            free_of="the generator G",
            vary=_other_generator,
        ),
        note="I = H[z] − H[z|w], and the noise alone has the entropy H[z|w]. evae/D27 lets δ go to 0, and the"
        " constant to +∞: see evae/D30b",
        conditions=[
            Condition("δ is fixed; outside, Const is that of δ = 1 and δ is 2", replace(_ONE, delta=1.0))
        ],
    ),
    Definition(
        "evae/D27",
        r"q_\psi(z|w) \approx \lim_{\delta\to 0} \mathcal N(G(w), \delta^2)",
        "The generator with its noise going to 0. The limit, a point mass, has no density",
    ),
    Claim(
        "evae/D28",
        statement=r"H[\mathcal N(G(w), \delta^2)] = n \log \delta",
        verdict="holds-up-to-constant",
        domain="1 to 4 dimensions, δ in (0.1, 2)",
        draw=_noise,
        printed=lambda w: w.n * np.log(w.delta),
        oracles={
            "Gauss-Hermite": lambda w: _entropy_by_hermite(w.n, w.delta),
            "SciPy": lambda w: _entropy_by_scipy(w.n, w.delta),
        },
        note="(n/2) ln 2πe is left out, the same at every δ and G; the proof of evae/L1 does not need it."
        " Unlike the normaliser lost in xu/26, nothing that is learned can move it",
        constant=Constant(
            r"\tfrac n2 \log(2\pi e)",
            lambda w: w.n / 2 * np.log(2 * np.pi * np.e),
            free_of="δ and G",
            vary=lambda w, rng: Case(n=w.n, delta=rng.uniform(0.1, 2.0)),
        ),
        code=Code("vbref.dist.normal.entropy", lambda entropy, w: w.n * entropy(0.0, w.delta)),
    ),
    Claim(
        "evae/D29a",
        statement=r"H[q_\psi(z|w)] = H[\lim_{\delta\to 0} \mathcal N(G(w), \delta^2)] = -\infty",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(1e-1, 1e-2, 1e-3, 1e-4), rate=0.0),
        domain="1 to 4 dimensions",
        draw=_noise,
        printed=lambda w: -np.inf,
        oracles={
            "Gauss-Hermite": lambda w, delta: _entropy_by_hermite(w.n, delta),
            "SciPy": lambda w, delta: _entropy_by_scipy(w.n, delta),
        },
        note="As the limit of the entropies; the entropy of the limit, which has no density, is −∞ by"
        " convention",
    ),
    Claim(
        "evae/D29b",
        statement=r"H[\mathcal N(G(w), \delta^2)] \simeq n \lim_{\delta\to 0} \log\delta:"
        r"\ \frac{H}{n\log\delta} \to 1",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(8, 16, 32, 64), rate=-1.0),
        domain="1 to 4 dimensions, δ = e^(−k), k up to 64",
        draw=_noise,
        printed=lambda w: 1.0,
        oracles={
            "Gauss-Hermite": lambda w, k: _entropy_by_hermite(w.n, math.exp(-k)) / (-w.n * k),
            "SciPy": lambda w, k: _entropy_by_scipy(w.n, math.exp(-k)) / (w.n * math.log(math.exp(-k))),
        },
        note="The rate: n log δ leads, and (n/2) ln 2πe of evae/D28 is lost against it as 1/log δ",
    ),
    Claim(
        "evae/D30a",
        statement=r"I(z, w) = H(z) + \text{Const.}",
        verdict="holds-up-to-constant",
        domain="2 to 4 codes w, z = G(w) + δε on the line, any G, δ in (0.3, 1): q(z) a Gaussian mixture",
        draw=_mixture,
        printed=_mixture_entropy,
        oracles={
            "E KL(q(z|w) ‖ q(z))": _information_by_components,
            "H[w] − E H[w|z] by Gauss-Legendre": _information_by_posterior,
        },
        constant=Constant(
            r"-\tfrac 12 \ln(2\pi e\delta^2)",
            lambda w: -0.5 * np.log(2 * np.pi * np.e * w.delta**2),
            free_of="the law of w and G",
            vary=_other_mixture,
        ),
        note="Nothing need be linear; what matters is that the noise is one and the same at every w",
        conditions=[
            Condition(
                "δ is the same at every w; outside, 1 at one of two and 2 at the other",
                _mixture_of(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 1.0, np.array([1.0, 2.0])),
            )
        ],
    ),
    Claim(
        "evae/D30b",
        statement=r"\text{Const.} = I(z, w) - H(z) \to +\infty\ \text{as}\ \delta \to 0",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(1.0, 0.1, 0.01), rate=0.0),
        domain="linear generators of 1 or 2 codes in 1 or 2 dimensions",
        draw=energy.generators,
        printed=lambda w: np.inf,
        oracles={"determinants": _excess_by_determinants, "singular values": _excess_by_singular_values},
        note="What Const. is in the limit of evae/D27: not finite. It grows as −n log δ. With d codes in n"
        " dimensions and G of rank d, I grows as −d log δ and H falls as (n − d) log δ; with"
        " finitely many codes I stops at H[w] and H falls as n log δ. A noise-free generator has no bound"
        " on its entropy from here",
    ),
]
