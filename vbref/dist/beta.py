"""The beta distribution on [0, 1], elementwise: density x^(a−1) (1 − x)^(b−1) / B(a, b)."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vbref.dist._quantile import astray, refined, tail_integral
from vbref.dist._stirling import log_excess, log_ratio
from vbref.dist.gamma import power_at_zero
from vbref.numerics import check
from vbref.numerics.arrays import digamma, digamma_difference, trigamma
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import stirling_gap, stirling_gap_curvature, stirling_gap_slope

_FAR = 1e18
_ORDINARY = 1e-3, 500.0  # shapes for which SciPy's inverse was right at 150 000 random points
TINY = 1e-17


@scalar
def beta_log_prob(x, a, b):
    """With n = a + b, c = bx − a(1 − x), the excesses of nx over a and n(1 − x) over b, less the rest of B.

    a log(nx/a) + b log(n(1 − x)/b) − g(a) − g(b) + g(n) − log x − log(1 − x): the linear terms c − c cancel
    exactly.
    """
    zero, one = type(x)(0), type(x)(1)
    if x == zero:
        return power_at_zero(a, math.log(b))
    if x == one:
        return power_at_zero(b, math.log(a))
    n = a + b
    c = b * x - a * (one - x)
    log_n, log_x, log_1mx = math.log(n), math.log(x), math.log1p(-x)
    excess = log_excess(log_n + log_x, c, a) + log_excess(log_n + log_1mx, -c, b)
    return excess + stirling_gap(n) - stirling_gap(a) - stirling_gap(b) - log_x - log_1mx


@scalar
def beta_log_prob_grad(x, a, b):
    """((a − 1)/x − (b − 1)/(1 − x), log(nx/a) + g′(n) − g′(a), log(n(1 − x)/b) + g′(n) − g′(b))."""
    zero, one = type(x)(0), type(x)(1)
    n = a + b
    c = b * x - a * (one - x)
    log_n, rest = math.log(n), stirling_gap_slope(n)
    pull_a = zero if a == one else (a - one) / x
    pull_b = zero if b == one else (b - one) / (one - x)
    d_a = log_ratio(log_n + math.log(x), c, a) + (rest - stirling_gap_slope(a))
    d_b = log_ratio(log_n + math.log1p(-x), -c, b) + (rest - stirling_gap_slope(b))
    return pull_a - pull_b, d_a, d_b


@scalar
def beta_entropy(a, b):
    """log B − (a − 1)ψ(a) − (b − 1)ψ(b) + (n − 2)ψ(n), with the terms in a log a cancelled on paper."""
    one = type(a)(1)
    n = a + b
    shares = math.log(a) + math.log(b) - (one + one) * math.log(n)
    rest = stirling_gap(a) + stirling_gap(b) - stirling_gap(n) + shares
    return (
        rest
        - (a - one) * stirling_gap_slope(a)
        - (b - one) * stirling_gap_slope(b)
        + (n - one - one) * stirling_gap_slope(n)
    )


@scalar
def beta_entropy_grad(a, b):
    """1/a − 2/n − (a − 1)g″(a) + (n − 2)g″(n), and the same with b for a; 1/a² − 2/n² for tiny n."""
    one = type(a)(1)
    two, n = one + one, a + b
    if n < type(a)(TINY):
        return (one - two * (a / n) * (a / n)) / a / a, (one - two * (b / n) * (b / n)) / b / b
    common = (n - two) * stirling_gap_curvature(n) - two / n
    by_a = one / a - (a - one) * stirling_gap_curvature(a)
    return common + by_a, common + one / b - (b - one) * stirling_gap_curvature(b)


@loop
def _log_prob_loop(x, a, b, out):
    for i in range(out.shape[0]):
        out[i] = beta_log_prob(x[i], a[i], b[i])


@loop
def _log_prob_grad_loop(x, a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i] = beta_log_prob_grad(x[i], a[i], b[i])


@loop
def _entropy_loop(a, b, out):
    for i in range(out.shape[0]):
        out[i] = beta_entropy(a[i], b[i])


@loop
def _entropy_grad_loop(a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = beta_entropy_grad(a[i], b[i])


def log_prob(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """Log density (a − 1) log x + (b − 1) log(1 − x) − log B(a, b), in nats; its limits at x = 0 and x = 1.

    x in [0, 1], a > 0, b > 0; they broadcast. Raises ValueError for bad input.
    """
    return elementwise(_log_prob_loop, **_checked(x=x, a=a, b=b))


def log_prob_grad(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, a, b.

    (a − 1)/x − (b − 1)/(1 − x), log x − ψ(a) + ψ(a + b), log(1 − x) − ψ(b) + ψ(a + b).
    """
    return elementwise_grad(_log_prob_grad_loop, **_checked(x=x, a=a, b=b))


