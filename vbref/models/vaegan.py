"""VAE-GAN (xu §5.3; Larsen et al. 2016): a VAE that compares what a discriminator sees, not pixels.

z ~ q(z | x), z' ~ p(z), x̃ and x' are the decoder's means there, f is the l-th layer of the discriminator and
T its logit, D = σ(T). The reconstruction is N(f(x); f(x̃), I), whose −log is ½‖f(x) − f(x̃)‖² and a constant:
with the sign of xu/28's first line, which its second does not turn with the others. (I is s² I with
`feature_scale` s; where features hardly move, unit noise would let q forget x.) Each player raises

    encoder      E_q log N(f(x); f(x̃), I) − KL(q ‖ p)                             no GAN
    decoder      γ E_q log N(f(x); f(x̃), I) + E g(T(x̃)) + E g(T(x'))              no KL
    critic       log D(x) + E log(1 − D(x̃)) + E log(1 − D(x'))                     no reconstruction
    likelihood   E_q log p(x | z), of σ alone

and holds what the others own: the stops of the paper's Algorithm 1. Let the reconstruction train the
discriminator too (xu/U2), and it makes all features alike. Give the encoder the GAN's loss, and q leaves the
posterior. g is log D ("non-saturating") or −log(1 − D) ("saturating", the critic's own terms turned): the
slopes of g by T are 1 − D and D, so that the second fades where D sees through the decoder, and the first
does not.

None of these is a bound on log p(x). The encoder's is one on the log density of f(x) under the model that
observes features with unit noise, for as long as f stands still. Every gradient is that of its objective as
sampled, unbiased for that of its mean. At the critic's best D* = p(x)/(p(x) + p(x̃) + p(x')), which is xu/54
where `fakes="prior"` leaves out the reconstructions.

The last player gives pixels a density: p(x | z) = N(x̃, σ²) (or Bernoulli, with nothing to learn) is what
log p(x) means here, and nothing else is trained by it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.decoded import Encoded
from vbref.models.discriminator import Discriminator
from vbref.models.door import Array, Params
from vbref.models.likelihood import Bernoulli, make_likelihood
from vbref.models.posterior import DiagonalPosterior
from vbref.models.prior import DiagonalPrior
from vbref.nn.layers import softplus
from vbref.nn.mlp import MLP
from vbref.numerics import check
from vbref.players import Player

_LOG_2PI = math.log(2 * math.pi)
_CHOICES = {
    "loss": ("non-saturating", "saturating"),
    "fakes": ("both", "prior"),
    "dtype": ("float32", "float64"),
}


@dataclass(frozen=True)
class _Decoded:
    """z, the decoder's output there and its mean, with what the way back to z needs."""

    z: Array
    out: Array
    mean: Array
    saved: Any


@dataclass(frozen=True)
class _Run:
    """Encoded and decoded, with both draws split off the noise."""

    params: Params
    x: Array
    h: Array
    log_q: Array
    rec: _Decoded
    prior_draw: Array
    saved_h: Any
    saved_z: Any


