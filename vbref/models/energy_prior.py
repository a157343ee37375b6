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
where besides q is the posterior. A generator lags, and V runs away from it. So by default the energy's
`negatives` are "weighted": −log mean ω over all draws of a batch for V(z'), whose gradient averages ∇V(z')
with weights ω̃ ∝ ω. It is biased by 1/(K N) times their variance, and not by what the generator lacks.

φ's gradient is unbiased for the ELBO's whatever the generator does, ψ's for that of its bound on log Z (λ1 =
1; below, the generator is drawn to the bottom of V). As they share no parameters, λ2 only scales a step. The
notes print −U for +U in D21 and +H for −H in D22: ψ would run to the highest energy, φ to a point.

With `sampler="langevin"` z' are the ends of short chains, which are not P's draws; B is then −V(z'), and J is
known up to the entropy of those ends.

log p(x) itself needs log Z: `log_normaliser` is exact on a grid for one or two latent dimensions; above that
it errs downwards, and log p(x) upwards. `vbref.evaluate.energy` anneals to it and gives the error.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params
from vbref.models.energy import EnergyPrior
from vbref.models.energy_game import EnergyGame
from vbref.models.likelihood import make_likelihood
from vbref.models.posterior import DiagonalPosterior
from vbref.models.samplers import Generator, Langevin
from vbref.nn.mlp import MLP
from vbref.numerics import check

_SMOOTH = ("tanh", "softplus", "sigmoid")
_CHOICES = {
    "sampler": ("generator", "langevin"),
    "negatives": ("plain", "weighted"),
    "dtype": ("float32", "float64"),
}


class EnergyPriorVAE(EnergyGame):
    """A VAE whose prior is e^(−V(z))/Z, with V a network.

    - `hidden`: of the encoder; the decoder has them in reverse, or `decoder_hidden`. `energy_hidden`: of U.
      `generator_hidden`: of the generator, in reverse of its inverse.
    - `noise_scale`: δ > 0, the generator's noise.
    - `sampler`: "generator", or "langevin" with `langevin_steps` of size `langevin_step`.
    - `entropy_weight` λ1 > 0, `posterior_weight` λ2 > 0, `slope_penalty` λ3 ≥ 0.
    - `negatives`: "weighted", or "plain" as in the notes; Langevin's, of no density, are plain always.
    - `energy_rate`: the energy's steps against the others'; plain negatives need it well below 1.
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
        energy_rate: float = 1.0,
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
        self.energy_rate = float(energy_rate)
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
        self._parts = (self.encoder, self.decoder, self.likelihood, self.prior, self.sampler)

    def init(self, rng: np.random.Generator | int) -> Params:
        """U = 0 and a generator near N(0, I): the start is a VAE with a standard prior."""
        rng = check.generator(rng)
        params = self.encoder.init(rng) | self.decoder.init(rng) | self.likelihood.init()
        params |= self.prior.init(rng) | self.sampler.init(rng)
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, noise_dim)."""
        rng = check.generator(rng)
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
        energy = self._energy(checked, x, noise, penalty=0.0, weighted=False)[1]
        grads = self._likelihood(checked, x, noise)[1] | energy | phi
        grads |= {name: -grad for name, grad in psi.items()}
        return value - bound, {name: grads[name] for name in self.shapes()}

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
        check.floats(log_z=float(log_z))
        return run.log_lik + self.prior.log_prob(checked, run.z)[0] - run.log_q - run.z.dtype.type(log_z)

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
        return self._observe(params, self._negatives(params, noise), own)


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
