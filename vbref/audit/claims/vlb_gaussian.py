"""vlb/I3, vlb/D9, vlb/I4 and vlb/I5: the Gaussian decoder's term, reparameterised, and the Gaussian KL."""

import math
from itertools import product

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Condition, Counterexample, Form, oracles, worlds
from vbref.audit.claims.shared_decoder import (
    DECODER,
    error_by_characteristic,
    error_by_feature,
    expectation,
    log_normaliser,
    noise_expectation,
    square_norm,
)
from vbref.audit.worlds_decoder import sine_decoder


def _from_error(w, error):
    """① given E‖X − f(Z)‖²: an oracle's last line."""
    return -0.5 * (error / w.noise_scale**2 + len(w.x) * math.log(2 * math.pi * w.noise_scale**2))


def _by_scipy(w):
    """E_q of SciPy's log density, on a grid over z."""
    from scipy.stats import norm

    points, weights = np.polynomial.hermite_e.hermegauss(24)
    grid = np.array(list(product(points, repeat=len(w.mean))))
    mass = np.array([math.prod(choice) for choice in product(weights, repeat=len(w.mean))])
    return mass @ norm.logpdf(w.x, w.f(w.mean + grid @ w.root.T), w.noise_scale).sum(1) / sum(mass)


_FIT = {
    "characteristic function": lambda w: _from_error(w, error_by_characteristic(w)),
    "quadrature of SciPy's log density": _by_scipy,
}


def _as_printed(w, z):
    """log of the density with its exponential, at each z."""
    r = w.x - w.f(z)
    quadratic = np.einsum("nd,de,ne->n", r, np.eye(len(w.x)) / w.noise_scale**2, r)
    return np.log((2 * np.pi * w.noise_scale**2) ** (-len(w.x) / 2) * np.exp(-quadratic / 2))


# -- the gradient by φ: q's mean and the root of its covariance are the encoder's outputs --


def _step():
    """f(z) = sign z in one dimension: ∇f = 0 wherever there is one."""
    return Case(x=np.array([1.0]), noise_scale=1.0, mean=np.zeros(1), root=np.ones((1, 1)), step=True)


def _moved(w, phi):
    k = len(w.mean)
    return w.moved(mean=phi[:k], root=phi[k:].reshape(k, k))


def _phi(w):
    return np.concatenate([w.mean, w.root.ravel()])


def _slope_by_characteristic(w):
    if isinstance(w, Case):
        return None
    slope = oracles.complex_step(lambda phi: error_by_characteristic(_moved(w, phi)), _phi(w))
    return -slope / (2 * w.noise_scale**2)


def _slope_by_feature(w):
    if isinstance(w, Case):
        return None
    k = len(w.mean)

    def fit(phi):
        error = error_by_feature(w.moved(mean=phi[:k], root=phi[k:].reshape(k, k)))
        return -error / (2 * w.noise_scale**2)

    return oracles.central_difference(fit, np.append(w.mean, w.root))


def _slope_of_step(w):
    """E‖x − sign z‖² = x² + 1 − 2x (2Φ(μ/s) − 1): by μ and s, at x = 1, μ = 0, s = 1."""
    return np.array([2 / math.sqrt(2 * math.pi), 0.0]) if isinstance(w, Case) else None


def _pathwise(w):
    """−1/(2σ²) E_ε[∇_φ‖X − f(μ + Σ^½ ε)‖²], ∇_φ inside."""
    if isinstance(w, Case):
        return np.zeros_like(_phi(w))

    def slopes(noise):
        u = (w.mean + noise @ w.root.T) @ w.frequency
        d_u = -2 * (w.x - w.offset - w.amplitude * np.sin(u)) * w.amplitude * np.cos(u)
        d_z = d_u @ w.frequency.T
        return np.concatenate([d_z, np.einsum("ni,nj->nij", d_z, noise).reshape(len(noise), -1)], axis=1)

    return -noise_expectation(w, slopes) / (2 * w.noise_scale**2)


# -- vlb/I5 --


def _learned_prior(rng):
    k = int(rng.integers(1, 4))
    return worlds.GaussianPair(
        rng.normal(size=k),
        worlds.covariance(rng, k),
        rng.normal(size=k),
        np.diag(rng.uniform(0.3, 3.0, size=k)),
    )


def _bracket(w):
    mu, cov, lam_1, lam_2 = w.mean_1, w.cov_1, w.mean_2, w.cov_2
    inverse = np.linalg.inv(lam_2)
    return (
        np.trace(inverse @ cov)
        + (lam_1 - mu) @ inverse @ (lam_1 - mu)
        - w.d
        + np.log(np.linalg.det(lam_2) / np.linalg.det(cov))
    )


_UNIT = worlds.GaussianPair(np.array([2.0]), np.eye(1), np.zeros(1), np.eye(1))


