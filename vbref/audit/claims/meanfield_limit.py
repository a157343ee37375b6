"""meanfield/D24 and meanfield/D25: the bound without encoder noise, the loss of a regularised autoencoder."""

import math

import numpy as np

from vbref.audit import Case, Claim, Constant, Limit
from vbref.audit.claims.shared_decoder import (
    DECODER,
    diagonal,
    elbo_by_algebra,
    elbo_by_quadrature,
    log_normaliser,
    other_with_same_noise,
    square_norm,
)

# -- σ_φ → 0: every σ_φ is s --


_WITHOUT_LOGS = {
    "characteristic function, eigenbasis": lambda w, s: (
        -elbo_by_algebra(w.shrunk(s)) + len(w.mean) * math.log(s)
    ),
    "quadrature": lambda w, s: -elbo_by_quadrature(w.shrunk(s)) + len(w.mean) * math.log(s),
}


def _reconstruction(w):
    return square_norm(w.x - w.f(w.mean))


def _autoencoder_loss(w):
    return _reconstruction(w) + w.noise_scale**2 * w.mean @ w.mean


def _two(rng):
    w = diagonal(rng)
    return Case(one=w, other=other_with_same_noise(w, rng))


_LIMIT = Limit(steps=(0.1, 0.03, 0.01, 0.003), rate=2.0)


CLAIMS = [
    Claim(
        "meanfield/D24a",
        statement=r"-ELBO(x_i,\phi,\theta) = \frac{1}{2\sigma^2}\|x_i-f_\theta(\mu_\phi(x_i))\|_2^2"
        r" + \frac12\|\mu_\phi(x_i)\|_2^2 + \text{const.}\quad(\sigma_\phi\to0)",
        verdict="holds-up-to-constant",
        relation="->",
        limit=_LIMIT,
        domain=DECODER + ", every σ_φ = s; followed is −ELBO + Σ log σ_φ as s → 0",
        draw=diagonal,
        printed=lambda w: _reconstruction(w) / (2 * w.noise_scale**2) + w.mean @ w.mean / 2,
        oracles=_WITHOUT_LOGS,
        constant=Constant(
            r"-\frac K2 + \frac D2\log(2\pi\sigma^2)\ \text{besides}\ -\sum\log\sigma_\phi",
            lambda w: log_normaliser(w) - len(w.mean) / 2,
            free_of="x, θ and μ_φ",
            vary=other_with_same_noise,
        ),
        note="The error falls as σ_φ². The const. hides −Σ log σ_φ, free of θ and μ_φ",
    ),
    Claim(
        "meanfield/D24b",
        statement=r"\text{const.} = -\sum\log\sigma_\phi + \dots \to \infty",
        verdict="holds",
        relation="->",
        limit=Limit(steps=(1e-4, 1e-5, 1e-6, 1e-7), rate=0.0),
        domain=DECODER + ", every σ_φ = s → 0",
        draw=diagonal,
        printed=lambda w: np.inf,
        oracles={
            "characteristic function, eigenbasis": lambda w, s: -elbo_by_algebra(w.shrunk(s)),
            "quadrature": lambda w, s: -elbo_by_quadrature(w.shrunk(s)),
        },
        note="What the display does not say: the bound itself is lost, −ELBO → ∞ as −K log σ_φ. The limit"
        " is of gradients by θ and μ_φ, not of the objective",
    ),
    Claim(
        "meanfield/D25",
        statement=r"\propto \|x_i-f_\theta(\mu_\phi(x_i))\|_2^2 + \sigma^2\|\mu_\phi(x_i)\|_2^2",
        verdict="holds-up-to-constant",
        relation="->",
        limit=_LIMIT,
        domain=DECODER + "; followed is the difference of −ELBO between two (x, θ, μ_φ) at one σ and σ_φ → 0",
        draw=_two,
        printed=lambda w: _autoencoder_loss(w.one) - _autoencoder_loss(w.other),
        oracles={
            "characteristic function, eigenbasis": lambda w, s: (
                elbo_by_algebra(w.other.shrunk(s)) - elbo_by_algebra(w.one.shrunk(s))
            ),
            "quadrature": lambda w, s: (
                elbo_by_quadrature(w.other.shrunk(s)) - elbo_by_quadrature(w.one.shrunk(s))
            ),
        },
        constant=Constant(
            r"\frac{1}{2\sigma^2}",
            lambda w: 1 / (2 * w.one.noise_scale**2),
            free_of="x, θ and μ_φ",
            vary=lambda w, rng: Case(one=other_with_same_noise(w.one, rng), other=w.other),
            factor=True,
        ),
        note="Multiplied by 2σ², and the const. of meanfield/D24 dropped, so that ∝ is meant for"
        " differences: the loss of a regularised autoencoder",
    ),
]
