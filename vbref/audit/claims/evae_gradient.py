"""evae/D1 to evae/D10: the gradient of the evidence under an energy-based prior, and its approximation."""

from dataclasses import replace

import numpy as np

from vbref.audit import Aside, Claim, Condition, Counterexample, Definition, Form, oracles
from vbref.audit import worlds_energy as energy
from vbref.audit.worlds import softmax

_TABLES = "dense random tables of 2 to 4 states z and x; U and P(x|z) share 2 parameters"
_AT_EVERY_X = _TABLES + "; at every x"
_OVER_LAWS = _TABLES + "; averaged over P_θ(x), over a random law of x, and at every x"

# -- P_θ(x) and its gradient at every x: arrays (X,) and (X, M) --


def _marginal_by_gibbs(w):
    """P(x) as the stationary law of x → z ~ P(z|x) → x ~ P(x|z)."""
    values, vectors = np.linalg.eig((w.posterior @ w.lik).T)
    stationary = vectors[:, np.argmax(values.real)].real
    return stationary / stationary.sum()


def _marginal_by_harmonic_mean(w):
    """1/P(x) = E[1/P(x|z)] under the posterior."""
    return 1 / np.einsum("xz,zx->x", w.posterior, 1 / w.lik)


def _evidence_by_complex_step(w, log=True):
    """∇P(x), or ∇log P(x): through the normalised prior and likelihood."""
    columns = []
    for direction in np.eye(w.dU.shape[1]):
        t = 1e-30j * direction
        moved = softmax(-w.U - w.dU @ t) @ softmax(np.log(w.lik) + w.d_log_lik @ t)
        columns.append(np.imag(np.log(moved) if log else moved) / 1e-30)
    return np.stack(columns, -1)


def _evidence_by_differences(w, log=True):
    """The same by central differences of two free energies: log Σ e^(−U) P(x|z) − log Σ e^(−U)."""

    def log_evidence(t, x):
        u, logits = w.U + w.dU @ t, np.log(w.lik) + w.d_log_lik @ t
        log_joint = logits[:, x] - np.log(np.exp(logits).sum(1)) - u
        return np.log(np.exp(log_joint).sum()) - np.log(np.exp(-u).sum())

    def value(t, x):
        return log_evidence(t, x) if log else np.exp(log_evidence(t, x))

    origin = np.zeros(w.dU.shape[1])
    return np.stack(
        [oracles.central_difference(lambda t, x=x: value(t, x), origin) for x in range(len(w.law))]
    )


_MARGINAL = {
    "stationary law of Gibbs sampling": _marginal_by_gibbs,
    "harmonic mean": _marginal_by_harmonic_mean,
}
_GRADIENT = {
    "complex step": lambda w: _evidence_by_complex_step(w, log=False),
    "differences of free energies": lambda w: _evidence_by_differences(w, log=False),
}
_SCORE = {"complex step": _evidence_by_complex_step, "differences of free energies": _evidence_by_differences}

# -- averaged over laws of x: the model's own, the outer one, and each x alone --


def _laws(w):
    return np.vstack([w.marginal, w.law, np.eye(len(w.law))])


_MEAN_SCORE = {
    "complex step": lambda w: (
        np.vstack([w.marginal, w.law, np.eye(len(w.law))]) @ _evidence_by_complex_step(w)
    ),
    "differences of free energies": lambda w: np.tensordot(
        np.vstack([w.marginal, w.law, np.eye(len(w.law))]), _evidence_by_differences(w), 1
    ),
}


def _posterior_mean(w, values):
    """E_{P(z|x)} at every x; values (Z, M), or (Z, X, M) where they depend on x."""
    return np.einsum("xz,zm->xm" if values.ndim == 2 else "xz,zxm->xm", w.posterior, values)


# -- D8 and D9: q(z|x) and the law of G(w) stand for the posterior and the prior --


def _exact(rng):
    """A table whose encoder is the posterior and whose generator's law is the prior."""
    w = energy.energies(rng)
    share = w.code / w.pushed[w.generator]  # how the codes of a state divide it among them
    return energy.energy_table(
        w.U,
        w.dU,
        w.lik,
        w.d_log_lik,
        encoder=w.posterior,
        generator=w.generator,
        code=w.prior[w.generator] * share,
        law=w.law,
    )


def _two_states(encoder, code):
    """Two states each: energies (θ_1, 0) and P(x=1|z=1) = σ(θ_2) at θ = 0, where all laws are uniform."""
    half = np.full((2, 2), 0.5)
    score = np.zeros((2, 2, 2))
    score[1, :, 1] = [-0.5, 0.5]
    return energy.energy_table(
        [0.0, 0.0],
        [[1.0, 0.0], [0.0, 0.0]],
        half,
        score,
        encoder=encoder,
        generator=[0, 1],
        code=code,
        law=[0.5, 0.5],
    )


