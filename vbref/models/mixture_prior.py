"""A mixture prior whose components a network moves: p(x | z = k, w) = N(μ_k(w), diag σ_k²(w)) (xu/37).

With s_k = log π_k + log N(x; μ_k(w), σ_k²(w)), log p(x | w) is log Σ_k e^(s_k) and p(z | x, w), which xu/43
prints with a π_i for π_j, is e^(s_k)/Σ e^(s_j).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.models.door import Array, Params, Shapes
from vbref.nn.mlp import MLP

_LOG_2PI = math.log(2 * math.pi)
_LOGITS = "prior.logits"


@dataclass(frozen=True)
class MixturePrior:
    """K components in `latent_dim` dimensions; the network "prior" maps w to [μ | log σ²] of each.

    π is uniform, or, `learned`, the softmax of the parameter "prior.logits" (K,).
    """

    latent_dim: int
    w_dim: int
    components: int
    hidden: tuple[int, ...] = ()
    activation: str = "tanh"
    learned: bool = False

    @property
    def network(self) -> MLP:
        """w (…, w_dim) to (…, K · 2 · latent_dim)."""
        return MLP((self.w_dim, *self.hidden, self._outputs), self.activation, prefix="prior")

    @property
    def _outputs(self) -> int:
        return 2 * self.latent_dim * self.components

    @property
    def last_bias(self) -> str:
        """The name of the bias that holds μ and log σ² at w = 0, up to the hidden layers."""
        return f"prior.{len(self.hidden)}.bias"

    def shapes(self) -> Shapes:
        """The parameters' shapes by name."""
        return self.network.shapes() | ({_LOGITS: (self.components,)} if self.learned else {})

    def init(self, rng: np.random.Generator) -> Params:
        """A network as `MLP.init` draws it, means apart by standard normals: equal components stay equal."""
        params = self.network.init(rng)
        means = rng.standard_normal((self.components, self.latent_dim))
        params[self.last_bias] = self.packed(means, np.zeros_like(means))
        return params | ({_LOGITS: np.zeros(self.components)} if self.learned else {})

    def packed(self, means: Array, log_vars: Array) -> Array:
        """Means and log variances (K, latent_dim) as the network's output."""
        return np.concatenate([means, log_vars], axis=-1).reshape(-1)

    def forward(self, params: Mapping[str, Array], w: Array) -> tuple[Array, Any]:
        """[μ | log σ²] (…, K, 2 · latent_dim) for w (…, w_dim), and what `backward` needs."""
        out, saved = self.network.forward(params, w)
        return out.reshape(*w.shape[:-1], self.components, 2 * self.latent_dim), saved

    def backward(self, d_stats: Array, saved: Any) -> tuple[Array, Params]:
        """(d_w, d_params) of `forward`."""
        d_out = d_stats.reshape(*d_stats.shape[:-2], self._outputs)
        return self.network.backward(d_out, saved)

    def sample(self, params: Mapping[str, Array], w: Array, eps: Array, component: Any = None) -> Array:
        """x (…, latent_dim) of normals eps of that shape; z is `component`, integers (…), or drawn."""
        if component is None:
            component, eps = self.draw_component(params, eps)
        at = np.broadcast_to(self._checked(component), eps.shape[:-1])[..., None, None]
        stats = np.take_along_axis(self.forward(params, w)[0], at, axis=-2)[..., 0, :]
        loc, log_var = np.split(stats, 2, axis=-1)
        return loc + np.exp(log_var / 2) * eps

    def draw_component(self, params: Mapping[str, Array], eps: Array) -> tuple[NDArray[np.intp], Array]:
        """z (…) and normals independent of it, both from eps (…, latent_dim).

        u = Φ(ε₁) falls into one of the intervals of length π_k, and its place in there is uniform again.
        """
        from scipy.special import ndtr, ndtri

        u = ndtr(eps[..., 0].astype(np.float64))
        edges = np.cumsum(np.exp(self.log_weights(params, np.float64)), dtype=np.float64)
        edges = np.concatenate([[0.0], edges / edges[-1]])
        last = np.flatnonzero(np.diff(edges))[-1]  # of any length
        z = np.minimum(np.searchsorted(edges, u, side="right") - 1, last)
        place = (u - edges[z]) / (edges[z + 1] - edges[z])
        limits = np.finfo(np.float64)
        left = eps.copy()
        left[..., 0] = ndtri(np.clip(place, limits.tiny, 1 - limits.epsneg))
        return z, left

    def _checked(self, component: Any) -> NDArray[Any]:
        z = np.asarray(component)
        if z.dtype.kind not in "iu" or ((z < 0) | (z >= self.components)).any():
            raise ValueError(f"component must be integers in [0, {self.components})")
        return z

    def log_normals(self, stats: Array, mean: Array, var: Array) -> tuple[Array, Any]:
        """E log N(x; μ_k, σ_k²) (…, K) for x of this mean and these variances (…, latent_dim).

        −½ Σ [var + (mean − μ)²]/σ² + log σ² + log 2π, which with var = 0 is the log density at `mean`.
        """
        loc, log_var = np.split(stats, 2, axis=-1)
        precision = np.exp(-log_var)
        r = (mean[..., None, :] - loc) * precision
        square = r * (mean[..., None, :] - loc) + var[..., None, :] * precision
        log_p = -(square + log_var + stats.dtype.type(_LOG_2PI)).sum(axis=-1) / 2
        return log_p, (r, square, precision)

    def log_normals_backward(self, d: Array, saved: Any) -> tuple[Array, Array, Array]:
        """(d_stats, d_mean, d_var): d_μ = d r, d_log σ² = ½ d (square − 1), d_mean = −Σ_k d_μ."""
        r, square, precision = saved
        d = d[..., None]
        d_loc = d * r
        d_stats = np.concatenate([d_loc, d * (square - 1) / 2], axis=-1)
        return d_stats, -d_loc.sum(axis=-2), -(d * precision).sum(axis=-2) / 2

    def log_weights(self, params: Mapping[str, Array], dtype: Any) -> Array:
        """log π (K,)."""
        if not self.learned:
            return np.full(self.components, -math.log(self.components), dtype)
        logits = params[_LOGITS]
        return logits - np.logaddexp.reduce(logits)

    def log_weights_backward(self, d_log_pi: Array, log_pi: Array) -> Params:
        """The softmax's: d_logits = d − π Σ d."""
        if not self.learned:
            return {}
        return {_LOGITS: d_log_pi - np.exp(log_pi) * d_log_pi.sum()}
