"""vlb/D3 to vlb/D8: the bound's gradients, by the score function and as definitions."""

import numpy as np

from vbref.audit import Aside, Claim, Code, Condition, Counterexample, Definition, Form, oracles, worlds
from vbref.audit.claims.shared_slopes import slope
from vbref.audit.worlds_tied import Tied

# θ, φ and λ are the logits of p(X|z), q(z|X) and r(z); X_i is the first observable state.
_DOMAIN = "finite tables of 2 to 4 states with softmax parameters; the gradient by every logit"

_ONE_HALF = worlds.Logits(
    prior=np.zeros(2), likelihood=np.array([[np.log(3.0), 0.0], [0.0, 0.0]]), encoder=np.zeros((2, 2))
)


def _by_complex_step(*names):
    """∇VLB by complex steps through E_q[log p(X|z) + log r(z) − log q(z|X)]."""

    def bound(w, name, value):
        t = w.moved(**{name: value}).table().at(0)
        return (t.q * (np.log(t.likelihood) + np.log(t.prior) - np.log(t.q))).sum()

    def along(w, name):
        return oracles.complex_step(lambda v: bound(w, name, v), getattr(w, name)).ravel()

    return lambda w: np.concatenate([along(w, name) for name in names])


def _by_differences(*names):
    """∇VLB by central differences of log p(X) − KL(q ‖ posterior)."""

    def slope(w, name):
        return oracles.central_difference(
            lambda v: oracles.elbo_by_gap(w.moved(**{name: v}).table().at(0)), getattr(w, name)
        )

    return lambda w: np.concatenate([slope(w, name).ravel() for name in names])


def _gradient(*names):
    return {"complex step": _by_complex_step(*names), "central differences": _by_differences(*names)}


def _likelihood(w):
    """∇_θ p(X|z), one row a logit, one column a z."""
    return slope(lambda v: worlds.softmax(v)[:, 0], w.likelihood)


def _log_likelihood(w):
    return slope(lambda v: np.log(worlds.softmax(v)[:, 0]), w.likelihood)


def _log_q(w):
    return slope(lambda v: np.log(worlds.softmax(v)[0]), w.encoder)


def _log_r(w):
    return slope(lambda v: np.log(worlds.softmax(v)), w.prior)


def _bound(w):
    t = w.table().at(0)
    return t.integral(np.log(t.likelihood * t.prior / t.q) * t.q)


def _whole(w, name):
    """∇ of the integral as it stands: all of it is differentiated."""
    return slope(lambda v: _bound(w.moved(**{name: v})), getattr(w, name))


def _score(w):
    t = w.table().at(0)
    return _log_q(w) * np.log(t.likelihood * t.prior / t.q) @ t.q


def _by_score_function(estimate, w):
    """The mean over z of vbref's estimate from one sample."""
    t = w.table().at(0)
    return t.q @ estimate(np.log(t.joint / t.q)[None], np.ascontiguousarray(_log_q(w).T)[None])


def _estimate_mean(w, middle):
    """The mean of the K-sample average: that of one of its terms, for the three parts in a row."""
    q = w.table().at(0).q
    return np.concatenate([_log_likelihood(w) @ q, middle, _log_r(w) @ q])


def _without_middle(w):
    """∇VLB with zeros where ∇_φ stands."""
    theta, lam = _by_complex_step("likelihood"), _by_complex_step("prior")
    return np.concatenate([theta(w), np.zeros(w.encoder.size), lam(w)])


