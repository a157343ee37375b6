"""Breaking a stick (xu/45), and the posteriors of its fractions, in logarithms so that no piece vanishes.

Each fraction v is held as ℓ = log v and m = log(1 − v): near 0 one of them says what v itself no longer can,
near 1 the other. A family maps its statistics h and uniform noise u to (ℓ, m, log q(v)), where q(v) is the
density of the v that is drawn, by v, on (0, 1). Its `sample_backward` takes the cotangents of all three.

h is (N, width), noise (K, N, noise width), ℓ, m and log q are (K, N, fractions).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vbref import kl
from vbref.models.door import Array

Triple = tuple[Array, Array, Array]
_FAR = 36.0


def break_stick(log_v: Array, log_rest: Array) -> Array:
    """Pieces π (…, T) of fractions (…, T − 1): π_k = v_k Π_{l<k} (1 − v_l), the last all that is left.

    Truncation sets v_T = 1, so that Σ π = 1 whatever the fractions (xu/45 has no T).
    """
    left = np.cumsum(log_rest, axis=-1)
    before = np.concatenate([np.zeros_like(left[..., :1]), left], axis=-1)
    whole = np.zeros_like(before[..., :1])
    return np.exp(np.concatenate([log_v, whole], axis=-1) + before)


def break_stick_backward(d_pieces: Array, pieces: Array) -> tuple[Array, Array]:
    """(d_ℓ, d_m): log π_k holds ℓ_k once and each m_l with l < k once; d log π = π d_π."""
    d_log = d_pieces * pieces
    later = np.cumsum(d_log[..., ::-1], axis=-1)[..., ::-1] - d_log
    return d_log[..., :-1], later[..., :-1]


def log1mexp(y: Array) -> Array:
    """log(1 − e^−y) for y > 0; at 0 NumPy's division by zero, which the models' door names."""
    switch = y.dtype.type(math.log(2))
    return np.where(y < switch, np.log(-np.expm1(-y)), np.log1p(-np.exp(-np.maximum(y, switch))))


def _bernoulli(y: Array) -> Array:
    """y/(e^y − 1) for y ≥ 0, which is 1 at 0."""
    safe = np.where(y > 0, y, 1)
    return np.where(y > 0, safe * np.exp(-safe) / -np.expm1(-safe), 1)


def _log_minus(log_w: Array, y: Array) -> Array:
    """log(−log w) for w = 1 − e^−y; −y where e^−y is all that −log w is."""
    far = y > _FAR
    return np.where(far, -y, np.log(-np.where(far, -1, log_w)))


@dataclass(frozen=True)
class Kumaraswamy:
    """v = (1 − u^(1/b))^(1/a) (xu/48); statistics log a | log b.

    With y = −log(u)/b and w = 1 − e^−y, the log density of xu/47 at that v is, since w = v^a,

        ℓ = log(w)/a,    log q = log ab + (a − 1)ℓ + (b − 1) log(1 − w) = log ab + log w − ℓ + log u + y.

    Derivatives, with β(y) = y/(e^y − 1), hence ∂log w/∂log b = −β(y), and y' = −ℓ:

        ∂ℓ/∂log a = −ℓ,       ∂ℓ/∂log b = −β(y)/a,
        ∂m/∂log a = −β(y'),   ∂m/∂log b = β(y)/(a (e^y' − 1)).

    The KL to Beta(1, α) is exact (`vbref.kl.kumaraswamy_beta`), or a sum cut after `terms` (the literature).
    """

    terms: int | None = None
    per_fraction: ClassVar[tuple[int, int]] = (2, 1)
    has_kl: ClassVar[bool] = True

    def shapes(self, h: Array) -> tuple[Array, Array]:
        """a and b, (…, fractions)."""
        log_a, log_b = np.split(h, 2, axis=-1)
        return np.exp(log_a), np.exp(log_b)

    def sample(self, h: Array, noise: Array) -> tuple[Triple, Any]:
        """(ℓ, m, log q) and what backward needs. Where 1 − v is lost beside 1, it is −ℓ = −log(w)/a."""
        log_a, log_b = np.split(h, 2, axis=-1)
        log_u = np.log(noise)
        y = -log_u * np.exp(-log_b)
        log_w = log1mexp(y)
        log_v = log_w * np.exp(-log_a)
        tiny = -log_v < np.finfo(h.dtype).eps
        log_rest = np.where(tiny, _log_minus(log_w, y) - log_a, log1mexp(np.where(tiny, 1, -log_v)))
        log_q = log_a + log_b + log_w - log_v + log_u + y
        return (log_v, log_rest, log_q), (log_a, y, log_w, log_v, log_rest)

    def sample_backward(self, d_log_v: Array, d_log_rest: Array, d_log_q: Array, saved: Any) -> Array:
        """d_h by the derivatives above; log q has log w, −ℓ and y besides log ab."""
        log_a, y, log_w, log_v, log_rest = saved
        a, beta = np.exp(log_a), _bernoulli(y)
        d_log_v = d_log_v - d_log_q
        # β(y)/(a(e^y' − 1)) by logarithms: both parts of the ratio vanish as v goes to 1
        rise = np.exp(np.log(y) - y - log_w - log_a + log_v - log_rest)
        d_log_a = d_log_q - d_log_v * log_v - d_log_rest * _bernoulli(-log_v)
        d_log_b = d_log_q * (1 - beta - y) - d_log_v * beta / a + d_log_rest * rise
        return np.concatenate([d_log_a.sum(axis=0), d_log_b.sum(axis=0)], axis=-1)

    def kl(self, h: Array, concentration: Array) -> Array:
        """KL(q(v) ‖ Beta(1, α)), (N, fractions)."""
        a, b = self.shapes(h)
        given = a, b, np.ones((), h.dtype), concentration
        if self.terms is None:
            return kl.kumaraswamy_beta(*given)
        return kl.kumaraswamy_beta_series(*given, self.terms)

    def kl_backward(self, d_kl: Array, h: Array, concentration: Array) -> tuple[Array, Array]:
        """(d_h, d_log α)."""
        a, b = self.shapes(h)
        given = a, b, np.ones((), h.dtype), concentration
        if self.terms is None:
            by_a, by_b, _, by_concentration = kl.kumaraswamy_beta_grad(*given)
        else:
            by_a, by_b, _, by_concentration = kl.kumaraswamy_beta_series_grad(*given, terms=self.terms)
        d_h = np.concatenate([d_kl * by_a * a, d_kl * by_b * b], axis=-1)
        return d_h, (d_kl * by_concentration * concentration).sum()


class _Logit:
    """Families drawn as a logit L = log v − log(1 − v): ℓ = −log(1 + e^−L), m = −log(1 + e^L).

    Since dL/dv = 1/(v(1 − v)), log q(v) = log q(L) − ℓ − m. `_drawn` gives L and log q(L).
    """

    has_kl: ClassVar[bool] = False
    _drawn: Callable[[Array, Array], tuple[Array, Array, Any]]
    _drawn_backward: Callable[[Array, Array, Any], Array]

    def sample(self, h: Array, noise: Array) -> tuple[Triple, Any]:
        """(ℓ, m, log q) and what backward needs."""
        logit, log_q, saved = self._drawn(h, noise)
        log_v, log_rest = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
        return (log_v, log_rest, log_q - log_v - log_rest), (log_v, log_rest, saved)

    def sample_backward(self, d_log_v: Array, d_log_rest: Array, d_log_q: Array, saved: Any) -> Array:
        """d_h; dℓ/dL = 1 − v and dm/dL = −v."""
        log_v, log_rest, drawn = saved
        d_logit = (d_log_v - d_log_q) * np.exp(log_rest) - (d_log_rest - d_log_q) * np.exp(log_v)
        return self._drawn_backward(d_logit, d_log_q, drawn)


class GaussLogit(_Logit):
    """L = loc + s Φ⁻¹(u), the paper's Gauss–logit; statistics loc | log s²."""

    per_fraction: ClassVar[tuple[int, int]] = (2, 1)

    def _drawn(self, h: Array, noise: Array) -> tuple[Array, Array, Any]:
        """log q(L) = −½ (ε² + log s² + log 2π)."""
        from scipy.special import ndtri

        loc, log_var = np.split(h, 2, axis=-1)
        scale, eps = np.exp(log_var / 2), ndtri(noise)
        log_q = -(eps * eps + log_var + h.dtype.type(math.log(2 * math.pi))) / 2
        return loc + scale * eps, log_q, (scale, eps)

    def _drawn_backward(self, d_logit: Array, d_log_q: Array, saved: Any) -> Array:
        scale, eps = saved
        d_log_var = (d_logit * scale * eps - d_log_q) / 2
        return np.concatenate([d_logit.sum(axis=0), d_log_var.sum(axis=0)], axis=-1)


