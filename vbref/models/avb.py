"""Adversarial variational Bayes (xu §8; Mescheder, Nowozin and Geiger 2017): q(z | x) that can only be drawn.

z = g(x, ε), ε ~ N(0, I), has whatever density g gives it, and none that could be written down. A critic
T(x, z), trained to tell z ~ q(z | x) from z ~ p(z), stands in for log q − log p. There are two players:

    model    E_q[log p(x | z) − T(x, z)]              raised by θ and φ, with ψ held
    critic   `vbref.models.critic` of T(x, z)         raised by ψ, with θ and φ held

At T = T* = log q − log p (xu/56) the first is the ELBO (xu/52). Its gradient by φ then is the ELBO's as well,
though T* depends on φ: E_q[∂_φ log q] = 0, so holding T loses nothing (Mescheder et al., Proposition 2). At
any other T the value errs either way and bounds nothing, and the gradient is unbiased for that of
E_q[log p(x | z) − T], not of the ELBO.

These are two objectives and no saddle: xu/53 puts the critic's logistic objective inside the ELBO, with a
sign not turned, and would drive T to infinity and q nowhere. `saddle="f-divergence"` is one that holds:

    max_θφ min_ψ  E_q[log p(x | z) − T(x, z)] + E_p(z)[e^(T(x, z) − 1)]

is above the ELBO for every T, and is the ELBO at T* + 1. One number, that both players read.

`contrast="adaptive"`: q is told from r(z | x) = N(m(x), diag s(x)²), of q's own moments, instead of from p:

    ELBO = E_q[log p(x, z) − log r(z | x)] − KL(q ‖ r)

for any r, so that r, too, may be held. The critic reads u = (z − m)/s against N(0, I), has only what is not
Gaussian in q to learn, and T → 0 is not far. The moments are those of z at fixed nodes ε, a function of x and
φ without noise of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.critic import OBJECTIVES
from vbref.models.decoded import Decoded
from vbref.models.door import Array, Params
from vbref.models.likelihood import make_likelihood
from vbref.models.prior import DiagonalPrior
from vbref.nn.mlp import MLP
from vbref.numerics import check
from vbref.players import Player

_NODES = 16
_VAR_FLOOR = 1e-6
_CHOICES = {
    "saddle": ("logistic", "f-divergence"),
    "dtype": ("float32", "float64"),
}

Moments = tuple[Array, Array]


@dataclass(frozen=True)
class _Draw:
    """z of q, what the critic reads of it (u, and `other`, a draw of what q is told from), and r's scale."""

    params: Params
    x: Array
    z: Array
    u: Array
    other: Array
    scale: Array
    saved: Any


