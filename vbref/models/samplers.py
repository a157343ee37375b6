"""Two that stand for draws of P(z) = e^(−V(z))/Z: a generator, whose entropy has a bound, and a short chain.

The generator makes z = G(w) + δε of w, ε ~ N(0, I). With δ > 0 its law q(z) has a density, in no closed form,
and an entropy with a bound. As I(z, w) = H(z) − H(z | w) = H(w) − H(w | z), and E log p(w | z) ≤ −H(w | z)
for any p(w | z) (evae/D24 to D37, with every term that counts where σ is learned),

    H(z) ≥ E log p(w | z) + H(w) + H(z | w),    H(w) = ½ D log 2πe,    H(z | w) = ½ D log 2πeδ²,

tight where p(w | z) = N(E(z), σ²(z)), the inverse encoder, is q(w | z). Then

    E[log p(w | z) − V(z)] + H(w) + H(z | w)  =  log Z − KL(q(z) ‖ P) − E KL(q(w | z) ‖ p(w | z))  ≤  log Z.

The same by weights: ω = e^(−V(z)) p(w | z)/(q(w) q(z | w)) has E ω = Z exactly, because its numerator
integrates to Z over w and z. The left side is E log ω, and log mean ω is tighter.

Without the noise nothing is left of this: E = G⁻¹ then makes ‖w − E(G(w))‖ zero whatever G's scale, and G
shrinks to the bottom of V at no cost (evae/D21).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models.door import Array, Params, Shapes
from vbref.models.energy import EnergyPrior
from vbref.models.likelihood import Gaussian
from vbref.nn.mlp import MLP

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Generator:
    """z = w + g(w) + δε and p(w | z) = N(z + e(z), σ²(z)), of networks "generator" and "inverse"."""

    latent_dim: int
    hidden: tuple[int, ...]
    activation: str
    noise_scale: float

    @property
    def noise_dim(self) -> int:
        """Standard normals a draw takes: w, then ε."""
        return 2 * self.latent_dim

    @property
    def network(self) -> MLP:
        """g."""
        return MLP((self.latent_dim, *self.hidden, self.latent_dim), self.activation, prefix="generator")

    @property
    def inverse(self) -> MLP:
        """z to [e | log σ²]."""
        widths = (self.latent_dim, *self.hidden[::-1], 2 * self.latent_dim)
        return MLP(widths, self.activation, prefix="inverse")

    @property
    def _density(self) -> Gaussian:
        return Gaussian(self.latent_dim, "head")

    def shapes(self) -> Shapes:
        """The parameters' shapes by name."""
        return self.network.shapes() | self.inverse.shapes()

    def init(self, rng: np.random.Generator) -> Params:
        """g = e = 0 and σ = δ, so that z ~ N(0, (1 + δ²) I), nearly inverted; hidden layers are drawn."""
        params, last = self.network.init(rng) | self.inverse.init(rng), len(self.hidden)
        for name in ("generator", "inverse"):
            params[f"{name}.{last}.weight"][:] = 0
        params[f"inverse.{last}.bias"][self.latent_dim :] = 2 * math.log(self.noise_scale)
        return params

    def sample(self, params: Mapping[str, Array], noise: Array) -> tuple[Array, Any]:
        """z (…, D) of noise (…, 2D), and what `sample_backward` needs."""
        w, own = np.split(noise, 2, axis=-1)
        out, saved = self.network.forward(params, w)
        return w + out + noise.dtype.type(self.noise_scale) * own, saved

    def sample_backward(self, d_z: Array, saved: Any) -> Params:
        """d_params of `sample`."""
        return self.network.backward(d_z, saved, input_grad=False)[1]

    def log_inverse(self, params: Mapping[str, Array], z: Array, noise: Array) -> tuple[Array, Any]:
        """log p(w | z) (…), and what `log_inverse_backward` needs."""
        w = noise[..., : self.latent_dim]
        out, saved = self.inverse.forward(params, z)
        out[..., : self.latent_dim] += z
        log_p, saved_p = self._density.log_prob({}, out, w)
        return log_p, (saved, saved_p)

    def log_inverse_backward(self, d: Array, saved: Any) -> tuple[Array, Params]:
        """(d_z, d_params) of `log_inverse`."""
        saved_out, saved_p = saved
        d_out, _ = self._density.backward(d, saved_p)
        d_z, grads = self.inverse.backward(d_out, saved_out)
        return d_z + d_out[..., : self.latent_dim], grads

    def fixed_entropy(self) -> float:
        """H(w) + H(z | w), in nats: what does not move with the generator."""
        return self.latent_dim * (1 + _LOG_2PI + math.log(self.noise_scale))

    def log_draw(self, noise: Array) -> Array:
        """log q(w) + log q(z | w) (…) of a draw: −½‖w‖² − ½‖ε‖² − D log 2πδ."""
        constant = self.latent_dim * (_LOG_2PI + math.log(self.noise_scale))
        return -(noise * noise).sum(axis=-1) / 2 - noise.dtype.type(constant)


@dataclass(frozen=True)
class Langevin:
    """z_t = z_{t−1} − ½ s² ∇V + s ξ_t from z_0 ~ N(0, I), a fixed and small number of `steps`.

    With s → 0 and endless steps it is exact. As it is, its law is another than P (no Metropolis test, no time
    to mix), it has no known density or entropy, and it moves with θ: the gradient that takes its draws for
    those of P, as Pang et al. (2020) do, is biased by how far they are from it.
    """

    latent_dim: int
    steps: int
    step_size: float

    @property
    def noise_dim(self) -> int:
        """Standard normals a draw takes: z_0, then each ξ."""
        return self.latent_dim * (self.steps + 1)

    def shapes(self) -> Shapes:
        """No parameters of its own."""
        return {}

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters of its own."""
        return {}

    def sample(self, prior: EnergyPrior, params: Mapping[str, Array], noise: Array) -> Array:
        """z (…, D) of noise (…, D (steps + 1))."""
        z, *steps = np.split(noise, self.steps + 1, axis=-1)
        s = noise.dtype.type(self.step_size)
        for xi in steps:
            log_p, saved = prior.log_prob(params, z)
            z = z + s * s / 2 * prior.backward(np.ones_like(log_p), saved)[0] + s * xi
        return z
