"""The gamma distribution on x ≥ 0, elementwise: b^a x^(a−1) e^(−bx) / Γ(a), a = concentration, b = rate."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vbref.dist._quantile import tail_integral
from vbref.dist._stirling import log_excess, log_ratio
from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import stirling_gap, stirling_gap_curvature, stirling_gap_slope

_VAST = 3e5


@scalar
def power_at_zero(a, finite):
    """The limit at x → 0 of (a − 1) log x + finite: +∞, finite or −∞ as a is below, at or above one."""
    one = type(a)(1)
    return finite if a == one else (one - a) * type(a)(math.inf)


@scalar
def gamma_log_prob(x, a, b):
    """With y = bx: [a log(y/a) − (y − a)] − g(a) − log x; a log y − y − lgamma(a) would cancel."""
    if x == type(x)(0):
        return power_at_zero(a, math.log(b))
    log_y = math.log(b) + math.log(x)
    return log_excess(log_y, b * x - a, a) - stirling_gap(a) - math.log(x)


@scalar
def gamma_log_prob_grad(x, a, b):
    """((a − 1)/x − b, log(y/a) − g′(a), (a − y)/b): by x, a, b."""
    one = type(x)(1)
    c = b * x - a
    pull = type(x)(0) if a == one else (a - one) / x
    return pull - b, log_ratio(math.log(b) + math.log(x), c, a) - stirling_gap_slope(a), -c / b


@scalar
def gamma_entropy(a, b):
    """g(a) + log a − log b + (1 − a)g′(a), from a − log b + lgamma(a) + (1 − a)ψ(a)."""
    return stirling_gap(a) + math.log(a) - math.log(b) + (type(a)(1) - a) * stirling_gap_slope(a)


@scalar
def gamma_entropy_grad(a, b):
    """(1/a + (1 − a)g″(a), −1/b)."""
    one = type(a)(1)
    return one / a + (one - a) * stirling_gap_curvature(a), -one / b


@loop
def _log_prob_loop(x, a, b, out):
    for i in range(out.shape[0]):
        out[i] = gamma_log_prob(x[i], a[i], b[i])


@loop
def _log_prob_grad_loop(x, a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i] = gamma_log_prob_grad(x[i], a[i], b[i])


@loop
def _entropy_loop(a, b, out):
    for i in range(out.shape[0]):
        out[i] = gamma_entropy(a[i], b[i])


@loop
def _entropy_grad_loop(a, b, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = gamma_entropy_grad(a[i], b[i])


def log_prob(x: ArrayLike, concentration: ArrayLike, rate: ArrayLike) -> Any:
    """Log density a log b + (a − 1) log x − bx − log Γ(a), in nats; its limit at x = 0.

    x ≥ 0, concentration a > 0, rate b > 0; they broadcast. Raises ValueError for bad input.
    """
    return elementwise(_log_prob_loop, **_checked(x=x, concentration=concentration, rate=rate))


def log_prob_grad(x: ArrayLike, concentration: ArrayLike, rate: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, concentration, rate: (a − 1)/x − b, log bx − ψ(a), a/b − x."""
    return elementwise_grad(_log_prob_grad_loop, **_checked(x=x, concentration=concentration, rate=rate))


def entropy(concentration: ArrayLike, rate: ArrayLike) -> Any:
    """Differential entropy a − log b + log Γ(a) + (1 − a)ψ(a), in nats."""
    return elementwise(_entropy_loop, **_checked(concentration=concentration, rate=rate))