class AVB(Decoded):
    """A VAE whose q(z | x) is a network of x and noise, with a critic for its log ratio to the prior.

    - `hidden`: widths of the encoder's hidden layers, in reverse of the decoder. `noise_dim`: of ε, default
      `latent_dim`. `critic_hidden`: of T(x, z), by default `hidden`.
    - `contrast`: None, or "adaptive". `saddle`: "logistic" or "f-divergence" (see above).
    - `critic_steps`: steps of the critic for each of the model.
    - `likelihood`, `scale`, `sigma`, `activation`, `dtype`: as in `VAE`. The prior is N(0, I).

    `players` has the critic and the model ("train"). Raises ValueError for words not listed, sizes below 1.
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (128,),
        *,
        noise_dim: int | None = None,
        critic_hidden: tuple[int, ...] | None = None,
        contrast: str | None = None,
        saddle: str = "logistic",
        critic_steps: int = 1,
        activation: str = "tanh",
        likelihood: str = "bernoulli",
        scale: str = "fixed",
        sigma: float = 1.0,
        dtype: str = "float64",
    ) -> None:
        noise_dim = latent_dim if noise_dim is None else noise_dim
        critic_hidden = hidden if critic_hidden is None else critic_hidden
        options = {name: value for name, value in locals().items() if name != "self"}
        for name, allowed in _CHOICES.items():
            door.choice(name, options[name], allowed)
        if contrast is not None:
            door.choice("contrast", contrast, ("adaptive",))
        sizes = ("data_dim", "latent_dim", "noise_dim", "critic_steps")
        door.size(**{name: options[name] for name in sizes})
        widths = {name: door.widths(name, options[name]) for name in ("hidden", "critic_hidden")}
        self._config = door.plain(options) | widths
        self.data_dim, self.latent_dim, self.noise_dim, self.dtype = data_dim, latent_dim, noise_dim, dtype
        self.adaptive, self.saddle, self.critic_steps = contrast == "adaptive", saddle, critic_steps
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        self.prior = DiagonalPrior(latent_dim)
        self.encoder = MLP((data_dim + noise_dim, *hidden, latent_dim), activation, prefix="encoder")
        self.decoder = MLP((latent_dim, *hidden[::-1], self.likelihood.width), activation, prefix="decoder")
        self.critic = MLP((data_dim + latent_dim, *critic_hidden, 1), activation, prefix="critic")
        self._parts = (self.encoder, self.decoder, self.likelihood, self.critic)
        self._nodes = _standardised_nodes(noise_dim).astype(dtype)

    @property
    def players(self) -> tuple[Player, ...]:
        """The critic, then the model, which owns all but the critic."""
        owns = ("encoder.", "decoder.", "likelihood.")
        critic = Player("critic", self.critic_objective_and_grad, ("critic.",), self.critic_steps)
        return critic, Player("train", self.objective_and_grad, owns)

    def init(self, rng: np.random.Generator | int) -> Params:
        """Networks as `MLP.init` draws them, σ = `sigma`; float32 rounds the same draw."""
        rng = check.generator(rng)
        params = self.encoder.init(rng) | self.decoder.init(rng) | self.likelihood.init()
        params |= self.critic.init(rng)
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, noise_dim + latent_dim): q's ε, then the draws that q is told from."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, self.noise_dim + self.latent_dim)).astype(self.dtype)

    @door.overflow_named()
    def objective(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, moments: Moments | None = None
    ) -> float:
        """The model's objective as sampled, summed over the batch, in nats: no bound, but at T* (see above).

        x is (N, data_dim), noise (K, N, noise_dim + latent_dim). With "f-divergence" its mean is above the
        ELBO whatever T is. `moments` (m, s), both (N, latent_dim), stand in for q's own in the adaptive
        contrast. Raises ValueError as `VAE.objective` does.
        """
        return self._objective(self._draw(params, x, noise, moments))[0]

    @door.overflow_named()
    def objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, moments: Moments | None = None
    ) -> tuple[float, Params]:
        """The objective, and its gradient by encoder, decoder and likelihood, T and the moments held.

        For one sample, ∇_z [log p(x | z) − T(x, z)] goes back through z = g(x, ε); in the adaptive contrast
        ∇_z [log p(x | z) + log p(z) − log r(z) − T(x, u)], which is d_lik − z + u/s − ∇_u T/s. The critic's
        own gradient is zero. It is the derivative of `objective` at these `moments`.
        """
        draw = self._draw(params, x, noise, moments)
        value, saved_lik, saved_t = self._objective(draw)
        c = np.full(draw.z.shape[:2], 1 / len(draw.z), draw.z.dtype)
        d_z, grads = self._log_lik_backward(c, saved_lik)
        d_in, _ = self.critic.backward(-c[..., None], saved_t)
        d_z = d_z + d_in[..., self.data_dim :] / draw.scale
        if self.adaptive:
            d_z = d_z + c[..., None] * (draw.u / draw.scale - draw.z)
        grads |= self.encoder.backward(d_z, draw.saved, input_grad=False)[1]
        return value, self._whole(grads)

    @door.overflow_named()
    def critic_objective(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, moments: Moments | None = None
    ) -> float:
        """The critic's objective as sampled, summed over the batch: see `vbref.models.critic`."""
        return self._critic_objective(self._draw(params, x, noise, moments))[0]

    @door.overflow_named()
    def critic_objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, moments: Moments | None = None
    ) -> tuple[float, Params]:
        """The critic's objective and its gradient by the critic, zero for all else: q is held."""
        draw = self._draw(params, x, noise, moments)
        value, backward = self._critic_objective(draw)
        parts = [
            self.critic.backward(d_t[..., None] / len(draw.z), saved, input_grad=False)[1]
            for d_t, saved in backward
        ]
        return value, self._whole(self._added(*parts))

    def log_weights(self, params: Mapping[str, Array], x: Array, noise: Array) -> Array:
        """Not to be had: raises NotImplementedError."""
        raise NotImplementedError(
            "AVB has no log-weights: its q(z | x) can be drawn but has no density; "
            "vbref.evaluate.annealed estimates log p(x) without q"
        )

    @door.overflow_named()
    def draw(self, params: Mapping[str, Array], x: Array, noise: Array) -> Array:
        """z (K, N, latent_dim) of q(z | x) for the ε (K, N, noise_dim)."""
        params, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), self.noise_dim)
        return self.encoder.apply(params, _beside(x, noise))

    @door.overflow_named()
    def moments(self, params: Mapping[str, Array], x: Array) -> Moments:
        """Mean and scale (N, latent_dim) of q(z | x), over 16 fixed ε; variances have 1e-6 added."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.batch(x, self.data_dim)
        return self._moments(params, x)

    @door.overflow_named()
    def ratio(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[Array, Array]:
        """T (K, N) at draws of q and at draws of what q is told from: all that a critic's health shows in."""
        draw = self._draw(params, x, noise, None)
        return self._critic(draw, draw.u)[0], self._critic(draw, draw.other)[0]

    def _draw(self, params: Mapping[str, Array], x: Array, noise: Array, moments: Moments | None) -> _Draw:
        given = {} if moments is None else {"loc": moments[0], "scale": moments[1]}
        checked, (x, noise, *rest) = door.together(params, self.shapes(), x=x, noise=noise, **given)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), self.noise_dim + self.latent_dim)
        self.likelihood.check(x)
        eps, other = noise[..., : self.noise_dim], noise[..., self.noise_dim :]
        z, saved = self.encoder.forward(checked, _beside(x, eps))
        if not self.adaptive:
            return _Draw(checked, x, z, z, other, np.ones((), z.dtype), saved)
        loc, scale = rest or self._moments(checked, x)
        return _Draw(checked, x, z, (z - loc) / scale, other, scale, saved)

    def _moments(self, params: Params, x: Array) -> Moments:
        nodes = np.broadcast_to(self._nodes[:, None], (len(self._nodes), len(x), self.noise_dim))
        z = self.encoder.apply(params, _beside(x, nodes))
        return z.mean(axis=0), np.sqrt(z.var(axis=0) + z.dtype.type(_VAR_FLOOR))

    def _objective(self, draw: _Draw) -> tuple[float, Any, Any]:
        log_lik, saved_lik = self._log_lik(draw.params, draw.z, draw.x)
        t, saved_t = self._critic(draw, draw.u)
        value = log_lik - t
        if self.adaptive:
            value = value + _log_prior_over_r(draw)
        if self.saddle == "f-divergence":
            value = value + np.exp(self._critic(draw, draw.other)[0] - 1)
        return door.total(value.mean(axis=0)), saved_lik, saved_t

    def _critic_objective(self, draw: _Draw) -> tuple[float, Any]:
        (t_q, saved_q), (t_p, saved_p) = self._critic(draw, draw.u), self._critic(draw, draw.other)
        value, d_q, d_p = OBJECTIVES[self.saddle](t_q, t_p)
        return door.total(value.mean(axis=0)), ((d_q, saved_q), (d_p, saved_p))

    def _critic(self, draw: _Draw, u: Array) -> tuple[Array, Any]:
        t, saved = self.critic.forward(draw.params, _beside(draw.x, u))
        return t[..., 0], saved


def _beside(x: Array, z: Array) -> Array:
    """(x, z) as one input (K, N, …), for x (N, …) and z (K, N, …)."""
    return np.concatenate([np.broadcast_to(x, (len(z), *x.shape)), z], axis=-1)


def _log_prior_over_r(draw: _Draw) -> Array:
    """log p(z) − log r(z | x) = ½ (‖u‖² − ‖z‖²) + Σ log s."""
    return (draw.u * draw.u - draw.z * draw.z).sum(axis=-1) / 2 + np.log(draw.scale).sum(axis=-1)


def _standardised_nodes(dims: int) -> Array:
    """16 fixed draws of N(0, I) in pairs ±ε, of mean 0 and, each coordinate, variance 1."""
    half = np.random.default_rng(0).standard_normal((_NODES // 2, dims))
    nodes = np.concatenate([half, -half])
    return nodes / np.sqrt((nodes * nodes).mean(axis=0))
