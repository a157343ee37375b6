"""evae/D24 to evae/D26 and evae/D33 to evae/D36: the mutual information of w and z, and a lower bound."""

from dataclasses import replace

import numpy as np

from vbref.audit import Claim, Form
from vbref.audit import worlds_energy as energy

_JOINTS = "dense random tables of 2 to 5 states w and z, and linear-Gaussian channels w → z"
_LAMBDA = "; p_λ(w|z) any law of w"
_UNBOUND = "Nothing binds z in the first term: q(w) is averaged over where q(z) is meant"


def _information_by_slope(w):
    """−d/dα ∬ q(z,w)^(1−α) (q(w)q(z))^α at α = 0, by a complex step."""
    independent = np.outer(w.q_w, w.q_z)
    chernoff = np.sum(w.q * (independent / w.q) ** 1e-30j) * w.dw * w.dz
    return -chernoff.imag / 1e-30


def _information_by_entropies(w):
    """H[w] + H[z] − H[w, z] by SciPy for tables; −½ log(1 − ρ²) for channels."""
    from scipy.stats import contingency, entropy

    if w.correlation is not None:
        return -0.5 * np.log1p(-(w.correlation**2))
    return sum(entropy(law, axis=None) for law in contingency.margins(w.q)) - entropy(w.q, axis=None)


_INFORMATION = {
    "slope of the Chernoff curve": _information_by_slope,
    "three entropies, or the correlation": _information_by_entropies,
}


def _at_posterior(rng):
    """p_λ(w|z) = q(w|z)."""
    w = energy.joints(rng)
    return replace(w, p_lambda=w.q_w_given_z)


