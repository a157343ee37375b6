"""meanfield/D17 to meanfield/D21: KL of a Gaussian against N(0, I)."""

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Condition, Counterexample, Form, oracles, worlds

_DOMAIN = "1 to 3 dimensions, Σ dense, Σ^½ its symmetric root"

_KL = {
    "tensor Gauss-Hermite of SciPy's log densities": lambda w: oracles.gaussian_kl_by_quadrature(w.pair),
    "joint eigenbasis": lambda w: oracles.gaussian_kl_by_eigenvalues(w.pair),
}


def _case(mu, cov, root):
    d = len(mu)
    return Case(mu=mu, cov=cov, root=root, pair=worlds.GaussianPair(mu, cov, np.zeros(d), np.eye(d)))


def _dense(rng):
    d = int(rng.integers(1, 4))
    variances, basis = np.linalg.eigh(worlds.covariance(rng, d))
    return _case(rng.normal(size=d), basis * variances @ basis.T, basis * np.sqrt(variances) @ basis.T)


def _diagonal(rng):
    d = int(rng.integers(1, 4))
    sigma = rng.uniform(0.3, 3.0, size=d)
    return _case(rng.normal(size=d), np.diag(sigma**2), np.diag(sigma))


def _triangular():
    """Σ with a root that is a root, Σ^½(Σ^½)ᵀ = Σ, and not symmetric."""
    root = np.array([[1.0, 0.0], [1.0, 1.0]])
    return _case(np.zeros(2), root @ root.T, root)


def _expect(w, function):
    """E_q[function(z)]: exact, for these are polynomials of degree 2."""
    return oracles.gaussian_mean(function, w.mu, w.cov, nodes=4)


def _expect_noise(w, function):
    return oracles.gaussian_mean(function, np.zeros(len(w.mu)), np.eye(len(w.mu)), nodes=4)


def _form(x, matrix, y):
    """xᵀ matrix y at each row."""
    return np.einsum("ni,ij,nj->n", x, matrix, y)


def _log_ratio(w, z, sign):
    """log det(Σ)^(−½) ± ½ (z − μ)ᵀΣ⁻¹(z − μ) + ½‖z‖²."""
    centered = z - w.mu
    quadratic = _form(centered, np.linalg.inv(w.cov), centered)
    return np.log(np.linalg.det(w.cov) ** -0.5) + sign * 0.5 * quadratic + 0.5 * (z**2).sum(1)


def _reparameterised(w, noise):
    z = w.mu + noise @ w.root.T
    return (
        -0.5 * np.log(np.linalg.det(w.cov))
        + 0.5 * (z**2).sum(1)
        - 0.5 * _form(noise, np.linalg.inv(w.cov) @ w.root @ w.root, noise)
    )


def _multiplied_out(w, noise):
    return w.mu @ w.mu + _form(noise, w.cov, noise) + 2 * noise @ w.root.T @ w.mu - (noise**2).sum(1)


CLAIMS = [
    Claim(
        "meanfield/D17",
        statement=r"E_q\left[\log\frac{q(z)}{P(z)}\right] = E_q\left[\log\det(\Sigma)^{-1/2}"
        r" + \frac12(z-\mu)^T\Sigma^{-1}(z-\mu) + \frac12\|z\|^2\right]",
        verdict="misprint",
        domain=_DOMAIN,
        draw=_dense,
        printed=lambda w: _expect(w, lambda z: _log_ratio(w, z, +1)),
        oracles=_KL,
        note="The sign of q's own exponent: log q has −½ of its quadratic form, as the next line says",
        corrected=Form(
            r"E_q\left[\log\det(\Sigma)^{-1/2} - \frac12(z-\mu)^T\Sigma^{-1}(z-\mu) + \frac12\|z\|^2\right]",
            lambda w: _expect(w, lambda z: _log_ratio(w, z, -1)),
        ),
        counterexample=Counterexample(
            "one dimension, q = P = N(0, 1)", _case(np.zeros(1), np.eye(1), np.eye(1))
        ),
        aside=Aside(
            "KL + D, as E_q of the quadratic form is D: no harm to an argmin, and not 0 at q = P",
            lambda w: oracles.gaussian_kl_by_eigenvalues(w.pair) + len(w.mu),
        ),
    ),
    Claim(
        "meanfield/D18",
        statement=r"= E_{\epsilon\sim N(0,I)}\left[-\frac12\log|\Sigma| + \frac12(\mu+\Sigma^{1/2}\epsilon)^T"
        r"(\mu+\Sigma^{1/2}\epsilon) - \frac12\epsilon^T\Sigma^{-1}\Sigma^{1/2}\Sigma^{1/2}\epsilon\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=_dense,
        printed=lambda w: _expect_noise(w, lambda noise: _reparameterised(w, noise)),
        oracles=_KL,
        note="z = μ + Σ^½ε, and Σ^½ moved past Σ⁻¹",
        conditions=[
            Condition(
                "Σ^½ is the symmetric root; outside, a triangular one: use its transpose on the left",
                _triangular(),
            )
        ],
    ),
    Claim(
        "meanfield/D19",
        statement=r"= -\frac12\log|\Sigma| + \frac12 E_{\epsilon\sim N(0,I)}[\mu^T\mu +"
        r" \epsilon^T\Sigma\epsilon"
        r" + 2\mu^T\Sigma^{1/2}\epsilon - \epsilon^T\epsilon]",
        verdict="holds",
        domain=_DOMAIN,
        draw=_dense,
        printed=lambda w: (
            -0.5 * np.log(np.linalg.det(w.cov))
            + 0.5 * _expect_noise(w, lambda noise: _multiplied_out(w, noise))
        ),
        oracles=_KL,
        note="The square multiplied out",
    ),
    Claim(
        "meanfield/D20",
        statement=r"= -\frac12\log|\Sigma| + \frac12\|\mu\|^2 + \frac12\text{tr}(\Sigma) - \frac D2",
        verdict="holds",
        domain=_DOMAIN,
        draw=_dense,
        printed=lambda w: (
            -0.5 * np.log(np.linalg.det(w.cov)) + 0.5 * w.mu @ w.mu + 0.5 * np.trace(w.cov) - len(w.mu) / 2
        ),
        oracles=_KL,
        note="E εᵀΣε = tr Σ, and E ε = 0",
        code=Code(
            "vbref.kl.multivariate_normal",
            lambda kl, w: kl(w.mu, w.cov, np.zeros(len(w.mu)), np.eye(len(w.mu))),
        ),
    ),
    Claim(
        "meanfield/D21",
        statement=r"= -\sum\log\sigma_i + \frac12\|\mu\|^2 + \frac12\sum\sigma_i^2 - \frac D2",
        verdict="holds",
        domain="1 to 3 dimensions, Σ = diag(σ_i²), σ in (0.3, 3)",
        draw=_diagonal,
        printed=lambda w: (
            lambda sigma: -sum(np.log(sigma)) + sum(w.mu**2) / 2 + sum(sigma**2) / 2 - len(sigma) / 2
        )(np.sqrt(np.diagonal(w.cov))),
        oracles=_KL,
        note="The diagonal of Σ has the variances σ_i², so that σ_i is a standard deviation",
        code=Code("vbref.kl.standard_normal", lambda kl, w: kl(w.mu, np.log(np.diagonal(w.cov)))),
    ),
]
