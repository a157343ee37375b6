"""What a network's slope in its input does to its weights: reverse mode over a directional derivative.

Let f be an MLP with one output, u_l = a_{l−1} W_l + b_l and a_l = φ(u_l), a_0 = z, f = u_L, and let v be held
fixed. v · ∇_z f is the derivative of f along v, which one pass forward computes with f itself:

    ȧ_0 = v,    u̇_l = ȧ_{l−1} W_l,    ȧ_l = φ'(u_l) u̇_l,    v · ∇_z f = u̇_L.

Its derivatives by the weights are those of this longer network. With α_l, β_l for the cotangents of u̇_l, u_l,

    α_L = 1,    α_l = φ'(u_l) (α_{l+1} W_{l+1}ᵀ),
    β_L = 0,    β_l = φ'(u_l) (β_{l+1} W_{l+1}ᵀ) + φ''(u_l) u̇_l (α_{l+1} W_{l+1}ᵀ),
    d_W_l = ȧ_{l−1}ᵀ α_l + a_{l−1}ᵀ β_l,    d_b_l = Σ β_l,    d_z = β_1 W_1ᵀ,

the last of which is the Hessian of f times v. For a penalty h(∇_z f) take v = h'(∇_z f).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vbref.nn.layers import Array
from vbref.nn.mlp import MLP

# φ'' from y = φ(u) and s = φ'(u): (1 − y²)' = −2 y (1 − y²); σ' = σ (1 − σ); (y (1 − y))' = s (1 − 2y).
CURVATURES: dict[str, Callable[[Array, Array], Array]] = {
    "tanh": lambda y, s: -2 * y * s,
    "softplus": lambda y, s: s * (1 - s),
    "sigmoid": lambda y, s: s * (1 - 2 * y),
}


def slope(network: MLP, params: Mapping[str, Array], z: Array) -> tuple[Array, list[Any]]:
    """∇_z f (n, D) at the rows z (n, D), and what `slope_backward` needs; f has one output, no layer norm."""
    f, saved = network.forward(params, z)
    return network.backward(np.ones_like(f), saved)[0], saved


def slope_backward(network: MLP, v: Array, saved: list[Any]) -> tuple[Array, dict[str, Array]]:
    """(d_z, d_params) of Σ_n v_n · ∇_z f(z_n) at fixed v (n, D); `saved` is that of `slope`."""
    inputs, weights = zip(*saved[::2], strict=True)
    slopes = saved[1::2]
    dots, tangents = _along(v, weights, slopes)
    alpha = np.ones((len(v), 1), v.dtype)
    beta = np.zeros_like(alpha)
    grads: dict[str, Array] = {}
    for i in reversed(range(len(weights))):
        grads[f"{network.prefix}.{i}.weight"] = tangents[i].T @ alpha + inputs[i].T @ beta
        grads[f"{network.prefix}.{i}.bias"] = beta.sum(axis=0)
        alpha, beta = alpha @ weights[i].T, beta @ weights[i].T
        if i:
            curvature = CURVATURES[network.activation](inputs[i], slopes[i - 1])
            beta = slopes[i - 1] * beta + curvature * dots[i - 1] * alpha
            alpha = slopes[i - 1] * alpha
    return beta, {name: grads[name] for name in network.shapes()}


def _along(v: Array, weights: Any, slopes: list[Array]) -> tuple[list[Array], list[Array]]:
    """u̇_l of the hidden layers, and ȧ_l from ȧ_0 = v."""
    dots: list[Array] = []
    tangents = [v]
    for weight, slope in zip(weights[:-1], slopes, strict=True):
        dots.append(tangents[-1] @ weight)
        tangents.append(slope * dots[-1])
    return dots, tangents