CLAIMS = [
    Claim(
        "evae/D24",
        statement=r"I(z, w) = \int q_\psi(z, w) [\ln q_\psi(z, w) - \ln q_\psi(w) q_\psi(z)]\,dz\,dw",
        verdict="holds",
        domain=_JOINTS,
        draw=energy.joints,
        printed=lambda w: w.integral(w.q * (np.log(w.q) - np.log(w.q_w[:, None] * w.q_z))),
        oracles=_INFORMATION,
        note="Mutual information as the KL of the joint law from the product of its marginals",
    ),
    Claim(
        "evae/D25",
        statement=r"= \mathbb E_{q_\psi(z, w)} \ln q_\psi(z|w) - \mathbb E_{q_\psi(z, w)} \ln q_\psi(z)",
        verdict="holds",
        domain=_JOINTS,
        draw=energy.joints,
        printed=lambda w: w.integral(w.q * np.log(w.q_z_given_w)) - w.integral(w.q * np.log(w.q_z)),
        oracles=_INFORMATION,
        note="q(z, w)/q(w) is q(z|w)",
    ),
    Claim(
        "evae/D26",
        statement=r"= \mathbb E_{q_\psi(w)} - H[q_\psi(z|w)] - \mathbb E_{q_\psi(z)} \ln q_\psi(z)",
        verdict="notation",
        domain=_JOINTS,
        draw=energy.joints,
        oracles=_INFORMATION,
        why="The first expectation is of nothing: an operator less a number",
        reading=Form(
            r"\mathbb E_{q_\psi(w)}\bigl[-H[q_\psi(z|w)]\bigr] - \mathbb E_{q_\psi(z)} \ln q_\psi(z)",
            lambda w: (
                np.sum(w.q_w * np.sum(w.q_z_given_w * np.log(w.q_z_given_w), 1)) * w.dw * w.dz
                - np.sum(w.q_z * np.log(w.q_z)) * w.dz
            ),
        ),
        note="I = H[z] − E H[z|w]",
    ),
    Claim(
        "evae/D33",
        statement=r"I(z, w) = \iint q_\psi(z, w) \ln \frac{q_\psi(w|z)}{p_\lambda(w|z)} + \ln"
        r" \frac{p_\lambda(w|z)}{q_\psi(w)}\,dw\,dz",
        verdict="notation",
        domain=_JOINTS + _LAMBDA,
        draw=energy.joints,
        oracles=_INFORMATION,
        why="Brackets are missing: as printed the second logarithm is integrated without q(z, w), and over"
        " real w and z, with a normal w and the p_λ of evae/D32, that integral is ∞ − ∞: no value",
        reading=Form(
            r"\iint q_\psi(z, w) \Bigl[\ln \frac{q_\psi(w|z)}{p_\lambda(w|z)} + \ln"
            r" \frac{p_\lambda(w|z)}{q_\psi(w)}\Bigr]dw\,dz",
            lambda w: w.integral(
                w.q * (np.log(w.q_w_given_z / w.p_lambda) + np.log(w.p_lambda / w.q_w[:, None]))
            ),
        ),
        rejected={
            "the second logarithm without q(z, w), on the finite nodes": lambda w: w.integral(
                w.q * np.log(w.q_w_given_z / w.p_lambda) + np.log(w.p_lambda / w.q_w[:, None])
            )
        },
        note="p_λ is put in and cancels: any p_λ(w|z) > 0 will do",
    ),
    Claim(
        "evae/D34",
        statement=r"= \mathbb E_{q_\psi(w)} \mathbb E_{q_\psi(w|z)} \ln"
        r" \frac{q_\psi(w|z)}{p_\lambda(w|z)} + \mathbb E_{q_\psi(w)} \mathbb E_{q_\psi(z|w)} \ln"
        r" \frac{p_\lambda(w|z)}{q_\psi(w)}",
        verdict="notation",
        domain=_JOINTS + _LAMBDA,
        draw=energy.joints,
        oracles=_INFORMATION,
        why=_UNBOUND,
        reading=Form(
            r"\mathbb E_{q_\psi(z)} \mathbb E_{q_\psi(w|z)} \ln \frac{q_\psi(w|z)}{p_\lambda(w|z)} + \mathbb"
            r" E_{q_\psi(w)} \mathbb E_{q_\psi(z|w)} \ln \frac{p_\lambda(w|z)}{q_\psi(w)}",
            lambda w: (
                w.integral(w.q_z * w.q_w_given_z * np.log(w.q_w_given_z / w.p_lambda))
                + w.integral(w.q_w[:, None] * w.q_z_given_w * np.log(w.p_lambda / w.q_w[:, None]))
            ),
        ),
        note="q(z, w) is q(z) q(w|z) in the first term and q(w) q(z|w) in the second",
    ),
    Claim(
        "evae/D35",
        statement=r"= \mathbb E_{q_\psi(w)} \text{KL}(q_\psi(w|z)\|p_\lambda(w|z)) + \mathbb E_{q_\psi(w)}"
        r" \mathbb E_{q_\psi(z|w)} \ln \frac{p_\lambda(w|z)}{q_\psi(w)}",
        verdict="notation",
        domain=_JOINTS + _LAMBDA,
        draw=energy.joints,
        oracles=_INFORMATION,
        why=_UNBOUND,
        reading=Form(
            r"\mathbb E_{q_\psi(z)} \text{KL}(q_\psi(w|z)\|p_\lambda(w|z)) + \mathbb E_{q_\psi(w)}"
            r" \mathbb E_{q_\psi(z|w)} \ln \frac{p_\lambda(w|z)}{q_\psi(w)}",
            lambda w: (
                w.q_z @ np.sum(w.q_w_given_z * np.log(w.q_w_given_z / w.p_lambda), 0) * w.dw * w.dz
                + w.q_w @ np.sum(w.q_z_given_w * np.log(w.p_lambda / w.q_w[:, None]), 1) * w.dw * w.dz
            ),
        ),
        note="The inner mean of evae/D34 is a divergence at each z",
    ),
    Claim(
        "evae/D36",
        statement=r"\geq \mathbb E_{q_\psi(w)} \mathbb E_{q_\psi(z|w)} \ln p_\lambda(w|z) - \mathbb"
        r" E_{q_\psi(w)} \mathbb E_{q_\psi(z|w)} \ln q_\psi(w)",
        verdict="holds",
        relation=">=",
        domain=_JOINTS + _LAMBDA,
        draw=energy.joints,
        equality=_at_posterior,
        printed=lambda w: (
            w.integral(w.q_w[:, None] * w.q_z_given_w * np.log(w.p_lambda))
            - w.integral(w.q_w[:, None] * w.q_z_given_w * np.log(w.q_w)[:, None])
        ),
        oracles=_INFORMATION,
        note="A mean of divergences is dropped (Barber and Agakov's bound); equality at p_λ(w|z) = q(w|z)",
    ),
]
