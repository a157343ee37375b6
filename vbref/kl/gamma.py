"""KL divergence between gamma distributions."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import (
    digamma_difference,
    log1p_deficit,
    log_ratio,
    stirling_bregman,
    stirling_gap_curvature,
    trigamma_times,
)


@scalar
def scaled_mean_kl(a_q, a_p, d_a, log_growth):
    """a_p (w − 1 − log w), where w = a_q e^log_growth / a_p and d_a = a_p − a_q.

    For gammas log_growth is log(b_p/b_q), and w the ratio of the means.
    """
    log_w = log_growth - log_ratio(a_q, a_p, d_a)
    if log_w > type(a_q)(50):
        return math.exp(log_w + math.log(a_p))  # w may overflow, and 1 + log w is below its rounding
    t = math.expm1(log_w)
    return a_p * (log1p_deficit(t) if abs(t) < type(a_q)(0.5) else t - log_w)


@scalar
def gamma_kl(a_q, b_q, a_p, b_p):
    """a_p (w − 1 − log w) + D(a_q → a_p), with w the ratio of the means and D the Bregman divergence of
    g(a) = log Γ(a) − a log a + a.

    Two terms ≥ 0. The usual form (a_q − a_p) ψ(a_q) − log Γ(a_q) + log Γ(a_p) + a_p log(b_q/b_p) + a_q
    (b_p/b_q − 1) becomes this one when a log a − a is taken out of log Γ and joins the logarithms of
    rates.
    """
    d_a = a_p - a_q
    means = scaled_mean_kl(a_q, a_p, d_a, log_ratio(b_q, b_p, b_p - b_q))
    return means + stirling_bregman(a_q, a_p, d_a)


@scalar
def gamma_kl_grad(a_q, b_q, a_p, b_p):
    """The derivatives that `gamma_grad` names, from differences that do not cancel."""
    d_a, d_b = a_p - a_q, b_p - b_q
    growth = d_b / b_q
    near = abs(growth) < type(growth)(0.5)
    by_b_p = (a_q * growth - d_a) / b_p if near else a_q / b_q - a_p / b_p
    by_a_p = digamma_difference(a_q, a_p, d_a) - log_ratio(b_q, b_p, d_b)
    by_a_q = growth - trigamma_times(d_a, a_q)
    if a_q > type(a_q)(12):  # growth − d_a/a_q may be as small as the rest, d_a g″(a_q)
        means = growth - d_a / a_q if near else b_p / b_q - a_p / a_q
        by_a_q = means - d_a * stirling_gap_curvature(a_q)
    return by_a_q, -by_b_p * (b_p / b_q), by_a_p, by_b_p


@loop
def _gamma_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[0]):
        out[i] = gamma_kl(a_q[i], b_q[i], a_p[i], b_p[i])


@loop
def _gamma_grad_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = gamma_kl_grad(a_q[i], b_q[i], a_p[i], b_p[i])


def gamma(
    concentration_q: ArrayLike,
    rate_q: ArrayLike,
    concentration_p: ArrayLike,
    rate_p: ArrayLike,
    *,
    device: str = "cpu",
) -> Any:
    """KL(Gamma(concentration_q, rate_q) ‖ Gamma(concentration_p, rate_p)) of each element, in nats.

    (a_q − a_p) ψ(a_q) − log Γ(a_q) + log Γ(a_p) + a_p log(b_q/b_p) + a_q (b_p/b_q − 1), the Bregman
    divergence of the log normaliser, computed without its cancellations: 0 at equality and relatively
    accurate beside it.

    All arguments > 0, and broadcast; returns their common shape. Raises ValueError for anything else.
    """
    return elementwise(
        on(device, _gamma_loop, gamma_kl), **_checked(concentration_q, rate_q, concentration_p, rate_p)
    )


def gamma_grad(
    concentration_q: ArrayLike,
    rate_q: ArrayLike,
    concentration_p: ArrayLike,
    rate_p: ArrayLike,
    *,
    device: str = "cpu",
) -> tuple[Any, ...]:
    """Derivatives of `gamma` by its four arguments, each in the common shape.

    (b_p/b_q − 1 − (a_p − a_q) ψ′(a_q), a_p/b_q − a_q b_p/b_q², ψ(a_p) − ψ(a_q) − log(b_p/b_q), a_q/b_q −
    a_p/b_p).
    """
    arrays = _checked(concentration_q, rate_q, concentration_p, rate_p)
    return representable(elementwise_grad(on(device, _gamma_grad_loop, gamma_kl_grad), **arrays))


def representable(grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same; ValueError where two parts of a derivative overflowed with opposite signs, and left NaN."""
    if any(np.isnan(grad).any() for grad in grads):
        raise ValueError(f"a result is out of the range of {grads[0].dtype} at these arguments")
    return grads


def _checked(
    concentration_q: ArrayLike, rate_q: ArrayLike, concentration_p: ArrayLike, rate_p: ArrayLike
) -> dict[str, FloatArray]:
    names = ("concentration_q", "rate_q", "concentration_p", "rate_p")
    given = dict(zip(names, (concentration_q, rate_q, concentration_p, rate_p), strict=True))
    arrays = dict(zip(names, check.floats(**given), strict=True))
    check.positive(**arrays)
    return arrays
