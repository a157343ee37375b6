"""The variational autoencoder: p(z) normal, p(x | z) through a decoder, q(z | x) normal through an encoder.

With z_k = z(x, ε_k) and log w_k = log p(x | z_k) + log p(z_k) − log q(z_k | x), the objectives of one row are

    split one:  mean_k log p(x | z_k) − KL(q ‖ p)      the ELBO with its KL in closed form (xu/8)
    split two:  mean_k log w_k                         the ELBO, all of it sampled (xu/10)
    IWAE:       log mean_k w_k                         (xu/13)

and a batch's objective is their sum over rows (meanfield/D6). All gradients go back through one decoder pass.
With c_k = ∂objective/∂log w_k, which is 1/K or for IWAE w_k/Σ w_j, the generative parameters θ get
Σ_k c_k ∂_θ log p(x, z_k). With ε_k held fixed the statistics h of q get, for each `gradient`,

    pathwise              Σ_k c_k  [∇_z log p(x, z_k) · ∂z_k/∂h − d log q(z_k)/dh]
    sticking-the-landing  Σ_k c_k  [∇_z log p(x, z_k) − ∇_z log q(z_k)] · ∂z_k/∂h
    dreg                  Σ_k c_k² [∇_z log p(x, z_k) − ∇_z log q(z_k)] · ∂z_k/∂h

The first is the derivative of the objective as sampled. The second leaves out c ∂_h log q(z; h) at fixed z, a
score whose mean is zero with the ELBO's constant c (Roeder, Wu and Duvenaud 2017). With IWAE's c it is not,
and reparameterising that term once more gives the third (Tucker et al. 2019). Both are unbiased for the
gradient of the objective's expectation; neither is the derivative of its sampled value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref import bounds
from vbref.models import door
from vbref.models.decoded import Decoded
from vbref.models.door import Array, Params
from vbref.models.inference import Amortised, PerPoint
from vbref.models.likelihood import make_likelihood
from vbref.models.posterior import DiagonalPosterior, FullPosterior
from vbref.models.prior import DiagonalPrior
from vbref.nn.mlp import MLP
from vbref.numerics import check

_CHOICES = {
    "prior": ("standard", "learned"),
    "objective": ("elbo", "iwae"),
    "posterior": ("diagonal", "full"),
    "inference": ("amortised", "per-point"),
    "gradient": ("pathwise", "sticking-the-landing", "dreg"),
    "kl": ("analytic", "sampled"),
    "dtype": ("float32", "float64"),
}


@dataclass(frozen=True)
class _Run:
    """One forward pass to log p(x | z), with what each part's backward needs."""

    params: Params
    h: Array
    z: Array
    log_q: Array
    log_lik: Array
    saved: dict[str, Any]


