"""evae/D20 and evae/D22: the divergence of the encoder from the posterior."""

import numpy as np

from vbref.audit import Aside, Case, Claim, Code, Counterexample, Form, oracles
from vbref.audit import worlds_energy as energy

_TABLES = "dense random tables of 2 to 4 states z and x; at every x"
_FROM_POSTERIOR = (
    _TABLES + "; the change from q = p(z|x), where the divergence is 0, to q, so that constants go"
)

# arrays (X,), a divergence at every x


def _kl_by_sum(w):
    return np.array([oracles.kl_by_sum(q, p) for q, p in zip(w.encoder, w.posterior, strict=True)])


def _kl_by_slope(w):
    return np.array([oracles.kl_by_slope(q, p) for q, p in zip(w.encoder, w.posterior, strict=True)])


_KL = {"exact sum": _kl_by_sum, "slope of the Chernoff curve": _kl_by_slope}
_SCALED_KL = {
    "exact sum": lambda w: w.weight * _kl_by_sum(w.table),
    "slope of the Chernoff curve": lambda w: w.weight * _kl_by_slope(w.table),
}

# U = 0; the posterior at both x is (¾, ¼) or its mirror image, and q = (½, ½)
_HALF_HALF = energy.energy_table(
    [0.0, 0.0],
    np.zeros((2, 1)),
    [[0.75, 0.25], [0.25, 0.75]],
    np.zeros((2, 2, 1)),
    encoder=np.full((2, 2), 0.5),
    generator=[0, 1],
    code=[0.5, 0.5],
    law=[0.5, 0.5],
)
_HALF_HALF_TEXT = "uniform prior and q, p(z|x) = (¾, ¼) at the first x and (¼, ¾) at the second"


def _weighted(rng):
    return Case(table=energy.energies(rng), weight=rng.uniform(0.3, 3.0))


def _entropy(q):
    """H[q(z|x)] at every x."""
    return -np.sum(q * np.log(q), axis=1)


def _potential(w):
    """U(z) − ln p(x|z), an array (X, Z)."""
    return w.U - np.log(w.lik.T)


def _from_posterior(w, objective):
    return objective(w.encoder) - objective(w.posterior)


# -- for the asides: by SciPy, and by the energies --


def _scipy_entropy(q):
    from scipy.stats import entropy

    return np.array([entropy(row) for row in q])


def _twice_entropy_from_posterior(w):
    return 2 * (_scipy_entropy(w.encoder) - _scipy_entropy(w.posterior))


def _above_map(w):
    """H[q] + E_q ln(max p(z|x)/p(z|x)) at every x: 0 at a point mass on the best z, and never below."""
    gap = np.log(w.posterior.max(1, keepdims=True) / w.posterior)
    return _scipy_entropy(w.encoder) + np.einsum("xz,xz->x", w.encoder, gap)


def _map_from_posterior(w):
    """min_z [U − ln p(x|z)], the printed objective at a point mass on the best z, less that at p(z|x)."""
    v = np.array([[u - np.log(p) for u, p in zip(w.U, column, strict=True)] for column in w.lik.T])
    return v.min(1) - _scipy_entropy(w.posterior) - np.einsum("xz,xz->x", w.posterior, v)


