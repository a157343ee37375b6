"""The diagonal normal prior p(z), standard or learned (vlb).

One formula serves both uses. For any q with mean m and marginal variances u,

    E_q[log p(z)] = −½ Σ [u + (m − loc)²]/s² + log s² + log 2π,

which is log p(m) at u = 0, and which with q's entropy gives −KL(q ‖ p) = E_q[log p(z)] + H(q).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models.door import Array, Params, Shapes

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class DiagonalPrior:
    """N(loc, diag(s²)): N(0, I), or, `learned`, with "prior.loc" and "prior.log_var" (D,) as parameters."""

    latent_dim: int
    learned: bool = False

    def shapes(self) -> Shapes:
        """The parameters' shapes by name."""
        names = ("prior.loc", "prior.log_var") if self.learned else ()
        return dict.fromkeys(names, (self.latent_dim,))

    def init(self) -> Params:
        """N(0, I)."""
        return {name: np.zeros(shape) for name, shape in self.shapes().items()}

    def sample(self, params: Mapping[str, Array], noise: Array) -> Array:
        """z = loc + s ε."""
        loc, log_var = self._parameters(params, noise.dtype)
        return loc + np.exp(log_var / 2) * noise

    def log_prob(self, params: Mapping[str, Array], z: Array) -> tuple[Array, Any]:
        """log p(z), summed over the last axis, and what `backward` needs."""
        return self.expected_log_prob(params, z, np.zeros((), z.dtype))

    def expected_log_prob(self, params: Mapping[str, Array], mean: Array, var: Array) -> tuple[Array, Any]:
        """E_q[log p(z)] for q of the given mean and marginal variances (…, D), and what `backward` needs."""
        loc, log_var = self._parameters(params, mean.dtype)
        precision = np.exp(-log_var)
        standardised = (mean - loc) * precision
        square = var * precision + standardised * (mean - loc)
        return -(square + log_var + mean.dtype.type(_LOG_2PI)).sum(axis=-1) / 2, (
            standardised,
            square,
            precision,
        )

    def backward(self, d: Array, saved: Any) -> tuple[Array, Array, Params]:
        """(d_mean, d_var, d_params) for the cotangent d (…,).

        d_m = −d (m − loc)/s², d_u = −½ d/s², d_loc = −Σ d_m, d_log_var = ½ Σ d ([u + (m − loc)²]/s² − 1).
        """
        standardised, square, precision = saved
        d_mean, d_var = -d[..., None] * standardised, -d[..., None] * precision / 2
        if not self.learned:
            return d_mean, d_var, {}
        rows = tuple(range(d.ndim))
        d_log_var = (d[..., None] * (square - 1)).sum(axis=rows) / 2
        return d_mean, d_var, {"prior.loc": -d_mean.sum(axis=rows), "prior.log_var": d_log_var}

    def _parameters(self, params: Mapping[str, Array], dtype: Any) -> tuple[Array, Array]:
        if self.learned:
            return params["prior.loc"], params["prior.log_var"]
        return np.zeros((), dtype), np.zeros((), dtype)
