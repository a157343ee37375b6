"""Ways to a number that share no code with the formulas nor with each other.

Each function stands alone on purpose: two of them may serve as two oracles for one claim, so none calls
another.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from vbref.audit.worlds import Array, GaussianPair, GaussianWorld, World

# -- expectations under a normal distribution --


def normal_mean(function: Callable[[Array], Any], loc: float, scale: float, nodes: int = 80) -> Any:
    """E[f(z)], z ~ N(loc, scale²), by Gauss–Hermite: exact for polynomials of degree below 2·nodes."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return (weights * function(loc + scale * points)).sum(-1) / math.sqrt(2 * math.pi)


def normal_mean_adaptive(function: Callable[[float], Any], loc: float, scale: float) -> float:
    """E[f(z)], z ~ N(loc, scale²), by adaptive quadrature over ±14 standard deviations."""
    from scipy.integrate import quad

    def integrand(t: float) -> float:
        return float(function(loc + scale * t) * math.exp(-0.5 * t * t))

    halves = [quad(integrand, a, b, epsabs=1e-14, epsrel=1e-13, limit=400)[0] for a, b in ((-14, 0), (0, 14))]
    return sum(halves) / math.sqrt(2 * math.pi)


def gaussian_mean(function: Callable[[Array], Array], mean: Array, cov: Array, nodes: int = 12) -> Any:
    """E[f(x)], x ~ N(mean, cov), by a tensor Gauss–Hermite grid; f takes (points, d)."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.array(list(product(points, repeat=len(mean))))
    mass = np.array([math.prod(w) for w in product(weights / math.sqrt(2 * math.pi), repeat=len(mean))])
    return mass @ function(mean + grid @ np.linalg.cholesky(cov).T)


# -- derivatives --


def complex_step(function: Callable[[Array], Any], at: Array, step: float = 1e-30) -> Array:
    """Return the gradient of a real-analytic scalar function to rounding, shaped as `at`."""
    at = np.asarray(at, float)
    gradient = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        moved = at.astype(complex)
        moved[index] += 1j * step
        gradient[index] = np.imag(function(moved)) / step
    return gradient


def central_difference(function: Callable[[Array], Any], at: Array, step: float = 1e-3) -> Array:
    """Return the gradient by sixth-order central differences, to about 1e-12 for functions of unit scale."""
    at = np.asarray(at, float)
    gradient = np.empty(at.shape)
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    for index in np.ndindex(at.shape):
        unit = np.zeros(at.shape)
        unit[index] = step
        gradient[index] = (
            sum(w * (function(at + k * unit) - function(at - k * unit)) for k, w in weights.items()) / step
        )
    return gradient


# -- the evidence and its bounds in a world --


def log_evidence_by_sum(w: World) -> float:
    """log p(x) by an exact-rounded sum over the nodes."""
    return math.log(
        math.fsum(float(p * lik * dz) for p, lik, dz in zip(w.prior, w.likelihood, w.dz, strict=True))
    )


def log_evidence_by_bayes(w: World) -> float | None:
    """log p(x) of a Gaussian world from its marginal N(offset, slope²·prior_scale² + noise_scale²); of a
    finite one as −log of the harmonic mean of p(x|z) under the posterior that Bayes' rule gives node by node.
    """
    if isinstance(w, GaussianWorld):
        variance = (w.slope * w.prior_scale) ** 2 + w.noise_scale**2
        return -0.5 * (math.log(2 * math.pi * variance) + (w.x - w.offset) ** 2 / variance)
    possible = w.prior * w.likelihood > 0
    prior, likelihood = w.prior[possible], w.likelihood[possible]
    posterior = np.linalg.solve(_balance(prior * likelihood), np.eye(len(prior))[0])
    return float(np.log(prior.sum() / (posterior / likelihood).sum()))


def _balance(joint: Array) -> Array:
    """Return A of A·posterior = e₀: the posterior sums to one and keeps the odds of neighbouring states."""
    rows = np.zeros((len(joint), len(joint)))
    rows[0] = 1.0
    for i in range(1, len(joint)):
        rows[i, i - 1], rows[i, i] = joint[i], -joint[i - 1]
    return rows


def elbo_by_gap(w: World) -> float:
    """ELBO = log p(x) − KL(q ‖ posterior), the posterior by normalising the joint."""
    joint = w.prior * w.likelihood
    evidence = joint @ w.dz
    support = w.q > 0
    q, posterior, dz = w.q[support], (joint / evidence)[support], w.dz[support]
    return math.log(evidence) - math.fsum(dz * q * np.log(q / posterior))


def elbo_by_cumulant(w: World, step: float = 1e-30) -> float:
    """ELBO = d/dα E_q[(p(x,z)/q)^α] at α = 0, the first cumulant of log(p(x,z)/q), by a complex step."""
    support = w.q > 0
    q, joint, dz = w.q[support], (w.prior * w.likelihood)[support], w.dz[support]
    tilted = np.sum(dz * q * (joint / q) ** (1j * step))
    return float(tilted.imag / step)


def elbo_by_algebra(w: World) -> float | None:
    """ELBO of a Gaussian world from moments: E_q log p(x|z) + E_q log p(z) + H(q). None for finite worlds."""
    if not isinstance(w, GaussianWorld):
        return None
    residual = (w.x - w.offset - w.slope * w.loc) ** 2 + (w.slope * w.scale) ** 2
    fit = -0.5 * (math.log(2 * math.pi * w.noise_scale**2) + residual / w.noise_scale**2)
    prior = -0.5 * (math.log(2 * math.pi * w.prior_scale**2) + (w.loc**2 + w.scale**2) / w.prior_scale**2)
    return fit + prior + 0.5 * math.log(2 * math.pi * math.e * w.scale**2)


# -- KL divergences --


def kl_by_sum(p: Array, q: Array) -> float:
    """KL(p ‖ q) of two probability vectors by an exact-rounded sum; terms with p = 0 count nothing."""
    return math.fsum(float(a) * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def kl_by_slope(p: Array, q: Array, step: float = 1e-30) -> float:
    """KL(p ‖ q) = −d/dα Σ p^(1−α) q^α at α = 0, by a complex step: the slope of the Chernoff curve."""
    support = p > 0
    p, q = p[support], q[support]
    return -float(np.sum(p * (q / p) ** (1j * step)).imag / step)


def gaussian_kl_by_quadrature(w: GaussianPair) -> float:
    """KL(p ‖ q) as E_p[log p − log q] on a Gauss–Hermite grid, with SciPy's log densities."""
    from scipy.stats import multivariate_normal

    p, q = multivariate_normal(w.mean_1, w.cov_1), multivariate_normal(w.mean_2, w.cov_2)

    def log_ratio(x: Array) -> Array:
        return np.asarray(p.logpdf(x) - q.logpdf(x)).reshape(len(x))

    points, weights = np.polynomial.hermite_e.hermegauss(4)
    grid = np.array(list(product(points, repeat=w.d)))
    mass = np.array([math.prod(m) for m in product(weights / math.sqrt(2 * math.pi), repeat=w.d)])
    return float(mass @ log_ratio(w.mean_1 + grid @ np.linalg.cholesky(w.cov_1).T))