class VAEGAN(Encoded):
    """Encoder, decoder and discriminator, of the objectives above.

    - `hidden`: widths of the encoder's hidden layers, in reverse of the decoder. `critic_hidden`: of the
      discriminator. `feature_layer` l: the hidden layer of it, from 1, whose features are compared.
    - `gamma`: γ ≥ 0. `feature_scale`: s > 0, 1 in the paper. `loss`: "non-saturating" or "saturating".
    - `fakes`: what the discriminator and the decoder's GAN terms read besides x, "both" x̃ and x', or "prior",
      x' alone.
    - `likelihood`, `scale`, `sigma`, `activation`, `dtype`: as in `VAE`. The prior is N(0, I).

    A binary x beside the decoder's grey means is told from them at a glance: a Bernoulli likelihood goes
    badly with the GAN. Raises ValueError for words not listed, sizes below 1, γ < 0, and scale="head".
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (128,),
        critic_hidden: tuple[int, ...] = (128,),
        *,
        feature_layer: int = 1,
        gamma: float = 1.0,
        feature_scale: float = 1.0,
        loss: str = "non-saturating",
        fakes: str = "both",
        activation: str = "tanh",
        likelihood: str = "gaussian",
        scale: str = "fixed",
        sigma: float = 1.0,
        dtype: str = "float64",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        for name, allowed in _CHOICES.items():
            door.choice(name, options[name], allowed)
        door.size(data_dim=data_dim, latent_dim=latent_dim)
        if not (isinstance(gamma, int | float) and 0 <= gamma < math.inf):
            raise ValueError(f"gamma must be a finite number >= 0, was {gamma!r}")
        if not (isinstance(feature_scale, int | float) and 0 < feature_scale < math.inf):
            raise ValueError(f"feature_scale must be a finite number > 0, was {feature_scale!r}")
        if scale == "head":
            raise ValueError("scale must not be 'head': σ is no part of the decoder here")
        widths = {name: door.widths(name, options[name]) for name in ("hidden", "critic_hidden")}
        self._config = door.plain(options) | widths
        self.data_dim, self.latent_dim, self.dtype = data_dim, latent_dim, dtype
        self.gamma, self.feature_scale = float(gamma), float(feature_scale)
        self.loss, self.fakes = loss, fakes
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        self.posterior, self.prior = DiagonalPosterior(latent_dim), DiagonalPrior(latent_dim)
        self.encoder = MLP((data_dim, *hidden, self.posterior.width), activation, prefix="encoder")
        self.decoder = MLP((latent_dim, *hidden[::-1], data_dim), activation, prefix="decoder")
        self.critic = Discriminator(data_dim, tuple(critic_hidden), feature_layer, activation)
        self._parts = (self.encoder, self.decoder, self.likelihood, self.critic)

    @property
    def players(self) -> tuple[Player, ...]:
        """The critic, the encoder, the decoder and, where it has a parameter, the likelihood."""
        players = (
            Player("critic", self.critic_objective_and_grad, ("critic.",)),
            Player("encoder", self.objective_and_grad, ("encoder.",)),
            Player("decoder", self.decoder_objective_and_grad, ("decoder.",)),
        )
        if not self.likelihood.shapes():
            return players
        return (*players, Player("likelihood", self.likelihood_objective_and_grad, ("likelihood.",)))

    def init(self, rng: np.random.Generator | int) -> Params:
        """Networks as `MLP.init` draws them, σ = `sigma`; float32 rounds the same draw."""
        rng = check.generator(rng)
        params = self.encoder.init(rng) | self.decoder.init(rng) | self.likelihood.init()
        params |= self.critic.init(rng)
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, 2 latent_dim): q's ε, then z' of the prior."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, 2 * self.latent_dim)).astype(self.dtype)

    @door.overflow_named()
    def objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """The encoder's objective as sampled, summed over the batch, in nats: a bound on log p(f(x)).

        x is (N, data_dim), noise (K, N, 2 latent_dim). Raises ValueError as `VAE.objective` does.
        """
        run = self._run(params, x, noise)
        return self._feature_elbo(run, self._features(run)[0])

    @door.overflow_named()
    def objective_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """The encoder's objective, and its gradient by the encoder: zeros for all else, which is held."""
        run = self._run(params, x, noise)
        log_lik, d_mean = self._features(run)
        d_z, _ = self.decoder.backward(self._mean_backward(run.rec, d_mean), run.rec.saved)
        d_h = self.posterior.sample_backward(d_z, np.zeros_like(log_lik), run.saved_z)
        d_h = d_h + self._minus_kl(run.h)[1]
        grads = self.encoder.backward(d_h, run.saved_h, input_grad=False)[1]
        return self._feature_elbo(run, log_lik), self._whole(grads)

    @door.overflow_named()
    def decoder_objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """The decoder's objective as sampled, summed over the batch."""
        return self._decoder_player(self._run(params, x, noise))[0]

    @door.overflow_named()
    def decoder_objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array
    ) -> tuple[float, Params]:
        """The decoder's objective, and its gradient by the decoder; all else is held."""
        run = self._run(params, x, noise)
        value, paths = self._decoder_player(run)
        parts = [
            self.decoder.backward(self._mean_backward(at, d_mean), at.saved, input_grad=False)[1]
            for at, d_mean in paths
        ]
        return value, self._whole(self._added(*parts))

    @door.overflow_named()
    def critic_objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """The discriminator's objective as sampled, summed over the batch."""
        return self._critic_player(self._run(params, x, noise))[0]

    @door.overflow_named()
    def critic_objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array
    ) -> tuple[float, Params]:
        """The discriminator's objective, and its gradient by the discriminator; all else is held."""
        run = self._run(params, x, noise)
        value, paths = self._critic_player(run)
        parts = [self.critic.backward(0.0, d_t, saved)[1] for d_t, saved in paths]
        return value, self._whole(self._added(*parts))

    @door.overflow_named()
    def likelihood_objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """E_q log p(x | z) as sampled, of pixels, summed over the batch."""
        run = self._run(params, x, noise)
        return door.total(self.likelihood.log_prob(run.params, run.rec.out, run.x)[0].mean(axis=0))

    @door.overflow_named()
    def likelihood_objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array
    ) -> tuple[float, Params]:
        """E_q log p(x | z), and its gradient by the likelihood's own parameter; all else is held."""
        run = self._run(params, x, noise)
        log_lik, saved = self.likelihood.log_prob(run.params, run.rec.out, run.x)
        _, grads = self.likelihood.backward(np.full_like(log_lik, 1 / len(log_lik)), saved)
        return door.total(log_lik.mean(axis=0)), self._whole(grads)

    @door.overflow_named()
    def log_weights(self, params: Mapping[str, Array], x: Array, noise: Array) -> Array:
        """log p(x | z) + log p(z) − log q(z | x), (K, N), of pixels; noise is (K, N, 2 latent_dim).

        Unbiased for p(x) in weights, but q was fitted to features: expect a loose IWAE, and see
        `vbref.evaluate.annealed`.
        """
        run = self._run(params, x, noise)
        log_lik, _ = self.likelihood.log_prob(run.params, run.rec.out, run.x)
        return log_lik + self.prior.log_prob(run.params, run.rec.z)[0] - run.log_q

    @door.overflow_named()
    def discriminate(self, params: Mapping[str, Array], x: Array) -> tuple[Array, Array]:
        """Features f(x) (…, width) and logit T(x) (…,), D = σ(T), of x (…, data_dim)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.last_axis("x", x, self.data_dim)
        return self.critic.forward(params, x)[:2]

    def _run(self, params: Mapping[str, Array], x: Array, noise: Array) -> _Run:
        checked, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), 2 * self.latent_dim)
        self.likelihood.check(x)
        eps, prior_draw = np.split(noise, 2, axis=-1)
        h, saved_h = self.encoder.forward(checked, x)
        z, log_q, saved_z = self.posterior.sample(h, eps)
        return _Run(checked, x, h, log_q, self._decoded(checked, z), prior_draw, saved_h, saved_z)

    def _decoded(self, params: Params, z: Array) -> _Decoded:
        out, saved = self.decoder.forward(params, z)
        return _Decoded(z, out, self.likelihood.mean(params, out), saved)

    def _mean_backward(self, at: _Decoded, d_mean: Array) -> Array:
        """d_out: the mean is the output itself, or for a Bernoulli σ(out), of slope p (1 − p)."""
        bernoulli = isinstance(self.likelihood, Bernoulli)
        return d_mean * at.mean * (1 - at.mean) if bernoulli else d_mean

    def _features(self, run: _Run) -> tuple[Array, Array]:
        """log N(f(x); f(x̃), s² I) (K, N), and the gradient by x̃ of its mean over K."""
        real, _, _ = self.critic.forward(run.params, run.x)
        f, t, saved = self.critic.forward(run.params, run.rec.mean)
        r = (real - f) / self.feature_scale
        d_mean, _ = self.critic.backward(r / (self.feature_scale * len(r)), np.zeros_like(t), saved)
        normaliser = r.dtype.type(_LOG_2PI + 2 * math.log(self.feature_scale))
        return -(r * r + normaliser).sum(axis=-1) / 2, d_mean

    def _minus_kl(self, h: Array) -> tuple[Array, Array]:
        """E_q log p(z) + H(q) (N,), and its gradient by h."""
        mean, var, entropy, saved_moments = self.posterior.moments(h)
        log_prior, saved_prior = self.prior.expected_log_prob({}, mean, var)
        d_row = np.ones_like(entropy)
        d_mean, d_var, _ = self.prior.backward(d_row, saved_prior)
        return log_prior + entropy, self.posterior.moments_backward(d_mean, d_var, d_row, saved_moments)

    def _feature_elbo(self, run: _Run, log_lik: Array) -> float:
        return door.total(log_lik.mean(axis=0) + self._minus_kl(run.h)[0])

    def _fakes(self, run: _Run) -> list[_Decoded]:
        """What the discriminator is to tell from x."""
        made = self._decoded(run.params, run.prior_draw)
        return [run.rec, made] if self.fakes == "both" else [made]

    def _decoder_player(self, run: _Run) -> tuple[float, list[tuple[_Decoded, Array]]]:
        """The value, and for each pass of the decoder the gradient by its mean."""
        log_lik, d_features = self._features(run)
        value, paths = self.gamma * log_lik, [(run.rec, self.gamma * d_features)]
        for fake in self._fakes(run):
            _, t, saved = self.critic.forward(run.params, fake.mean)
            gain, slope = _fooled(t, self.loss)
            value = value + gain
            paths.append((fake, self.critic.backward(0.0, slope / len(t), saved)[0]))
        return door.total(value.mean(axis=0)), paths

    def _critic_player(self, run: _Run) -> tuple[float, list[tuple[Array, Any]]]:
        """The value, and for each pass of the discriminator the gradient by its logit."""
        _, t_real, saved = self.critic.forward(run.params, run.x)
        loss, slope = softplus(-t_real)
        value, paths = -loss, [(slope, saved)]
        for fake in self._fakes(run):
            _, t, saved = self.critic.forward(run.params, fake.mean)
            loss, slope = softplus(t)
            value = value - loss.mean(axis=0)
            paths.append((-slope / len(t), saved))
        return door.total(value), paths


def _fooled(t: Array, loss: str) -> tuple[Array, Array]:
    """g(T) and its slope: log σ(T) and σ(−T), or −log(1 − σ(T)) = log(1 + e^T) and σ(T)."""
    if loss == "saturating":
        return softplus(t)
    value, slope = softplus(-t)
    return -value, slope