CLAIMS = [
    Definition(
        "vlb/D3",
        r"\nabla \text{VLB}(X_i) = (\nabla_\theta \text{VLB}(X_i), \nabla_\phi \text{VLB}(X_i),"
        r" \nabla_\lambda \text{VLB}(X_i))",
        "The gradient's three parts are named",
    ),
    Claim(
        "vlb/D4a",
        statement=r"\nabla_\theta \text{VLB}(X_i) = \nabla_\theta \int \log\left(\frac{p_\theta(X_i|z)"
        r" r_\lambda(z)}{q_\phi(z|X_i)}\right) q_\phi(z|X_i)dz",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=lambda w: _whole(w, "likelihood"),
        oracles=_gradient("likelihood"),
        note="The bound of vlb/D2 written as an integral",
    ),
    Claim(
        "vlb/D4b",
        statement=r"= \int \nabla_\theta(p_\theta(X_i|z))\frac{1}{p_\theta(X_i|z)} q_\phi(z|X_i)dz + 0",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=lambda w: (lambda t: _likelihood(w) @ (1 / t.likelihood * t.q))(w.table().at(0)),
        oracles=_gradient("likelihood"),
        note="∇ goes inside the integral; r_λ and q_φ have no θ, whence the 0",
        conditions=[
            Condition(
                "q_φ has no θ (over the reals also a dominated ∇_θ p); outside, q's logits are θ's",
                Tied(_ONE_HALF.prior, _ONE_HALF.likelihood, _ONE_HALF.encoder),
            )
        ],
    ),
    Claim(
        "vlb/D4c",
        statement=r"= \mathbb E_{z\sim q_\phi(z|X_i)}[\nabla_\theta(\log(p_\theta(X_i|z)))]",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=lambda w: _log_likelihood(w) @ w.table().at(0).q,
        oracles=_gradient("likelihood"),
        note="∇p/p = ∇ log p",
    ),
    Claim(
        "vlb/D5",
        statement=r"\nabla_\phi \text{VLB}(X_i) = \mathbb E_{z\sim q_\phi(z|X_i)}\left[\left(\nabla_\phi\log"
        r" q_\phi(z|X_i)\right)\log\left(\frac{p_\theta(X_i|z)r_\lambda(z)}{q_\phi(z|X_i)}\right)\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=_score,
        oracles=_gradient("encoder"),
        code=Code("vbref.gradients.score_function", _by_score_function),
        note="The product rule gives a second term, E_q[−∇_φ log q_φ] = −∇_φ 1 = 0",
    ),
    Claim(
        "vlb/D6",
        statement=r"\nabla_\lambda \text{VLB}(X_i) = \mathbb E_{z\sim q_\phi(z|X_i)}[\nabla_\lambda"
        r"(\log(r_\lambda(z)))]",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=lambda w: _log_r(w) @ w.table().at(0).q,
        oracles=_gradient("prior"),
        note="As vlb/D4, for the one factor that has λ",
    ),
    Claim(
        "vlb/D7",
        statement=r"\nabla_{\theta,\phi,\lambda} \text{VLB}(X_i) \approx \frac1K\sum_{k=1}^K\left("
        r"\nabla_\theta\log p_\theta(X_i|z_k), (\nabla_\phi\log(z_k))\log\left(\frac{p_\theta(X_i|z_k)"
        r" r_\lambda(z_k)}{q_\phi(z_k|X_i)}\right), \nabla_\lambda\log r_\lambda(z_k)\right)",
        verdict="misprint",
        domain=_DOMAIN + "; ≈ is read as: the average is unbiased",
        draw=worlds.logits,
        printed=lambda w: _estimate_mean(w, np.zeros(w.encoder.size)),
        oracles=_gradient("likelihood", "encoder", "prior"),
        note="q_φ is lost from ∇_φ log q_φ(z_k|X_i). A number z_k that has been drawn has no φ, so that the"
        " middle part is 0 (and log z_k has no value for z_k < 0)",
        corrected=Form(
            r"\frac1K\sum_k\left(\dots, (\nabla_\phi\log q_\phi(z_k|X_i))\log\left(\frac{p_\theta(X_i|z_k)"
            r" r_\lambda(z_k)}{q_\phi(z_k|X_i)}\right), \dots\right)",
            lambda w: _estimate_mean(w, _score(w)),
        ),
        counterexample=Counterexample("two states, r = q = (½, ½), p(X|z) = (¾, ½): all logits", _ONE_HALF),
        aside=Aside("right by θ and λ, and an encoder that never learns", _without_middle),
    ),
    Claim(
        "vlb/D8",
        statement=r"\nabla_\phi \text{VLB}(X_i) = \nabla_\phi \mathbb E_{Z\sim q_\phi(Z|X_i)}\left[\log"
        r"\left(\frac{p_\theta(X_i|Z) r_\lambda(Z)}{q_\phi(Z|X_i)}\right)\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=worlds.logits,
        printed=lambda w: _whole(w, "encoder"),
        oracles=_gradient("encoder"),
        note="The bound put in; q_φ carries φ in both places, so that ∇_φ may not just go inside",
    ),
]
