"""KL divergences between normal distributions with independent coordinates.

Each value is a sum of non-negative terms, with t − log(1 + t) in a form of its own: near equality KL is of
second order in the difference of the parameters, and the printed forms (xu/31) lose every digit there.
"""

import math
from typing import Any

from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.check import FloatArray
from vbref.numerics.device import on
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import log1p_deficit


@scalar
def standardised_gap(loc_q, loc_p, scale):
    """z = (μ_q − μ_p)/σ; by halves where the difference of two huge locations overflows."""
    two = type(loc_q)(2)
    gap = loc_q - loc_p
    return (loc_q / two - loc_p / two) / scale * two if math.isinf(gap) else gap / scale


@scalar
def scale_kl(scale_q, scale_p):
    """½(r² − 1) − log r ≥ 0 with r = σ_q/σ_p.

    Near r = 1 it is ½(t − log(1 + t)) with t = r² − 1 = d(2 + d), d = (σ_q − σ_p)/σ_p. Elsewhere nothing
    cancels, and log r comes from square roots, whose ratio, the smaller over the larger, does not underflow.
    """
    number = type(scale_q)
    half, two = number(0.5), number(2)
    r = scale_q / scale_p
    if half < r < two:
        d = (scale_q - scale_p) / scale_p
        return half * log1p_deficit(d * (two + d))
    wider = scale_q > scale_p
    smaller, larger = (scale_p, scale_q) if wider else (scale_q, scale_p)
    log_ratio = two * math.log(math.sqrt(smaller) / math.sqrt(larger))
    return (half * r) * r - half + (log_ratio if wider else -log_ratio)


@scalar
def normal_kl(loc_q, scale_q, loc_p, scale_p):
    """½(r² − 1) − log r + ½z² with r = σ_q/σ_p and z = (μ_q − μ_p)/σ_p."""
    z = standardised_gap(loc_q, loc_p, scale_p)
    return scale_kl(scale_q, scale_p) + (type(z)(0.5) * z) * z


@scalar
def normal_kl_grad(loc_q, scale_q, loc_p, scale_p):
    """(z/σ_p, t/σ_q, −z/σ_p, −(t + z²)/σ_p) with t = r² − 1 = d(2 + d), d = r − 1.

    The quotients come before the products: r² may overflow where t/σ_q does not.
    """
    two = type(loc_q)(2)
    z = standardised_gap(loc_q, loc_p, scale_p)
    d = (scale_q - scale_p) / scale_p
    d_loc = z / scale_p
    return d_loc, d / scale_q * (two + d), -d_loc, -(d / scale_p * (two + d) + d_loc * z)


@scalar
def standard_normal_kl(loc, log_var):
    """½(e^l − 1 − l) + ½μ² with l = log σ²; near l = 0, with t = e^l − 1, it is ½(t − log(1 + t)) + ½μ²."""
    number = type(loc)
    half = number(0.5)
    if abs(log_var) < number(1):
        deficit = half * log1p_deficit(math.expm1(log_var))
    else:
        scale = math.exp(half * log_var)
        deficit = (half * scale) * scale - half * (number(1) + log_var)
    return deficit + (half * loc) * loc


@scalar
def standard_normal_kl_grad(loc, log_var):
    """(μ, ½(e^l − 1))."""
    half = type(loc)(0.5)
    if log_var < type(loc)(1):
        return loc, half * math.expm1(log_var)
    scale = math.exp(half * log_var)
    return loc, (half * scale) * scale - half


@loop
def _normal_loop(loc_q, scale_q, loc_p, scale_p, out):
    for i in range(out.shape[0]):
        out[i] = normal_kl(loc_q[i], scale_q[i], loc_p[i], scale_p[i])


