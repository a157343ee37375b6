"""KL divergences between normal distributions with independent coordinates."""

from typing import Any

from numpy.typing import ArrayLike

from vbref.numerics import check
from vbref.numerics.elementwise import elementwise, elementwise_grad
from vbref.numerics.jit import loop, scalar
from vbref.numerics.special import log1p_deficit


@scalar
def normal_kl(loc_q, scale_q, loc_p, scale_p):
    """½[r² − 1 − log r² + ((μ_q − μ_p)/σ_p)²] with r = σ_q/σ_p.

    t = r² − 1 is formed without cancellation, and t − log(1 + t) has its own function: near equality the printed
    form loses every digit, since KL is of order t².
    """
    half = type(loc_q)(0.5)
    standardised = (loc_q - loc_p) / scale_p
    t = (scale_q - scale_p) / scale_p * ((scale_q + scale_p) / scale_p)
    return half * (log1p_deficit(t) + standardised * standardised)


@loop
def _normal_loop(loc_q, scale_q, loc_p, scale_p, out):
    for i in range(out.shape[0]):
        out[i] = normal_kl(loc_q[i], scale_q[i], loc_p[i], scale_p[i])


def normal(loc_q: ArrayLike, scale_q: ArrayLike, loc_p: ArrayLike, scale_p: ArrayLike) -> Any:
    """KL(N(loc_q, scale_q²) ‖ N(loc_p, scale_p²)) of each element, in nats (xu/34)."""
    q, s, p, r = check.floats(loc_q=loc_q, scale_q=scale_q, loc_p=loc_p, scale_p=scale_p)
    check.positive(scale_q=s, scale_p=r)
    return elementwise(_normal_loop, loc_q=q, scale_q=s, loc_p=p, scale_p=r)
