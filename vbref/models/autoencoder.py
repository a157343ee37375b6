"""The limit in which a Gaussian VAE is an autoencoder with a penalty (meanfield/D24).

With p(z) = N(0, I), p(x | z) = N(f(z), σ² I) and q(z | x) of mean μ and covariance S, for one row,

    −ELBO = E_q ‖x − f(z)‖²/2σ² + ½ ‖μ‖² + C,
    C     = ½ data_dim log 2πσ² + ½ tr S + ½ D log 2π − H(q)

exactly, and where S → 0 the expectation tends to its integrand at μ. For S = s² Σ, its error is O(s²): by
Taylor, ½ s² tr(Σ ∇²g(μ)) + O(s⁴) with g = ‖x − f‖²/2σ², odd orders vanishing by symmetry.

The "const." of the notes is C. It is free of μ, but it has no limit: −H(q) contains −D log s, which diverges
as s → 0. The VAE's bound goes to −∞ there; only its dependence on μ and f is the autoencoder's.
"""

import math
from collections.abc import Mapping
from typing import Any

from vbref.models import door
from vbref.models.door import Array
from vbref.models.likelihood import Gaussian
from vbref.models.vae import VAE
from vbref.numerics import check


def autoencoder_loss(model: VAE, params: Mapping[str, Array], x: Array, *, index: Any = None) -> float:
    """‖x − f(μ(x))‖²/2σ² + ½ ‖μ(x)‖², summed over the batch: to be minimised (meanfield/D24).

    Raises ValueError unless the model has a Gaussian likelihood with one fixed σ and a standard prior.
    """
    sigma = _sigma(model)
    (x,) = check.floats(x=x)
    loc, _ = model.encode(params, x, index=index)
    r = (x - model.decode(params, loc)) / x.dtype.type(sigma)
    return float((r * r).sum() + (loc * loc).sum()) / 2


def autoencoder_constant(model: VAE, params: Mapping[str, Array], x: Array, *, index: Any = None) -> float:
    """C of this module, summed over the batch: what D24 calls const., so that −ELBO → loss + C as S → 0.

    Raises as `autoencoder_loss` does.
    """
    log_normaliser = model.data_dim * math.log(math.sqrt(2 * math.pi) * _sigma(model))
    checked, (x,) = door.together(params, model.shapes(), x=x)
    door.batch(x, model.data_dim)
    _, var, entropy, _ = model.posterior.moments(model.inference.forward(checked, x, index)[0])
    rows = len(x) * (log_normaliser + model.latent_dim * math.log(2 * math.pi) / 2)
    return rows + float(var.sum()) / 2 - float(entropy.sum())


def _sigma(model: VAE) -> float:
    likelihood = model.likelihood if isinstance(model, VAE) else None
    if not isinstance(likelihood, Gaussian) or likelihood.scale != "fixed" or model.prior.learned:
        raise ValueError(
            "model must be a VAE with a Gaussian likelihood of fixed scale and a standard prior, is "
            f"{type(model).__name__} {getattr(model, 'config', '')}"
        )
    return likelihood.sigma