def entropy(a: ArrayLike, b: ArrayLike) -> Any:
    """Differential entropy log B(a, b) − (a − 1)ψ(a) − (b − 1)ψ(b) + (a + b − 2)ψ(a + b), in nats."""
    return elementwise(_entropy_loop, **_checked(a=a, b=b))


def entropy_grad(a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy`: by a, (a + b − 2)ψ′(a + b) − (a − 1)ψ′(a); by b alike."""
    return elementwise_grad(_entropy_grad_loop, **_checked(a=a, b=b))


def mean(a: ArrayLike, b: ArrayLike) -> Any:
    """The mean, a/(a + b)."""
    alpha, beta = _checked(a=a, b=b).values()
    return (alpha / (alpha + beta))[()]


def variance(a: ArrayLike, b: ArrayLike) -> Any:
    """The variance, ab/((a + b)²(a + b + 1))."""
    alpha, beta = _checked(a=a, b=b).values()
    n = alpha + beta
    return ((alpha / n) * (beta / n) / (n + 1))[()]


def sample(noise: ArrayLike, a: ArrayLike, b: ArrayLike) -> Any:
    """The quantile F⁻¹(noise), beta distributed for noise uniform on [0, 1]."""
    u, alpha, beta = _checked(noise=noise, a=a, b=b).values()
    return _quantiles(u, alpha, beta)[0].astype(u.dtype)[()]


@np.errstate(over="ignore", under="ignore", divide="ignore")
def sample_grad(noise: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `sample` by noise, a, b: 1/p(x), −(∂F/∂a)/p(x), −(∂F/∂b)/p(x).

    The last two are implicit reparameterisation gradients, by quadrature along the logit of x; where the
    quantile is 0 or 1 to rounding they are 0.
    """
    named = _checked(noise=noise, a=a, b=b)
    u, alpha, beta = np.broadcast_arrays(*(array.astype(np.float64) for array in named.values()))
    x, y = _quantiles(u, alpha, beta)
    d_noise = np.exp(-np.asarray(log_prob(x, alpha, beta)))
    slopes = d_noise, *_shape_grads(x, y, alpha, beta)
    return tuple(slope.astype(named["a"].dtype)[()] for slope in slopes)


def _shape_grads(x: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """dx/da and dx/db, given x and y = 1 − x to full accuracy; 0 where either is 0."""
    grads = np.zeros((2, *x.shape))
    inside = (x > 0) & (y > 0)
    x, y, a, b = (array[inside][:, None] for array in (x, y, a, b))
    # y is beta(b, a): the derivative by b is minus that of the mirrored quantile by its first shape.
    grads[0, inside], grads[1, inside] = _shape_grad(x, y, a, b), -_shape_grad(y, x, b, a)
    return grads


def _shape_grad(x: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """dx/da for columns x and y = 1 − x in (0, 1), (N,), from the tail t = logistic(logit x + σs).

    x(1 − x) σ ∫_0^∞ w (log t − ψ(a) + ψ(n)) ds, w = (t/x)^a ((1 − t)/(1 − x))^b, n = a + b, σ = +1 where x is
    past a/n. At σ = −1 and small a, −ψ(a) + ψ(n) = b/(an) − ψ(a + 1) + ψ(n + 1) cancels against the mean of
    L = log(t/x), whose slope is −(1 − t): (1/a + L)(t/x)^a = −(1/(a(1 − t))) d/ds L (t/x)^a, and by parts
    ∫ w (1/a + L) ds = ((b − 1)/a) ∫ w L t/(1 − t) ds, which is applied to the share b/n of L.
    """
    right, odds, n = b * x > a * y, x / y, a + b
    sign, log_x = np.where(right, 1.0, -1.0), np.where(x < 0.5, np.log(x), np.log1p(-y))
    log_mean, log_mean_past = (-digamma_difference(c, b) for c in (a, a + 1))

    def gains(s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """log(t/x) and log((1 − t)/(1 − x)): −log(x + y e^−σs) and −log(y + x e^σs)."""
        return -_log_mix(x, y, -sign * s), -_log_mix(y, x, sign * s)

    def exponent(s: FloatArray) -> FloatArray:
        rise, fall = gains(s)
        return np.minimum(a * rise + b * fall, 0)  # rounding alone can make it positive

    def score(s: FloatArray) -> FloatArray:
        rise = gains(s)[0]
        by_parts = a / n + (b / n) * ((b - 1) * odds / a) * np.exp(-s)
        return log_x + np.where(right, rise - log_mean, by_parts * rise - log_mean_past)

    integral = tail_integral(exponent, score, bend=abs(np.log(odds)))
    return (sign * x * y)[:, 0] * integral


def _log_mix(p: FloatArray, q: FloatArray, s: FloatArray) -> FloatArray:
    """log(p + q e^s) for p + q = 1, p, q > 0: log(1 + q(e^s − 1)) unless that cancels or overflows."""
    change = q * np.expm1(s)
    far = np.logaddexp(np.log(p), np.log(q) + s)
    return np.where((change > -0.5) & (change < np.inf), np.log1p(change), far)


@np.errstate(all="ignore")
def _quantiles(u: FloatArray, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The quantile x and 1 − x, each to some 1e-12 of itself.

    SciPy's inverse goes astray for some shapes from 1e3 on, as of 1e3 beside 1e9 or 1e16 beside 1e17, and for
    tiny ones, and stops at the smallest normal number: there it is checked, and refined along the logit
    where need be.
    """
    u, a, b = (np.asarray(array, np.float64) for array in np.broadcast_arrays(u, a, b))
    x, y = _by_scipy(u, a, b)
    inside = ((x > 0) & (y > 0) | np.isnan(x + y)) & (u > 0) & (u < 1)
    ordinary = (np.minimum(a, b) > _ORDINARY[0]) & (np.maximum(a, b) < _ORDINARY[1])
    lost = np.asarray(inside & ~(ordinary & (np.minimum(x, y) > np.finfo(np.float64).tiny)))
    lost[lost] = astray(u[lost], _tails(*(array[lost] for array in (x, y, a, b))))
    if lost.any():
        some = u[lost], a[lost], b[lost]
        logit = refined(
            _near(*some), some[0], lambda v: _tails(special.expit(v), special.expit(-v), *some[1:])
        )
        x[lost], y[lost] = special.expit(logit), special.expit(-logit)
    return x, y


def _by_scipy(u: FloatArray, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where b is past 1e18 of max(a, 1), x is the gamma quantile over b to rounding; where a is, so is y."""
    low, high = b > _FAR * np.maximum(a, 1), a > _FAR * np.maximum(b, 1)
    x = np.where(low, np.minimum(special.gammaincinv(a, u) / b, 1), special.betaincinv(a, b, u))
    y = np.where(high, np.minimum(special.gammainccinv(b, u) / a, 1), special.betainccinv(b, a, u))
    return np.where(high, 1 - y, x), np.where(low, 1 - x, y)


def _tails(x: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray) -> tuple[FloatArray, ...]:
    """F(x), 1 − F(x), and the density of the logit, p(x) x (1 − x)."""
    left = x < y
    near = {"x": np.where(left, x, y), "a": np.where(left, a, b), "b": np.where(left, b, a)}
    slope = np.exp(elementwise(_log_prob_loop, **near)) * x * y
    below = np.where(left, special.betainc(a, b, x), special.betaincc(b, a, y))
    above = np.where(left, special.betaincc(a, b, x), special.betainc(b, a, y))
    return below, above, slope


def _near(u: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """A logit near the quantile's, where a or b is large.

    The logit's law is nearly normal where both are; where one is, the other's share is nearly a gamma variate
    over that one.
    """
    mean, spread = digamma(a) - digamma(b), np.sqrt(trigamma(a) + trigamma(b))
    log_x, log_y = np.log(special.gammaincinv(a, u) / b), np.log(special.gammainccinv(b, u) / a)
    one_large = np.where(a < b, log_x, -log_y)
    return np.where(np.minimum(a, b) > 30, mean + spread * special.ndtri(u), one_large)


def checked(**named: ArrayLike) -> dict[str, FloatArray]:
    """The arguments by name: a, b > 0; the others in [0, 1]; shapes that broadcast."""
    arrays = dict(zip(named, check.floats(**named), strict=True))
    check.positive(a=arrays["a"], b=arrays["b"])
    check.unit_interval(**{name: array for name, array in arrays.items() if name not in ("a", "b")})
    if arrays.keys() - {"x", "a", "b"}:  # a quantile, which takes 1/a and 1/b
        check.normal_numbers(a=arrays["a"], b=arrays["b"])
    check.broadcast(**arrays)
    return arrays


def _checked(**named: ArrayLike) -> dict[str, FloatArray]:
    """As `checked`, and a + b finite."""
    arrays = checked(**named)
    check.sums_finite(a=arrays["a"], b=arrays["b"])
    return arrays
