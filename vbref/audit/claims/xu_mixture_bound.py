"""xu/41 and xu/42: the bound of the mixture prior, whose KL may not be decoupled from the component."""

import math

import numpy as np

from vbref.audit import Aside, Claim, Counterexample, Form, oracles
from vbref.audit.worlds_mixture import mixture, mixture_table

_DOMAIN = "dense random tables (w, z, x of 1 to 4 states) and Gaussian worlds with w, x on the real line"

_TWO_POINT_TEXT = (
    "two x, two z, p(x|z₁) = (0.8, 0.2), p(x|z₂) = (0.2, 0.8), p(z) = q(x) = (½, ½), p(y|x) = ½, w fixed"
)
_TWO_POINT = mixture_table(
    p_w=[1.0], p_z=[0.5, 0.5], p_x=[[[0.8, 0.2], [0.2, 0.8]]], lik=[0.5, 0.5], q_w=[1.0], q_x=[0.5, 0.5]
)

_ELBO = {
    "evidence less KL to the posterior": lambda w: oracles.elbo_by_gap(w.flat),
    "slope of E_q[w^α] at 0": lambda w: oracles.elbo_by_cumulant(w.flat),
}

# -- the terms of the ELBO --


def _decoupled(w, kl_or_ratio):
    """E_q(w) Σ_z r(z|w) f(w, z), r(z|w) = E_q(x)[p(z|x, w)]: z drawn from one x, f with another inside."""
    r = w.mean_x(w.p_z_given)
    return w.mean_w((r * kl_or_ratio).sum(1))


def _fit(w):
    return w.mean_x(np.log(w.lik))


def _kl_w(w):
    q, p = w.q_w.ravel(), w.p_w.ravel()
    return w.mean_w(np.log(q / p))


def _kl_z(w):
    """E_q(x) E_q(w) KL(p(z|x, w) ‖ p(z))."""
    return w.mean_w(w.mean_x((w.p_z_given * np.log(w.p_z_given / w.p_z)).sum(1)))


def _joint_ratio(w):
    """E[log p(x|w, z)/q(x|y)] with (x, w, z) drawn together."""
    return w.mean(np.log(w.p_x / w.q_x))


def _printed_kl(w):
    kl = w.mean_x(np.log(w.q_x / w.p_x))
    return _fit(w) - _decoupled(w, kl) - _kl_w(w) - _kl_z(w)


def _dependence(w):
    """E_q(w)[KL(j ‖ m) + KL(m ‖ j)]: j = q(x|y) p(z|x, w), and m the product of its marginals.

    The printed term lacks Σ (j − m) log p(x|w, z), and log p(x|w, z) = log p(z|x, w) − log p(z) + log p(x|w):
    functions of z or of x alone drop out, and Σ (j − m)(log j − log m) is left.
    """
    j = w.q_x * w.p_z_given
    m = w.q_x * (j.sum(-1, keepdims=True) * w.dx)
    return float((w.q_w * (j - m) * (np.log(j) - np.log(m))).sum()) * w.dx * w.dw


def _without_z(w):
    p_x = (w.p_z * w.p_x).sum(1)
    q_w = w.q_w[:, 0]
    inside = w.q_x * q_w * (np.log(w.lik * p_x * w.p_w[:, 0]) - np.log(w.q_x * q_w))
    return float(inside.sum()) * w.dx * w.dw


_TOGETHER = Form(
    r"\mathbb E_{q(x|y)}[\log p_\theta(y|x)] + \mathbb E_{q(x|y) q(w|y) p_\beta(z|x,w)}"
    r"\left[\log\frac{p_\beta(x|w,z)}{q(x|y)}\right] - \text{KL}[q(w|y)\|p(w)]"
    r" - \mathbb E_{q(x|y)q(w|y)}[\text{KL}(p_\beta(z|x,w)\|p(z))]",
    lambda w: _fit(w) + _joint_ratio(w) - _kl_w(w) - _kl_z(w),
)


