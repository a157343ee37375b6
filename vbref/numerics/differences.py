"""Differences of polygammas that keep the digits of a small step: what derivatives of KLs are made of.

As in `special`, the recurrence takes small arguments to large ones, and Stirling's series does the rest.
"""

import math

from vbref.numerics.jit import scalar
from vbref.numerics.special import _BERNOULLI, _LARGE, _TERMS


@scalar
def trigamma_difference_times(c, x, y, d):
    """c (ψ′(y) − ψ′(x)) with the relative accuracy of d = y − x ≥ 0, also where ψ′ alone is out of range.

    1/x² − 1/y² = d/(xy) (1 + x/y)/x for each step of the recurrence, then 1/x − 1/y = d/(xy) and what
    `curvature_difference_times` adds.
    """
    number = type(x)
    total = number(0)
    while x < number(_LARGE):
        total += d / y * c / x * (number(1) + x / y) / x
        x += number(1)
        y += number(1)
    return curvature_difference_times(c, x, y, d) - d / y * c / x - total


@scalar
def curvature_difference_times(c, x, y, d):
    """c (g″(y) − g″(x)) for x ≥ 12 and d = y − x ≥ 0, where g″ = ψ′ − 1/x as in `stirling_gap_curvature`.

    x^−m − y^−m = d/y x^−m (1 + r + … + r^(m−1)) with r = x/y, hence −cd/(xy) [(1 + r)/2x + Σ_k B_2k/x^2k
    (1 + r + … + r^2k)].
    """
    number = type(x)
    one, r, z = number(1), x / y, number(1) / (x * x)
    power, geometric = z, one + r + r * r
    series = number(0.5) * (one + r) / x
    for k in range(1, _TERMS + 1):
        series += number(_BERNOULLI[k - 1]) * power * geometric
        power *= z
        geometric = one + r + r * r * geometric
    return -(d / y * c / x * series)


@scalar
def digamma_second_difference(x, d, e):
    """ψ(x + d) + ψ(x + e) − ψ(x) − ψ(x + d + e) ≥ 0 for d, e ≥ 0, with their relative accuracy.

    With u = 1/x, v = 1/(x + d), w = 1/(x + e), z = 1/(x + d + e) and S_n = uⁿ − vⁿ − wⁿ + zⁿ, each step of
    the recurrence gives S_1 = de (2x + d + e) uvwz, and for large x it is log(1 + deuz) + S_1/2 + Σ_k B_2k
    S_2k/2k. There, S_{n+1} = u S_n + (u − v)(vⁿ − zⁿ) + (v − z)(wⁿ − zⁿ) + S_1 wⁿ, where vⁿ⁺¹ − zⁿ⁺¹ = v (vⁿ
    − zⁿ) + (v − z) zⁿ, and so for w: all are sums of positive terms.
    """
    number = type(x)
    total = number(0)
    while x < number(_LARGE):
        total += _crossed(x, d, e)
        x += number(1)
    u, v, w, z = number(1) / x, number(1) / (x + d), number(1) / (x + e), number(1) / (x + d + e)
    u_v, v_z, w_z = d * v * u, e * z * v, d * z * w
    first = s = _crossed(x, d, e)
    v_n, w_n, z_n = v_z, w_z, z
    series = number(0.5) * first
    for n in range(2, 2 * _TERMS + 1):
        s = u * s + u_v * v_n + v_z * w_n + first * (z_n + w_n)
        v_n, w_n, z_n = v * v_n + v_z * z_n, w * w_n + w_z * z_n, z * z_n
        if n % 2 == 0:
            series += number(_BERNOULLI[n // 2 - 1]) / number(n) * s
    return total + math.log1p(d * u * (e * z)) + series


@scalar
def _crossed(x, d, e):
    """1/x − 1/(x + d) − 1/(x + e) + 1/(x + d + e)."""
    s = x + d + e
    return d / (x + d) * (e / (x + e)) * ((x + s) / s) / x
