"""evae/D11 to evae/D17: the divergence of the generator's law from the energy-based prior."""

from functools import partial

import numpy as np

from vbref.audit import (
    Aside,
    Claim,
    Code,
    Counterexample,
    Definition,
    Form,
    NotCheckable,
    oracles,
)
from vbref.audit import worlds_energy as energy

# -- finite tables: q(z) is the law of G(w), `pushed` --

_TABLES = "dense random tables of 2 to 4 states z, q(z) the law of G(w) for 2 to 6 codes w"
_TABLE_KL = {
    "exact sum": lambda w: oracles.kl_by_sum(w.pushed, w.prior),
    "slope of the Chernoff curve": lambda w: oracles.kl_by_slope(w.pushed, w.prior),
}
_CATEGORICAL = Code("vbref.kl.categorical", lambda kl, w: kl(w.pushed, w.prior))

# P = (¾, ¼) and q = (½, ½)
_HALF_HALF = energy.energy_table(
    [0.0, np.log(3.0)],
    np.zeros((2, 1)),
    np.full((2, 2), 0.5),
    np.zeros((2, 2, 1)),
    encoder=np.full((2, 2), 0.5),
    generator=[0, 1],
    code=[0.5, 0.5],
    law=[0.5, 0.5],
)


def _entropy(w):
    return -np.sum(w.pushed * np.log(w.pushed))


def _to_flipped_prior(w):
    """KL(q ‖ e^(+U)/Z₊) − ln Z₊, Z₊ = Σ e^(+U)."""
    flipped = np.exp(w.U)
    return oracles.kl_by_sum(w.pushed, flipped / flipped.sum()) - np.log(flipped.sum())


def _log_prior_gradient_by_complex_step(w):
    columns = []
    for direction in np.eye(w.dU.shape[1]):
        moved = w.U + 1e-30j * (w.dU @ direction)
        columns.append(np.imag(-np.log(np.exp(moved[:, None] - moved).sum(1))) / 1e-30)
    return np.stack(columns, -1)


def _log_prior_gradient_by_differences(w):
    from scipy.special import log_softmax

    def log_prior(z, t):
        return log_softmax(-w.U - w.dU @ t)[z]

    origin = np.zeros(w.dU.shape[1])
    return np.stack([oracles.central_difference(partial(log_prior, z), origin) for z in range(len(w.U))])


CLAIMS = [
    Claim(
        "evae/D11",
        statement=r"KL(q_\psi(z)\|P_\theta(z)) = \mathbb E \ln q_\psi(z) + \mathbb E -U_\theta(z)"
        r" - \ln Z(\theta)",
        verdict="misprint",
        domain=_TABLES,
        draw=energy.energies,
        printed=lambda w: w.pushed @ np.log(w.pushed) + w.pushed @ -w.U - np.log(w.Z),
        oracles=_TABLE_KL,
        note="−ln P = U + ln Z: both signs are wrong. Every later line inherits that of U",
        corrected=Form(
            r"\mathbb E \ln q_\psi(z) + \mathbb E\,U_\theta(z) + \ln Z(\theta)",
            lambda w: w.pushed @ np.log(w.pushed) + w.pushed @ w.U + np.log(w.Z),
        ),
        counterexample=Counterexample("q = (½, ½), U = (0, ln 3), so that P = (¾, ¼)", _HALF_HALF),
        aside=Aside(
            "it is KL(q ‖ e^(+U)/Z₊) − ln Z₊ − ln Z: its minimum over q has the energies upside down",
            lambda w: _to_flipped_prior(w) - np.log(np.exp(-w.U).sum()),
        ),
        code=_CATEGORICAL,
    ),
    Definition(
        "evae/D12",
        r"q_\psi(z) = \mathbb E_{q_\psi(w)} \delta(z - G(w))",
        "The law of G(w). With fewer codes than dimensions it has no density, and its KL to P(z) is infinite",
    ),
    Definition(
        "evae/D13",
        r"q_\psi(z) \rightarrow P_\theta(z)",
        "The aim is stated: the generator's law is the prior",
    ),
    Definition(
        "evae/D14", r"P_\theta(z) = \frac{1}{Z(\theta)} e^{-U_\theta(z)}", "The energy-based prior is defined"
    ),
    Claim(
        "evae/D15",
        statement=r"\nabla_\theta \ln P_\theta(z) = -\nabla_\theta U_\theta(z) - \frac{1}{Z(\theta)}"
        r" \nabla_\theta Z(\theta)",
        verdict="holds",
        domain=_TABLES + "; at every z",
        draw=energy.energies,
        printed=lambda w: -w.dU - np.einsum("z,zm->m", np.exp(-w.U), -w.dU) / w.Z,
        oracles={
            "complex step": _log_prior_gradient_by_complex_step,
            "differences of SciPy's log-softmax": _log_prior_gradient_by_differences,
        },
        note="The logarithm of evae/D14 differentiated; ∇ ln Z = −E_{P(z)} ∇U",
    ),
    NotCheckable("evae/D16", r"q_\psi(z) \quad q_\psi(z)", "A fragment: a symbol twice, and no relation"),
    Claim(
        "evae/D17",
        statement=r"= -H[q_\psi(z)] - \mathbb E_{q_\psi(z)} U_\theta(z)",
        verdict="misprint",
        domain=_TABLES,
        draw=energy.energies,
        printed=lambda w: -_entropy(w) - w.pushed @ w.U,
        oracles=_TABLE_KL,
        note="The sign of U comes from evae/D11, and ln Z, free of ψ, is left out",
        corrected=Form(
            r"-H[q_\psi(z)] + \mathbb E_{q_\psi(z)} U_\theta(z) + \ln Z(\theta)",
            lambda w: -_entropy(w) + w.pushed @ w.U + np.log(w.Z),
        ),
        counterexample=Counterexample("q = (½, ½), U = (0, ln 3), so that P = (¾, ¼)", _HALF_HALF),
        aside=Aside(
            "it is KL(q ‖ e^(+U)/Z₊) − ln Z₊: the generator is drawn to where the energy is high",
            _to_flipped_prior,
        ),
        code=_CATEGORICAL,
    ),
]
