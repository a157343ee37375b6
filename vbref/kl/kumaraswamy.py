"""KL divergence from a Kumaraswamy to a beta distribution, and the truncated series of the literature for it.

For v ~ Kumaraswamy(a, b) (xu/47), w = v^a is Beta(1, b). Hence E log v = −H(b)/a with H(b) = ψ(b + 1) + γ,
and
E log(1 − v^a) = −1/b. What is left of the KL to Beta(α, β) is R = E log((1 − v)/(1 − v^a)):

    KL = log ab − 1 + β/b − (1 − α/a) H(b) + log B(α, β) − (β − 1) R.

The literature expands E log(1 − v) = R − 1/b in powers of v; the terms fall off as m^(−1−b), hopeless for
small b. Here f(w) = log((1 − w^c)/(1 − w)), c = 1/a, has f(0) = 0, so that E f(w) = ∫ f′(w) P(W > w) dw, with
P(W > w) = (1 − w)^b, and for w = e^−y

    R = −∫₀^∞ (1 − e^−y)^b [c/(e^cy − 1) − 1/(e^y − 1)] dy.

The bracket is smooth: (1 − c)/2 at y = 0, falling like 1/y between y = 1 and y = a, beyond both like e^(−y
min(1, c)). In the logit s of 1 − w, with y = log(1 + e^s), the integrand is analytic within |Im s| < π/2 and
falls off exponentially on the left from s = min(0, log a), where y and 1/c part, and, slowly if a is large,
on the right from s = max(0, log b), where (1 − e^−y)^b has reached 1. So s is given exponential tails beyond
these two points,

    s(t) = t + e^(t − right) − e^(left − t),    left = min(0, log a) − ¾,    right = max(0, log b) + ¾,

and the trapezoidal rule in t converges geometrically in 1/step: with the step 0.28, 29 to 48 nodes give
1e-13 for a, b in [0.01, 100]. The derivatives by a and b are taken under the integral, at the same nodes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.dist.kumaraswamy import harmonic
from vbref.kl.gamma import representable
from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.elementwise import elementwise, elementwise_grad, elementwise_outputs
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import digamma, log_beta, trigamma

STEP = 0.28
_GROWTH = math.exp(STEP)
_SHIFT = 0.75
_TAIL = 36.0
_MANY = 2000  # float64 elements from which on several nodes at a time pay for being compiled


@scalar
def node_range(a, b):
    """(left, right) of s(t), and the first and last t, where the integrand is below e^−36 = 2e-16.

    On the left, from e^(left − t) = 36/(1 + b), where σ^(1 + b) is; on the right, up to y = 36 max(1, a).
    """
    number = type(a)
    zero, one, tail, shift = number(0), number(1), number(_TAIL), number(_SHIFT)
    log_a, log_b = math.log(a), math.log(b)
    left = (log_a if log_a < zero else zero) - shift
    right = (log_b if log_b > zero else zero) + shift
    first = left - math.log(tail / (one + b))
    last = right + math.log(tail) + (log_a if log_a > zero else zero)
    return left, right, first, last


@scalar
def _integrands(s, c, b):
    """At the logit s, dy/ds times those of −R, its derivative by b, and its derivative by c.

    With σ = 1 − e^−y and κ = 1/(e^cy − 1): σ^b (cκ − 1/(e^y − 1)), that times log σ, σ^b κ (1 − cy(1 + κ)).
    """
    one = type(s)(1)
    u = math.exp(-abs(s))
    tail = math.log1p(u)
    near, far = one / (one + u), u / (one + u)
    y, log_sigma, sigma, w = (s + tail, -tail, near, far) if s > 0 else (tail, s - tail, far, near)
    kappa = one / math.expm1(c * y)
    mass = math.exp(b * log_sigma)
    value = mass * (c * kappa * sigma - w)
    return value, value * log_sigma, mass * sigma * kappa * (one - c * y * (one + kappa))


@scalar
def mean_log_ratio(a, b):
    """R = E log((1 − v)/(1 − v^a)) for v ~ Kumaraswamy(a, b), with its derivatives by a and b."""
    number = type(a)
    step, growth = number(STEP), number(_GROWTH)
    c = number(1) / a
    left, right, t, last = node_range(a, b)
    rise, fall = math.exp(t - right), math.exp(left - t)
    total = total_b = total_c = number(0)
    while t <= last:
        value, by_b, by_c = _integrands(t + rise - fall, c, b)
        weight = number(1) + rise + fall
        total += weight * value
        total_b += weight * by_b
        total_c += weight * by_c
        t += step
        rise *= growth
        fall /= growth
    return -step * total, step * c * c * total_c, -step * total_b


@scalar
def kl_of_ratio(a_q, b_q, a_p, b_p, r):
    """log ab − 1 + β/b − (1 − α/a)H(b) + log B(α, β) − (β − 1)R; rounding below zero is cut off."""
    zero, one = type(a_q)(0), type(a_q)(1)
    kl = math.log(a_q) + math.log(b_q) - one + b_p / b_q - (a_q - a_p) / a_q * harmonic(b_q)
    kl += log_beta(a_p, b_p) - (b_p - one) * r
    return zero if kl < zero else kl


@scalar
def kl_of_ratio_grad(a_q, b_q, a_p, b_p, r, r_a, r_b):
    """By a, b, α, β, with the derivatives R_a, R_b of R.

    1/a − αH/a² − (β − 1)R_a,  (1 − β/b)/b − (1 − α/a)ψ′(b + 1) − (β − 1)R_b,
    H/a + ψ(α) − ψ(α + β),  1/b − R + ψ(β) − ψ(α + β).
    """
    one = type(a_q)(1)
    h, psi = harmonic(b_q), digamma(a_p + b_p)
    d_a = (one - a_p / a_q * h) / a_q - (b_p - one) * r_a
    d_b = (one - b_p / b_q) / b_q - (a_q - a_p) / a_q * trigamma(b_q + one) - (b_p - one) * r_b
    return d_a, d_b, h / a_q + digamma(a_p) - psi, one / b_q - r + digamma(b_p) - psi


@scalar
def kumaraswamy_beta_kl(a_q, b_q, a_p, b_p):
    """The KL by `kl_of_ratio`."""
    r, _, _ = mean_log_ratio(a_q, b_q)
    return kl_of_ratio(a_q, b_q, a_p, b_p, r)


@scalar
def kumaraswamy_beta_kl_grad(a_q, b_q, a_p, b_p):
    """By a, b, α, β, by `kl_of_ratio_grad`."""
    r, r_a, r_b = mean_log_ratio(a_q, b_q)
    return kl_of_ratio_grad(a_q, b_q, a_p, b_p, r, r_a, r_b)


@scalar
def kumaraswamy_beta_kl_series(a_q, b_q, a_p, b_p, terms):
    """The KL with E log(1 − v) = −Σ_m E v^m/m cut to m = 1 … terms.

    E v^m = b B(1 + m/a, b), hence E v^m/m = b/(m + ab) B(m/a, b).
    """
    number = type(a_q)
    one, total = number(1), number(0)
    for m in range(1, terms + 1):
        total += b_q / (number(m) + a_q * b_q) * math.exp(log_beta(number(m) / a_q, b_q))
    kl = math.log(a_q) + math.log(b_q) - one + one / b_q - (a_q - a_p) / a_q * harmonic(b_q)
    return kl + log_beta(a_p, b_p) + (b_p - one) * total


@scalar
def kumaraswamy_beta_kl_series_grad(a_q, b_q, a_p, b_p, terms):
    """By a, b, α, β, with S_m = E v^m/m = (b/m) B(1 + m/a, b) and c = 1 + m/a:

    ∂S_m/∂a = −S_m (m/a²)(ψ(c) − ψ(c + b)),  ∂S_m/∂b = S_m (ψ(b + 1) − ψ(c + b)),  ∂KL/∂β has Σ_m S_m.
    """
    number = type(a_q)
    one, total, by_a, by_b = number(1), number(0), number(0), number(0)
    psi_b = digamma(b_q + one)
    for m in range(1, terms + 1):
        c = one + number(m) / a_q
        term, far = b_q / number(m) * math.exp(log_beta(c, b_q)), digamma(c + b_q)
        total += term
        by_a -= term * (c - one) / a_q * (digamma(c) - far)
        by_b += term * (psi_b - far)
    h, psi = harmonic(b_q), digamma(a_p + b_p)
    d_a = (one - a_p / a_q * h) / a_q + (b_p - one) * by_a
    d_b = (one - one / b_q) / b_q - (a_q - a_p) / a_q * trigamma(b_q + one) + (b_p - one) * by_b
    return d_a, d_b, h / a_q + digamma(a_p) - psi, total + digamma(b_p) - psi


@loop
def _kl_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[0]):
        out[i] = kumaraswamy_beta_kl(a_q[i], b_q[i], a_p[i], b_p[i])


@loop
def _grad_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = kumaraswamy_beta_kl_grad(a_q[i], b_q[i], a_p[i], b_p[i])


@loop
def _value_and_grad_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[1]):
        a, b, alpha, beta = a_q[i], b_q[i], a_p[i], b_p[i]
        r, r_a, r_b = mean_log_ratio(a, b)
        out[0, i] = kl_of_ratio(a, b, alpha, beta, r)
        out[1, i], out[2, i], out[3, i], out[4, i] = kl_of_ratio_grad(a, b, alpha, beta, r, r_a, r_b)


@loop
def _series_loop(a_q, b_q, a_p, b_p, terms, out):
    for i in range(out.shape[0]):
        out[i] = kumaraswamy_beta_kl_series(a_q[i], b_q[i], a_p[i], b_p[i], terms)


@loop
def _series_grad_loop(a_q, b_q, a_p, b_p, terms, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = kumaraswamy_beta_kl_series_grad(
            a_q[i], b_q[i], a_p[i], b_p[i], terms
        )


def kumaraswamy_beta(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, *, device: str = "cpu"
) -> Any:
    """KL(Kumaraswamy(a_q, b_q) ‖ Beta(a_p, b_p)) of each element, in nats.

    log ab − (b − 1)/b − (1 − α/a)(ψ(b) + 1/b + γ) + log B(α, β) − (β − 1) E log(1 − v), the expectation by a
    rule that converges for all a, b.

    Shapes a, b > 0, which broadcast. The error is below 1e-12 of the larger of the KL and 1 for all four in
    [0.01, 100], and below 1e-10 for a_q, b_q in [1e-6, 1e6]. Raises ValueError for parameters that are not
    positive, NaN, mixed dtypes, shapes that clash, and where terms out of the range of the dtype leave no
    value (shapes of 1e±300).
    """
    run, named = on(device, _kl_loop, kumaraswamy_beta_kl), _checked(a_q, b_q, a_p, b_p)
    if run is _kl_loop and _many(named):
        value, *_ = _by_nodes(named)
    else:
        value = elementwise(run, **named)
    return representable((value,))[0]


def kumaraswamy_beta_grad(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `kumaraswamy_beta` by a_q, b_q, a_p, b_p, each in the broadcast shape.

    Raises ValueError as `kumaraswamy_beta` does.
    """
    run, named = on(device, _grad_loop, kumaraswamy_beta_kl_grad), _checked(a_q, b_q, a_p, b_p)
    if run is _grad_loop and _many(named):
        return representable(_by_nodes(named)[1:])
    return representable(elementwise_grad(run, **named))


