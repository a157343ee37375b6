"""xu/22, xu/23 and xu/25 to xu/27: the variational autoencoder's bound and its reconstruction loss."""

import math

import numpy as np

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Code,
    Constant,
    Counterexample,
    Definition,
    Form,
    oracles,
    worlds,
)
from vbref.audit.claims.shared import ELBO, WORLD, kl_to_prior, log_normaliser, mean_d


def _pixels(rng):
    d = int(rng.integers(1, 4))
    return Case(x=rng.normal(size=d), decoded=rng.normal(size=d), s=rng.uniform(0.4, 2.0))


def _other_pixels(w, rng):
    return Case(x=rng.normal(size=len(w.x)), decoded=rng.normal(size=len(w.x)), s=w.s)


def _d(x, decoded, s):
    return np.sum((x - decoded) ** 2) / (2 * s**2)


def _density_by_scipy(w):
    from scipy.stats import norm

    return math.exp(sum(norm.logpdf(a, b, w.s) for a, b in zip(w.x, w.decoded, strict=True)))


def _density_by_normalising(w):
    """e^(−d) over its integral, one coordinate at a time on a grid."""
    grid = w.s * np.linspace(-12.0, 12.0, 481)
    total = np.sum(np.exp(-(grid**2) / (2 * w.s**2))) * (grid[1] - grid[0])
    return math.prod(
        math.exp(-((a - b) ** 2) / (2 * w.s**2)) / total for a, b in zip(w.x, w.decoded, strict=True)
    )


_DENSITY = {"SciPy's normal density": _density_by_scipy, "normalised on a grid": _density_by_normalising}


_LOG_DENSITY = {
    "SciPy's normal density": lambda w: math.log(_density_by_scipy(w)),
    "normalised on a grid": lambda w: math.log(_density_by_normalising(w)),
}


_STANDARD = worlds.gaussian_world(
    x=0.0, prior_scale=1.0, slope=0.0, offset=0.0, noise_scale=1.0, loc=0.0, scale=1.0
)


CLAIMS = [
    Claim(
        "xu/22",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" - \text{KL}[q_\phi(z|x)\|p(z)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w),
        oracles=ELBO,
        note="Split one, as xu/8",
    ),
    Claim(
        "xu/23",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x,z) -"
        r" \log q_\phi(z|x)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.joint) - np.log(w.q))),
        oracles=ELBO,
        note="The equation is right; the text above it calls it split one, and it is split two (xu/10)",
    ),
    Definition("xu/25", r"\hat x = \text{Decoder}_\theta(z)", "The reconstruction is named"),
    Definition(
        "xu/26a",
        r"p_\theta(x|z) \equiv p(x|\text{Decoder}_\theta(z))",
        "z enters the likelihood through the decoder",
    ),
    Claim(
        "xu/26b",
        statement=r"\propto \exp(-d(x, \hat x = \text{Decoder}_\theta(z)))",
        verdict="holds-up-to-constant",
        domain="1 to 3 pixels, d = ‖x − x̂‖²/(2s²), s in (0.4, 2)",
        draw=_pixels,
        printed=lambda w: np.exp(-_d(w.x, w.decoded, w.s)),
        oracles=_DENSITY,
        constant=Constant(
            r"1/Z = (2\pi s^2)^{-D/2}",
            lambda w: (2 * math.pi * w.s**2) ** (-len(w.x) / 2),
            free_of="x and x̂",
            vary=_other_pixels,
            factor=True,
        ),
        note="This is how d is chosen. Z must not depend on x̂, which a squared error on ℝ^D grants and,"
        " say, a"
        " cross-entropy on [0, 1] does not",
    ),
    Claim(
        "xu/26c",
        statement=r"\exp(-d(x, \hat x = \text{Decoder}_\theta(z))) = \exp(-d(x, \hat x))",
        verdict="holds",
        domain="1 to 3 pixels, d = ‖x − x̂‖²/(2s²), s in (0.4, 2)",
        draw=_pixels,
        printed=lambda w: np.exp(-_d(w.x, w.decoded, w.s)),
        oracles={
            "product over pixels": lambda w: math.prod(
                math.exp(-(((a - b) / w.s) ** 2) / 2) for a, b in zip(w.x, w.decoded, strict=True)
            ),
            "density times normaliser": lambda w: (
                _density_by_scipy(w) * (2 * math.pi * w.s**2) ** (len(w.x) / 2)
            ),
        },
        note="A shorter name for one argument",
    ),
    Claim(
        "xu/26d",
        statement=r"\implies \log p_\theta(x|z) = -d(x, \hat x)",
        verdict="misprint",
        domain="1 to 3 pixels, d = ‖x − x̂‖²/(2s²), s in (0.4, 2)",
        draw=_pixels,
        printed=lambda w: -_d(w.x, w.decoded, w.s),
        oracles=_LOG_DENSITY,
        note="∝ became =: the normaliser is lost. It matters as soon as s is learned or models are compared",
        corrected=Form(
            r"-d(x,\hat x) - \log Z,\quad Z = \int e^{-d(x,\hat x)}dx = (2\pi s^2)^{D/2}",
            lambda w: -_d(w.x, w.decoded, w.s) - len(w.x) / 2 * math.log(2 * math.pi * w.s**2),
        ),
        counterexample=Counterexample(
            "one pixel, x = x̂ = 0, s = 1", Case(x=np.array([0.0]), decoded=np.array([0.0]), s=1.0)
        ),
        code=Code("vbref.dist.normal.log_prob", lambda log_prob, w: log_prob(w.x, w.decoded, w.s).sum()),
        aside=Aside(
            "it is log p up to log Z, which is free of z and θ while s is fixed",
            lambda w: math.log(_density_by_normalising(w)) + len(w.x) / 2 * math.log(2 * math.pi * w.s**2),
        ),
    ),
    Claim(
        "xu/27a",
        statement=r"\text{ELBO}_{(\theta,\phi)} = \mathbb E_{z\sim q_\phi(z|x)}[\log p_\theta(x|z)]"
        r" - \text{KL}[q_\phi(z|x)\|p(z)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * np.log(w.likelihood)) - kl_to_prior(w),
        oracles=ELBO,
        note="xu/22",
    ),
    Claim(
        "xu/27b",
        statement=r"= \mathbb E_{z\sim\text{Encoder}_\phi(x)}[-d(x, \text{Decoder}_\theta(z))]"
        r" - \text{KL}[\text{Encoder}_\phi(x)\|p(z)]",
        verdict="misprint",
        domain="linear-Gaussian models, d = (x − x̂)²/(2s²)",
        draw=worlds.gaussian,
        printed=lambda w: -mean_d(w) - kl_to_prior(w),
        oracles=ELBO,
        note="The log Z of xu/26 is lost here too",
        corrected=Form(
            r"\mathbb E_q[-d(x, \text{Decoder}_\theta(z))] - \log Z - \text{KL}[q_\phi(z|x)\|p(z)]",
            lambda w: -mean_d(w) - log_normaliser(w) - kl_to_prior(w),
        ),
        counterexample=Counterexample("q = p(z), x̂ = x = 0, s = 1: the ELBO is log N(0; 0, 1)", _STANDARD),
        aside=Aside(
            "it is the ELBO + log Z: the same argmax while s is fixed, and no bound on log p(x)",
            lambda w: oracles.elbo_by_gap(w) + 0.5 * math.log(2 * math.pi) + math.log(w.noise_scale),
        ),
    ),
]
