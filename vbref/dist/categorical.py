"""The categorical distribution over labels 0…K−1, by probabilities or by logits over the last axis."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.numerics import check
from vbref.numerics.check import FloatArray


@np.errstate(divide="ignore")
def log_prob(x: ArrayLike, probs: ArrayLike) -> Any:
    """Log probability log p_x, in nats; −inf for an impossible label.

    x: integer labels (...); probs (..., K), summing to one. Leading axes broadcast. Raises ValueError for bad
    input.
    """
    labels, p = _labelled(x, _probs(probs))
    return np.log(_pick(p, labels))[()]


@np.errstate(divide="ignore")
def log_prob_grad(x: ArrayLike, probs: ArrayLike) -> tuple[FloatArray, ...]:
    """Derivative of `log_prob` by probs, a tuple of one: 1/p_x at the label, else 0 (each p_k free)."""
    labels, p = _labelled(x, _probs(probs))
    return (np.where(_one_hot(labels, p), 1 / p, 0).astype(p.dtype),)


def log_prob_logits(x: ArrayLike, logits: ArrayLike) -> Any:
    """Log probability l_x − log Σ_k e^(l_k), in nats; logits (..., K) finite, defined up to a constant."""
    labels, scores = _labelled(x, _logits(logits))
    return _pick(_log_softmax(scores), labels)[()]


def log_prob_logits_grad(x: ArrayLike, logits: ArrayLike) -> tuple[FloatArray, ...]:
    """Derivative of `log_prob_logits` by logits, a tuple of one: onehot(x) − softmax(l)."""
    labels, scores = _labelled(x, _logits(logits))
    shares = _log_softmax(scores)
    # At the label 1 − p_x, by expm1: near certainty the difference would round to 0.
    return (np.where(_one_hot(labels, scores), -np.expm1(shares), -np.exp(shares)),)


def entropy(probs: ArrayLike) -> Any:
    """Entropy −Σ_k p_k log p_k, in nats, (...), with 0 log 0 = 0."""
    p = _probs(probs)
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)[()]


@np.errstate(divide="ignore")
def entropy_grad(probs: ArrayLike) -> tuple[FloatArray, ...]:
    """Derivative of `entropy` by probs, a tuple of one: −1 − log p_k (each p_k free), +inf at p_k = 0."""
    return (-1 - np.log(_probs(probs)),)


def mean(probs: ArrayLike) -> FloatArray:
    """The mean of the one-hot vector of the label, p, (..., K)."""
    return _probs(probs).copy()


def covariance(probs: ArrayLike) -> FloatArray:
    """The covariance of the one-hot vector of the label, diag(p) − ppᵀ, (..., K, K)."""
    p = _probs(probs)
    return p[..., :, None] * (np.eye(p.shape[-1], dtype=p.dtype) - p[..., None, :])


def sample(noise: ArrayLike, probs: ArrayLike) -> Any:
    """The integer label x with p_0 + … + p_{x−1} ≤ noise < p_0 + … + p_x; noise uniform on [0, 1), (...).

    A label of probability zero is never drawn. No gradient: a step.
    """
    u, p = check.floats(noise=noise, probs=probs)
    check.unit_interval(noise=u)
    check.probabilities(probs=p)
    check.broadcast(noise=u, probs=p[..., 0])
    label = (np.cumsum(p, axis=-1) <= u[..., None]).sum(axis=-1)
    # Rounding may leave the last sum below the noise.
    last = p.shape[-1] - 1 - (p[..., ::-1] > 0).argmax(axis=-1)
    return np.minimum(label, last)[()]


def _probs(probs: ArrayLike) -> FloatArray:
    (p,) = check.floats(probs=probs)
    check.probabilities(probs=p)
    return p


def _logits(logits: ArrayLike) -> FloatArray:
    (scores,) = check.floats(logits=logits)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"logits must have a last axis of at least one category, has shape {scores.shape}")
    return scores


def _labelled(x: ArrayLike, parameter: FloatArray) -> tuple[NDArray[np.integer[Any]], FloatArray]:
    """Labels (...) and the parameter (..., K) on common leading axes."""
    labels, k = np.asarray(x), parameter.shape[-1]
    if labels.dtype.kind not in "iu":
        raise ValueError(f"x must hold integer labels, was {labels.dtype}")
    if ((labels < 0) | (labels >= k)).any():
        raise ValueError(
            f"x must hold labels from 0 to {k - 1}, has {labels[(labels < 0) | (labels >= k)].flat[0]}"
        )
    lead = check.broadcast(x=labels, parameter=parameter[..., 0])
    return np.broadcast_to(labels, lead), np.broadcast_to(parameter, (*lead, k))


def _one_hot(labels: NDArray[np.integer[Any]], parameter: FloatArray) -> NDArray[np.bool_]:
    return labels[..., None] == np.arange(parameter.shape[-1])


def _pick(values: FloatArray, labels: NDArray[np.integer[Any]]) -> FloatArray:
    return np.take_along_axis(values, labels[..., None].astype(np.intp), axis=-1)[..., 0]


def _log_softmax(logits: FloatArray) -> FloatArray:
    """l − max − log1p(Σ of the others' e^(l − max)), so that a near-certain label keeps its small log."""
    with np.errstate(over="ignore"):
        shifted = logits - logits.max(axis=-1, keepdims=True)
    top = np.arange(logits.shape[-1]) == logits.argmax(axis=-1)[..., None]
    others = np.where(top, 0, np.exp(shifted)).sum(axis=-1, keepdims=True)
    return shifted - np.log1p(others)