CLAIMS = [
    Claim(
        "evae/D20a",
        statement=r"KL(q_\phi(z|x)\|p_\theta(z|x)) = H[q_\phi(z|x)] - \mathbb E_{q_\phi(z|x)} \ln"
        r" \frac{p_\theta(x|z) p_\theta(z)}{p_\theta(x)}",
        verdict="misprint",
        domain=_TABLES,
        draw=energy.energies,
        printed=lambda w: (
            _entropy(w.encoder) - np.sum(w.encoder * np.log(w.lik.T * w.prior / w.marginal[:, None]), axis=1)
        ),
        oracles=_KL,
        note="E ln q is −H[q]: the sign of the entropy is wrong, here and in evae/D22",
        corrected=Form(
            r"-H[q_\phi(z|x)] - \mathbb E_{q_\phi(z|x)} \ln \frac{p_\theta(x|z) p_\theta(z)}{p_\theta(x)}",
            lambda w: (
                -_entropy(w.encoder)
                - np.sum(w.encoder * np.log(w.lik.T * w.prior / w.marginal[:, None]), axis=1)
            ),
        ),
        counterexample=Counterexample(_HALF_HALF_TEXT, _HALF_HALF),
        aside=[
            Aside("it is KL + 2 H[q]", lambda w: _kl_by_sum(w) + 2 * _scipy_entropy(w.encoder)),
            Aside(
                "its minimum over q is −ln max_z p(z|x), at a point mass there: MAP instead of inference;"
                " H[q] + E_q ln(max p/p) above it",
                lambda w: _above_map(w) - np.log(w.posterior.max(1)),
            ),
        ],
        code=Code("vbref.kl.categorical", lambda kl, w: kl(w.encoder, w.posterior)),
    ),
    Claim(
        "evae/D20b",
        statement=r"\sim H[q_\phi(z|x)] - \mathbb E_{q_\phi(z|x)} \ln p_\theta(x|z) - U_\theta(z) - \log"
        r" \underbrace{p_\theta(z)}_{\text{Const}}",
        verdict="misprint",
        domain=_FROM_POSTERIOR,
        draw=energy.energies,
        printed=lambda w: _from_posterior(w, lambda q: _entropy(q) + (q * _potential(w)).sum(1)),
        oracles=_KL,
        note="The sign of H again. Read with E_q reaching U, which nothing else binds, and the underbraced"
        " term a constant; p_θ(z) there is no constant, ln p_θ(x) + ln Z(θ) is",
        corrected=Form(
            r"-H[q_\phi(z|x)] - \mathbb E_{q_\phi(z|x)}\bigl[\ln p_\theta(x|z) - U_\theta(z)\bigr]"
            r" + \underbrace{\ln p_\theta(x) + \ln Z(\theta)}_{\text{Const}}",
            lambda w: _from_posterior(w, lambda q: -_entropy(q) + (q * _potential(w)).sum(1)),
        ),
        counterexample=Counterexample(_HALF_HALF_TEXT, _HALF_HALF),
        aside=[
            Aside(
                "it is KL + 2 H[q] up to a constant",
                lambda w: _kl_by_sum(w) + _twice_entropy_from_posterior(w),
            ),
            Aside(
                "its minimum over q is a point mass at the MAP; H[q] + E_q ln(max p/p) above it",
                lambda w: _map_from_posterior(w) + _above_map(w),
            ),
        ],
    ),
    Claim(
        "evae/D22",
        statement=r"\lambda_2 (H[q_\phi(z|x)] + \mathbb E_{q_\phi(z|x)} U_\theta(z) - \ln p_\theta(x|z))",
        verdict="misprint",
        domain=_FROM_POSTERIOR + "; λ_2 in (0.3, 3)",
        draw=_weighted,
        printed=lambda w: (
            w.weight * _from_posterior(w.table, lambda q: _entropy(q) + (q * _potential(w.table)).sum(1))
        ),
        oracles=_SCALED_KL,
        note="The second of the two terms to be minimised, with H's sign from evae/D20, and E_q to reach"
        " ln p(x|z)",
        corrected=Form(
            r"\lambda_2 (-H[q_\phi(z|x)] + \mathbb E_{q_\phi(z|x)}[U_\theta(z) - \ln p_\theta(x|z)])",
            lambda w: (
                w.weight * _from_posterior(w.table, lambda q: -_entropy(q) + (q * _potential(w.table)).sum(1))
            ),
        ),
        counterexample=Counterexample(_HALF_HALF_TEXT + ", λ_2 = 2", Case(table=_HALF_HALF, weight=2.0)),
        aside=[
            Aside(
                "it is λ_2 (KL + 2 H[q]) up to a constant",
                lambda w: w.weight * (_kl_by_sum(w.table) + _twice_entropy_from_posterior(w.table)),
            ),
            Aside(
                "the encoder it trains shrinks to the MAP; on ℝⁿ, where H has no floor, without end;"
                " λ_2 (H[q] + E_q ln(max p/p)) above it",
                lambda w: w.weight * (_map_from_posterior(w.table) + _above_map(w.table)),
            ),
        ],
    ),
]
