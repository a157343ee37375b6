"""What models with a decoder and a likelihood share: E[x | z], the model's samples, and q's statistics."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params, Shapes
from vbref.models.likelihood import Bernoulli, Gaussian
from vbref.models.posterior import DiagonalPosterior
from vbref.nn.mlp import MLP


class Observed:
    """A model whose "decoder" takes its latent to a likelihood's parameters."""

    data_dim: int
    dtype: str
    decoder: MLP
    likelihood: Bernoulli | Gaussian
    _config: dict[str, Any]
    _parts: tuple[Any, ...]  # that have parameters

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, fit for JSON: given back to the class, they make the same model."""
        return copy.deepcopy(self._config)

    def shapes(self) -> Shapes:
        """The shape of each parameter, by name."""
        return {name: shape for part in self._parts for name, shape in part.shapes().items()}

    def _observe(self, params: Mapping[str, Array], z: Array, own: Array | None = None) -> Array:
        """E[x | z], or x itself by the observation's own noise."""
        out = self.decoder.apply(params, z)
        return self.likelihood.mean(params, out) if own is None else self.likelihood.sample(params, out, own)

    def _log_lik(self, params: Params, z: Array, x: Array) -> tuple[Array, Any]:
        """log p(x | z) (K, N), and what `_log_lik_backward` needs."""
        out, saved_out = self.decoder.forward(params, z)
        log_lik, saved_lik = self.likelihood.log_prob(params, out, x)
        return log_lik, (saved_out, saved_lik)

    def _log_lik_backward(self, d: Array, saved: Any) -> tuple[Array, Params]:
        """(d_z, d_params) of `_log_lik`."""
        saved_out, saved_lik = saved
        d_out, d_likelihood = self.likelihood.backward(d, saved_lik)
        d_z, d_decoder = self.decoder.backward(d_out, saved_out)
        return d_z, d_decoder | d_likelihood

    @staticmethod
    def _added(first: Params, *others: Params) -> Params:
        """The gradients of several paths to the same parameters, together."""
        return {name: sum((grads[name] for grads in others), grad) for name, grad in first.items()}

    def _whole(self, grads: Mapping[str, Any]) -> Params:
        """The gradient by every parameter: zeros where a player has no path to one."""
        return {
            name: np.asarray(grads.get(name, np.zeros(shape, self.dtype)))
            for name, shape in self.shapes().items()
        }


class Decoded(Observed):
    """One whose latent is a z of `latent_dim` numbers, that `sample` draws from a normal `prior`."""

    latent_dim: int
    prior: Any

    @door.overflow_named()
    def decode(self, params: Mapping[str, Array], z: Array) -> Array:
        """E[x | z], (…, data_dim) for z (…, latent_dim)."""
        params, (z,) = door.together(params, self.shapes(), z=z)
        door.last_axis("z", z, self.latent_dim)
        return self._observe(params, z)

    @door.overflow_named()
    def sample(
        self, params: Mapping[str, Array], noise: Array, observation_noise: Array | None = None
    ) -> Array:
        """E[x | z] at the prior draws z that `noise` (…, latent_dim) of standard normals gives.

        With `observation_noise` (…, data_dim) it is x itself: standard normals for a Gaussian likelihood,
        uniforms on [0, 1) for a Bernoulli one.
        """
        params, noise, own = door.sampling(
            params, self.shapes(), noise, self.latent_dim, observation_noise, self.data_dim
        )
        return self._observe(params, self.prior.sample(params, noise), own)


class Encoded(Decoded):
    """One that besides has an "encoder" to the statistics of a diagonal `posterior`."""

    encoder: MLP
    posterior: DiagonalPosterior

    @door.overflow_named()
    def encode(self, params: Mapping[str, Array], x: Array) -> tuple[Array, Array]:
        """loc and scale (N, latent_dim) of q(z | x)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.batch(x, self.data_dim)
        return self.posterior.parameters(self.encoder.apply(params, x))