def gaussian_kl_by_eigenvalues(w: GaussianPair) -> float:
    """KL(p ‖ q) in the basis that diagonalises both covariances: a sum of one-dimensional divergences."""
    from scipy.linalg import eigh

    variances, basis = eigh(w.cov_1, w.cov_2)
    shift = basis.T @ (w.mean_1 - w.mean_2)
    return float(sum((v - 1 - math.log(v) + m * m) / 2 for v, m in zip(variances, shift, strict=True)))


# -- importance-weighted bounds --


def iwae_by_enumeration(w: World, k: int) -> float:
    """IWAE_k as the sum over all Z^k samples; keep Z^k below a few thousand."""
    terms = []
    for drawn in product(range(len(w.q)), repeat=k):
        mass = math.prod(float(w.q[z]) for z in drawn)
        if mass > 0:
            weights = [float(w.prior[z] * w.likelihood[z] / w.q[z]) for z in drawn]
            terms.append(mass * math.log(math.fsum(weights) / k))
    return math.fsum(terms)


def iwae_by_laplace(w: World, k: int) -> float:
    """IWAE_k from the Laplace transform L(s) = E_q[e^(−s·weight)] of one weight, by the Frullani integral:
    E log S = ∫₀^∞ (e^(−s) − L(s)^k)/s ds for a sum S of k weights. Needs no enumeration of samples.
    """
    support = w.q > 0
    mass, weights = w.q[support], (w.prior * w.likelihood)[support] / w.q[support]
    t, step = np.linspace(-80.0, 80.0, 3201, retstep=True)  # s = e^t, ds/s = dt; the ends are zero
    s = np.exp(t)
    transform = np.exp(-np.outer(s, weights)) @ mass
    return float(np.sum(np.exp(-s) - transform**k) * step) - math.log(k)


def iwae_by_counts(w: World, k: int) -> float:
    """IWAE_k of a world with at most three states, over the counts of the states among k samples."""
    from scipy.special import gammaln

    support = w.q > 0
    q, weights = w.q[support], (w.prior * w.likelihood)[support] / w.q[support]
    if len(q) > 3:
        raise ValueError("iwae_by_counts takes at most three states")
    grid = np.stack(np.meshgrid(*[np.arange(k + 1)] * (len(q) - 1), indexing="ij"), -1).reshape(
        -1, len(q) - 1
    )
    grid = grid[grid.sum(-1) <= k]
    counts = np.column_stack([grid, k - grid.sum(-1)])
    log_mass = gammaln(k + 1) - gammaln(counts + 1).sum(-1) + counts @ np.log(q)
    return float(np.exp(log_mass) @ np.log(counts @ weights / k))
