"""The Bernoulli distribution on {0, 1}, elementwise, by probability or by logit."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.stable import log1pexp, sigmoid


@scalar
def bernoulli_log_prob(x, probs):
    """log p where x = 1, log(1 − p) where x = 0: x·log p would be 0·∞ at the ends."""
    return math.log(probs) if x > type(x)(0.5) else math.log1p(-probs)


@scalar
def bernoulli_log_prob_logits(x, logits):
    """x·l − log(1 + e^l), folded to −log(1 + e^−l) at x = 1, where the difference would cancel."""
    return -log1pexp(-logits) if x > type(x)(0.5) else -log1pexp(logits)


@scalar
def bernoulli_entropy(probs):
    """−p log p − (1 − p) log(1 − p), with 0 log 0 = 0."""
    zero, one = type(probs)(0), type(probs)(1)
    if probs in (zero, one):
        return zero
    return -probs * math.log(probs) - (one - probs) * math.log1p(-probs)


@loop
def _log_prob_loop(x, probs, out):
    for i in range(out.shape[0]):
        out[i] = bernoulli_log_prob(x[i], probs[i])


@loop
def _log_prob_grad_loop(x, probs, out):
    for i in range(out.shape[1]):
        one = type(probs[i])(1)
        out[1, i] = one / probs[i] if x[i] > type(x[i])(0.5) else -one / (one - probs[i])


@loop
def _log_prob_logits_loop(x, logits, out):
    for i in range(out.shape[0]):
        out[i] = bernoulli_log_prob_logits(x[i], logits[i])


@loop
def _log_prob_logits_grad_loop(x, logits, out):
    for i in range(out.shape[1]):
        out[1, i] = sigmoid(-logits[i]) if x[i] > type(x[i])(0.5) else -sigmoid(logits[i])


@loop
def _entropy_loop(probs, out):
    for i in range(out.shape[0]):
        out[i] = bernoulli_entropy(probs[i])


@loop
def _entropy_grad_loop(probs, out):
    for i in range(out.shape[1]):
        out[0, i] = math.log1p(-probs[i]) - math.log(probs[i])


def log_prob(x: ArrayLike, probs: ArrayLike) -> Any:
    """Log probability x log p + (1 − x) log(1 − p), in nats; −inf for an impossible x.

    x is 0.0 or 1.0, probs in [0, 1]; they broadcast. Raises ValueError for bad input.
    """
    return elementwise(_log_prob_loop, **_checked(x, probs=probs))


def log_prob_grad(x: ArrayLike, probs: ArrayLike) -> tuple[Any, ...]:
    """Derivative of `log_prob` by probs, a tuple of one: 1/p at x = 1, −1/(1 − p) at x = 0."""
    return elementwise_grad(_log_prob_grad_loop, **_checked(x, probs=probs))[1:]


def log_prob_logits(x: ArrayLike, logits: ArrayLike) -> Any:
    """Log probability x·l − log(1 + e^l) for p = 1/(1 + e^−l), in nats; finite for every finite logit."""
    return elementwise(_log_prob_logits_loop, **_checked(x, logits=logits))


def log_prob_logits_grad(x: ArrayLike, logits: ArrayLike) -> tuple[Any, ...]:
    """Derivative of `log_prob_logits` by logits, a tuple of one: x − p."""
    return elementwise_grad(_log_prob_logits_grad_loop, **_checked(x, logits=logits))[1:]


def entropy(probs: ArrayLike) -> Any:
    """Entropy −p log p − (1 − p) log(1 − p), in nats; 0 at p = 0 and p = 1."""
    return elementwise(_entropy_loop, probs=_probability(probs))


def entropy_grad(probs: ArrayLike) -> tuple[Any, ...]:
    """Derivative of `entropy` by probs, a tuple of one: log((1 − p)/p), infinite at the ends."""
    return elementwise_grad(_entropy_grad_loop, probs=_probability(probs))


def mean(probs: ArrayLike) -> Any:
    """The mean, p."""
    return _probability(probs).copy()[()]


def variance(probs: ArrayLike) -> Any:
    """The variance, p(1 − p)."""
    p = _probability(probs)
    return (p * (1 - p))[()]


def sample(noise: ArrayLike, probs: ArrayLike) -> Any:
    """1 where noise < probs, else 0, in the dtype of probs; noise uniform on [0, 1). No gradient: a step."""
    u, p = check.floats(noise=noise, probs=probs)
    check.unit_interval(noise=u, probs=p)
    check.broadcast(noise=u, probs=p)
    return (u < p).astype(p.dtype)[()]


def _probability(probs: ArrayLike) -> FloatArray:
    (p,) = check.floats(probs=probs)
    check.unit_interval(probs=p)
    return p


def _checked(x: ArrayLike, **parameter: ArrayLike) -> dict[str, FloatArray]:
    arrays = dict(zip(["x", *parameter], check.floats(x=x, **parameter), strict=True))
    if not np.isin(arrays["x"], (0, 1)).all():
        raise ValueError(f"x must be 0 or 1, has {arrays['x'][~np.isin(arrays['x'], (0, 1))].flat[0]}")
    if "probs" in arrays:
        check.unit_interval(probs=arrays["probs"])
    return arrays
