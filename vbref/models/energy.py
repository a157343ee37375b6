"""A prior by its energy: P(z) = e^(−U(z))/Z, written e^(−f(z)) N(z; m, s²)/Z with a network f.

`tilt` (Pang et al. 2020): N(z; 0, I) is fixed and U = f. Otherwise (the notes, evae/D14) m and s are learned
and U = f − log N(z; m, s²) is the whole exponent. A network alone need not grow, and then e^(−f) has no
integral; times a normal it always has, since f grows at most linearly for every activation allowed here.

log Z = log E_{N(m, s²)} e^(−f) is not known in closed form: `log_prob` leaves it out, and is log P + log Z.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models.door import Array, Params, Shapes
from vbref.models.prior import DiagonalPrior
from vbref.nn import tangent
from vbref.nn.mlp import MLP


@dataclass(frozen=True)
class EnergyPrior:
    """e^(−f(z)) times a normal, normalised; f is the network "energy", of `hidden` widths."""

    latent_dim: int
    hidden: tuple[int, ...]
    activation: str = "tanh"
    tilt: bool = True

    @property
    def network(self) -> MLP:
        """f: z (…, latent_dim) to (…, 1)."""
        return MLP((self.latent_dim, *self.hidden, 1), self.activation, prefix="energy")

    @property
    def base(self) -> DiagonalPrior:
        """N(0, I), or with "prior.loc" and "prior.log_var" for its parameters."""
        return DiagonalPrior(self.latent_dim, learned=not self.tilt)

    def shapes(self) -> Shapes:
        """The parameters' shapes by name."""
        return self.network.shapes() | self.base.shapes()

    def init(self, rng: np.random.Generator) -> Params:
        """f = 0, so that P = N(0, I) and log Z = 0: only the last layer is not as `MLP.init` draws it."""
        params = self.network.init(rng)
        params[f"energy.{len(self.hidden)}.weight"][:] = 0
        return params | self.base.init()

    def log_prob(self, params: Mapping[str, Array], z: Array) -> tuple[Array, Any]:
        """log P(z) + log Z = log N(z; m, s²) − f(z), (…) for z (…, D), and what `backward` needs."""
        f, saved_f = self.network.forward(params, z)
        log_base, saved_base = self.base.log_prob(params, z)
        return log_base - f[..., 0], (saved_f, saved_base)

    def backward(self, d: Array, saved: Any) -> tuple[Array, Params]:
        """(d_z, d_params) of `log_prob`."""
        saved_f, saved_base = saved
        d_z_f, d_network = self.network.backward(-d[..., None], saved_f)
        d_z, _, d_base = self.base.backward(d, saved_base)
        return d_z + d_z_f, d_network | d_base

    def expected_log_prob(
        self, params: Mapping[str, Array], mean: Array, var: Array, z: Array
    ) -> tuple[Array, Any]:
        """`log_prob` with its normal averaged in closed form: E log N(z; m, s²) − f(z), (K, N).

        `mean` and `var` (N, D) are those of the law that z (K, N, D) are drawn from.
        """
        f, saved_f = self.network.forward(params, z)
        log_base, saved_base = self.base.expected_log_prob(params, mean, var)
        return log_base - f[..., 0], (saved_f, saved_base)

    def expected_backward(self, d: Array, saved: Any) -> tuple[Array, Array, Array, Params]:
        """(d_mean, d_var, d_z, d_params) of `expected_log_prob` for d (K, N)."""
        saved_f, saved_base = saved
        d_mean, d_var, d_base = self.base.backward(d.sum(axis=0), saved_base)
        d_z, d_network = self.network.backward(-d[..., None], saved_f)
        return d_mean, d_var, d_z, d_network | d_base

    def penalty(self, params: Mapping[str, Array], z: Array) -> tuple[Array, Any]:
        """‖∇_z U(z)‖² (…), and what `penalty_backward` needs."""
        rows = z.reshape(-1, self.latent_dim)
        g, saved = tangent.slope(self.network, params, rows)
        if not self.tilt:
            g = g + (rows - params["prior.loc"]) * np.exp(-params["prior.log_var"])
        return (g * g).sum(axis=-1).reshape(z.shape[:-1]), (params, rows, g, saved)

    def penalty_backward(self, d: Array, saved: Any) -> Params:
        """Gradients by the parameters at fixed z: those of v · ∇_z U with v = 2 d ∇_z U (`vbref.nn.tangent`).

        Of −log N(z; m, s²) the slope is (z − m)/s², whence d_m = −Σ v/s², d_log_var = −Σ v (z − m)/s².
        """
        params, rows, g, saved_f = saved
        v = 2 * d.reshape(-1, 1) * g
        grads = tangent.slope_backward(self.network, v, saved_f)[1]
        if self.tilt:
            return grads
        by_precision = v * np.exp(-params["prior.log_var"])
        d_log_var = -(by_precision * (rows - params["prior.loc"])).sum(axis=0)
        return grads | {"prior.loc": -by_precision.sum(axis=0), "prior.log_var": d_log_var}