@loop
def _normal_grad_loop(loc_q, scale_q, loc_p, scale_p, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = normal_kl_grad(
            loc_q[i], scale_q[i], loc_p[i], scale_p[i]
        )


@loop
def _standard_normal_loop(loc, log_var, out):
    for i in range(out.shape[0]):
        out[i] = standard_normal_kl(loc[i], log_var[i])


@loop
def _standard_normal_grad_loop(loc, log_var, out):
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = standard_normal_kl_grad(loc[i], log_var[i])


def normal(
    loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> Any:
    """KL(N(loc_q, scale_q²) ‖ N(loc_p, scale_p²)) of each element, in nats.

    log(σ_p/σ_q) + (σ_q² + (μ_q − μ_p)²)/2σ_p² − ½ (xu/34, which calls the first p and the second q).

    The arguments broadcast; scales are standard deviations > 0. Returns the broadcast shape, inf where the
    value exceeds the dtype. Raises ValueError for scales that are not positive, NaN, mixed dtypes, shapes
    that clash.
    """
    return elementwise(on(device, _normal_loop, normal_kl), **_checked(loc_q, scale_q, loc_p, scale_p))


def normal_grad(
    loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `normal` by loc_q, scale_q, loc_p, scale_p, each in the broadcast shape.

    (δ/σ_p², σ_q/σ_p² − 1/σ_q, −δ/σ_p², 1/σ_p − (σ_q² + δ²)/σ_p³) with δ = μ_q − μ_p.
    """
    return elementwise_grad(
        on(device, _normal_grad_loop, normal_kl_grad), **_checked(loc_q, scale_q, loc_p, scale_p)
    )


def diag_normal(
    loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> Any:
    """KL between normals of independent coordinates, in nats: `normal` summed over the last axis (xu/33).

    Arguments (..., D), which broadcast; returns (...). Raises ValueError as `normal` does, and without a last
    axis.
    """
    return _feature_sum(
        normal(loc_q, scale_q, loc_p, scale_p, device=device), "loc_q, scale_q, loc_p, scale_p"
    )


def diag_normal_grad(
    loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike, *, device: str = "cpu"
) -> tuple[Any, ...]:
    """Derivatives of `diag_normal`, each (..., D): of a sum over coordinates, so those of `normal`."""
    grads = normal_grad(loc_q, scale_q, loc_p, scale_p, device=device)
    _require_features(grads[0], "loc_q, scale_q, loc_p, scale_p")
    return grads


def standard_normal(loc: ArrayLike, log_var: ArrayLike, *, device: str = "cpu") -> Any:
    """KL(N(loc, diag exp log_var) ‖ N(0, I)), in nats, summed over the last axis: the VAE's term (xu/31).

    ½ Σ_d (σ_d² + μ_d² − 1 − log σ_d²). xu/36 prints ½ Σ (½σ² + ½μ² − ½ − log σ²), which is −0.097 at μ = 0,
    σ² = 2, where no KL can be negative: the inner halves do not belong there.

    loc, log_var (..., D), any finite value, which broadcast; returns (...). Raises ValueError for NaN,
    infinities, mixed dtypes, shapes that clash, and without a last axis.
    """
    mu, ell = check.floats(loc=loc, log_var=log_var)
    return _feature_sum(
        elementwise(on(device, _standard_normal_loop, standard_normal_kl), loc=mu, log_var=ell),
        "loc, log_var",
    )


def standard_normal_grad(loc: ArrayLike, log_var: ArrayLike, *, device: str = "cpu") -> tuple[Any, ...]:
    """Derivatives of `standard_normal` by loc and log_var, each (..., D): (μ, ½(e^log_var − 1))."""
    mu, ell = check.floats(loc=loc, log_var=log_var)
    grads = elementwise_grad(
        on(device, _standard_normal_grad_loop, standard_normal_kl_grad), loc=mu, log_var=ell
    )
    _require_features(grads[0], "loc, log_var")
    return grads


def _checked(
    loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike
) -> dict[str, FloatArray]:
    names = ("loc_q", "scale_q", "loc_p", "scale_p")
    values = check.floats(loc_q=loc_q, scale_q=scale_q, loc_p=loc_p, scale_p=scale_p)
    arrays = dict(zip(names, values, strict=True))
    check.positive(scale_q=arrays["scale_q"], scale_p=arrays["scale_p"])
    return arrays


def _feature_sum(values: FloatArray, names: str) -> Any:
    _require_features(values, names)
    return values.sum(axis=-1)


def _require_features(values: FloatArray, names: str) -> None:
    if values.ndim == 0:
        raise ValueError(f"{names} must have a last axis of features, have shape ()")
