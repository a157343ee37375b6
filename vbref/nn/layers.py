"""Layers by hand: each forward returns (y, saved), and its backward twin maps (d_y, saved) to the cotangents.

d_v stands for ∂f/∂v, with f the scalar at the end of the computation, so that every backward is the chain
rule d_x = Σ d_y · ∂y/∂x, read off the forward above it. Leading axes (samples, batch) are free.

Where a layer is analytic its forward takes complex arrays too, so that a complex step can check its backward.
The `saved` of `affine` and the gain in that of `layer_norm` refer to the arguments without a copy: change
these in place only after the backward pass. No `saved` refers to y.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.numerics import check

Array = NDArray[Any]  # of floats, or of complex numbers where a complex step checks a gradient


def _check(**named: Array) -> None:
    """Raise ValueError unless all are floating-point arrays of one precision; complex counts by its parts."""
    for name, array in named.items():
        if array.dtype.kind not in "fc":
            raise ValueError(f"{name} must be an array of floats, was {array.dtype}")
    if len({array.real.dtype for array in named.values()}) > 1:
        found = ", ".join(f"{name} is {array.dtype}" for name, array in named.items())
        raise ValueError(f"arguments must share one dtype: {found}")


def affine(x: Array, weight: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return y = x W + b and what `affine_backward` needs.

    x is (..., fan_in), weight (fan_in, fan_out), bias (fan_out,), y (..., fan_out). Raises ValueError where
    the shapes or dtypes do not fit.
    """
    _check(x=x, weight=weight, bias=bias)
    if weight.ndim != 2 or weight.shape[:1] != x.shape[-1:]:
        raise ValueError(f"weight must have shape (fan_in, fan_out), has {weight.shape}; x has {x.shape}")
    check.shape("bias", bias, weight.shape[1:])
    y = _rows(x) @ weight + bias
    return y.reshape(*x.shape[:-1], weight.shape[1]), (x, weight)


def affine_backward(
    d_y: Array, saved: tuple[Array, Array], *, input_grad: bool = True
) -> tuple[Array | None, Array, Array]:
    """Return (d_x, d_weight, d_bias); d_x is None where `input_grad` is False.

    y_nj = Σ_i x_ni W_ij + b_j, with n over all leading axes, so ∂y_nj/∂x_ni = W_ij, ∂y_nj/∂W_ij = x_ni and
    ∂y_nj/∂b_j = 1: d_x = d_y Wᵀ, d_W = xᵀ d_y, d_b = Σ_n d_y.
    """
    x, weight = saved
    rows = _rows(d_y)
    d_x = (rows @ weight.T).reshape(x.shape) if input_grad else None
    return d_x, _rows(x).T @ rows, rows.sum(axis=0)


def _rows(x: Array) -> Array:
    """View x (..., D) as (rows, D): one matrix product instead of one a sample."""
    return x.reshape(-1, x.shape[-1])


def tanh(x: Array) -> tuple[Array, Array]:
    """Return y = tanh x elementwise, and dy/dx = 1 − y²."""
    _check(x=x)
    y = np.tanh(x)
    return y, 1 - y * y


def tanh_backward(d_y: Array, saved: Array) -> Array:
    """Return d_x = d_y (1 − y²): (sinh/cosh)' = 1 − sinh²/cosh²."""
    return d_y * saved


def relu(x: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return y = max(x, 0) elementwise, and where x > 0."""
    _check(x=x)
    active = x.real > 0
    return np.where(active, x, 0), active


def relu_backward(d_y: Array, saved: NDArray[np.bool_]) -> Array:
    """Return d_x = d_y where x > 0, else 0; at the kink x = 0 the subgradient 0 is taken."""
    return np.where(saved, d_y, 0)


def sigmoid(x: Array) -> tuple[Array, Array]:
    """Return y = 1/(1 + e⁻ˣ) elementwise, and dy/dx = y (1 − y).

    With t = e^{−|x|}, y is 1/(1 + t) for x ≥ 0 and t/(1 + t) below, and y (1 − y) = t/(1 + t)² on both sides:
    nothing overflows and nothing cancels.
    """
    _check(x=x)
    t = _decay(x)
    return np.where(x.real < 0, t, 1) / (1 + t), t / (1 + t) ** 2


def sigmoid_backward(d_y: Array, saved: Array) -> Array:
    """Return d_x = d_y y (1 − y): (1 + e⁻ˣ)⁻¹' = e⁻ˣ/(1 + e⁻ˣ)² = y (1 − y)."""
    return d_y * saved


def softplus(x: Array) -> tuple[Array, Array]:
    """Return y = log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|}) elementwise, and dy/dx = 1/(1 + e⁻ˣ)."""
    _check(x=x)
    t = _decay(x)
    return np.where(x.real < 0, 0, x) + np.log1p(t), np.where(x.real < 0, t, 1) / (1 + t)


def softplus_backward(d_y: Array, saved: Array) -> Array:
    """Return d_x = d_y/(1 + e⁻ˣ): log(1 + eˣ)' = eˣ/(1 + eˣ)."""
    return d_y * saved


def _decay(x: Array) -> Array:
    """e^{−|x|}, with |x| continued analytically from the half-line that Re x is on."""
    return np.exp(np.where(x.real < 0, x, -x))


def layer_norm(x: Array, gain: Array, bias: Array, epsilon: float = 1e-5) -> tuple[Array, tuple[Array, ...]]:
    """Return y = γ x̂ + β with x̂ = (x − m)/s, m = mean x, s² = mean (x − m)² + ε, means over the last axis.

    x is (..., D), gain γ and bias β are (D,), epsilon > 0 (Ba, Kiros & Hinton 2016). Raises ValueError where
    the shapes or dtypes do not fit, or epsilon is not positive.
    """
    _check(x=x, gain=gain, bias=bias)
    check.shape("gain", gain, x.shape[-1:])
    check.shape("bias", bias, x.shape[-1:])
    if not epsilon > 0:
        raise ValueError(f"epsilon must be > 0, was {epsilon}")
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon)
    x_hat = centred * inverse
    return x_hat * gain + bias, (x_hat, inverse, gain)


def layer_norm_backward(d_y: Array, saved: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """Return (d_x, d_gain, d_bias).

    With s from the forward, ∂s/∂x_j = (x_j − m)/(D s) = x̂_j/D, so ∂x̂_i/∂x_j = (δ_ij − 1/D − x̂_i x̂_j/D)/s. For
    g = γ d_y that gives d_x = (g − mean g − x̂ mean(g x̂))/s; d_γ = Σ_n d_y x̂ and d_β = Σ_n d_y.
    """
    x_hat, inverse, gain = saved
    g = d_y * gain
    g_along = (g * x_hat).mean(axis=-1, keepdims=True)
    d_x = inverse * (g - g.mean(axis=-1, keepdims=True) - x_hat * g_along)
    return d_x, _rows(d_y * x_hat).sum(axis=0), _rows(d_y).sum(axis=0)


Activation = tuple[Callable[[Array], tuple[Array, Any]], Callable[[Array, Any], Array]]

ACTIVATIONS: dict[str, Activation] = {
    "tanh": (tanh, tanh_backward),
    "relu": (relu, relu_backward),
    "softplus": (softplus, softplus_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
}
