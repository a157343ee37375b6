"""meanfield/D1 to meanfield/D11: the bound from KL, one q a datum, and one encoder for all."""

import math

import numpy as np

from vbref.audit import Case, Claim, Code, Condition, Definition, oracles, worlds
from vbref.audit.claims.shared import EVIDENCE, WORLD
from vbref.audit.claims.shared_slopes import slope
from vbref.audit.worlds_tied import Tied

_KL = {
    "exact sum over nodes": lambda w: oracles.kl_by_sum(w.q * w.dz, w.joint / w.integral(w.joint) * w.dz),
    "slope of the Chernoff curve": lambda w: oracles.kl_by_slope(
        w.q * w.dz, w.joint * w.dz / (w.joint @ w.dz)
    ),
}


def _posterior(rng):
    w = worlds.latent(rng)
    return w.with_q(w.joint / w.integral(w.joint))


# -- a data set: x_i is an observable state, θ the logits of p(z) and p(x|z), φ those of q(z|x) --

_DATA = "finite tables of 2 or 3 states with softmax parameters"


def _small_logits(rng):
    return worlds.logits(rng, *rng.integers(2, 4, size=2))


def _all_states(rng):
    """Each observable state once: the rows of the encoder's logits are ψ_1, …, ψ_N."""
    logits = _small_logits(rng)
    return Case(logits=logits, data=np.arange(len(logits.encoder)))


def _batch(rng):
    """A batch of 3 from 2 or 3 states, often with repetitions: φ is shared."""
    logits = _small_logits(rng)
    return Case(logits=logits, data=rng.integers(len(logits.encoder), size=3))


def _tied():
    logits = worlds.Logits(np.zeros(2), np.array([[math.log(3.0), 0.0], [0.0, 0.0]]), np.zeros((2, 2)))
    return Case(logits=Tied(logits.prior, logits.likelihood, logits.encoder), data=np.array([0, 1]))


def _term(logits, x):
    """E_{q(·|x)}[log p(x, z) / q(z|x)]."""
    w = logits.table().at(x)
    return (w.q * np.log(w.joint / w.q)).sum()


def _gap_sum(logits, data):
    return math.fsum(oracles.elbo_by_gap(logits.table().at(x)) for x in data)


def _split_sum(logits, data):
    """J by the first split, with all data at once; complex logits pass."""
    t = logits.table()
    q, log_lik = t.encoder[data], np.log(t.likelihood.T[data])
    return (q * (log_lik + np.log(t.prior) - np.log(q))).sum()


_OBJECTIVE = {
    "evidence less KL, datum by datum": lambda w: _gap_sum(w.logits, w.data),
    "first split, all data at once": lambda w: _split_sum(w.logits, w.data),
}


def _slopes_of_j(*names):
    """∂J by the named logits: complex steps through one form of J, differences through another."""

    def by_complex_step(w, name):
        return oracles.complex_step(
            lambda v: _split_sum(w.logits.moved(**{name: v}), w.data), getattr(w.logits, name)
        )

    def by_differences(w, name):
        return oracles.central_difference(
            lambda v: _gap_sum(w.logits.moved(**{name: v}), w.data), getattr(w.logits, name)
        )

    return {
        "complex step": lambda w: np.concatenate([by_complex_step(w, n).ravel() for n in names]),
        "central differences": lambda w: np.concatenate([by_differences(w, n).ravel() for n in names]),
    }


def _by_psi(w):
    """∂/∂ψ_i of the i-th term alone, for every i in a row."""

    def term(i, psi):
        t = w.logits.table().at(i)
        q = worlds.softmax(psi)
        return (q * np.log(t.joint / q)).sum()

    return np.concatenate([slope(lambda psi, i=i: term(i, psi), w.logits.encoder[i]) for i in w.data])


def _by_phi(w):
    """Σ_i ∂/∂φ of the i-th term."""
    return sum(
        slope(lambda phi, x=x: _term(w.logits.moved(encoder=phi), x), w.logits.encoder) for x in w.data
    )


def _by_theta(w):
    """Σ_i E_q[∂/∂θ log p_θ(x_i, z)], by the prior's and the likelihood's logits."""
    q = w.logits.table().encoder

    def inside(name, x):
        return slope(
            lambda v: np.log(w.logits.moved(**{name: v}).table().at(x).joint), getattr(w.logits, name)
        )

    return np.concatenate([sum(inside(name, x) @ q[x] for x in w.data) for name in ("prior", "likelihood")])


_FREE_OF_THETA = Condition("q has no θ; outside, q's logits are θ's", _tied())


