"""xu/24: the sampler and the updates of the variational autoencoder."""

import math

import numpy as np

from vbref.audit import (
    Aside,
    Case,
    Claim,
    Code,
    Counterexample,
    Definition,
    Form,
    oracles,
    worlds,
)


def _gaussian(rng):
    d = int(rng.integers(1, 3))
    return Case(mu=rng.normal(size=d), cov=worlds.covariance(rng, d))


def _moments_of(w, map_noise):
    """The mean of map_noise(ε), ε ~ N(0, I), above its covariance: exact, for a map that is affine."""
    d = len(w.mu)
    center = map_noise(np.zeros(d))
    columns = np.stack([map_noise(e) - center for e in np.eye(d)], -1)
    return np.vstack([center, columns @ columns.T])


def _moments_by_curvature(w):
    """SciPy's mean above −(∇² log q)⁻¹, the Hessian by differences that are exact for a quadratic."""
    from scipy.stats import multivariate_normal

    q, d = multivariate_normal(w.mu, w.cov), len(w.mu)
    steps = np.eye(d)
    hessian = [
        [q.logpdf(w.mu + a + b) - q.logpdf(w.mu + a) - q.logpdf(w.mu + b) + q.logpdf(w.mu) for a in steps]
        for b in steps
    ]
    return np.vstack([q.mean, -np.linalg.inv(np.array(hessian, float).reshape(d, d))])


def _moments_by_characteristic(w):
    """The mean, above tᵀΣt polarised: minus twice the log modulus of the characteristic function."""
    d = len(w.mu)

    def form(t):
        eigenvalues, basis = np.linalg.eigh(w.cov)
        return -2 * math.log(
            math.prod(math.exp(-0.5 * v * c * c) for v, c in zip(eigenvalues, basis.T @ t, strict=True))
        )

    e = np.eye(d)
    return np.vstack([w.mu, [[(form(a + b) - form(a - b)) / 4 for a in e] for b in e]])


_MOMENTS = {
    "curvature of log q": _moments_by_curvature,
    "characteristic function": _moments_by_characteristic,
}


def _softmax(rng):
    return worlds.logits(rng)


def _unit(direction):
    return direction / np.sqrt(np.sum(direction**2))


def _decoder_score(w):
    """∇ of the ELBO by the decoder's logits, at the first x: q(z) (1 at that x, less p(·|z))."""
    chosen = np.eye(w.likelihood.shape[1])[0]
    return worlds.softmax(w.encoder)[0][:, None] * (chosen - worlds.softmax(w.likelihood))


def _encoder_score(w):
    """∇ of the ELBO by the encoder's logits at x: q (log w − ELBO)."""
    t = w.table().at(0)
    log_w = np.log(t.joint / t.q)
    return t.q * (log_w - t.q @ log_w)


_TWO_STATES = worlds.Logits(
    prior=np.zeros(2), likelihood=np.zeros((2, 2)), encoder=np.array([[math.log(3.0), 0.0], [0.0, 0.0]])
)


_FLAT = worlds.Logits(prior=np.zeros(2), likelihood=np.zeros((2, 2)), encoder=np.zeros((2, 2)))


def _unit_of(slope):
    return slope / np.linalg.norm(slope)


def _direction(slope):
    return slope / math.sqrt(math.fsum(s * s for s in slope.ravel()))


def _decoder_objective(logits):
    """ELBO of the decoder's logits, less its terms that have none: E_q log p(x|z)."""
    q = worlds.softmax(logits.encoder)[0]
    return lambda theta: (q * np.log(worlds.softmax(theta)[:, 0])).sum()


def _gap_objective(logits):
    """All of it, as log p(x) − KL(q ‖ posterior)."""
    return lambda theta: oracles.elbo_by_gap(logits.moved(likelihood=theta).table().at(0))


def _encoder_objective(logits):
    joint = worlds.softmax(logits.prior) * worlds.softmax(logits.likelihood)[:, 0]

    def elbo(row):
        q = worlds.softmax(row)
        return (q * (np.log(joint) - np.log(q))).sum()

    return elbo


def _encoder_gap(logits):
    return lambda row: oracles.elbo_by_gap(logits.moved(encoder=row[None]).table().at(0))


