"""KL divergences between beta and between Dirichlet distributions."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vbref.kl.gamma import representable, scaled_mean_kl
from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.differences import (
    curvature_difference_times,
    digamma_second_difference,
    trigamma_difference_times,
)
from vbref.numerics.elementwise import elementwise, elementwise_grad, elementwise_outputs
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import (
    digamma_bregman,
    digamma_difference,
    log_bregman,
    log_ratio,
    stirling_bregman,
    stirling_gap,
    stirling_gap_curvature,
    stirling_gap_slope,
    trigamma,
    trigamma_times,
)

# Gauss–Legendre on [0, 1].
_NODES = (0.046910077030668004, 0.23076534494715845, 0.5, 0.7692346550528415, 0.953089922969332)
_WEIGHTS = (0.11846344252809454, 0.23931433524968324, 64 / 225, 0.23931433524968324, 0.11846344252809454)


@scalar
def beta_kl(a_q, b_q, a_p, b_p):
    """KL of two betas; see `split_kl`."""
    return split_kl(a_q, a_p, a_p - a_q, b_q, b_p, b_p - b_q)


@scalar
def split_kl(a_q, a_p, d_a, b_q, b_p, d_b):
    """KL(Beta(a_q, b_q) ‖ Beta(a_p, b_p)), where d_a = a_p − a_q and d_b = b_p − b_q.

    If A ~ Gamma(a, s) and B ~ Gamma(b, s) with s = a + b, then A/(A + B) ~ Beta(a, b) and A + B ~
    Gamma(s, s) are independent. By the chain rule the KL is that of A, plus that of B, less that of A +
    B; the last one's means agree, and leave Σ_{x ∈ a, b} x_p (w_x − 1 − log w_x) + D(x_q → x_p), less
    D(s_q → s_p).
    """
    if a_p < b_p:
        a_q, a_p, d_a, b_q, b_p, d_b = b_q, b_p, d_b, a_q, a_p, d_a
    s_q, s_p, d_s = a_q + b_q, a_p + b_p, d_a + d_b
    log_growth = log_ratio(s_q, s_p, d_s)
    means = scaled_mean_kl(a_q, a_p, d_a, log_growth) + scaled_mean_kl(b_q, b_p, d_b, log_growth)
    return means + stirling_bregman(b_q, b_p, d_b) + _sum_drop(a_q, a_p, d_a, b_q, b_p, d_b)


@scalar
def _sum_drop(a_q, a_p, d_a, b_q, b_p, d_b):
    """D(a_q → a_p) − D(a_q + b_q → a_p + b_p), D of g(x) = log Γ(x) − x log x + x, where a_p ≥ b_p.

    Where b is small this is of order b, and a plain difference loses what b is smaller than one. (If a falls
    as b grows, the KL itself is not small.)
    """
    tenth = type(a_q)(0.1)
    small_q = b_q < tenth * a_q and b_q < tenth
    small_p = b_p < tenth * a_p and b_p < tenth
    if small_q and small_p:
        return -_joined(a_q, a_p, d_a, b_q, b_p, d_b)
    s_q, s_p = a_q + b_q, a_p + b_p
    if small_q and d_a > type(a_q)(0.5) * a_q:  # b joins q alone, and then p
        joined_p = stirling_gap(s_p) - stirling_gap(a_p) - b_p * stirling_gap_slope(s_q)
        return -_joined(a_q, a_p, d_a, b_q, type(a_q)(0), -b_q) - joined_p
    return stirling_bregman(a_q, a_p, d_a) - stirling_bregman(s_q, s_p, d_a + d_b)


@scalar
def _joined(a_q, a_p, d_a, b_q, b_p, d_b):
    """D(a_q + b_q → a_p + b_p) − D(a_q → a_p): the integral over v ∈ [0, 1] of its derivative as v b joins a.

    Five nodes suffice where b is below a tenth of a, as the poles are then at v < −10.
    """
    total = type(a_q)(0)
    for k in range(len(_NODES)):
        v = type(a_q)(_NODES[k])
        slope = _joining_slope(a_q + v * b_q, a_p + v * b_p, d_a + v * d_b, b_q, b_p, d_b)
        total += type(a_q)(_WEIGHTS[k]) * slope
    return total


@scalar
def _joining_slope(x, y, d, b_q, b_p, d_b):
    """The derivative by v of D(x + v b_q → y + v b_p) at v = 0: b_p (g′(y) − g′(x)) − b_q d g″(x).

    Unless y is far below x, as d_b (g′(y) − g′(x)) + b_q D_{g′}(x → y), where both are of second order.
    """
    difference = digamma_difference(x, y, d) - log_ratio(x, y, d)
    if type(x)(2) * y < x:
        return b_p * difference - b_q * (d * (trigamma(x) - type(x)(1) / x))
    return d_b * difference + b_q * (digamma_bregman(x, y, d) + log_bregman(x, y, d))


@scalar
def beta_kl_grad(a_q, b_q, a_p, b_p):
    """The derivatives that `beta_grad` names."""
    d_a, d_b = a_p - a_q, b_p - b_q
    by_a_q, by_b_q = _slope_q(a_q, a_p, d_a, b_q, b_p, d_b), _slope_q(b_q, b_p, d_b, a_q, a_p, d_a)
    return by_a_q, by_b_q, _slope_p(a_q, a_p, d_a, b_q, b_p, d_b), _slope_p(b_q, b_p, d_b, a_q, a_p, d_a)


@scalar
def _slope_q(a, a_p, d_a, b, b_p, d_b):
    """(d_a + d_b) ψ′(s) − d_a ψ′(a) with s = a + b, as d_b ψ′(s) + d_a (ψ′(s) − ψ′(a)): b may be small.

    Where a is large, 1/x is taken out of ψ′ and leaves (d_b − d_a b/a)/s = (b_p − a_p b/a)/s, which may be as
    small as the rest: d is nearly −q wherever p is small beside q, and there the second form is due.
    """
    s = a + b
    if a <= type(a)(12):
        return trigamma_times(d_b, s) + trigamma_difference_times(d_a, a, s, b)
    means = d_b - d_a * (b / a) if a < type(a)(2) * a_p else b_p - a_p * (b / a)
    return means / s + d_b * stirling_gap_curvature(s) + curvature_difference_times(d_a, a, s, b)


@scalar
def _slope_p(a_q, a_p, d_a, b_q, b_p, d_b):
    """h(a_q, b_q) − h(a_p, b_p) for h(a, b) = ψ(a + b) − ψ(a), which falls with a and rises with b.

    On the way b changes at the larger a, and a at the b that comes with the smaller a. With both changes of
    one sign, the corner has the least h of the three, so that no part is larger than h(q) or h(p).
    """
    if d_a < 0:
        return -digamma_difference(a_q + b_q, a_q + b_p, d_b) - digamma_second_difference(a_p, -d_a, b_p)
    return digamma_second_difference(a_q, d_a, b_q) - digamma_difference(a_p + b_q, a_p + b_p, d_b)


@scalar
def stick_kl(q, p, rest_q, rest_p, rest_d):
    """A share of what earlier ones left, where the rest are sums over later ones.

    The first share is Beta(q_1, Σ_{i>1} q_i), and the others' shares of what it leaves are Dirichlet.
    """
    return split_kl(q, p, p - q, rest_q, rest_p, rest_d)


@scalar
def dirichlet_slopes(q, p, rest_q, rest_p, rest_d):
    """The derivatives that `dirichlet_grad` names: those of the beta of a component and all others."""
    d = p - q
    return _slope_q(q, p, d, rest_q, rest_p, rest_d), _slope_p(q, p, d, rest_q, rest_p, rest_d)


@loop
def _beta_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[0]):
        out[i] = beta_kl(a_q[i], b_q[i], a_p[i], b_p[i])


@loop
def _beta_grad_loop(a_q, b_q, a_p, b_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = beta_kl_grad(a_q[i], b_q[i], a_p[i], b_p[i])


@loop
def _stick_loop(q, p, rest_q, rest_p, rest_d, out):
    for i in range(out.shape[0]):
        out[i] = stick_kl(q[i], p[i], rest_q[i], rest_p[i], rest_d[i])


@loop
def _slopes_loop(q, p, rest_q, rest_p, rest_d, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = dirichlet_slopes(q[i], p[i], rest_q[i], rest_p[i], rest_d[i])


@loop
def _tails_loop(values, out):
    """out[n, i] = Σ_{j > i} values[n, j]."""
    for n in range(out.shape[0]):
        out[n, -1] = 0
        for i in range(out.shape[1] - 2, -1, -1):
            out[n, i] = out[n, i + 1] + values[n, i + 1]


@loop
def _others_loop(values, out):
    """out[n, i] = Σ_{j ≠ i} values[n, j], from what is behind it and what is before it: no subtraction."""
    _tails_loop(values, out)
    for n in range(out.shape[0]):
        before = values[n, 0]
        for i in range(1, out.shape[1]):
            out[n, i] += before
            before += values[n, i]


def beta(a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, *, device: str = "cpu") -> Any:
    """KL(Beta(a_q, b_q) ‖ Beta(a_p, b_p)) of each element, in nats.

    log B(a_p, b_p) − log B(a_q, b_q) + (a_q − a_p) ψ(a_q) + (b_q − b_p) ψ(b_q) + (a_p − a_q + b_p − b_q)
    ψ(a_q + b_q), the Bregman divergence of log B, computed without its cancellations.

    All arguments > 0, and broadcast; returns their common shape. Raises ValueError for anything else, and
    where parts of the value overflow (shapes of 1e±308).
    """
    run = on(device, _beta_loop, beta_kl)
    (value,) = representable((elementwise(run, **_positive(a_q=a_q, b_q=b_q, a_p=a_p, b_p=b_p)),))
    return value


def beta_grad(
    a_q: ArrayLike, b_q: ArrayLike, a_p: ArrayLike, b_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `beta` by its four arguments, each in the common shape.

    With d = p − q and s = a + b: by a_q, d_s ψ′(s_q) − d_a ψ′(a_q); by a_p, ψ(a_p) − ψ(a_q) − (ψ(s_p) −
    ψ(s_q)); by b_q and b_p the same with b for a. Relative accuracy is 1e-12 but beside a derivative's zeros
    (large shapes in the same proportion, a_p/a_q = b_p/b_q), where rounding p − q alone costs more.
    """
    return representable(
        elementwise_grad(
            on(device, _beta_grad_loop, beta_kl_grad), **_positive(a_q=a_q, b_q=b_q, a_p=a_p, b_p=b_p)
        )
    )


