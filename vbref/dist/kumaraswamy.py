"""The Kumaraswamy distribution on [0, 1], elementwise: density ab x^(a−1) (1 − x^a)^(b−1)."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.dist.beta import checked
from vbref.dist.gamma import power_at_zero
from vbref.numerics.arrays import log_beta
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import digamma, trigamma
from vbref.numerics.stable import log1mexp

EULER_GAMMA = 0.5772156649015329
SMALL = 1e-2
# ζ(2), …, ζ(9): the next term of H(b) is below 1e-16 of it for b ≤ SMALL.
ZETA = (
    1.6449340668482264,
    1.2020569031595943,
    1.0823232337111382,
    1.0369277551433699,
    1.0173430619844491,
    1.0083492773819228,
    1.0040773561979443,
    1.0020083928260822,
)


@scalar
def harmonic(b):
    """H(b) = ψ(b + 1) + γ; for small b, where it cancels, its Taylor series Σ_k (−1)^k ζ(k) b^(k−1)."""
    real = type(b)
    if b > real(SMALL):
        return digamma(b + real(1)) + real(EULER_GAMMA)
    series = real(0)
    for k in range(len(ZETA) - 1, -1, -1):
        series = real(ZETA[k]) - b * series
    return b * series


@scalar
def kumaraswamy_log_prob(x, a, b):
    """log a + log b + (a − 1) log x + (b − 1) log(1 − x^a), with 1 − x^a = 1 − e^(a log x)."""
    zero, one = type(x)(0), type(x)(1)
    if x == zero:
        return power_at_zero(a, math.log(b))
    if x == one:
        return power_at_zero(b, math.log(a))
    log_x = math.log(x)
    return math.log(a) + math.log(b) + (a - one) * log_x + (b - one) * log1mexp(-a * log_x)


@scalar
def one_minus_bernoulli(m):
    """1 − m/(e^m − 1); near zero its series m/2 − Σ_k B_2k m^2k/(2k)!, where the difference cancels."""
    real = type(m)
    if abs(m) > real(0.1):
        return real(1) - m / math.expm1(m)
    t = m * m
    series = real(1 / 12) - t * (real(1 / 720) - t * (real(1 / 30240) - t * real(1 / 1209600)))
    return real(0.5) * m - t * series


@scalar
def kumaraswamy_log_prob_grad(x, a, b):
    """With m = a log x and odds r = x^a/(1 − x^a) = 1/(e^−m − 1), by x, a, b:

    (a − 1)/x − a(b − 1) r/x, (1 − m/(e^m − 1) − b r m)/a, 1/b + log(1 − x^a). At x = 0, r/x is x^(a−1), which
    matters for a = 1 alone, and r m = 0; at x = 1, r m = −1.
    """
    zero, one = type(x)(0), type(x)(1)
    m = a * math.log(x)
    odds = one / abs(math.expm1(-m))  # at x = 1, −m is −0
    odds_by_x = odds / x if odds > zero else (one if a == one else zero)
    odds_m = -one if m == zero else (odds * m if odds > zero else zero)
    pull = zero if a == one else (a - one) / x
    push = zero if b == one else (b - one) * (a * odds_by_x)
    return pull - push, (one_minus_bernoulli(m) - b * odds_m) / a, one / b + log1mexp(-m)


@scalar
def kumaraswamy_entropy(a, b):
    """−log ab + (1 − 1/a)H(b) + 1 − 1/b: x^a ~ Beta(1, b), so E log x^a = −H(b), E log(1 − x^a) = −1/b."""
    one = type(a)(1)
    h = harmonic(b)
    return -math.log(a) - math.log(b) + h - h / a + one - one / b


@scalar
def kumaraswamy_entropy_grad(a, b):
    """(−1/a + H(b)/a², −1/b + (1 − 1/a)ψ′(b + 1) + 1/b²)."""
    one = type(a)(1)
    by_b = (one / b - one) / b + (one - one / a) * trigamma(b + one)
    return (harmonic(b) / a - one) / a, by_b


@loop
def _log_prob_loop(x, a, b, out):
    for i in range(out.shape[0]):
        out[i] = kumaraswamy_log_prob(x[i], a[i], b[i])


@loop
def _log_prob_grad_loop(x, a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i] = kumaraswamy_log_prob_grad(x[i], a[i], b[i])


@loop
def _entropy_loop(a, b, out):
    for i in range(out.shape[0]):
        out[i] = kumaraswamy_entropy(a[i], b[i])


@loop
def _entropy_grad_loop(a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = kumaraswamy_entropy_grad(a[i], b[i])


def log_prob(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """Log density log ab + (a − 1) log x + (b − 1) log(1 − x^a), in nats; its limits at x = 0 and x = 1.

    x in [0, 1], a > 0, b > 0; they broadcast. Raises ValueError for bad input.
    """
    return elementwise(_log_prob_loop, **checked(x=x, a=a, b=b))


def log_prob_grad(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, a, b."""
    return elementwise_grad(_log_prob_grad_loop, **checked(x=x, a=a, b=b))


