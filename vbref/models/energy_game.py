"""The game of `vbref.models.energy_prior`: each player's objective and, by hand, its gradient."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params
from vbref.models.energy_evidence import EnergyEvidence
from vbref.models.samplers import Langevin
from vbref.players import Player


@dataclass(frozen=True)
class _Posterior:
    """z ~ q(z | x), log p(x | z), log P + log Z with its normal in closed form, and what backward needs."""

    z: Array
    log_q: Array
    entropy: Array
    log_lik: Array
    log_prior: Array
    saved: dict[str, Any]


class EnergyGame(EnergyEvidence):
    """The part of `EnergyPriorVAE` that trains: who owns what, and which way it goes."""

    weights: tuple[float, float, float]
    weighted: bool
    energy_rate: float

    @property
    def players(self) -> tuple[Player, ...]:
        """The generator, if there is one, the energy, the decoder, the posterior."""
        energy = Player("energy", self.energy_and_grad, ("energy.", "prior."), rate=self.energy_rate)
        decoder = Player("decoder", self.decoder_and_grad, ("decoder.", "likelihood."))
        posterior = Player("posterior", self.posterior_and_grad, ("encoder.",))
        if isinstance(self.sampler, Langevin):
            return energy, decoder, posterior
        generator = Player("generator", self.generator_and_grad, ("generator.", "inverse."))
        return generator, energy, decoder, posterior

    @door.overflow_named()
    def decoder_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """log p(x | z), summed over the batch, and its gradient: zeros for all but the decoder's."""
        checked, x, noise = self._checked(params, x, noise)
        value, grads = self._likelihood(checked, x, noise)
        return value, self._whole(grads)

    @door.overflow_named()
    def energy_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """The energy's objective, summed over the batch, and its gradient: zeros for all but V's."""
        checked, x, noise = self._checked(params, x, noise)
        value, grads = self._energy(checked, x, noise, self.weights[2], self.weighted)
        return value, self._whole(grads)

    @door.overflow_named()
    def posterior_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """φ's objective, λ2 times a bound on log p(x) + log Z, and its gradient: zeros for all but φ."""
        checked, x, noise = self._checked(params, x, noise)
        value, grads = self._ascent(checked, x, noise)
        weight = self.weights[1]
        return weight * value, self._whole({name: _scaled(grad, weight) for name, grad in grads.items()})

    @door.overflow_named()
    def generator_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """ψ's objective, for λ1 = 1 a bound on log Z times N, and its gradient: zeros for all but ψ."""
        checked, _, noise = self._checked(params, x, noise)
        value, grads = self._normaliser(checked, noise, self.weights[0])
        return value, self._whole(grads)

    def _checked(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[Params, Array, Array]:
        checked, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), self.noise_dim)
        self.likelihood.check(x)
        return checked, x, noise

    def _negatives(self, params: Params, noise: Array) -> Array:
        own = noise[..., self.latent_dim :]
        if isinstance(self.sampler, Langevin):
            return self.sampler.sample(self.prior, params, own)
        return self.sampler.sample(params, own)[0]

    def _posterior(self, params: Params, x: Array, noise: Array) -> _Posterior:
        h, saved_h = self.encoder.forward(params, x)
        z, log_q, saved_z = self.posterior.sample(h, noise[..., : self.latent_dim])
        log_lik, saved_lik = self._log_lik(params, z, x)
        mean, var, entropy, saved_moments = self.posterior.moments(h)
        log_prior, saved_prior = self.prior.expected_log_prob(params, mean, var, z)
        saved = {"h": saved_h, "z": saved_z, "lik": saved_lik, "moments": saved_moments, "prior": saved_prior}
        return _Posterior(z, log_q, entropy, log_lik, log_prior, saved)

    def _likelihood(self, params: Params, x: Array, noise: Array) -> tuple[float, Params]:
        """Σ mean_k log p(x | z) and its gradient by the decoder, z held fixed."""
        run = self._posterior(params, x, noise)
        d = np.full_like(run.log_lik, 1 / len(noise))
        return door.total(run.log_lik.mean(axis=0)), self._log_lik_backward(d, run.saved["lik"])[1]

    def _energy(
        self, params: Params, x: Array, noise: Array, penalty: float, weighted: bool
    ) -> tuple[float, Params]:
        """The energy at the codes' side and at the sampler's, together."""
        positive, by_positive = self._positive(params, x, noise, penalty)
        negative, by_negative = self._negative(params, noise, weighted)
        return positive + negative, self._added(by_positive, by_negative)

    def _positive(self, params: Params, x: Array, noise: Array, penalty: float) -> tuple[float, Params]:
        """Σ mean_k [−V(z) − λ3 ‖∇U(z)‖²] and its gradient by V, z held fixed."""
        h, _ = self.encoder.forward(params, x)
        z, _, _ = self.posterior.sample(h, noise[..., : self.latent_dim])
        log_p, saved_p = self.prior.expected_log_prob(params, *self.posterior.moments(h)[:2], z)
        d = np.full_like(log_p, 1 / len(noise))
        grads = self.prior.expected_backward(d, saved_p)[3]
        if not penalty:
            return door.total(log_p.mean(axis=0)), grads
        slopes, saved = self.prior.penalty(params, z)
        d_penalty = self.prior.penalty_backward(_scaled(d, -penalty), saved)
        return door.total((log_p - _scaled(slopes, penalty)).mean(axis=0)), self._added(grads, d_penalty)

    def _negative(self, params: Params, noise: Array, weighted: bool) -> tuple[float, Params]:
        """−Σ mean_k [−V(z')], or `weighted` −N log mean ω, and its gradient by V, z' held fixed."""
        z = self._negatives(params, noise)
        log_p, saved = self.prior.log_prob(params, z)
        if not weighted:
            return -door.total(log_p.mean(axis=0)), self.prior.backward(
                np.full_like(log_p, -1 / len(noise)), saved
            )[1]
        n = noise.shape[1]
        log_w = self._log_normaliser_weights(params, z, noise[..., self.latent_dim :], log_p)
        log_sum = np.logaddexp.reduce(log_w, axis=None)
        d = _scaled(np.exp(log_w - log_sum), -n)
        return -n * (float(log_sum) - math.log(log_w.size)), self.prior.backward(d, saved)[1]

    def _ascent(self, params: Params, x: Array, noise: Array) -> tuple[float, Params]:
        """Σ mean_k [log p(x | z) − V(z)] + H(q(z | x)) and its gradient by φ."""
        run = self._posterior(params, x, noise)
        d = np.full_like(run.log_lik, 1 / len(noise))
        d_mean, d_var, d_z, _ = self.prior.expected_backward(d, run.saved["prior"])
        d_z = d_z + self._log_lik_backward(d, run.saved["lik"])[0]
        d_h = self.posterior.sample_backward(d_z, np.zeros_like(d), run.saved["z"])
        d_h = d_h + self.posterior.moments_backward(
            d_mean, d_var, np.ones_like(run.entropy), run.saved["moments"]
        )
        value = door.total((run.log_lik + run.log_prior).mean(axis=0) + run.entropy)
        return value, self.encoder.backward(d_h, run.saved["h"], input_grad=False)[1]

    def _normaliser(self, params: Params, noise: Array, weight: float) -> tuple[float, Params]:
        """Σ mean_k [λ1 H̲ − V(z')] and its gradient by ψ; without a generator −V(z') alone, and none."""
        if isinstance(self.sampler, Langevin):
            log_p, _ = self.prior.log_prob(params, self._negatives(params, noise))
            return door.total(log_p.mean(axis=0)), {}
        own = noise[..., self.latent_dim :]
        z, saved_z = self.sampler.sample(params, own)
        log_inverse, saved_inverse = self.sampler.log_inverse(params, z, own)
        log_p, saved_p = self.prior.log_prob(params, z)
        d = np.full_like(log_p, 1 / len(noise))
        d_z, d_inverse = self.sampler.log_inverse_backward(_scaled(d, weight), saved_inverse)
        d_z = d_z + self.prior.backward(d, saved_p)[0]
        bound = _scaled(log_inverse + log_p.dtype.type(self.sampler.fixed_entropy()), weight)
        value = door.total((bound + log_p).mean(axis=0))
        return value, d_inverse | self.sampler.sample_backward(d_z, saved_z)


def _scaled(array: Array, weight: float) -> Array:
    return np.asarray(array * array.dtype.type(weight))
