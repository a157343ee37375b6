"""evae/D23: what θ maximises, the gradient of the evidence less a penalty on the energy's slope."""

import math
from functools import partial

import numpy as np

from vbref.audit import Case, Claim, Condition, Form, oracles, worlds

# -- θ = (m, p, a, b, s): U(z) = p (z − m)²/2, p(x|z) = N(az + b, s²); G(w) and q(z|x) have no θ --


def _exact(rng):
    """The law of G(w) is the prior N(m, 1/p), and q(z|x) the posterior at each of three x."""
    m, b = rng.normal(size=2)
    p, a, s = rng.uniform(0.7, 1.4, size=3)
    theta = np.array([m, p, a, b, s])
    return _case(theta, rng.normal(size=3), worlds.dirichlet(rng, 3), rng.uniform(0.1, 1.0))


def _case(theta, x, law, penalty, shift_code=0.0, shift_encoder=0.0):
    """shift_code, shift_encoder: how far the means of G(w) and of q(z|x) are off."""
    m, p, a, b, s = theta
    precision = p + (a / s) ** 2
    loc = (p * m + a * (x - b) / s**2) / precision + shift_encoder
    return Case(
        theta=theta,
        x=x,
        law=law,
        penalty=penalty,
        code_loc=m + shift_code,
        code_scale=p**-0.5,
        loc=loc,
        scale=precision**-0.5,
    )


_THETA = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
_WRONG_CODE = _case(_THETA, np.ones(1), np.ones(1), 1.0, shift_code=1.0)
_WRONG_ENCODER = _case(_THETA, np.ones(1), np.ones(1), 1.0, shift_encoder=1.0)


def _bracket(w, theta, z_of_prior=False):
    """The objective at θ, up to a constant, by Gauss-Hermite; the last z from q(z|x), or as G(w) is."""
    m, p, a, b, s = theta

    def energy(z):
        return p * (z - m) ** 2 / 2

    def inside(x, z):
        fit = -((x - a * z - b) ** 2) / (2 * s**2) - np.log(s)
        return fit - w.penalty * (p * (z - m)) ** 2

    def mean(function, loc, scale):
        return oracles.normal_mean(function, loc, scale, nodes=4)

    generated = mean(energy, w.code_loc, w.code_scale)

    def at(x, loc):
        last = generated if z_of_prior else mean(energy, loc, w.scale)
        return generated + mean(partial(inside, x), loc, w.scale) - last

    return w.law @ np.array([at(x, loc) for x, loc in zip(w.x, w.loc, strict=True)])


def _slope(w, objective):
    """∇_θ of a formula, where it stands in the display's meaning."""
    steps = 1e-30j * np.eye(len(w.theta))
    return np.array([np.imag(objective(w, w.theta + step)) / 1e-30 for step in steps])


def _by_marginal(w):
    """∇_θ of E log N(x; am + b, a²/p + s²), up to a constant, less the penalty from the moments of q."""

    def objective(theta):
        m, p, a, b, s = theta
        spread = a**2 / p + s**2
        evidence = -0.5 * (np.log(spread) + (w.x - a * m - b) ** 2 / spread)
        return w.law @ (evidence - w.penalty * p**2 * (w.scale**2 + (w.loc - m) ** 2))

    return oracles.complex_step(objective, w.theta)


def _by_integration(w):
    """The same by differences of log ∫ e^(−U) p(x|z) dz − log ∫ e^(−U) dz, and a trapezoid rule under q."""
    z = np.linspace(-16.0, 16.0, 801)
    encoder = worlds.normal_density(z, w.loc[:, None], w.scale)

    def objective(theta):
        m, p, a, b, s = theta
        boltzmann = np.exp(-p * (z - m) ** 2 / 2)
        evidence = np.average(worlds.normal_density(w.x[:, None], a * z + b, s), axis=1, weights=boltzmann)
        square = encoder @ np.gradient(p * (z - m) ** 2 / 2, z) ** 2 * (z[1] - z[0])
        return math.fsum(w.law * (np.log(evidence) - w.penalty * square))

    return oracles.central_difference(objective, w.theta)


CLAIMS = [
    Claim(
        "evae/D23",
        statement=r"\max_\theta \mathbb E_{p(x)}\left[\mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
        r" E_{q_\phi(z|x)} \ln p_\theta(x|z) - U_\theta(z) - \lambda_3 \|\nabla_z U_\theta(z)\|^2\right]",
        verdict="notation",
        domain="quadratic energies and linear decoders on the line, three x, λ_3 in (0.1, 1); the gradient by"
        " all five parameters, against that of E_p(x)[ln p_θ(x)] less the penalty's",
        draw=_exact,
        oracles={
            "Gaussian marginal, moments": _by_marginal,
            "differences of free energies by integration": _by_integration,
        },
        why="Nothing binds z in U(z) and ∇_z U(z): the expectation over q(z|x) reaches ln p(x|z) alone",
        reading=Form(
            r"\max_\theta \mathbb E_{p(x)}\Bigl[\mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
            r" E_{q_\phi(z|x)}\bigl[\ln p_\theta(x|z) - U_\theta(z) - \lambda_3 \|\nabla_z"
            r" U_\theta(z)\|^2\bigr]\Bigr]",
            lambda w: _slope(w, _bracket),
        ),
        rejected={
            "the z of −U drawn as G(w) is": lambda w: _slope(w, lambda v, t: _bracket(v, t, z_of_prior=True))
        },
        note="Its gradient is evae/D8's, that of the evidence where the generator and the encoder are exact,"
        " less the penalty's, which keeps U from growing without bound between the two averages. Where the"
        " penalty draws its z the notes do not say: here from q(z|x), the nearest that binds it",
        conditions=[
            Condition("the law of G(w) is the prior; outside, its mean is off by 1", _WRONG_CODE),
            Condition("q(z|x) is the posterior; outside, its mean is off by 1", _WRONG_ENCODER),
        ],
    ),
]
