"""A layer's activation on a scalar, and its slope from its own output: a fused layer keeps y alone."""

import math

from vbref.numerics.jit import scalar
from vbref.numerics.stable import log1pexp, sigmoid


@scalar
def identity(u):
    """u."""
    return u


@scalar
def identity_slope(y):
    """1."""
    return type(y)(1)


@scalar
def tanh(u):
    """tanh u."""
    return math.tanh(u)


@scalar
def tanh_slope(y):
    """1 − y²."""
    return type(y)(1) - y * y


@scalar
def relu(u):
    """u where u > 0, else 0."""
    return u if u > 0 else type(u)(0)


@scalar
def relu_slope(y):
    """1 where y > 0, else 0."""
    return type(y)(1) if y > 0 else type(y)(0)


@scalar
def sigmoid_slope(y):
    """y (1 − y)."""
    return y * (type(y)(1) - y)


@scalar
def softplus_slope(y):
    """1/(1 + e^−u) = 1 − e^−y."""
    return -math.expm1(-y)


ACTIVATIONS = {
    "identity": (identity, identity_slope),
    "tanh": (tanh, tanh_slope),
    "relu": (relu, relu_slope),
    "sigmoid": (sigmoid, sigmoid_slope),
    "softplus": (log1pexp, softplus_slope),
}