class VAE(Decoded):
    """A variational autoencoder, its objective and its gradient.

    - `hidden`: widths of the encoder's hidden layers; the decoder has them in reverse. () is a linear model.
    - `activation`: "tanh", "relu", "softplus" or "sigmoid".
    - `likelihood`: "bernoulli" (x in [0, 1]) or "gaussian", whose σ is set by `scale` ("fixed", "learned",
      "per-pixel", "head") and `sigma`: see `vbref.models.likelihood`.
    - `prior`: "standard", or "learned" (loc and log variance a latent coordinate).
    - `objective`: "elbo" or "iwae". `kl`, for the ELBO, is "analytic" (split one) or "sampled" (split two).
    - `posterior`: "diagonal" or "full" covariance.
    - `inference`: "amortised", or "per-point" with free statistics for each of `rows` data rows. Then the
      methods take `index`, the row numbers of x, which defaults to all rows in order.
    - `gradient`: "pathwise"; "sticking-the-landing" (ELBO with `kl="sampled"`); "dreg" (IWAE).

    Raises ValueError for a word not listed, a size below 1, and options that do not go together.
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (128,),
        *,
        activation: str = "tanh",
        likelihood: str = "bernoulli",
        scale: str = "fixed",
        sigma: float = 1.0,
        prior: str = "standard",
        objective: str = "elbo",
        posterior: str = "diagonal",
        inference: str = "amortised",
        rows: int | None = None,
        gradient: str = "pathwise",
        kl: str = "analytic",
        dtype: str = "float64",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        _check_options(options)
        self._config = door.plain(options) | {"hidden": door.widths("hidden", hidden)}
        self.data_dim, self.latent_dim, self.dtype = data_dim, latent_dim, dtype
        self.bound, self.gradient = objective, gradient
        self.analytic_kl = objective == "elbo" and kl == "analytic"
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        diagonal = posterior == "diagonal"
        self.posterior = DiagonalPosterior(latent_dim) if diagonal else FullPosterior(latent_dim)
        self.prior = DiagonalPrior(latent_dim, learned=prior == "learned")
        encoder = MLP((data_dim, *hidden, self.posterior.width), activation, prefix="encoder")
        self.inference = Amortised(encoder) if rows is None else PerPoint(rows, self.posterior.parts())
        self.decoder = MLP((latent_dim, *hidden[::-1], self.likelihood.width), activation, prefix="decoder")
        self._parts = (self.inference, self.decoder, self.likelihood, self.prior)

    def init(self, rng: np.random.Generator | int) -> Params:
        """Networks as `MLP.init` draws them, p(z) = N(0, I), σ = `sigma`; float32 rounds the same draw."""
        rng = check.generator(rng)
        params = (
            self.inference.init(rng) | self.decoder.init(rng) | self.likelihood.init() | self.prior.init()
        )
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, latent_dim); float32 rounds the same draw. n and k are >= 1."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, self.latent_dim)).astype(self.dtype)

    @door.overflow_named()
    def objective(self, params: Mapping[str, Array], x: Array, noise: Array, *, index: Any = None) -> float:
        """The bound's estimate summed over the batch, in nats, to be maximised.

        x is (N, data_dim), noise (K, N, latent_dim). Raises ValueError for params with a name missing or too
        many, wrong shapes, mixed dtypes, x that is empty, not finite or beyond the likelihood's support, K =
        0, and parameters at which the dtype overflows.
        """
        return self._value(self._run(params, x, noise, index))

    @door.overflow_named()
    def objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array, *, index: Any = None
    ) -> tuple[float, Params]:
        """The objective, and its gradient by each parameter, estimated as the model's `gradient` says."""
        run = self._run(params, x, noise, index)
        grads = self._grads_split_one(run) if self.analytic_kl else self._grads_weighted(run)
        return self._value(run), {name: grads[name] for name in self.shapes()}

    @door.overflow_named()
    def log_weights(self, params: Mapping[str, Array], x: Array, noise: Array, *, index: Any = None) -> Array:
        """log w = log p(x | z) + log p(z) − log q(z | x), (K, N), whatever the objective."""
        return self._log_w(self._run(params, x, noise, index))[0]

    @door.overflow_named()
    def encode(self, params: Mapping[str, Array], x: Array, *, index: Any = None) -> tuple[Array, Array]:
        """loc (N, D) of q(z | x), with its scale (N, D) or, for "full", its Cholesky factor (N, D, D)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.batch(x, self.data_dim)
        return self.posterior.parameters(self.inference.forward(params, x, index)[0])

    def _run(self, params: Mapping[str, Array], x: Array, noise: Array, index: Any) -> _Run:
        checked, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(noise, len(x), self.latent_dim)
        self.likelihood.check(x)
        h, saved_h = self.inference.forward(checked, x, index)
        z, log_q, saved_z = self.posterior.sample(h, noise)
        log_lik, saved_lik = self._log_lik(checked, z, x)
        return _Run(checked, h, z, log_q, log_lik, {"h": saved_h, "z": saved_z, "lik": saved_lik})

    def _log_w(self, run: _Run) -> tuple[Array, Any]:
        log_prior, saved = self.prior.log_prob(run.params, run.z)
        return run.log_lik + log_prior - run.log_q, saved

    def _value(self, run: _Run) -> float:
        if self.analytic_kl:
            mean, var, entropy, _ = self.posterior.moments(run.h)
            kl = -entropy - self.prior.expected_log_prob(run.params, mean, var)[0]
            return door.total(bounds.elbo_split_one(run.log_lik, kl))
        return door.total((bounds.elbo if self.bound == "elbo" else bounds.iwae)(self._log_w(run)[0]))

    def _grads_split_one(self, run: _Run) -> Params:
        """Each sample's log p(x | z) has cotangent 1/K, and E_q[log p(z)] and H(q) have 1 a row."""
        d_log_lik = np.full_like(run.log_lik, 1 / len(run.log_lik))
        d_z, grads = self._log_lik_backward(d_log_lik, run.saved["lik"])
        mean, var, _, saved_moments = self.posterior.moments(run.h)
        d_row = np.ones_like(run.log_lik[0])
        d_mean, d_var, d_prior = self.prior.backward(
            d_row, self.prior.expected_log_prob(run.params, mean, var)[1]
        )
        d_h = self.posterior.sample_backward(d_z, np.zeros_like(d_log_lik), run.saved["z"])
        d_h = d_h + self.posterior.moments_backward(d_mean, d_var, d_row, saved_moments)
        return grads | d_prior | self.inference.backward(d_h, run.saved["h"])

    def _grads_weighted(self, run: _Run) -> Params:
        """With c = ∂objective/∂log w, the cotangent of log p(x, z); h gets what `gradient` makes of it."""
        log_w, saved_prior = self._log_w(run)
        c = (bounds.elbo_grad if self.bound == "elbo" else bounds.iwae_grad)(log_w)
        d_z, grads = self._log_lik_backward(c, run.saved["lik"])
        d_z_prior, _, d_prior = self.prior.backward(c, saved_prior)
        d_h = self._statistics_backward(c, d_z + d_z_prior, run.saved["z"])
        return grads | d_prior | self.inference.backward(d_h, run.saved["h"])

    def _statistics_backward(self, c: Array, d_z: Array, saved: Any) -> Array:
        """d_h by the three lines of the module's docstring; d_z is c ∇_z log p(x, z)."""
        if self.gradient == "pathwise":
            return self.posterior.sample_backward(d_z, -c, saved)
        path = d_z - c[..., None] * self.posterior.score(saved)
        if self.gradient == "dreg":
            path = c[..., None] * path
        return self.posterior.sample_backward(path, np.zeros_like(c), saved)


def _check_options(options: Mapping[str, Any]) -> None:
    for name, allowed in _CHOICES.items():
        door.choice(name, options[name], allowed)
    door.size(data_dim=options["data_dim"], latent_dim=options["latent_dim"])
    if (options["inference"] == "per-point") != (options["rows"] is not None):
        raise ValueError("rows must be given for inference='per-point', and only then")
    if options["rows"] is not None:
        door.size(rows=options["rows"])
    _check_gradient(options)


def _check_gradient(options: Mapping[str, Any]) -> None:
    sampled_elbo = options["objective"] == "elbo" and options["kl"] == "sampled"
    if options["gradient"] == "sticking-the-landing" and not sampled_elbo:
        raise ValueError("gradient='sticking-the-landing' must go with objective='elbo' and kl='sampled'")
    if options["gradient"] == "dreg" and options["objective"] != "iwae":
        raise ValueError("gradient='dreg' must go with objective='iwae'")