class GammaRatio(_Logit):
    """v = x/(x + y), x and y near gammas, as the paper composes them; statistics log a | log b; two uniforms.

    The inverse CDF of Gamma(a, 1) near 0 is x = (u Γ(a + 1))^(1/a), good for small a. What that draws is no
    beta. With exponentials e = −log u it draws

        L = log x − log y = c − e₁/a + e₂/b,    c = log Γ(a + 1)/a − log Γ(b + 1)/b,

    an asymmetric Laplace variable about c, whose density is known:

        log q(L) = log(ab/(a + b)) + (a (L − c) below c, −b (L − c) above).

    So the bound with this density holds; one with KL(Beta(a, b) ‖ Beta(1, α)) in its place would not be one.
    """

    per_fraction: ClassVar[tuple[int, int]] = (2, 2)

    def _drawn(self, h: Array, noise: Array) -> tuple[Array, Array, Any]:
        from scipy.special import gammaln

        log_a, log_b = np.split(h, 2, axis=-1)
        a, b = np.exp(log_a), np.exp(log_b)
        left, right = np.split(-np.log(noise), 2, axis=-1)
        spread = right / b - left / a
        tilt = np.where(spread < 0, a, -b)
        log_q = log_a + log_b - np.log(a + b) + tilt * spread
        return gammaln(a + 1) / a - gammaln(b + 1) / b + spread, log_q, (a, b, left, right, tilt)

    def _drawn_backward(self, d_logit: Array, d_log_q: Array, saved: Any) -> Array:
        """spread has d/d log a = e₁/a; log Γ(a + 1)/a has ψ(a + 1) − log Γ(a + 1)/a."""
        a, b, left, right, tilt = saved
        d_spread = d_logit + d_log_q * tilt
        spread = right / b - left / a
        along_a, along_b = np.where(spread < 0, a * spread, 0), np.where(spread < 0, 0, -b * spread)
        d_log_a = d_log_q * (b / (a + b) + along_a) + d_spread * left / a + d_logit * _centre_slope(a)
        d_log_b = d_log_q * (a / (a + b) + along_b) - d_spread * right / b - d_logit * _centre_slope(b)
        return np.concatenate([d_log_a.sum(axis=0), d_log_b.sum(axis=0)], axis=-1)


def _centre_slope(a: Array) -> Array:
    """d(log Γ(a + 1)/a)/d log a."""
    from scipy.special import digamma, gammaln

    return digamma(a + 1) - gammaln(a + 1) / a