CLAIMS = [
    Claim(
        "xu/41a",
        statement=r"\text{ELBO} = \mathbb E_q\left[\frac{p_{\beta,\theta}(\mathbf y,\mathbf x,\mathbf"
        r" w,\mathbf z)}{q(\mathbf x,\mathbf w,\mathbf z|\mathbf y)}\right]",
        verdict="misprint",
        domain=_DOMAIN,
        draw=mixture,
        printed=lambda w: w.mean(w.joint / w.q),
        oracles=_ELBO,
        note="The logarithm is missing; the next line has it",
        corrected=Form(
            r"\mathbb E_q\left[\log\frac{p_{\beta,\theta}(\mathbf y,\mathbf x,\mathbf w,\mathbf z)}"
            r"{q(\mathbf x,\mathbf w,\mathbf z|\mathbf y)}\right]",
            lambda w: w.mean(np.log(w.joint / w.q)),
        ),
        counterexample=Counterexample(_TWO_POINT_TEXT, _TWO_POINT),
        aside=Aside(
            "it is the evidence p(y), for every q that covers the posterior",
            lambda w: math.exp(oracles.log_evidence_by_sum(w.flat)),
        ),
    ),
    Claim(
        "xu/41b",
        statement=r"= \mathbb E_q\left[\log\frac{p_\theta(\mathbf y|\mathbf x)p(\mathbf w)p(\mathbf z)"
        r"p_\beta(\mathbf x|\mathbf w,\mathbf z)}{q_{\phi_x}(\mathbf x|\mathbf y)q_{\phi_w}(\mathbf w|\mathbf"
        r" y)p_\beta(\mathbf z|\mathbf x,\mathbf w)}\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=mixture,
        printed=lambda w: w.mean(
            np.log(w.lik * w.p_w * w.p_z * w.p_x / (w.q_x * w.q_w * w.p_z_given)),
        ),
        oracles=_ELBO,
        note="xu/37 and xu/40 put in",
    ),
    Claim(
        "xu/41c",
        statement=r"= \mathbb E_q[\log p_\theta(\mathbf y|\mathbf x)]"
        r" + \mathbb E_q\left[\log\frac{p_\beta(\mathbf x|\mathbf w,\mathbf z)}{q_{\phi_x}(\mathbf x|\mathbf"
        r" y)}\right] + \mathbb E_q\left[\log\frac{p(\mathbf w)}{q_{\phi_w}(\mathbf w|\mathbf y)}\right]"
        r" + \mathbb E_q\left[\log\frac{p(\mathbf z)}{p_\beta(\mathbf z|\mathbf x,\mathbf w)}\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=mixture,
        printed=lambda w: (
            w.mean(np.log(w.lik))
            + w.mean(np.log(w.p_x / w.q_x))
            + w.mean(np.log(w.p_w / w.q_w))
            + w.mean(np.log(w.p_z / w.p_z_given))
        ),
        oracles=_ELBO,
        note="Linearity",
    ),
    Claim(
        "xu/42a",
        statement=r"= \mathbb E_{q(\mathbf x|\mathbf y)}[\log p_\theta(\mathbf y|\mathbf x)]"
        r" + \mathbb E_{q_{\phi_w}(\mathbf w|\mathbf y)} p_\beta(\mathbf z|\mathbf x,\mathbf w)"
        r" \mathbb E_{q_{\phi_x}(\mathbf x|\mathbf y)}\left[\log\frac{p_\beta(\mathbf x|\mathbf w,\mathbf z)}"
        r"{q_{\phi_x}(\mathbf x|\mathbf y)}\right]"
        r" + \mathbb E_{q_{\phi_w}(\mathbf w|\mathbf y)}\left[\log\frac{p(\mathbf w)}{q_{\phi_w}(\mathbf"
        r" w|\mathbf y)}\right] + \mathbb E_{q_{\phi_x}(\mathbf x|\mathbf y)} q_{\phi_w}(\mathbf w|\mathbf y)"
        r" \mathbb E_{p_\beta(\mathbf z|\mathbf x,\mathbf w)}\left[\log\frac{p(\mathbf z)}{p_\beta(\mathbf"
        r" z|\mathbf x,\mathbf w)}\right]",
        verdict="notation",
        domain=_DOMAIN,
        draw=mixture,
        oracles=_ELBO,
        why="p_β(z|x, w) stands behind E's subscript instead of in it, and before the E that binds its x",
        reading=Form(
            r"\text{one expectation over } q(x|y)\, q(w|y)\, p_\beta(z|x,w)",
            lambda w: (
                _fit(w)
                + _joint_ratio(w)
                + w.mean_w(np.log(w.p_w / w.q_w).ravel())
                + w.mean_w(w.mean_x((w.p_z_given * np.log(w.p_z / w.p_z_given)).sum(1)))
            ),
        ),
        rejected={"z drawn first, from an x of its own": _printed_kl},
        note="Terms of xu/41 under the variables that they contain",
        aside=Aside(
            "by Bayes' rule z may be summed out, which leaves the ELBO of (x, w) alone:"
            " E log p(y|x) − E_q(w) KL[q(x|y) ‖ Σ_k π_k p(x|w, z_k)] − KL[q(w|y) ‖ p(w)]",
            _without_z,
        ),
    ),
    Claim(
        "xu/42b",
        statement=r"= \mathbb E_{q(\mathbf x|\mathbf y)}[\log p_\theta(\mathbf y|\mathbf x)]"
        r" - \mathbb E_{q_{\phi_w}(\mathbf w|\mathbf y)} p_\beta(\mathbf z|\mathbf x,\mathbf w)"
        r" [\text{KL}(q_{\phi_x}(\mathbf x|\mathbf y)\|p_\beta(\mathbf x|\mathbf w,\mathbf z))]"
        r" - \text{KL}[q_{\phi_w}(\mathbf w|\mathbf y)\|p(\mathbf w)]"
        r" - \mathbb E_{q_{\phi_x}(\mathbf x|\mathbf y)} q_{\phi_w}(\mathbf w|\mathbf y)"
        r" [\text{KL}(p_\beta(\mathbf z|\mathbf x,\mathbf w)\|p(\mathbf z))]",
        verdict="misprint",
        domain=_DOMAIN + "; the x of p_β(z|x, w) outside the KL is a second draw from q(x|y)",
        draw=mixture,
        printed=_printed_kl,
        oracles=_ELBO,
        note="KL integrates over an x of its own, while z was drawn from p_β(z|x, w) with another. Both must"
        " be drawn together, and then the term is no mean of KLs of q(x|y)",
        corrected=_TOGETHER,
        counterexample=Counterexample(_TWO_POINT_TEXT, _TWO_POINT),
        aside=(
            Aside(
                "it is the ELBO less E_q(w) of the KL both ways between q(x|y) p(z|x, w) and the product of"
                " its marginals (mutual plus lautum information of x and z)",
                lambda w: oracles.elbo_by_gap(w.flat) - _dependence(w),
            ),
            Aside(
                "it is still a lower bound on log p(y), as z is drawn from the exact posterior; looser the"
                " more x tells about z",
                lambda w: oracles.log_evidence_by_sum(w.flat),
                relation="<=",
            ),
        ),
    ),
]
