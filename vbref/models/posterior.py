"""Approximate posteriors q(z | x), normal, from the statistics h that inference gives for each row.

`sample` maps given noise to z = loc + L ε and returns log q(z) with it, written by ε: since ε = L⁻¹(z − loc),

    log q(z) = −½ ‖ε‖² − log|L| − ½ D log 2π.

Along the path z(ε), ε does not move, so all of log q's total derivative is that of −log|L|:
`sample_backward`. Its partial derivative at fixed statistics is ∇_z log q(z) = −L⁻ᵀ ε: `score`, which is all
that the estimators without the score of the parameters keep (sticking-the-landing, DReG). `moments` is what
closed forms need.

h is (N, width), noise and z (K, N, D), log q (K, N).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.models.door import Array

_LOG_2PI = math.log(2 * math.pi)


def _standard_log_prob(noise: Array) -> Array:
    return -(noise * noise + noise.dtype.type(_LOG_2PI)).sum(axis=-1) / 2


@dataclass(frozen=True)
class DiagonalPosterior:
    """N(loc, diag(scale²)); statistics loc (D) | log_var (D)."""

    latent_dim: int

    @property
    def width(self) -> int:
        """Statistics a row."""
        return 2 * self.latent_dim

    def parts(self) -> dict[str, int]:
        """How many statistics there are of each name, in order."""
        return {"loc": self.latent_dim, "log_var": self.latent_dim}

    def parameters(self, h: Array) -> tuple[Array, Array]:
        """loc (N, D) and scale (N, D)."""
        loc, log_var = np.split(h, 2, axis=-1)
        return loc, np.exp(log_var / 2)

    def sample(self, h: Array, noise: Array) -> tuple[Array, Array, Any]:
        """z = loc + scale ε, log q(z), and what the backward passes need."""
        loc, scale = self.parameters(h)
        half_log_det = h[..., self.latent_dim :].sum(axis=-1) / 2
        return loc + scale * noise, _standard_log_prob(noise) - half_log_det, (scale, noise)

    def sample_backward(self, d_z: Array, d_log_q: Array, saved: Any) -> Array:
        """d_h by the total derivative: d_loc = Σ_k d_z; d_log_var = ½ Σ_k (d_z ε scale − d_log_q)."""
        scale, noise = saved
        d_log_var = ((d_z * noise).sum(axis=0) * scale - d_log_q.sum(axis=0)[..., None]) / 2
        return np.concatenate([d_z.sum(axis=0), d_log_var], axis=-1)

    def score(self, saved: Any) -> Array:
        """∇_z log q(z) = −ε/scale, (K, N, D)."""
        scale, noise = saved
        return -noise / scale

    def moments(self, h: Array) -> tuple[Array, Array, Array, Any]:
        """Mean and variances (N, D), entropy ½ Σ log var + 1 + log 2π (N,), and what backward needs."""
        loc, log_var = np.split(h, 2, axis=-1)
        var = np.exp(log_var)
        return loc, var, (log_var + h.dtype.type(1 + _LOG_2PI)).sum(axis=-1) / 2, var

    def moments_backward(self, d_mean: Array, d_var: Array, d_entropy: Array, saved: Any) -> Array:
        """d_h: d_loc = d_mean; d_log_var = d_var var + ½ d_entropy."""
        return np.concatenate([d_mean, d_var * saved + d_entropy[..., None] / 2], axis=-1)


@dataclass(frozen=True)
class FullPosterior:
    """N(loc, L Lᵀ); statistics loc (D) | L's lower triangle by rows (D(D+1)/2), its diagonal as logs.

    exp keeps the diagonal positive, so that every h is a posterior and log|L| is a plain sum.
    """

    latent_dim: int

    @property
    def width(self) -> int:
        """Statistics a row."""
        return self.latent_dim + len(self._rows)

    def parts(self) -> dict[str, int]:
        """How many statistics there are of each name, in order."""
        return {"loc": self.latent_dim, "tril": len(self._rows)}

    def parameters(self, h: Array) -> tuple[Array, Array]:
        """loc (N, D) and the factor L (N, D, D)."""
        loc, tril = h[..., : self.latent_dim], h[..., self.latent_dim :]
        factor = np.zeros((*loc.shape, self.latent_dim), h.dtype)
        factor[..., self._rows, self._columns] = np.where(self._diagonal, np.exp(self._logs(tril)), tril)
        return loc, factor

    def sample(self, h: Array, noise: Array) -> tuple[Array, Array, Any]:
        """z = loc + L ε, log q(z), and what the backward passes need."""
        loc, factor = self.parameters(h)
        z = loc + np.einsum("nij,knj->kni", factor, noise)
        return z, _standard_log_prob(noise) - self._log_det(h), (factor, noise)

    def sample_backward(self, d_z: Array, d_log_q: Array, saved: Any) -> Array:
        """d_h by the total derivative: d_loc = Σ_k d_z, d_L = Σ_k d_z εᵀ, d_log|L| = −Σ_k d_log_q."""
        factor, noise = saved
        d_factor = np.einsum("kni,knj->nij", d_z, noise)
        return self._statistics(d_z.sum(axis=0), d_factor, -d_log_q.sum(axis=0), factor)

    def score(self, saved: Any) -> Array:
        """∇_z log q(z) = −L⁻ᵀ ε, (K, N, D)."""
        factor, noise = saved
        return -np.linalg.solve(factor.mT, noise[..., None])[..., 0]

    def moments(self, h: Array) -> tuple[Array, Array, Array, Any]:
        """Mean and variances diag(L Lᵀ) (N, D), entropy log|L| + ½ D (1 + log 2π) (N,), and L."""
        loc, factor = self.parameters(h)
        entropy = self._log_det(h) + h.dtype.type(self.latent_dim * (1 + _LOG_2PI) / 2)
        return loc, (factor * factor).sum(axis=-1), entropy, factor

    def moments_backward(self, d_mean: Array, d_var: Array, d_entropy: Array, saved: Any) -> Array:
        """d_h: d_loc = d_mean, d_L_ij = 2 L_ij d_var_i, d_log|L| = d_entropy."""
        return self._statistics(d_mean, 2 * saved * d_var[..., None], d_entropy, saved)

    def _statistics(self, d_loc: Array, d_factor: Array, d_log_det: Array, factor: Array) -> Array:
        """d_h from those of loc, L and log|L|; a diagonal entry e^t has d_t = d_L e^t + d_log|L|."""
        d_tril = d_factor[..., self._rows, self._columns]
        along = d_tril * factor[..., self._rows, self._columns] + d_log_det[..., None]
        return np.concatenate([d_loc, np.where(self._diagonal, along, d_tril)], axis=-1)

    def _log_det(self, h: Array) -> Array:
        return self._logs(h[..., self.latent_dim :]).sum(axis=-1)

    def _logs(self, tril: Array) -> Array:
        """The log-diagonal in its places, zeros elsewhere."""
        return np.where(self._diagonal, tril, 0)

    @property
    def _rows(self) -> NDArray[np.intp]:
        return np.tril_indices(self.latent_dim)[0]

    @property
    def _columns(self) -> NDArray[np.intp]:
        return np.tril_indices(self.latent_dim)[1]

    @property
    def _diagonal(self) -> NDArray[np.bool_]:
        return self._rows == self._columns