def entropy_grad(concentration: ArrayLike, rate: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy` by concentration, rate: 1 + (1 − a)ψ′(a), −1/b."""
    return elementwise_grad(_entropy_grad_loop, **_checked(concentration=concentration, rate=rate))


@np.errstate(over="ignore")
def mean(concentration: ArrayLike, rate: ArrayLike) -> Any:
    """The mean, a/b."""
    a, b = _checked(concentration=concentration, rate=rate).values()
    return (a / b)[()]


@np.errstate(over="ignore")
def variance(concentration: ArrayLike, rate: ArrayLike) -> Any:
    """The variance, a/b²."""
    a, b = _checked(concentration=concentration, rate=rate).values()
    return (a / b / b)[()]


@np.errstate(over="ignore")
def sample(noise: ArrayLike, concentration: ArrayLike, rate: ArrayLike) -> Any:
    """The quantile F⁻¹(noise), gamma distributed for noise uniform on [0, 1)."""
    u, a, b = _checked(noise=noise, concentration=concentration, rate=rate).values()
    return (standard_quantile(u, a).astype(b.dtype) / b)[()]


def standard_quantile(u: FloatArray, a: FloatArray) -> FloatArray:
    """The quantile of the gamma distribution of rate one, float64.

    SciPy's inverse, and its F, are wrong for large a and small u (F by a third at a = 1e8, u = 1e-7): there by
    Cornish and Fisher's series in the normal quantile z, to 3e-12 standard deviations for u ≥ 1e-30.
    """
    u, a = np.broadcast_arrays(np.asarray(u, np.float64), np.asarray(a, np.float64))
    y = np.array(special.gammaincinv(a, u))
    vast = (a > _VAST) & (u > 0)
    y[vast] = _by_normal_quantile(special.ndtri(u[vast]), a[vast])
    return y


def _by_normal_quantile(z: FloatArray, a: FloatArray) -> FloatArray:
    """a + z√a + (z² − 1)/3 + (z³ − 7z)/(36√a) − (3z⁴ + 7z² − 16)/(810a) + (9z⁵ + 256z³ − 433z)/(38880√a³)."""
    root, s = np.sqrt(a), z * z
    odd = z * (root + (s - 7) / (36 * root) + ((9 * s + 256) * s - 433) / 38880 / root / a)
    return a + (odd + ((s - 1) / 3 - ((3 * s + 7) * s - 16) / 810 / a))


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def sample_grad(noise: ArrayLike, concentration: ArrayLike, rate: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `sample` by noise, concentration, rate: 1/p(x), −(∂F/∂a)/p(x), −x/b.

    The second is the implicit reparameterisation gradient. With t = y e^(σs), y = bx, it is
        σ y/b ∫_0^∞ exp(aσs − y(e^(σs) − 1)) (log y − ψ(a) + σs) ds,   σ = +1 where y > a, else −1.
    At σ = −1 and small a, −ψ(a) = 1/a − ψ(a + 1) cancels against the mean of s; (1/a − s) e^(−as) is the
    slope of s e^(−as)/a, and by parts the bracket becomes log y − ψ(a + 1) − (y/a) s e^(−s), all of one sign.
    By quadrature, to about 1e-12; where the quantile underflows to zero so do its derivatives.
    """
    named = _checked(noise=noise, concentration=concentration, rate=rate)
    u, a, b = np.broadcast_arrays(*(array.astype(np.float64) for array in named.values()))
    y = standard_quantile(u, a)
    dtype = named["rate"].dtype
    d_noise = np.exp(-np.asarray(log_prob(y, a, np.ones_like(a)))) / b
    return tuple(part.astype(dtype)[()] for part in (d_noise, standard_shape_grad(y, a) / b, -y / b / b))


def standard_shape_grad(y: FloatArray, a: FloatArray) -> FloatArray:
    """dy/da of the quantile y of the gamma distribution of rate one, float64; 0 at y = 0."""
    slope = np.zeros(y.shape)
    inside = y > 0
    slope[inside] = _shape_grad(y[inside][:, None], a[inside][:, None])
    return slope


def _shape_grad(y: FloatArray, a: FloatArray) -> FloatArray:
    """dy/da for columns y > 0 and a, (N,)."""
    right = y > a
    sign, log_y = np.where(right, 1.0, -1.0), np.log(y)

    def score(s: FloatArray) -> FloatArray:
        left = -special.digamma(a + 1) - s * np.exp(-s) * (y / a)
        return log_y + np.where(right, s - special.digamma(a), left)

    integral = tail_integral(lambda s: a * sign * s - y * np.expm1(sign * s), score)
    return (sign * y)[:, 0] * integral


def _checked(**named: ArrayLike) -> dict[str, FloatArray]:
    arrays = dict(zip(named, check.floats(**named), strict=True))
    check.positive(concentration=arrays["concentration"], rate=arrays["rate"])
    check.broadcast(**arrays)
    if "noise" in arrays:
        check.normal_numbers(concentration=arrays["concentration"])
    if "x" in arrays and (arrays["x"] < 0).any():
        raise ValueError(f"x must be >= 0, has {arrays['x'].min()}")
    if "noise" in arrays:
        check_uniform(arrays["noise"])
    return arrays


def check_uniform(noise: FloatArray, name: str = "noise") -> None:
    """Raise ValueError unless every entry is in [0, 1): at 1 the quantile is infinite."""
    check.unit_interval(**{name: noise})
    if (noise == 1).any():
        raise ValueError(f"{name} must be in [0, 1), has 1.0")