_UNIFORM = _two_states(np.full((2, 2), 0.5), [0.5, 0.5])
_WRONG_PRIOR = _two_states(np.full((2, 2), 0.5), [0.8, 0.2])
_WRONG_POSTERIOR = _two_states([[0.8, 0.2], [0.8, 0.2]], [0.5, 0.5])


def _own_law():
    """x is drawn from P_θ(x), which moves with θ; q is not the posterior."""
    w = energy.energy_table(
        [0.0, 0.0],
        [[1.0], [0.0]],
        [[0.8, 0.2], [0.2, 0.8]],
        np.zeros((2, 2, 1)),
        encoder=[[0.9, 0.1], [0.6, 0.4]],
        generator=[0, 1],
        code=[0.5, 0.5],
        law=[0.5, 0.5],
    )
    return replace(w, d_log_law=_evidence_by_complex_step(w))


def _objective(w, t):
    """The bracket of D9 at θ + t, the laws q fixed, averaged over the outer law of x at θ + t."""
    u = w.U + w.dU @ t
    logits = np.log(w.lik) + w.d_log_lik @ t
    log_lik = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    at_x = w.code @ u[w.generator] + np.einsum("xz,zx->x", w.encoder, log_lik - u[:, None])
    return w.law * np.exp(w.d_log_law @ t) @ at_x


def _inside_by_scores(w):
    """E_{q(w)} ∇U(G(w)) + E_x E_{q(z|x)} ∇(log P(x|z) − U(z))."""
    return w.pushed @ w.dU + np.einsum("x,xz,zxm->m", w.law, w.encoder, w.d_log_lik - w.dU[:, None])


def _inside_by_differences(w):
    """The same with each ∇ a central difference in θ before the averages are taken."""
    from scipy.special import log_softmax

    origin, slopes = np.zeros(w.dU.shape[1]), np.zeros(w.dU.shape[1])
    for g, weight in zip(w.generator, w.code, strict=True):
        slopes += weight * oracles.central_difference(lambda t, g=g: w.U[g] + w.dU[g] @ t, origin)
    for x, z in np.ndindex(w.encoder.shape):
        slopes += (w.law[x] * w.encoder[x, z]) * oracles.central_difference(
            lambda t, x=x, z=z: log_softmax(np.log(w.lik[z]) + w.d_log_lik[z] @ t)[x] - w.U[z] - w.dU[z] @ t,
            origin,
        )
    return slopes


def _prior_score(w):
    """∇ log P(x) in the parameters as they enter the prior alone."""
    return _evidence_by_complex_step(replace(w, d_log_lik=np.zeros_like(w.d_log_lik)))


