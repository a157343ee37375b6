"""The normal distribution N(loc, scale²), elementwise; `scale` is the standard deviation."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar

HALF_LOG_2PI = 0.9189385332046727


@scalar
def normal_log_prob(x, loc, scale):
    """−½z² − log σ − ½log 2π with z = (x − μ)/σ."""
    real = type(x)
    z = (x - loc) / scale
    return -real(0.5) * z * z - math.log(scale) - real(HALF_LOG_2PI)


@scalar
def normal_log_prob_grad(x, loc, scale):
    """(−z/σ, z/σ, (z² − 1)/σ): by x, μ, σ."""
    z = (x - loc) / scale
    return -z / scale, z / scale, (z - type(x)(1)) * (z + type(x)(1)) / scale


@loop
def _log_prob_loop(x, loc, scale, out):
    for i in range(out.shape[0]):
        out[i] = normal_log_prob(x[i], loc[i], scale[i])


@loop
def _log_prob_grad_loop(x, loc, scale, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i] = normal_log_prob_grad(x[i], loc[i], scale[i])


def log_prob(x: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> Any:
    """Log density −½((x − loc)/scale)² − log scale − ½log 2π, in nats.

    Arguments broadcast; scale > 0. Raises ValueError for bad input.
    """
    return elementwise(_log_prob_loop, **_checked(x=x, loc=loc, scale=scale))


def log_prob_grad(x: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `log_prob` by x, loc, scale, each in the broadcast shape."""
    return elementwise_grad(_log_prob_grad_loop, **_checked(x=x, loc=loc, scale=scale))


def entropy(loc: ArrayLike, scale: ArrayLike) -> Any:
    """Differential entropy ½log 2πe + log scale, in nats: ½E z² = ½, and the rest of −log p is constant."""
    mu, sigma = _parameters(loc, scale)
    return (np.log(sigma) + sigma.dtype.type(0.5 + HALF_LOG_2PI) + np.zeros_like(mu))[()]


def entropy_grad(loc: ArrayLike, scale: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `entropy`: 0 by loc, 1/scale by scale."""
    mu, sigma = _parameters(loc, scale)
    return np.zeros_like(mu)[()], (1 / sigma)[()]


def mean(loc: ArrayLike, scale: ArrayLike) -> Any:
    """The mean, loc; also the mode and the median."""
    return _parameters(loc, scale)[0].copy()[()]


@np.errstate(over="ignore")
def variance(loc: ArrayLike, scale: ArrayLike) -> Any:
    """The variance, scale²."""
    return np.square(_parameters(loc, scale)[1])[()]


def sample(noise: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> Any:
    """The point loc + scale·noise, N(loc, scale²) for standard normal noise (lecture/IB, diagonal xu/24)."""
    named = _checked(noise=noise, loc=loc, scale=scale)
    check.broadcast(**named)
    return (named["loc"] + named["scale"] * named["noise"])[()]


def sample_grad(noise: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> tuple[Any, ...]:
    """Derivatives of `sample` by noise, loc, scale: (scale, 1, noise), the reparameterisation gradient."""
    named = _checked(noise=noise, loc=loc, scale=scale)
    eps, mu, sigma = _expanded(named)
    return sigma.copy()[()], np.ones_like(mu)[()], eps.copy()[()]


def _checked(**named: ArrayLike) -> dict[str, FloatArray]:
    arrays = dict(zip(named, check.floats(**named), strict=True))
    check.positive(scale=arrays["scale"])
    return arrays


def _expanded(named: dict[str, FloatArray]) -> list[FloatArray]:
    shape = check.broadcast(**named)
    return [np.broadcast_to(array, shape) for array in named.values()]


def _parameters(loc: ArrayLike, scale: ArrayLike) -> list[FloatArray]:
    return _expanded(_checked(loc=loc, scale=scale))