def kumaraswamy_beta_value_and_grad(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike
) -> tuple[Any, tuple[Any, ...]]:
    """(`kumaraswamy_beta`, `kumaraswamy_beta_grad`), from the same nodes. Raises ValueError as they do."""
    named = _checked(a_q, b_q, a_p, b_p)
    outputs = _by_nodes(named) if _many(named) else elementwise_outputs(_value_and_grad_loop, 5, **named)
    value, *grads = representable(outputs)
    return value, tuple(grads)


def _many(named: dict[str, FloatArray]) -> bool:
    return math.prod(check.broadcast(**named)) >= _MANY and named["a_q"].dtype == np.float64


def _by_nodes(named: dict[str, FloatArray]) -> tuple[Any, ...]:
    from vbref.kl.kumaraswamy_nodes import value_and_grad_loop

    return elementwise_outputs(value_and_grad_loop, 5, **named)


def kumaraswamy_beta_series(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, terms: int = 10
) -> Any:
    """An approximation of `kumaraswamy_beta`: E log(1 − v) by `terms` terms of its Taylor series, in nats.

    log(1 − v) = −Σ_m v^m/m, cut after `terms` (Nalisnick & Smyth 2017, ten in the usual code). What is left
    out has the sign of −(β − 1): the value is too low for b_p > 1, too high for b_p < 1, exact at b_p = 1.
    Against Beta(1, 5) ten terms miss 15 to 33 % at ordinary parameters, and the remainder falls only as
    terms^(−b_q). Near equality the value is negative.

    Arguments and errors as in `kumaraswamy_beta`; ValueError for terms < 1 too.
    """
    return elementwise(_with_terms(_series_loop, terms), **_checked(a_q, b_q, a_p, b_p))


def kumaraswamy_beta_series_grad(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, terms: int = 10
) -> tuple[Any, ...]:
    """Derivatives of `kumaraswamy_beta_series` by a_q, b_q, a_p, b_p, each in the broadcast shape."""
    return elementwise_grad(_with_terms(_series_grad_loop, terms), **_checked(a_q, b_q, a_p, b_p))


def _with_terms(loop: Any, terms: int) -> Any:
    check.size(terms=terms)
    return lambda a_q, b_q, a_p, b_p, out: loop(a_q, b_q, a_p, b_p, terms, out)


def _checked(a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike) -> dict[str, FloatArray]:
    values = check.floats(a_q=a_q, b_q=b_q, a_p=a_p, b_p=b_p)
    arrays = dict(zip(("a_q", "b_q", "a_p", "b_p"), values, strict=True))
    check.positive(**arrays)
    return arrays