CLAIMS = [
    Claim(
        "evae/D1",
        statement=r"P_\theta(x) = \int P_\theta(z) P_\theta(x|z)\,dz",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: w.prior @ w.lik,
        oracles=_MARGINAL,
        note="Marginalisation",
    ),
    Claim(
        "evae/D2",
        statement=r"\nabla_\theta P_\theta(x) = \int \nabla_\theta P_\theta(z) P_\theta(x|z)\,dz"
        r" + P_\theta(z) \nabla_\theta P_\theta(x|z)\,dz",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_GRADIENT,
        why="The second term has a dz and no integral sign: z is unbound there",
        reading=Form(
            r"\int \bigl[(\nabla_\theta P_\theta(z)) P_\theta(x|z) + P_\theta(z) \nabla_\theta"
            r" P_\theta(x|z)\bigr]dz",
            lambda w: (
                np.einsum("zm,zx->xm", w.prior[:, None] * w.d_log_prior, w.lik)
                + np.einsum("z,zxm->xm", w.prior, w.lik[:, :, None] * w.d_log_lik)
            ),
        ),
        rejected={
            "∇ acts on the whole product, and once more on P(x|z)": lambda w: (
                np.einsum("zm,zx->xm", w.prior[:, None] * w.d_log_prior, w.lik)
                + 2 * np.einsum("z,zxm->xm", w.prior, w.lik[:, :, None] * w.d_log_lik)
            ),
        },
        note="The product rule under the integral sign",
    ),
    Claim(
        "evae/D3a",
        statement=r"\nabla_\theta \ln P_\theta(x) = \frac{\nabla_\theta P_\theta(x)}{P_\theta(x)}",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: (
            np.einsum("z,zx,zxm->xm", w.prior, w.lik, w.d_log_prior[:, None] + w.d_log_lik)
            / (w.prior @ w.lik)[:, None]
        ),
        oracles=_SCORE,
        note="The derivative of a logarithm, with ∇P(x) as in evae/D2",
    ),
    Claim(
        "evae/D3b",
        statement=r"= \int P_\theta(z|x) \nabla_\theta (\ln P_\theta(z) + \frac{P_\theta(z)}{P_\theta(x)}"
        r" \frac{P_\theta(x|z)}{P_\theta(x|z)} \nabla_\theta P_\theta(x|z)\,dz",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_SCORE,
        why="A bracket opens after ∇ and never closes",
        reading=Form(
            r"\int P_\theta(z|x) \nabla_\theta \ln P_\theta(z) + \frac{P_\theta(z)}{P_\theta(x)}"
            r" \frac{P_\theta(x|z)}{P_\theta(x|z)} \nabla_\theta P_\theta(x|z)\,dz",
            lambda w: (
                _posterior_mean(w, w.d_log_prior)
                + np.einsum(
                    "zx,zxm->xm",
                    w.prior[:, None] / w.marginal * (w.lik / w.lik),
                    w.lik[:, :, None] * w.d_log_lik,
                )
            ),
        ),
        rejected={
            "P(z|x) multiplies both terms": lambda w: (
                _posterior_mean(w, w.d_log_prior)
                + np.einsum(
                    "xz,zx,zxm->xm",
                    w.posterior,
                    w.prior[:, None] / w.marginal,
                    w.lik[:, :, None] * w.d_log_lik,
                )
            ),
        },
        note="The factor P(x|z)/P(x|z) is put in to make the posterior and ∇ ln P(x|z) of the next line",
    ),
    Claim(
        "evae/D4",
        statement=r"= \int P_\theta(z|x) (\nabla_\theta \ln P_\theta(z) + \nabla_\theta \ln"
        r" P_\theta(x|z))\,dz",
        verdict="holds",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: _posterior_mean(w, w.d_log_prior[:, None] + w.d_log_lik),
        oracles=_SCORE,
        note="Fisher's identity: the score of the evidence is the posterior mean of the joint score",
    ),
    Claim(
        "evae/D5",
        statement=r"= \mathbb E_{P_\theta(z|x)} \nabla_\theta (\ln P_\theta(x|z)) - \nabla_\theta U_\theta(z)"
        r" + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
        verdict="notation",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        oracles=_SCORE,
        why="Nothing binds the z of −∇U(z): the expectation's bracket closes before it",
        reading=Form(
            r"\mathbb E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta"
            r" U_\theta(z)\bigr] + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
            lambda w: _posterior_mean(w, w.d_log_lik - w.dU[:, None]) + w.prior @ w.dU,
        ),
        rejected={
            "z bound by the prior": lambda w: (
                _posterior_mean(w, w.d_log_lik) - w.prior @ w.dU + w.prior @ w.dU
            ),
        },
        note="By evae/D15 and ∇ ln Z = −E_{P(z)} ∇U: the energy rises where the prior is and falls where"
        " the posterior is",
    ),
    Claim(
        "evae/D6a",
        statement=r"\mathbb E_{P_\theta(x)} \nabla_\theta \ln P_\theta(x) = \mathbb E_{P_\theta(z)}"
        r" \nabla_\theta U_\theta(z) + \mathbb E_{z\sim P_\theta(z|x)} \nabla_\theta \ln P_\theta(x|z)"
        r" - \nabla_\theta U_\theta(z)",
        verdict="notation",
        domain=_OVER_LAWS,
        draw=energy.energies,
        oracles=_MEAN_SCORE,
        why="On the right x is free, averaged on the left alone, and no expectation reaches the last z",
        reading=Form(
            r"\mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z) + \mathbb E_{P_\theta(x)}\mathbb"
            r" E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta U_\theta(z)\bigr]",
            lambda w: w.prior @ w.dU + _laws(w) @ _posterior_mean(w, w.d_log_lik - w.dU[:, None]),
        ),
        note="True for every outer law of x. With the model's own P_θ(x), as printed, both sides are 0 and"
        " nothing is learned: the law of the data is meant, p(x) in evae/D23",
        aside=Aside(
            "averaged over the model's own P_θ(x) it is 0: a score has mean zero",
            lambda w: np.vstack(
                [np.zeros(2), w.law @ _evidence_by_complex_step(w), _evidence_by_complex_step(w)]
            ),
        ),
    ),
    Claim(
        "evae/D6b",
        statement=r"\nabla_\theta \ln P_\theta(x) = -\mathbb E_{P_\theta(z|x)} \nabla_\theta U_\theta(z)"
        r" + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
        verdict="misprint",
        domain=_AT_EVERY_X,
        draw=energy.energies,
        printed=lambda w: -_posterior_mean(w, w.dU) + w.prior @ w.dU,
        oracles=_SCORE,
        note="E_{P(z|x)} ∇ ln P(x|z) is dropped in the last step; z is bound here as in evae/D6a, and the"
        " step judged at every x. Only over the model's own P_θ(x) does the dropped term average to 0, as"
        " everything else does",
        corrected=Form(
            r"\mathbb E_{P_\theta(z|x)}\bigl[\nabla_\theta \ln P_\theta(x|z) - \nabla_\theta"
            r" U_\theta(z)\bigr] + \mathbb E_{P_\theta(z)} \nabla_\theta U_\theta(z)",
            lambda w: _posterior_mean(w, w.d_log_lik) - _posterior_mean(w, w.dU) + w.prior @ w.dU,
        ),
        counterexample=Counterexample(
            "two uniform states z and x, energies (θ_1, 0), P(x=1|z=1) = σ(θ_2), at θ = 0; rows x = 0, 1",
            _UNIFORM,
        ),
        aside=Aside(
            "it is the gradient by the prior's parameters alone: the decoder never learns", _prior_score
        ),
    ),
    Definition(
        "evae/D7",
        r"P_\theta(z) \sim q_\psi(z):\ KL(q_\psi(z)\|P_\theta(z));\quad q_\psi(z|x) \sim P_\theta(z|x):\ "
        r"KL(q_\psi(z|x)\|P_\theta(z|x))",
        "What stands for what, and the divergence that brings them together",
    ),
    Claim(
        "evae/D8",
        statement=r"\mathbb E_{P_\theta(x)} \nabla_\theta \ln P_\theta(x) \approx \mathbb E_{q_\psi(w)}"
        r" \nabla_\theta U_\theta(G(w)) + \mathbb E_{P_\theta(x)} \mathbb E_{q_\psi(z|x)} \nabla_\theta"
        r" (\ln P_\theta(x|z) - \nabla_\theta U_\theta(z))",
        verdict="notation",
        domain=_OVER_LAWS + "; q(z|x) the posterior and the law of G(w) the prior, where ≈ becomes =",
        draw=_exact,
        oracles=_MEAN_SCORE,
        why="∇ acts on ln P(x|z) − ∇U(z), a number less a vector",
        reading=Form(
            r"\mathbb E_{q_\psi(w)} \nabla_\theta U_\theta(G(w)) + \mathbb E_{P_\theta(x)} \mathbb"
            r" E_{q_\psi(z|x)} \nabla_\theta (\ln P_\theta(x|z) - U_\theta(z))",
            lambda w: (
                w.code @ w.dU[w.generator]
                + _laws(w) @ np.einsum("xz,zxm->xm", w.encoder, w.d_log_lik - w.dU[:, None])
            ),
        ),
        note="evae/D6a with q for the prior and the posterior; ≈ is as good as they are",
        conditions=[
            Condition("the law of G(w) is the prior; outside, (0.8, 0.2) for (½, ½)", _WRONG_PRIOR),
            Condition("q(z|x) is the posterior; outside, (0.8, 0.2) for (½, ½)", _WRONG_POSTERIOR),
        ],
    ),
    Claim(
        "evae/D9",
        statement=r"= \nabla_\theta \mathbb E_{P_\theta(x)} \mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
        r" E_{q_\psi(z|x)} \ln P_\theta(x|z) - U_\theta(z)",
        verdict="notation",
        domain=_TABLES + "; the law of x and both q free of θ",
        draw=energy.energies,
        oracles={"averages of scores": _inside_by_scores, "averages of differences": _inside_by_differences},
        why="Brackets are missing: ∇ and the average over x must reach the end, and nothing binds the last z",
        reading=Form(
            r"\nabla_\theta \mathbb E_{p(x)}\Bigl[\mathbb E_{q_\psi(w)} U_\theta(G(w)) + \mathbb"
            r" E_{q_\psi(z|x)}\bigl[\ln P_\theta(x|z) - U_\theta(z)\bigr]\Bigr]",
            lambda w: oracles.complex_step(lambda t: _objective(w, t), np.zeros(w.dU.shape[1])),
        ),
        note="∇ is taken out of averages over laws that do not move with θ; evae/D23 writes p(x)",
        conditions=[
            Condition(
                "the outer law of x is free of θ: P_θ(x) as printed is the data's law p(x); outside, the"
                " model's own",
                _own_law(),
            )
        ],
    ),
    Definition("evae/D10", r"= \nabla_\theta \mathcal L_{EVAE}", "The objective is given its name"),
]
