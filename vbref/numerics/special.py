"""Special functions that Numba lacks, and the differences of them that KL divergences are made of.

A KL within an exponential family is a Bregman divergence of its log normaliser A,

    D_A(x → y) = A(y) − A(x) − A′(x) (y − x),

which is of second order in y − x: the printed forms lose every digit near equality. Here each D_A is a sum
of terms of one sign. Two facts do the work: log Γ(x) = log Γ(x + 1) − log x turns a small argument into a
large one at the cost of D of −log, ≥ 0, a step; and for large x Stirling's series is a sum of powers, whose
divergences are exact.

All functions take positive reals, float32 or float64. Where the difference `d` = y − x is an argument of its
own, the caller knows it to full precision, as a rounded y − x would not.
"""

import math

from vbref.numerics.jit import scalar

# B_2, B_4, … B_16: from _LARGE on, the terms left out are below 1e-16 of what they would be added to.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_TERMS = len(_BERNOULLI)
_LARGE = 12.0

# The positive root of ψ in three parts; two are short, so that x minus them is exact, also in float32.
_ROOT = 1.4616317749023438
_ROOT_MIDDLE = 3.700660045069526e-07
_ROOT_REST = 1.4084310064576629e-14

_HALF_LOG_2PI = 0.9189385332046727


@scalar
def log1p_deficit(t):
    """t − log(1 + t) ≥ 0 for t > −1, to full relative accuracy.

    With s = t/(2 + t), log(1 + t) = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) and t − 2s = ts, hence near zero
    t − log(1 + t) = ts − 2s³ (1/3 + s²/5 + s⁴/7 + …), of which s²²/25 is below rounding.
    """
    number = type(t)
    if not (number(-0.35) < t < number(0.5)):
        return t - math.log1p(t)
    s = t / (number(2) + t)
    square = s * s
    series = number(0)
    for k in range(10, -1, -1):
        series = series * square + number(1) / number(2 * k + 3)
    return t * s - number(2) * s * square * series


@scalar
def log_ratio(x, y, d):
    """log(y/x) with the relative accuracy of d = y − x; y/x itself may be out of range."""
    t = d / x
    return math.log1p(t) if abs(t) < type(x)(0.5) else math.log(y) - math.log(x)


@scalar
def log_bregman(x, y, d):
    """D(x → y) of −log: y/x − 1 − log(y/x) ≥ 0, where d = y − x."""
    t = d / x
    return log1p_deficit(t) if abs(t) < type(x)(0.5) else t - log_ratio(x, y, d)


@scalar
def xlogx_bregman(x, y, d):
    """D(x → y) of x log x: y log(y/x) − (y − x) ≥ 0, where d = y − x. It is y times D(y → x) of −log."""
    return y * log_bregman(y, x, -d)


@scalar
def xlogy(x, y):
    """x log y, and 0 where x = 0."""
    return type(x)(0) if x == 0 else x * math.log(y)


@scalar
def stirling_remainder(x):
    """log Γ(x) − (x − ½) log x + x − ½ log 2π = Σ_k B_2k / (2k (2k−1) x^(2k−1)), for x ≥ 12."""
    number = type(x)
    z = number(1) / (x * x)
    series = number(0)
    for k in range(_TERMS, 0, -1):
        series = series * z + number(_BERNOULLI[k - 1]) / number(2 * k * (2 * k - 1))
    return series / x


@scalar
def digamma(x):
    """ψ(x) = d/dx log Γ(x) for x > 0, to 1e-13 relative, near its root at 1.4616… too; NaN elsewhere.

    ψ(x) = ψ(x + 1) − 1/x up to x ≥ 12, there log x − 1/2x − Σ_k B_2k / (2k x^2k). Around the root r,
    ψ(x) = ψ(x) − ψ(r), formed as a difference.
    """
    number = type(x)
    if not x > 0:
        return number(math.nan)
    from_root = x - number(_ROOT) - number(_ROOT_MIDDLE) - number(_ROOT_REST)
    if abs(from_root) < number(0.4):
        return digamma_difference(number(_ROOT + _ROOT_MIDDLE), x, from_root)
    shift = number(0)
    while x < number(_LARGE):
        shift += number(1) / x
        x += number(1)
    return math.log(x) - shift + _digamma_tail(x)


