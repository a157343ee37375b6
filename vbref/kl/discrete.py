"""KL divergences between discrete distributions.

Every value is a sum of k(q, p) = q log(q/p) − q + p ≥ 0, whose linear parts sum to zero where both sides sum
to one: near equality q log(q/p) itself is of first order, and the sum, of second order, would cancel.
"""

import math
from typing import Any

from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import log1p_deficit


@scalar
def discrete_term(q, p, d):
    """k(q, p) = q log(q/p) − q + p, where d = p − q: p where q = 0, +∞ where q > 0 = p.

    Near equality it is q(t − log(1 + t)) with t = d/q, that is p/q = 1 + t.
    """
    number = type(q)
    if q == 0:
        return p
    if p == 0:
        return number(math.inf)
    if abs(d) < number(0.5) * q:
        return q * log1p_deficit(d / q)
    return q * (math.log(q) - math.log(p)) + d


@scalar
def log_ratio(q, p, d):
    """log(q/p), where d = p − q: −∞ where q = 0 < p, and +∞ wherever p = 0.

    At q = p = 0 that is the slope of q log(q/0), which jumps from 0 to +∞.
    """
    number = type(q)
    if p == 0:
        return number(math.inf)
    if q == 0:
        return number(-math.inf)
    return math.log1p(-d / p) if abs(d) < number(0.5) * p else math.log(q) - math.log(p)


@scalar
def bernoulli_kl(q, p):
    """k(q, p) + k(1 − q, 1 − p); the second term takes its difference from the first."""
    one = type(q)(1)
    return discrete_term(q, p, p - q) + discrete_term(one - q, one - p, q - p)


@scalar
def bernoulli_kl_grad(q, p):
    """(log(q/p) − log((1 − q)/(1 − p)), (p − q)/(p(1 − p))), at the ends from inside.

    Both parts of the first have one sign.
    """
    one = type(q)(1)
    d_q = log_ratio(q, p, p - q) - log_ratio(one - q, one - p, q - p)
    if q == 0:
        return d_q, one / (one - p)
    if q == one:
        return d_q, -one / p
    return d_q, (p - q) / p / (one - p)


@scalar
def categorical_term(q, p):
    """k(q, p)."""
    return discrete_term(q, p, p - q)


@scalar
def categorical_term_grad(q, p):
    """(log(q/p), 1 − q/p)."""
    return log_ratio(q, p, p - q), type(q)(1) if q == 0 else (p - q) / p


@loop
def _bernoulli_loop(probs_q, probs_p, out):
    for i in range(out.shape[0]):
        out[i] = bernoulli_kl(probs_q[i], probs_p[i])


@loop
def _bernoulli_grad_loop(probs_q, probs_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = bernoulli_kl_grad(probs_q[i], probs_p[i])


@loop
def _term_loop(probs_q, probs_p, out):
    for i in range(out.shape[0]):
        out[i] = categorical_term(probs_q[i], probs_p[i])


@loop
def _term_grad_loop(probs_q, probs_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = categorical_term_grad(probs_q[i], probs_p[i])


def bernoulli(probs_q: ArrayLike, probs_p: ArrayLike, *, device: str = "cpu") -> Any:
    """KL(Bernoulli(probs_q) ‖ Bernoulli(probs_p)) of each element, in nats.

    q log(q/p) + (1 − q) log((1 − q)/(1 − p)) with 0 log 0 = 0: +inf where p excludes what q
    allows, 0 at q = p.

    probs in [0, 1], which broadcast. Raises ValueError outside [0, 1], for NaN, mixed dtypes, shapes that
    clash.
    """
    return elementwise(on(device, _bernoulli_loop, bernoulli_kl), **_unit_interval(probs_q, probs_p))


def bernoulli_grad(probs_q: ArrayLike, probs_p: ArrayLike, *, device: str = "cpu") -> tuple[Any, ...]:
    """Derivatives of `bernoulli` by probs_q, probs_p: (logit q − logit p, (p − q)/(p(1 − p))).

    At 0 and 1 they are one-sided, from inside, and infinite where the value leaves its finite range: the
    first is ∓inf at q = 0, 1 and 0 < p < 1, and ±inf at p = 0, 1; the second is 1/(1 − p) at q = 0 and −1/p
    at q = 1.
    """
    return elementwise_grad(
        on(device, _bernoulli_grad_loop, bernoulli_kl_grad), **_unit_interval(probs_q, probs_p)
    )


def categorical(probs_q: ArrayLike, probs_p: ArrayLike, *, device: str = "cpu") -> Any:
    """KL(Categorical(probs_q) ‖ Categorical(probs_p)), in nats, the categories on the last axis.

    Σ_i q_i log(q_i/p_i) with 0 log 0 = 0; +inf where some q_i > 0 = p_i. What is computed is Σ_i k(q_i, p_i),
    the KL of the two as measures: it differs by Σp − Σq, zero but for the rounding of the inputs, and is
    never negative.

    probs (..., C), which broadcast; returns (...). Raises ValueError unless both are >= 0 and sum to one, to
    rounding, and for NaN, mixed dtypes, shapes that clash.
    """
    terms = elementwise(on(device, _term_loop, categorical_term), **_simplex(probs_q, probs_p))
    return terms.sum(axis=-1)


def categorical_grad(probs_q: ArrayLike, probs_p: ArrayLike, *, device: str = "cpu") -> tuple[Any, ...]:
    """Derivatives of Σ_i k(q_i, p_i) by probs_q, probs_p, each (..., C): (log(q_i/p_i), 1 − q_i/p_i).

    Those of Σ_i q_i log(q_i/p_i) differ by the constants 1 and −1, which no change that keeps the sums can
    see. At zero, the first is −inf where q_i = 0 < p_i and +inf where p_i = 0; the second is 1 where q_i = 0
    and −inf where q_i > 0 = p_i.
    """
    run = on(device, _term_grad_loop, categorical_term_grad)
    return elementwise_grad(run, **_simplex(probs_q, probs_p))


def _unit_interval(probs_q: ArrayLike, probs_p: ArrayLike) -> dict[str, FloatArray]:
    q, p = check.floats(probs_q=probs_q, probs_p=probs_p)
    check.unit_interval(probs_q=q, probs_p=p)
    return {"probs_q": q, "probs_p": p}


def _simplex(probs_q: ArrayLike, probs_p: ArrayLike) -> dict[str, FloatArray]:
    q, p = check.floats(probs_q=probs_q, probs_p=probs_p)
    check.probabilities(probs_q=q, probs_p=p)
    if q.shape[-1] != p.shape[-1]:
        raise ValueError(
            f"probs_q and probs_p must have as many categories, have shapes {q.shape} and {p.shape}"
        )
    return {"probs_q": q, "probs_p": p}
