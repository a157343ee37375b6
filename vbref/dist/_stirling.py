"""Loader's deviance, and loops over what Stirling's leading terms leave of lgamma and its derivatives.

The gamma, beta, Dirichlet and Wishart formulas are sums in which terms like a log a cancel for large a.
Written with
    g(a) = log Γ(a) − (a log a − a),   g′(a) = ψ(a) − log a,   g″(a) = ψ′(a) − 1/a
the large terms are gone before arithmetic meets them.
"""

import math
from typing import Any

from vbref.numerics.check import FloatArray
from vbref.numerics.elementwise import elementwise
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import log1p_deficit, stirling_gap, stirling_gap_curvature, stirling_gap_slope


@scalar
def log_ratio(log_y, c, a):
    """log(y/a), given log y and c = y − a; near y = a by log1p(c/a)."""
    t = c / a
    return math.log1p(t) if abs(t) < type(a)(0.5) else log_y - math.log(a)


@scalar
def log_excess(log_y, c, a):
    """a log(y/a) − (y − a) ≤ 0, given log y and c = y − a: Loader's (2000) deviance, negated.

    Near y = a it is a·(log(1 + t) − t) with t = c/a, of order t², where the printed terms would cancel.
    """
    t = c / a
    return -a * log1p_deficit(t) if abs(t) < type(a)(0.5) else a * (log_y - math.log(a)) - c


@loop
def _gap_loop(a, out):
    for i in range(out.shape[0]):
        out[i] = stirling_gap(a[i])


@loop
def _gap_slope_loop(a, out):
    for i in range(out.shape[0]):
        out[i] = stirling_gap_slope(a[i])


@loop
def _gap_curvature_loop(a, out):
    for i in range(out.shape[0]):
        out[i] = stirling_gap_curvature(a[i])


@loop
def _ratios_loop(log_y, c, a, out):
    for i in range(out.shape[0]):
        out[i] = log_ratio(log_y[i], c[i], a[i])


@loop
def _excesses_loop(log_y, c, a, out):
    for i in range(out.shape[0]):
        out[i] = log_excess(log_y[i], c[i], a[i])


def gap(a: FloatArray) -> Any:
    """g(a) of each element."""
    return elementwise(_gap_loop, a=a)


def gap_slope(a: FloatArray) -> Any:
    """g′(a) of each element."""
    return elementwise(_gap_slope_loop, a=a)


def gap_curvature(a: FloatArray) -> Any:
    """g″(a) of each element."""
    return elementwise(_gap_curvature_loop, a=a)


def log_ratios(log_y: FloatArray, c: FloatArray, a: FloatArray) -> Any:
    """log(y/a) of each element."""
    return elementwise(_ratios_loop, log_y=log_y, c=c, a=a)


def log_excesses(log_y: FloatArray, c: FloatArray, a: FloatArray) -> Any:
    """a log(y/a) − (y − a) of each element."""
    return elementwise(_excesses_loop, log_y=log_y, c=c, a=a)
