"""The VAE with an energy for its prior (evae/D1 to D37; Kumar et al. 2019, Pang et al. 2020), signs as due.

P(z) = e^(−V(z))/Z of a network (`vbref.models.energy`: V is U, with `tilt` less log N(z; 0, I)), p(x | z) of
a decoder, q(z | x) of an encoder. A generator makes z' for averages over P (`vbref.models.samplers`), with a
bound H̲ on its entropy. One row and one set of noise have

    A = log p(x | z) − V(z) + H(q(z | x)),  z ~ q(z | x)        E A ≤ log p(x) + log Z
    B = H̲ − V(z'),                          z' = G(w) + δε      E B ≤ log Z

and `objective` is the sum over rows of J = mean_k A − B. Training is one game, max over θ, φ, min over ψ:

    E J = log p(x) − KL(q(z | x) ‖ P(z | x)) + KL(q(z') ‖ P) + E KL(q(w | z') ‖ p(w | z')).

So J is a surrogate and a bound on nothing: it is above the ELBO by what the generator lacks. Each player
raises its own objective by the parameters it owns, z and z' counting as given but where they are its own:

    "energy"     θ  −V(z) + V(z') − λ3 ‖∇_z U(z)‖²    evae/D23, and the rest of it:
    "decoder"    θ  log p(x | z)
    "generator"  ψ  λ1 H̲ − V(z')                      minus the right evae/D21
    "posterior"  φ  λ2 A                               minus the right evae/D22

Without λ3 the gradient by θ is unbiased for that of E A − E B: the ELBO's where z' is P's, and log p(x)'s
where besides q is the posterior. A generator lags, and V runs away from it. So by default the
energy's `negatives` are "weighted": −log mean ω over all draws of a batch for V(z'), whose gradient averages
∇V(z') with weights ω̃ ∝ ω. It is biased by 1/(K N) times their variance, and not by what the generator lacks.

φ's gradient is unbiased for the ELBO's whatever the generator does, ψ's for that of its bound on log Z (λ1 =
1; below, the generator is drawn to the bottom of V). As they share no parameters, λ2 only scales a step. The
notes print −U for +U in D21 and +H for −H in D22: ψ would run to the highest energy, φ to a point.

With `sampler="langevin"` z' are the ends of short chains, which are not P's draws; B is then −V(z'), and J is
known up to the entropy of those ends.

log p(x) itself needs log Z: `log_normaliser` is exact on a grid for one or two latent dimensions; above that
it errs downwards, and log p(x) upwards. `vbref.evaluate.energy` anneals to it and gives the error.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params, Shapes
from vbref.models.energy import EnergyPrior
from vbref.models.energy_evidence import EnergyEvidence
from vbref.models.likelihood import make_likelihood
from vbref.models.posterior import DiagonalPosterior
from vbref.models.samplers import Generator, Langevin
from vbref.nn.mlp import MLP
from vbref.players import Player

_SMOOTH = ("tanh", "softplus", "sigmoid")
_CHOICES = {
    "sampler": ("generator", "langevin"),
    "negatives": ("plain", "weighted"),
    "dtype": ("float32", "float64"),
}


@dataclass(frozen=True)
class _Posterior:
    """z ~ q(z | x), log p(x | z), log P + log Z with its normal in closed form, and what backward needs."""

    z: Array
    log_q: Array
    entropy: Array
    log_lik: Array
    log_prior: Array
    saved: dict[str, Any]


class EnergyPriorVAE(EnergyEvidence):
    """A VAE whose prior is e^(−V(z))/Z, with V a network.

    - `hidden`: of the encoder; the decoder has them in reverse, or `decoder_hidden`. `energy_hidden`: of U.
      `generator_hidden`: of the generator, in reverse of its inverse.
    - `noise_scale`: δ > 0, the generator's noise.
    - `sampler`: "generator", or "langevin" with `langevin_steps` of size `langevin_step`.
    - `entropy_weight` λ1 > 0, `posterior_weight` λ2 > 0, `slope_penalty` λ3 ≥ 0.
    - `negatives`: "weighted", or "plain" as in the notes; Langevin's, of no density, are plain always.
    - `energy_rate`: the energy's steps against the others', of which it must be the slower.
    - `tilt`: P ∝ e^(−U) N(0, I) (Pang et al.); False: P ∝ e^(−U) (the notes), see `EnergyPrior`.
    - `likelihood`, `scale`, `sigma`, `activation`, `dtype`: as in `VAE`. `energy_activation`: a smooth one,
      "tanh", "softplus" or "sigmoid".

    Raises ValueError for words not listed, sizes below 1 and numbers out of range.
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (128,),
        *,
        energy_hidden: tuple[int, ...] = (64, 64),
        generator_hidden: tuple[int, ...] = (64, 64),
        decoder_hidden: tuple[int, ...] | None = None,
        activation: str = "tanh",
        energy_activation: str = "tanh",
        noise_scale: float = 0.1,
        sampler: str = "generator",
        langevin_steps: int = 20,
        langevin_step: float = 0.3,
        entropy_weight: float = 1.0,
        posterior_weight: float = 1.0,
        slope_penalty: float = 0.0,
        negatives: str = "weighted",
        energy_rate: float = 0.3,
        tilt: bool = True,
        likelihood: str = "bernoulli",
        scale: str = "fixed",
        sigma: float = 1.0,
        dtype: str = "float64",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        _check_options(options)
        out = tuple(hidden)[::-1] if decoder_hidden is None else decoder_hidden
        self._config = door.plain(options | {"decoder_hidden": out})
        for name in ("hidden", "decoder_hidden", "energy_hidden", "generator_hidden"):
            self._config[name] = door.widths(name, self._config[name])
        self.data_dim, self.latent_dim, self.dtype = data_dim, latent_dim, dtype
        self.weighted = negatives == "weighted" and sampler == "generator"
        self.weights = (float(entropy_weight), float(posterior_weight), float(slope_penalty))
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        self.posterior = DiagonalPosterior(latent_dim)
        self.encoder = MLP((data_dim, *hidden, self.posterior.width), activation, prefix="encoder")
        self.decoder = MLP((latent_dim, *out, self.likelihood.width), activation, prefix="decoder")
        self.prior = EnergyPrior(latent_dim, tuple(energy_hidden), energy_activation, tilt)
        self.sampler: Generator | Langevin = (
            Generator(latent_dim, tuple(generator_hidden), activation, float(noise_scale))
            if sampler == "generator"
            else Langevin(latent_dim, langevin_steps, float(langevin_step))
        )

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, fit for JSON: `EnergyPriorVAE(**model.config)` is the same model."""
        return copy.deepcopy(self._config)

    @property
    def players(self) -> tuple[Player, ...]:
        """The generator, if there is one, the energy, the decoder, the posterior."""
        energy = Player(
            "energy", self.energy_and_grad, ("energy.", "prior."), rate=self._config["energy_rate"]
        )
        decoder = Player("decoder", self.decoder_and_grad, ("decoder.", "likelihood."))
        posterior = Player("posterior", self.posterior_and_grad, ("encoder.",))
        if isinstance(self.sampler, Langevin):
            return energy, decoder, posterior
        generator = Player("generator", self.generator_and_grad, ("generator.", "inverse."))
        return generator, energy, decoder, posterior

    def shapes(self) -> Shapes:
        """The shape of each parameter, by name."""
        parts = (self.encoder, self.decoder, self.likelihood, self.prior, self.sampler)
        return {name: shape for part in parts for name, shape in part.shapes().items()}

    def init(self, rng: np.random.Generator) -> Params:
        """U = 0 and a generator near N(0, I): the start is a VAE with a standard prior."""
        params = self.encoder.init(rng) | self.decoder.init(rng) | self.likelihood.init()
        params |= self.prior.init(rng) | self.sampler.init(rng)
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, noise_dim)."""
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, self.noise_dim)).astype(self.dtype)

    @door.overflow_named()
    def objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """J summed over the batch, in nats: a surrogate, see above. All λ are left out.

        x is (N, data_dim), noise (K, N, noise_dim). Raises ValueError as `VAE.objective` does.
        """
        checked, x, noise = self._checked(params, x, noise)
        return self._ascent(checked, x, noise)[0] - self._normaliser(checked, noise, 1.0)[0]

    @door.overflow_named()
    def objective_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """J and its gradient: to be followed by θ and φ, and gone against by ψ.

        With Langevin the draws z' are held fixed, though they move with θ.
        """
        checked, x, noise = self._checked(params, x, noise)
        value, phi = self._ascent(checked, x, noise)
        bound, psi = self._normaliser(checked, noise, 1.0)
        energy = _sum(self._positive(checked, x, noise, 0.0)[1], self._negative(checked, noise, False)[1])
        grads = self._likelihood(checked, x, noise)[1] | energy | phi
        grads |= {name: -grad for name, grad in psi.items()}
        return value - bound, {name: grads[name] for name in self.shapes()}

    @door.overflow_named()
    def decoder_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """log p(x | z), summed over the batch, and its gradient: zeros for all but the decoder's."""
        checked, x, noise = self._checked(params, x, noise)
        return self._whole(*self._likelihood(checked, x, noise))

    @door.overflow_named()
    def energy_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """The energy's objective, summed over the batch, and its gradient: zeros for all but V's."""
        checked, x, noise = self._checked(params, x, noise)
        positive, by_positive = self._positive(checked, x, noise, self.weights[2])
        negative, by_negative = self._negative(checked, noise, self.weighted)
        return self._whole(positive + negative, _sum(by_positive, by_negative))

    @door.overflow_named()
    def posterior_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """φ's objective, λ2 times a bound on log p(x) + log Z, and its gradient: zeros for all but φ."""
        checked, x, noise = self._checked(params, x, noise)
        value, grads = self._ascent(checked, x, noise)
        weight = self.weights[1]
        return self._whole(weight * value, {name: _scaled(grad, weight) for name, grad in grads.items()})

    @door.overflow_named()
    def generator_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """ψ's objective, for λ1 = 1 a bound on log Z times N, and its gradient: zeros for all but ψ."""
        checked, _, noise = self._checked(params, x, noise)
        return self._whole(*self._normaliser(checked, noise, self.weights[0]))

    @door.overflow_named()
    def log_weights(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, log_z: float | None = None
    ) -> Array:
        """log w = log p(x | z) + log P(z) − log q(z | x), (K, N).

        `log_z` defaults to `log_normaliser(params)`, as good as that is.
        """
        checked, x, noise = self._checked(params, x, noise)
        run = self._posterior(checked, x, noise)
        log_z = self.log_normaliser(params) if log_z is None else log_z
        return run.log_lik + self.prior.log_prob(checked, run.z)[0] - run.log_q - run.z.dtype.type(log_z)

    @door.overflow_named()
    def encode(self, params: Mapping[str, Array], x: Array) -> tuple[Array, Array]:
        """loc and scale (N, D) of q(z | x)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.batch(x, self.data_dim)
        return self.posterior.parameters(self.encoder.apply(params, x))

    @door.overflow_named()
    def decode(self, params: Mapping[str, Array], z: Array) -> Array:
        """E[x | z], (…, data_dim) for z (…, latent_dim)."""
        params, (z,) = door.together(params, self.shapes(), z=z)
        door.last_axis("z", z, self.latent_dim)
        return self.likelihood.mean(params, self.decoder.apply(params, z))

    @door.overflow_named()
    def negatives(self, params: Mapping[str, Array], noise: Array) -> Array:
        """z' (…, D), the sampler's draws, for noise (…, noise_dim)."""
        params, (noise,) = door.together(params, self.shapes(), noise=noise)
        door.last_axis("noise", noise, self.noise_dim)
        return self._negatives(params, noise)

    @door.overflow_named()
    def sample(
        self, params: Mapping[str, Array], noise: Array, observation_noise: Array | None = None
    ) -> Array:
        """E[x | z'] for noise (…, noise_dim), z' from the sampler, which stands for the prior.

        `observation_noise` is as in `VAE.sample`.
        """
        params, noise, own = door.sampling(
            params, self.shapes(), noise, self.noise_dim, observation_noise, self.data_dim
        )
        out = self.decoder.apply(params, self._negatives(params, noise))
        return self.likelihood.mean(params, out) if own is None else self.likelihood.sample(params, out, own)

    def _checked(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[Params, Array, Array]:
        checked, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), self.noise_dim)
        self.likelihood.check(x)
        return checked, x, noise

    def _whole(self, value: float, grads: Mapping[str, Array]) -> tuple[float, Params]:
        """Zeros for the parameters that have no gradient: the paths that are cut."""
        return value, {
            name: grads[name] if name in grads else np.zeros(shape, self.dtype)
            for name, shape in self.shapes().items()
        }

    def _negatives(self, params: Params, noise: Array) -> Array:
        own = noise[..., self.latent_dim :]
        if isinstance(self.sampler, Langevin):
            return self.sampler.sample(self.prior, params, own)
        return self.sampler.sample(params, own)[0]

    def _posterior(self, params: Params, x: Array, noise: Array) -> _Posterior:
        h, saved_h = self.encoder.forward(params, x)
        z, log_q, saved_z = self.posterior.sample(h, noise[..., : self.latent_dim])
        out, saved_out = self.decoder.forward(params, z)
        log_lik, saved_lik = self.likelihood.log_prob(params, out, x)
        mean, var, entropy, saved_moments = self.posterior.moments(h)
        log_prior, saved_prior = self.prior.expected_log_prob(params, mean, var, z)
        saved = {"h": saved_h, "z": saved_z, "moments": saved_moments, "out": saved_out, "lik": saved_lik}
        return _Posterior(z, log_q, entropy, log_lik, log_prior, saved | {"prior": saved_prior})

    def _likelihood(self, params: Params, x: Array, noise: Array) -> tuple[float, Params]:
        """Σ mean_k log p(x | z) and its gradient by the decoder, z held fixed."""
        run = self._posterior(params, x, noise)
        d = np.full_like(run.log_lik, 1 / len(noise))
        return door.total(run.log_lik.mean(axis=0)), self._decode_backward(params, d, run)[1]

    def _decode_backward(self, params: Params, d: Array, run: _Posterior) -> tuple[Array, Params]:
        d_out, d_likelihood = self.likelihood.backward(d, run.saved["lik"])
        d_z, d_decoder = self.decoder.backward(params, d_out, run.saved["out"])
        return np.asarray(d_z), d_decoder | d_likelihood

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
        return door.total((log_p - _scaled(slopes, penalty)).mean(axis=0)), _sum(grads, d_penalty)

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
        d_z = d_z + self._decode_backward(params, d, run)[0]
        d_h = self.posterior.sample_backward(d_z, np.zeros_like(d), run.saved["z"])
        d_h = d_h + self.posterior.moments_backward(
            d_mean, d_var, np.ones_like(run.entropy), run.saved["moments"]
        )
        value = door.total((run.log_lik + run.log_prior).mean(axis=0) + run.entropy)
        return value, self.encoder.backward(params, d_h, run.saved["h"], input_grad=False)[1]

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
        return value, d_inverse | self.sampler.sample_backward(params, d_z, saved_z)


def _scaled(array: Array, weight: float) -> Array:
    return np.asarray(array * array.dtype.type(weight))


def _sum(first: Params, second: Params) -> Params:
    return {name: array + second[name] for name, array in first.items()}


def _check_options(options: Mapping[str, Any]) -> None:
    for name, allowed in _CHOICES.items():
        door.choice(name, options[name], allowed)
    door.choice("energy_activation", options["energy_activation"], _SMOOTH)
    door.size(**{name: options[name] for name in ("data_dim", "latent_dim", "langevin_steps")})
    for name in ("noise_scale", "langevin_step", "entropy_weight", "posterior_weight", "energy_rate"):
        _check_number(name, options[name], above=True)
    _check_number("slope_penalty", options["slope_penalty"], above=False)
    if not isinstance(options["tilt"], bool):
        raise ValueError(f"tilt must be True or False, was {options['tilt']!r}")


def _check_number(name: str, value: Any, above: bool) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and (value > 0 if above else value >= 0)):
        raise ValueError(f"{name} must be a finite number {'>' if above else '>='} 0, was {value!r}")