@scalar
def _digamma_tail(x):
    """ψ(x) − log x = −1/2x − Σ_k B_2k / (2k x^2k), for x ≥ 12."""
    number = type(x)
    z = number(1) / (x * x)
    series = number(0)
    for k in range(_TERMS, 0, -1):
        series = (series + number(_BERNOULLI[k - 1]) / number(2 * k)) * z
    return -number(0.5) / x - series


@scalar
def trigamma(x):
    """ψ′(x) for x > 0, to 1e-13 relative; NaN elsewhere.

    ψ′(x) = ψ′(x + 1) + 1/x² up to x ≥ 12, there 1/x + 1/2x² + Σ_k B_2k / x^(2k+1).
    """
    number = type(x)
    if not x > 0:
        return number(math.nan)
    shift = number(0)
    while x < number(_LARGE):
        shift += number(1) / (x * x)
        x += number(1)
    z = number(1) / (x * x)
    series = number(0)
    for k in range(_TERMS, 0, -1):
        series = (series + number(_BERNOULLI[k - 1])) * z
    return shift + (number(1) + number(0.5) / x + series) / x


@scalar
def trigamma_times(d, x):
    """d ψ′(x), also where ψ′(x) alone, 1/x² for small x, is out of range; 0 where d is."""
    one = type(x)(1)
    return d / x / x + d * trigamma(x + one) if x < one else d * trigamma(x)


@scalar
def digamma_difference(x, y, d):
    """ψ(y) − ψ(x) with the relative accuracy of d = y − x.

    1/x − 1/y = d/(xy) for each step of the recurrence. For large arguments, with r = x/y, it is
    −log r + (1 − r)/2x + Σ_k B_2k (1 − r^2k) / (2k x^2k), and 1 − r^2k sums like a geometric series.
    """
    number = type(x)
    sign = number(1) if d > 0 else number(-1)
    if d < 0:
        x, y, d = y, x, -d
    total = number(0)
    while x < number(_LARGE) or y < number(_LARGE):
        total += d / y / x
        x += number(1)
        y += number(1)
    gap = d / y  # 1 − r
    z = number(1) / (x * x)
    q = (x / y) * (x / y)
    power = z
    geometric = number(1)  # 1 + q + … + q^(k−1), where 1 − q^k = (1 − q) times that
    series = number(0)
    for k in range(1, _TERMS + 1):
        series += number(_BERNOULLI[k - 1]) / number(2 * k) * power * geometric
        power *= z
        geometric = geometric * q + number(1)
    return sign * (total + log_ratio(x, y, d) + gap * (number(0.5) / x + (number(1) + x / y) * series))


@scalar
def _far(x, y):
    """Whether one is more than four times the other: a divergence is then a plain difference."""
    return y > type(x)(4) * x or x > type(x)(4) * y


@scalar
def digamma_bregman(x, y, d):
    """ψ(y) − ψ(x) − d ψ′(x) ≤ 0, where d = y − x, with the relative accuracy of d: terms of one sign.

    D of −1/x is −d²/x²y, for each step of the recurrence and for −1/2x; D of x^−m as in `stirling_bregman`.
    """
    number = type(x)
    if _far(x, y):
        return digamma_difference(x, y, d) - trigamma_times(d, x)
    total = number(0)
    while x < number(_LARGE) or y < number(_LARGE):
        total += d / x * (d / x) / y
        x += number(1)
        y += number(1)
    t = d / x
    r = x / y
    z = number(1) / (x * x)
    power = z
    e = r * t * t  # e_1
    series = number(0.5) / x * e
    for k in range(1, _TERMS + 1):
        e = r * (e + number(2 * k) * t * t)  # e_2k
        series += number(_BERNOULLI[k - 1]) / number(2 * k) * power * e
        power *= z
        e = r * (e + number(2 * k + 1) * t * t)
    return -(total + log_bregman(x, y, d) + series)