CLAIMS = [
    Claim(
        "vlb/I3a",
        statement=r"① = \mathbb E_{Z\sim q_\phi(Z|X_i)}\left[\log\left((2\pi\sigma^2)^{-d/2}\exp\left("
        r"-\frac12(X_i-f_\theta(Z))^T\left(\frac{1}{\sigma^2}I\right)(X_i-f_\theta(Z))\right)\right)\right]",
        verdict="holds",
        domain=DECODER,
        draw=sine_decoder,
        printed=lambda w: expectation(w, lambda z: _as_printed(w, z)),
        oracles=_FIT,
        note="The density of N(f_θ(Z), σ² I) at X_i",
    ),
    Claim(
        "vlb/I3b",
        statement=r"= -\frac{1}{2\sigma^2}\mathbb E_{Z\sim\mathcal N(\mu_\phi(X_i),\Sigma_\phi(X_i))}"
        r"[\|X_i-f_\theta(Z)\|^2] - \frac d2\log(2\pi\sigma^2)",
        verdict="holds",
        domain=DECODER,
        draw=sine_decoder,
        printed=lambda w: (
            -expectation(w, lambda z: square_norm(w.x - w.f(z))) / (2 * w.noise_scale**2) - log_normaliser(w)
        ),
        oracles=_FIT,
        note="log of the exponential; the normaliser is kept, as it must be where σ is learned",
    ),
    Claim(
        "vlb/D9",
        statement=r"= -\frac{1}{2\sigma^2}\mathbb E_{\epsilon\sim\mathcal N(0,I)}[\|X_i-f_\theta("
        r"\mu_\phi(X_i) + \Sigma_\phi^{1/2}(X_i)\epsilon)\|^2] - \frac d2\log(2\pi\sigma^2)",
        verdict="holds",
        domain=DECODER,
        draw=sine_decoder,
        printed=lambda w: (
            -noise_expectation(w, lambda noise: square_norm(w.x - w.f(w.mean + noise @ w.root.T)))
            / (2 * w.noise_scale**2)
            - log_normaliser(w)
        ),
        oracles=_FIT,
        note="Z = μ + Σ^½ε has law N(μ, Σ), for any root with Σ^½(Σ^½)ᵀ = Σ; here triangular ones",
    ),
    Claim(
        "vlb/I4",
        statement=r"\nabla_\phi ① = -\frac{1}{2\sigma^2}\mathbb E_{\epsilon\sim\mathcal N(0,I)}"
        r"[\nabla_\phi\|\dots\|^2]",
        verdict="holds",
        domain=DECODER + "; the gradient by μ_φ and by every entry of Σ_φ^½",
        draw=sine_decoder,
        printed=_pathwise,
        oracles={
            "complex step of the characteristic function": _slope_by_characteristic,
            "central differences of quadrature": _slope_by_feature,
            "normal distribution function": _slope_of_step,
        },
        note="ε has no φ, so that ∇_φ may go inside; d/2 log(2πσ²) has none either",
        conditions=[
            Condition(
                "f_θ is differentiable without jumps; outside, f = sign, whose pathwise gradient is 0",
                _step(),
            )
        ],
    ),
    Claim(
        "vlb/I5",
        statement=r"② = -\frac12\left(\text{tr}([\text{diag}(\lambda_2)]^{-1}\Sigma_\phi(X_i)) +"
        r" (\lambda_1-\mu_\phi(X_i))^T[\text{diag}(\lambda_2)]^{-1}(\lambda_1-\mu_\phi(X_i)) - k"
        r" + \log\left(\frac{\det(\text{diag}(\lambda_2))}{\det(\Sigma_\phi(X_i))}\right)\right)",
        verdict="misprint",
        domain="q = N(μ, Σ) dense in 1 to 3 dimensions, r = N(λ_1, diag(λ_2))",
        draw=_learned_prior,
        printed=lambda w: -0.5 * _bracket(w),
        oracles={
            "tensor Gauss-Hermite of SciPy's log densities": oracles.gaussian_kl_by_quadrature,
            "joint eigenbasis": oracles.gaussian_kl_by_eigenvalues,
        },
        note="② is the brace under D_KL alone, and no divergence is negative: the minus before the brace was"
        " taken in",
        corrected=Form(r"+\frac12\left(\dots\right)", lambda w: 0.5 * _bracket(w)),
        counterexample=Counterexample("one dimension, q = N(2, 1), r = N(0, 1)", _UNIT),
        aside=Aside(
            "−KL, what the bound adds; as ② inside “① − ②” it would reward an encoder far from the prior",
            lambda w: -oracles.gaussian_kl_by_eigenvalues(w),
        ),
        code=Code("vbref.kl.multivariate_normal", lambda kl, w: kl(w.mean_1, w.cov_1, w.mean_2, w.cov_2)),
    ),
]