def entropy(a: ArrayLike, b: ArrayLike) -> Any:
    """Differential entropy −log ab + (1 − 1/a)(ψ(b + 1) + γ) + 1 − 1/b, in nats."""
    return elementwise(_entropy_loop, **checked(a=a, b=b))


def entropy_grad(a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy` by a, b."""
    return elementwise_grad(_entropy_grad_loop, **checked(a=a, b=b))


def mean(a: ArrayLike, b: ArrayLike) -> Any:
    """The mean, E x = b B(1 + 1/a, b), since x^a ~ Beta(1, b)."""
    alpha, beta = checked(a=a, b=b).values()
    return np.exp(_log_moment(1 / alpha, beta))[()]


def variance(a: ArrayLike, b: ArrayLike) -> Any:
    """The variance b B(1 + 2/a, b) − (b B(1 + 1/a, b))², to a few ulp of the squared mean."""
    alpha, beta = checked(a=a, b=b).values()
    log_first, log_second = _log_moment(1 / alpha, beta), _log_moment(2 / alpha, beta)
    return (np.exp(log_second) * -np.expm1(2 * log_first - log_second))[()]


def cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """The probability of [0, x], 1 − (1 − x^a)^b."""
    value, alpha, beta = checked(x=x, a=a, b=b).values()
    with np.errstate(divide="ignore"):
        return (-np.expm1(beta * _log1mexp(alpha * np.log(value))))[()]


def icdf(probability: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """The x with cdf(x) = probability: (1 − (1 − probability)^(1/b))^(1/a)."""
    p, alpha, beta = checked(probability=probability, a=a, b=b).values()
    with np.errstate(divide="ignore"):
        return _inverse(np.log1p(-p), alpha, beta)[()]


def sample(noise: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """The point v = (1 − u^(1/b))^(1/a) of uniform noise u (xu/48): the quantile at 1 − u, uniform too."""
    u, alpha, beta = checked(noise=noise, a=a, b=b).values()
    with np.errstate(divide="ignore"):
        return _inverse(np.log(u), alpha, beta)[()]


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def sample_grad(noise: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `sample` by noise, a, b.

    With w = 1 − u^(1/b), v = w^(1/a):
    dv/du = −w^(1/a − 1) u^(1/b − 1)/(ab), dv/da = −v log(w)/a², dv/db = w^(1/a − 1) u^(1/b) log(u)/(ab²).
    At u = 0 and u = 1 they are the limits.
    """
    named = checked(noise=noise, a=a, b=b)
    u, alpha, beta = np.broadcast_arrays(*named.values())
    log_u = np.log(u)
    log_w = _log1mexp(log_u / beta)
    v, v_by_w = np.exp(log_w / alpha), _power(log_w, 1 / alpha - 1)
    d_noise = -v_by_w * _power(log_u, 1 / beta - 1) / alpha / beta
    d_a = np.where(v > 0, -v * log_w / alpha / alpha, 0)
    d_b = np.where((u > 0) & (u < 1), v_by_w * np.exp(log_u / beta) * log_u / alpha / beta / beta, 0)
    return tuple(part.astype(u.dtype)[()] for part in (d_noise, d_a, d_b))


def _power(log_base: FloatArray, exponent: FloatArray) -> FloatArray:
    """base^exponent from log base, with base^0 = 1 at base 0 too."""
    return np.exp(np.where(exponent == 0, 0, log_base * exponent))


def _log1mexp(m: FloatArray) -> FloatArray:
    """log(1 − e^m) for arrays m ≤ 0; −∞ at 0."""
    return np.where(m > -np.log(2).astype(m.dtype), np.log(-np.expm1(m)), np.log1p(-np.exp(m)))


def _inverse(log_survival: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    return np.exp(_log1mexp(log_survival / b) / a)


def _log_moment(power: FloatArray, b: FloatArray) -> FloatArray:
    """log E (x^a)^power = log b B(1 + power, b)."""
    return np.log(b) + log_beta(1 + power, b)