@scalar
def log_beta(a, b):
    """log B(a, b) = log Γ(a) + log Γ(b) − log Γ(a + b) for a, b > 0.

    Where an argument is large, Stirling's leading terms are combined by hand: the log Γ cancel almost wholly.
    Accurate to 1e-13 of the larger of |log B| and 1 (log B has a zero curve, through a = b = 1).
    """
    small, large = (a, b) if a < b else (b, a)
    if large < type(a)(_LARGE):
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    if small < type(a)(_LARGE):
        return math.lgamma(small) - _log_rising(large, small)
    half = type(a)(0.5)
    leading = small * math.log1p(large / small) + large * math.log1p(small / large)
    remainder = stirling_remainder(small) + stirling_remainder(large) - stirling_remainder(small + large)
    return type(a)(_HALF_LOG_2PI) - leading - half * (math.log(small) - math.log1p(small / large)) + remainder


@scalar
def _log_rising(x, b):
    """log Γ(x + b) − log Γ(x) for x ≥ 12 and b not larger."""
    half = type(x)(0.5)
    s = x + b
    remainder = stirling_remainder(s) - stirling_remainder(x)
    return (s - half) * math.log1p(b / x) + b * (math.log(x) - type(x)(1)) + remainder


@scalar
def stirling_gap(x):
    """g(x) = log Γ(x) − x log x + x: convex, −½ log x + ½ log 2π + O(1/x) for large x, −log x for small."""
    if x < type(x)(_LARGE):
        return math.lgamma(x) - x * math.log(x) + x
    return type(x)(_HALF_LOG_2PI) - type(x)(0.5) * math.log(x) + stirling_remainder(x)


@scalar
def stirling_gap_slope(x):
    """g′(x) = ψ(x) − log x < 0."""
    return digamma(x) - math.log(x) if x < type(x)(_LARGE) else _digamma_tail(x)


@scalar
def stirling_gap_curvature(a):
    """g″(a) = ψ′(a) − 1/a = 1/2a² + Σ_k B_2k / a^(2k+1), seven terms of it from a = 12 on."""
    real = type(a)
    w = real(1) / a
    if a < real(_LARGE):
        return trigamma(a) - w
    t = w * w
    b = _BERNOULLI
    tail = real(b[4]) + t * (real(b[5]) + t * real(b[6]))
    series = real(b[0]) + t * (real(b[1]) + t * (real(b[2]) + t * (real(b[3]) + t * tail)))
    return t * (real(0.5) + w * series)


@scalar
def stirling_bregman(x, y, d):
    """D(x → y) ≥ 0 of g(x) = log Γ(x) − x log x + x, where d = y − x: to 1e-13 relative at any distance.

    It lies between half and all of D of −log, since g″(x) = ψ′(x) − 1/x is between 1/2x² and 1/x².
    """
    number = type(x)
    if _far(x, y):
        return stirling_gap(y) - stirling_gap(x) - d * stirling_gap_slope(x)
    if x >= number(_LARGE) and y >= number(_LARGE):
        return _stirling_bregman_large(x, y, d)
    total = -xlogx_bregman(x, y, d)
    while x < number(_LARGE) or y < number(_LARGE):
        total += log_bregman(x, y, d)
        x += number(1)
        y += number(1)
    return total + xlogx_bregman(x, y, d) + _stirling_bregman_large(x, y, d)


@scalar
def _stirling_bregman_large(x, y, d):
    """D of −½ log x + Σ_k c_k x^(1−2k), c_k = B_2k / (2k (2k−1)), for x, y ≥ 12.

    D of x^−m is x^−m e_m with e_m = r^m − 1 + mt, t = d/x, r = 1/(1 + t); e_0 = 0 and
    e_{m+1} = r (e_m + (m + 1) t²), a sum of positive terms.
    """
    number = type(x)
    t = d / x
    r = x / y
    z = number(1) / (x * x)
    power = number(1) / x
    e = r * t * t  # e_1
    series = number(0)
    for k in range(1, _TERMS + 1):
        m = 2 * k - 1
        series += number(_BERNOULLI[k - 1]) / number(2 * k * m) * power * e
        power *= z
        e = r * (r * (e + number(m + 1) * t * t) + number(m + 2) * t * t)
    return number(0.5) * log_bregman(x, y, d) + series


@scalar
def lgamma_bregman(x, d):
    """log Γ(x + d) − log Γ(x) − d ψ(x) ≥ 0, for x > 0 and x + d > 0: D of x log x plus D of the gap."""
    y = x + d
    return xlogx_bregman(x, y, d) + stirling_bregman(x, y, d)
