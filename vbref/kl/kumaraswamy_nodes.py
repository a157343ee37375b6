"""The Kumaraswamy–beta KL and its gradient for many float64 elements, on all of Numba's threads.

The rule of `vbref.kl.kumaraswamy`, with the exponentials of s(t) from tables of the step's powers, so that
the nodes of an element do not wait for one another, and with elementary functions that run on several nodes
at once. Its few extra nodes, up to a multiple of eight, lie where the integrand is below 2e-16.
"""

import math

import numba
import numpy as np

from vbref.kl.kumaraswamy import STEP, kl_of_ratio, kl_of_ratio_grad, mean_log_ratio, node_range
from vbref.numerics.jit import elementwise_loop, inlined, loop, parallel_loop, vector_loop
from vbref.numerics.vectorised import exp_decay, log1p_unit, reciprocal_expm1

_BLOCK, _LANES, _NODES = 256, 8, 96
_RISE = np.exp(STEP * np.arange(_NODES))
_FALL = np.exp(-STEP * np.arange(_NODES))


@inlined
def _integrands(s, c, b):
    """As in the plain form: dy/ds times the integrands of −R and of its derivatives by b and by c."""
    u = exp_decay(-abs(s))
    tail = log1p_unit(u)
    near = 1.0 / (1.0 + u)
    far = u * near
    y = s + tail if s > 0.0 else tail
    log_sigma = -tail if s > 0.0 else s - tail
    sigma = near if s > 0.0 else far
    w = far if s > 0.0 else near
    kappa = reciprocal_expm1(c * y)
    mass = exp_decay(b * log_sigma)
    value = mass * (c * kappa * sigma - w)
    return value, value * log_sigma, mass * sigma * kappa * (1.0 - c * y * (1.0 + kappa))


@elementwise_loop
def _terms(t, rise, fall, c, b, value_terms, b_terms, c_terms):
    """The weighted integrands at the nodes t, t + STEP, …"""
    for k in range(value_terms.shape[0]):
        up, down = rise * _RISE[k], fall * _FALL[k]
        value, by_b, by_c = _integrands(t + k * STEP + up - down, c, b)
        weight = 1.0 + up + down
        value_terms[k], b_terms[k], c_terms[k] = weight * value, weight * by_b, weight * by_c


@vector_loop
def _sum(terms):
    total = 0.0
    for term in terms:
        total += term
    return total


@loop
def fast_mean_log_ratio(a, b, work):
    """`mean_log_ratio`, which also serves where a or b is so far from 1 that it takes more nodes."""
    left, right, first, last = node_range(a, b)
    span = (last - first) / STEP
    if not span < _NODES:
        return mean_log_ratio(a, b)
    count = (np.int64(span) // _LANES + 1) * _LANES
    value, by_b, by_c = work[0, :count], work[1, :count], work[2, :count]
    c = 1.0 / a
    _terms(first, math.exp(first - right), math.exp(left - first), c, b, value, by_b, by_c)
    return -STEP * _sum(value), STEP * c * c * _sum(by_c), -STEP * _sum(by_b)


@loop
def _block(a_q, b_q, a_p, b_p, first, last, out):
    work = np.empty((3, _NODES))
    for i in range(first, last):
        a, b, alpha, beta = a_q[i], b_q[i], a_p[i], b_p[i]
        r, r_a, r_b = fast_mean_log_ratio(a, b, work)
        out[0, i] = kl_of_ratio(a, b, alpha, beta, r)
        out[1, i], out[2, i], out[3, i], out[4, i] = kl_of_ratio_grad(a, b, alpha, beta, r, r_a, r_b)


@parallel_loop
def value_and_grad_loop(a_q, b_q, a_p, b_p, out):
    """out[0] = the KL, out[1:5] = its derivatives."""
    n = out.shape[1]
    for block in numba.prange(-(-n // _BLOCK)):
        _block(a_q, b_q, a_p, b_p, block * _BLOCK, min(n, (block + 1) * _BLOCK), out)