CLAIMS = [
    Definition(
        "meanfield/D1",
        r"KL(q \parallel p_\theta(z|x)) = E_{z \sim q} [\log q(z) - \log p_\theta(z|x)]",
        "The divergence is defined",
    ),
    Claim(
        "meanfield/D2a",
        statement=r"= E_{z\sim q}[\log q(z) - \log p_\theta(z, x) + \log p_\theta(x)]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: w.integral(w.q * (np.log(w.q) - np.log(w.joint) + np.log(w.integral(w.joint)))),
        oracles=_KL,
        note="Bayes' rule inside the logarithm",
    ),
    Claim(
        "meanfield/D2b",
        statement=r"= \log p_\theta(x) - E_{z\sim q}\left[\log\frac{p_\theta(x,z)}{q(z)}\right]",
        verdict="holds",
        domain=WORLD,
        draw=worlds.latent,
        printed=lambda w: np.log(w.integral(w.joint)) - w.integral(w.q * np.log(w.joint / w.q)),
        oracles=_KL,
        note="log p(x) is a constant in z",
    ),
    Claim(
        "meanfield/D3a",
        statement=r"KL(q \parallel p_\theta(z|x)) \geq 0",
        verdict="holds",
        relation=">=",
        domain=WORLD,
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: 0.0,
        oracles=_KL,
        note="Gibbs' inequality; 0 at q = posterior",
    ),
    Claim(
        "meanfield/D3b",
        statement=r"\Rightarrow ELBO(q,x,\theta) = E_{z\sim q}\left[\log\frac{p_\theta(x,z)}{q(z)}\right]"
        r" \leq \log p_\theta(x)",
        verdict="holds",
        relation=">=",
        domain=WORLD + "; read from the right: log p(x) ≥ ELBO",
        draw=worlds.latent,
        equality=_posterior,
        printed=lambda w: w.integral(w.q * np.log(w.joint / w.q)),
        oracles=EVIDENCE,
        note="The name ELBO is given, and the bound follows from meanfield/D2",
        code=Code("vbref.bounds.elbo"),
    ),
    Definition(
        "meanfield/D4",
        r"J(\theta, \psi_{1:N}) = \sum_{i=1}^N ELBO(q_{\psi_i}, x_i, \theta)",
        "The objective, with its own q for each datum, is defined",
    ),
    Claim(
        "meanfield/D5a",
        statement=r"\frac{\partial J}{\partial\psi_i} = \frac{\partial}{\partial\psi_i}"
        r" E_{z\sim q_{\psi_i}}\left[\log\frac{p_\theta(x_i,z)}{q_{\psi_i}(z)}\right]",
        verdict="holds",
        domain=_DATA + ", each x_i another state with its own logits ψ_i; all i in a row",
        draw=_all_states,
        printed=_by_psi,
        oracles=_slopes_of_j("encoder"),
        note="Only the i-th term has ψ_i",
    ),
    Claim(
        "meanfield/D5b",
        statement=r"\frac{\partial J}{\partial\theta} = \sum_{i=1}^N E_{z\sim q_{\psi_i}}\left["
        r"\frac{\partial}{\partial\theta}\log p_\theta(x_i,z)\right]",
        verdict="holds",
        domain=_DATA + ", each x_i another state",
        draw=_all_states,
        printed=_by_theta,
        oracles=_slopes_of_j("prior", "likelihood"),
        note="∂/∂θ goes inside, and log q_ψ drops out",
        conditions=[_FREE_OF_THETA],
    ),
    Definition(
        "meanfield/D6",
        r"J(\theta, \phi, x_{1:B}) = \sum_{i=1}^B ELBO(q_\phi(\cdot|x_i), x_i, \theta)",
        "The objective of a batch, with one encoder for all data, is defined: a sum, not a mean",
        code=Code("vbref.models.VAE.objective"),
    ),
    Claim(
        "meanfield/D7",
        statement=r"= \sum_{i=1}^B E_{z\sim q_\phi(\cdot|x_i)}\left[\log\frac{p_\theta(x_i,z)}"
        r"{q_\phi(z|x_i)}\right]",
        verdict="holds",
        domain=_DATA + ", batches of 3",
        draw=_batch,
        printed=lambda w: sum(_term(w.logits, x) for x in w.data),
        oracles=_OBJECTIVE,
        note="meanfield/D3 put in",
    ),
    Claim(
        "meanfield/D8",
        statement=r"\frac{\partial J}{\partial\phi} = \sum_{i=1}^B \frac{\partial}{\partial\phi}"
        r" E_{z\sim q_\phi(\cdot|x_i)}\left[\log\frac{p_\theta(x_i,z)}{q_\phi(z|x_i)}\right]",
        verdict="holds",
        domain=_DATA + ", batches of 3",
        draw=_batch,
        printed=_by_phi,
        oracles=_slopes_of_j("encoder"),
        note="Linearity; ∂/∂φ stays outside the expectation, whose law has φ",
    ),
    Claim(
        "meanfield/D9",
        statement=r"\frac{\partial J}{\partial\theta} = \sum_{i=1}^B E_{z\sim q_\phi(\cdot|x_i)}\left["
        r"\frac{\partial}{\partial\theta}\log p_\theta(x_i,z)\right]",
        verdict="holds",
        domain=_DATA + ", batches of 3",
        draw=_batch,
        printed=_by_theta,
        oracles=_slopes_of_j("prior", "likelihood"),
        note="As meanfield/D5",
        conditions=[_FREE_OF_THETA],
    ),
    Definition(
        "meanfield/D10",
        r"\phi \leftarrow \phi + \alpha \frac{\partial}{\partial \phi} J(\theta, \phi, x_{1:B}) \frac{N}{B}",
        "An assignment of the algorithm: ascent, as it should be. N/B makes the batch's sum an unbiased"
        " estimate of the sum over all data",
    ),
    Definition(
        "meanfield/D11",
        r"\theta \leftarrow \theta + \alpha' \frac{\partial}{\partial \theta} J(\theta, \phi, x_{1:B})"
        r" \frac{N}{B}",
        "An assignment of the algorithm, as meanfield/D10",
    ),
]