def dirichlet(concentration_q: ArrayLike, concentration_p: ArrayLike, *, device: str = "cpu") -> Any:
    """KL(Dirichlet(concentration_q) ‖ Dirichlet(concentration_p)) over the last axis, in nats.

    log Γ(Σq) − log Γ(Σp) + Σ_i log Γ(p_i) − log Γ(q_i) + (q_i − p_i)(ψ(q_i) − ψ(Σq)), as a sum of the
    KLs of the betas by which a stick is broken, each ≥ 0.

    Arguments (..., K) > 0 with K ≥ 1 (at K = 1 both are the same point, and the KL is 0), which
    broadcast; returns (...). Raises ValueError for anything else, and where parts of the
    value overflow (shapes of 1e±308).
    """
    q, p, shape = _rows(concentration_q, concentration_p)
    named = {"q": q, "p": p, **_rests(_tails_loop, q, p)}
    sticks = {name: array[:, :-1] for name, array in named.items()}
    with np.errstate(over="ignore"):
        value = elementwise(on(device, _stick_loop, stick_kl), **sticks).sum(axis=-1)
    return representable((value.reshape(shape[:-1])[()],))[0]


def dirichlet_grad(
    concentration_q: ArrayLike, concentration_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `dirichlet` by both arguments, each (..., K) in the common shape.

    With d = p − q: by q_i, (Σd) ψ′(Σq) − d_i ψ′(q_i); by p_i, ψ(p_i) − ψ(q_i) − (ψ(Σp) − ψ(Σq)).
    """
    q, p, shape = _rows(concentration_q, concentration_p)
    run = on(device, _slopes_loop, dirichlet_slopes)
    grads = elementwise_outputs(run, 2, q=q, p=p, **_rests(_others_loop, q, p))
    return representable(tuple(grad.reshape(shape) for grad in grads))


def _rests(loop: Callable[..., None], q: FloatArray, p: FloatArray) -> dict[str, FloatArray]:
    """What `loop` sums of the other components in each row of q, of p and of p − q."""
    rests = np.empty((3, *q.shape), q.dtype)
    for values, rest in zip((q, p, p - q), rests, strict=True):
        loop(values, rest)
    return dict(zip(("rest_q", "rest_p", "rest_d"), rests, strict=True))


def _rows(
    concentration_q: ArrayLike, concentration_p: ArrayLike
) -> tuple[FloatArray, FloatArray, tuple[int, ...]]:
    arrays = _positive(concentration_q=concentration_q, concentration_p=concentration_p)
    for name, array in arrays.items():
        if array.ndim == 0 or array.shape[-1] == 0:
            raise ValueError(f"{name} must have a last axis of length >= 1, has shape {array.shape}")
    shape = check.broadcast(**arrays)
    rows = (int(np.prod(shape[:-1])), shape[-1])
    q, p = (np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(rows) for array in arrays.values())
    return q, p, shape


def _positive(**named: ArrayLike) -> dict[str, FloatArray]:
    arrays = dict(zip(named, check.floats(**named), strict=True))
    check.positive(**arrays)
    return arrays