_RISE_DECODER = {
    "complex step": lambda w: _unit_of(oracles.complex_step(_decoder_objective(w), w.likelihood)),
    "central differences": lambda w: _direction(oracles.central_difference(_gap_objective(w), w.likelihood)),
}


_RISE_ENCODER = {
    "complex step": lambda w: _unit_of(oracles.complex_step(_encoder_objective(w), w.encoder[0])),
    "central differences": lambda w: _direction(oracles.central_difference(_encoder_gap(w), w.encoder[0])),
}


CLAIMS = [
    Definition(
        "xu/24a",
        r"z \sim q_\phi(\cdot|x),\quad \epsilon\sim\mathcal N(0, I),\quad z = \text{Encoder}_\phi(x,"
        r" \epsilon)",
        "The sampler is named",
    ),
    Claim(
        "xu/24b",
        statement=r"z = \mu_\phi(x) + \Sigma_\phi(x) \times \epsilon",
        verdict="misprint",
        domain="Gaussians of 1 and 2 dimensions with dense covariance Σ; compared are the means and the"
        " covariances of z and of q",
        draw=_gaussian,
        printed=lambda w: _moments_of(w, lambda noise: w.mu + w.cov @ noise),
        oracles=_MOMENTS,
        note="Σ is a covariance in these notes (xu/30), and noise is scaled by its root",
        corrected=Form(
            r"\mu_\phi(x) + L_\phi(x)\,\epsilon,\quad L_\phi L_\phi^T = \Sigma_\phi",
            lambda w: _moments_of(w, lambda noise: w.mu + np.linalg.cholesky(w.cov) @ noise),
        ),
        counterexample=Counterexample(
            "one dimension, μ = 0, Σ = 4: mean and variance of z",
            Case(mu=np.array([0.0]), cov=np.array([[4.0]])),
        ),
        aside=Aside(
            "z has covariance Σ², right only where Σ² = Σ", lambda w: np.vstack([w.mu, w.cov @ w.cov])
        ),
        code=Code(
            "vbref.dist.multivariate_normal.sample",
            lambda sample, w: _moments_of(w, lambda noise: sample(noise, w.mu, w.cov)),
        ),
    ),
    Claim(
        "xu/24c",
        statement=r"\triangle\theta \propto -\nabla_\theta \text{ELBO}_{(\theta,\phi)}(x, z)",
        verdict="misprint",
        domain="finite tables with softmax parameters; the unit direction in which the ELBO rises"
        " fastest, by θ: the logits of p(x|z), as p(z) has no parameters (xu/38)",
        draw=_softmax,
        printed=lambda w: _unit(-_decoder_score(w)),
        oracles=_RISE_DECODER,
        note="The ELBO is maximised (xu/12), and this step descends it",
        corrected=Form(
            r"\triangle\theta \propto +\nabla_\theta \text{ELBO}", lambda w: _unit(_decoder_score(w))
        ),
        counterexample=Counterexample(
            "two states of z and x, all laws uniform: direction in the logits of p(x|z), a row a z", _FLAT
        ),
        aside=Aside(
            "it is the direction in which the ELBO falls fastest", lambda w: -_RISE_DECODER["complex step"](w)
        ),
    ),
    Claim(
        "xu/24d",
        statement=r"\triangle\phi = -\nabla_\phi \text{ELBO}_{(\theta,\phi)}(x, z)",
        verdict="misprint",
        domain="finite tables with softmax parameters; the unit direction in which the ELBO rises"
        " fastest, by φ",
        draw=_softmax,
        printed=lambda w: _unit(-_encoder_score(w)),
        oracles=_RISE_ENCODER,
        note="The same sign; the step size is missing too, where θ has ∝",
        corrected=Form(r"\triangle\phi \propto +\nabla_\phi \text{ELBO}", lambda w: _unit(_encoder_score(w))),
        counterexample=Counterexample(
            "two states, posterior (½, ½), q = (¾, ¼): direction in the logits of q", _TWO_STATES
        ),
        aside=Aside(
            "it is the direction in which the ELBO falls fastest", lambda w: -_RISE_ENCODER["complex step"](w)
        ),
    ),
]
