"""The stick-breaking VAE (xu/44 to xu/48; Nalisnick and Smyth 2017): the latent is a point π of the simplex.

p(v_k) = Beta(1, α₀) for k < T, v_T = 1, π_k = v_k Π_{l<k} (1 − v_l), and x comes from a decoder of π. The map
from v to π is one to one, so q and p may both be taken by v or both by π: their ratio is the same, and so
are the KL and the bound. Here all densities are by v.

With v^j = v(x, u^j) drawn from q(v | x), one row's objective is a mean over its samples,

    kl="exact":    mean_j log p(x | π^j) − Σ_k KL(q(v_k | x) ‖ Beta(1, α₀))
    kl="sampled":  mean_j log w_j,    log w = log p(x | π) + log p(v) − log q(v | x)
    kl="series":   as "exact" with E log(1 − v) cut after `terms` terms of its series, as in the literature.

The first two are unbiased for the ELBO, a bound on log p(x) of the truncated model, and their gradients, the
exact derivatives with u held fixed, for its gradient. The third is no bound: its KL is too low for α₀ > 1
(and below zero near equality), so its value may exceed log p(x); `series_error` says by how much.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbref import bounds, kl
from vbref.models import door
from vbref.models.decoded import Observed
from vbref.models.door import Array, Params, Shapes
from vbref.models.likelihood import make_likelihood
from vbref.models.sticks import GammaRatio, GaussLogit, Kumaraswamy, break_stick, break_stick_backward
from vbref.nn.mlp import MLP
from vbref.numerics import check

_FAMILIES: dict[str, Any] = {"kumaraswamy": Kumaraswamy, "gauss-logit": GaussLogit, "gamma": GammaRatio}
_ALPHA = "prior.log_concentration"


class StickBreakingVAE(Observed):
    """A VAE whose latent is a broken stick of `sticks` pieces.

    - `hidden`, `activation`, `likelihood`, `scale`, `sigma`, `dtype`: as in `VAE`.
    - `posterior` of each fraction: "kumaraswamy", "gauss-logit" or "gamma" (see `vbref.models.sticks`).
    - `concentration`: α₀ > 0; with `learn_concentration` it starts there, as a parameter in logarithm.
    - `kl`: "exact", "series" (`terms` of it) or "sampled"; only "kumaraswamy" has the first two, which "auto"
      takes where it can.

    Noise is uniform on (0, 1), one a fraction, for "gamma" two. Raises ValueError for words not listed, fewer
    than two sticks, other sizes below 1, and options that do not go together.
    """

    def __init__(
        self,
        data_dim: int,
        sticks: int,
        hidden: tuple[int, ...] = (128,),
        *,
        posterior: str = "kumaraswamy",
        concentration: float = 1.0,
        learn_concentration: bool = False,
        kl: str = "auto",
        terms: int = 10,
        activation: str = "tanh",
        likelihood: str = "bernoulli",
        scale: str = "fixed",
        sigma: float = 1.0,
        dtype: str = "float64",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        _check_options(options)
        self._config = door.plain(options) | {"hidden": door.widths("hidden", hidden)}
        self.data_dim, self.sticks, self.dtype = data_dim, sticks, dtype
        self.concentration, self.learned = float(concentration), bool(learn_concentration)
        family = _FAMILIES[posterior]
        self.analytic_kl = family.has_kl and kl != "sampled"
        cut = {"terms": terms} if kl == "series" else {}
        self.posterior = family(**cut)
        statistics, noises = family.per_fraction
        self.noise_dim = noises * (sticks - 1)
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        self.encoder = MLP((data_dim, *hidden, statistics * (sticks - 1)), activation, prefix="encoder")
        self.decoder = MLP((sticks, *hidden[::-1], self.likelihood.width), activation, prefix="decoder")
        self._parts = (self.encoder, self.decoder, self.likelihood)

    def shapes(self) -> Shapes:
        """The shape of each parameter, by name."""
        return super().shapes() | ({_ALPHA: ()} if self.learned else {})

    def init(self, rng: np.random.Generator | int) -> Params:
        """Networks as `MLP.init` draws them, α₀ = `concentration`; float32 rounds the same draw."""
        rng = check.generator(rng)
        params = self.encoder.init(rng) | self.decoder.init(rng) | self.likelihood.init()
        params |= {_ALPHA: np.array(math.log(self.concentration))} if self.learned else {}
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Uniforms (k, n, noise_dim), strictly between 0 and 1 in the model's dtype."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        limits = np.finfo(self.dtype)
        uniform = rng.random((k, n, self.noise_dim)).astype(self.dtype)
        return np.clip(uniform, limits.tiny, 1 - limits.epsneg)

    @door.overflow_named()
    def objective(self, params: Mapping[str, Array], x: Array, noise: Array) -> float:
        """The bound's estimate summed over the batch, in nats, to be maximised (see above where it is none).

        x is (N, data_dim), noise (K, N, noise_dim). Raises ValueError as `VAE.objective` does, and for noise
        that is not strictly between 0 and 1.
        """
        return self._value(self._run(params, x, noise))

    @door.overflow_named()
    def objective_and_grad(self, params: Mapping[str, Array], x: Array, noise: Array) -> tuple[float, Params]:
        """The objective and its derivative by each parameter, noise held fixed.

        log w has cotangent c = 1/K; with an analytic KL only its log p(x | π) has. Then π, the fractions
        (ℓ, m), the statistics h and the encoder in turn; m also has (α₀ − 1) c from log p(v).
        """
        run = self._run(params, x, noise)
        c = np.full_like(run["log_lik"], 1 / len(noise))
        d_pieces, grads = self._log_lik_backward(c, run["saved_lik"])
        d_log_v, d_log_rest = break_stick_backward(d_pieces, run["pieces"])
        d_h, d_alpha = (self._kl_backward if self.analytic_kl else self._ratio_backward)(
            run, c, d_log_v, d_log_rest
        )
        grads |= self.encoder.backward(d_h, run["saved_h"], input_grad=False)[1]
        grads |= {_ALPHA: np.asarray(d_alpha, d_h.dtype)} if self.learned else {}
        return self._value(run), {name: grads[name] for name in self.shapes()}

    @door.overflow_named()
    def log_weights(self, params: Mapping[str, Array], x: Array, noise: Array) -> Array:
        """log w = log p(x | π) + log p(v) − log q(v | x), (K, N): q is the density of what is drawn."""
        return self._log_w(self._run(params, x, noise))

    @door.overflow_named()
    def encode(self, params: Mapping[str, Array], x: Array) -> tuple[Array, Array]:
        """π (N, sticks) at the medians u = ½ of q, and the statistics h of q (N, statistics)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.batch(x, self.data_dim)
        h = self.encoder.apply(params, x)
        half = np.full((len(x), self.noise_dim), 0.5, x.dtype)
        (log_v, log_rest, _), _ = self.posterior.sample(h, half)
        return break_stick(log_v, log_rest), h

    @door.overflow_named()
    def decode(self, params: Mapping[str, Array], pieces: Array) -> Array:
        """E[x | π], (…, data_dim) for π (…, sticks)."""
        params, (pieces,) = door.together(params, self.shapes(), pieces=pieces)
        door.last_axis("pieces", pieces, self.sticks)
        return self._observe(params, pieces)

    @door.overflow_named()
    def sample(
        self, params: Mapping[str, Array], noise: Array, observation_noise: Array | None = None
    ) -> Array:
        """E[x | π] at the prior draws π of `noise`, uniform (…, noise_dim); with `observation_noise`, x.

        v = 1 − u^(1/α₀), which is Beta(1, α₀); for "gamma" the second half of the noise is not needed.
        """
        params, noise, own = door.sampling(
            params, self.shapes(), noise, self.noise_dim, observation_noise, self.data_dim
        )
        return self._observe(params, self._prior_pieces(params, _inside(noise)), own)

    @door.overflow_named()
    def sample_pieces(self, params: Mapping[str, Array], noise: Array) -> Array:
        """The prior draws π (…, sticks) of `noise` that `sample` decodes."""
        params, (noise,) = door.together(params, self.shapes(), noise=noise)
        door.last_axis("noise", noise, self.noise_dim)
        return self._prior_pieces(params, _inside(noise))

    @door.overflow_named()
    def unused_mass(self, params: Mapping[str, Array], x: Array, noise: Array) -> Array:
        """π_T (K, N), all that is left at the truncation: where it is not small, T is too small."""
        return self._run(params, x, noise)["pieces"][..., -1]

    def prior_unused_mass(self, params: Mapping[str, Array]) -> float:
        """E π_T under p(v): (α₀/(1 + α₀))^(T − 1), as E(1 − v) = α₀/(1 + α₀)."""
        alpha = float(self._alpha(params))
        return (alpha / (1 + alpha)) ** (self.sticks - 1)

    @door.overflow_named()
    def series_error(self, params: Mapping[str, Array], x: Array, terms: int = 10) -> Array:
        """Σ_k (series of `terms` terms − exact KL) of each row (N,), in nats: negative for α₀ > 1.

        ValueError where the posterior is not Kumaraswamy.
        """
        if not isinstance(self.posterior, Kumaraswamy):
            raise ValueError("posterior must be 'kumaraswamy' for a series")
        a, b = self.posterior.shapes(self.encode(params, x)[1])
        given = a, b, np.ones((), a.dtype), self._alpha(params)
        return (kl.kumaraswamy_beta_series(*given, terms=terms) - kl.kumaraswamy_beta(*given)).sum(axis=-1)

    def _alpha(self, params: Mapping[str, Array]) -> Array:
        return np.exp(params[_ALPHA]) if self.learned else np.asarray(self.concentration, self.dtype)

    def _prior_pieces(self, params: Mapping[str, Array], noise: Array) -> Array:
        u = noise[..., : self.sticks - 1]
        log_rest = np.log(u) / self._alpha(params)
        return break_stick(np.log(-np.expm1(log_rest)), log_rest)

    def _run(self, params: Mapping[str, Array], x: Array, noise: Array) -> dict[str, Any]:
        """One forward pass to log p(x | π), with what each part's backward needs."""
        params, (x, noise) = door.together(params, self.shapes(), x=x, noise=noise)
        door.batch(x, self.data_dim)
        door.noise(_inside(noise), len(x), self.noise_dim)
        self.likelihood.check(x)
        h, saved_h = self.encoder.forward(params, x)
        fractions, saved_v = self.posterior.sample(h, noise)
        pieces = break_stick(*fractions[:2])
        log_lik, saved_lik = self._log_lik(params, pieces, x)
        return {
            "params": params,
            "h": h,
            "fractions": fractions,
            "pieces": pieces,
            "log_lik": log_lik,
            "saved_h": saved_h,
            "saved_v": saved_v,
            "saved_lik": saved_lik,
        }

    def _log_w(self, run: Mapping[str, Any]) -> Array:
        """Of Beta(1, α₀): log p(v) = log α₀ + (α₀ − 1) log(1 − v)."""
        _, log_rest, log_q = run["fractions"]
        alpha = self._alpha(run["params"])
        log_ratio = np.log(alpha) + (alpha - 1) * log_rest - log_q
        return run["log_lik"] + log_ratio.sum(axis=-1)

    def _value(self, run: Mapping[str, Any]) -> float:
        if self.analytic_kl:
            kl_rows = self.posterior.kl(run["h"], self._alpha(run["params"])).sum(axis=-1)
            return door.total(bounds.elbo_split_one(run["log_lik"], kl_rows))
        return door.total(bounds.elbo(self._log_w(run)))

    def _kl_backward(
        self, run: Mapping[str, Any], c: Array, d_log_v: Array, d_log_rest: Array
    ) -> tuple[Array, Array]:
        """(d_h, d_log α₀) with the KL in closed form, whose cotangent is −1 a row."""
        nothing = np.zeros((), c.dtype)
        d_h = self.posterior.sample_backward(d_log_v, d_log_rest, nothing, run["saved_v"])
        alpha = self._alpha(run["params"])
        by_h, by_alpha = self.posterior.kl_backward(np.array(-1, c.dtype), run["h"], alpha)
        return d_h + by_h, by_alpha

    def _ratio_backward(
        self, run: Mapping[str, Any], c: Array, d_log_v: Array, d_log_rest: Array
    ) -> tuple[Array, Array]:
        """(d_h, d_log α₀) with log p(v) − log q(v) at the samples."""
        alpha, log_rest, c = self._alpha(run["params"]), run["fractions"][1], c[..., None]
        d_log_rest = d_log_rest + (alpha - 1) * c
        d_h = self.posterior.sample_backward(d_log_v, d_log_rest, -c, run["saved_v"])
        return d_h, (c * (1 + alpha * log_rest)).sum()


def _inside(noise: Array) -> Array:
    if not ((noise > 0) & (noise < 1)).all():
        raise ValueError(f"noise must be strictly between 0 and 1, is {noise.min()} to {noise.max()}")
    return noise


def _check_options(options: Mapping[str, Any]) -> None:
    door.choice("posterior", options["posterior"], tuple(_FAMILIES))
    door.choice("kl", options["kl"], ("auto", "exact", "series", "sampled"))
    door.choice("dtype", options["dtype"], ("float32", "float64"))
    door.size(data_dim=options["data_dim"], sticks=options["sticks"], terms=options["terms"])
    if options["sticks"] < 2:
        raise ValueError("sticks must be >= 2, was 1: one piece is all of the stick")
    alpha = options["concentration"]
    if not (isinstance(alpha, int | float) and 0 < alpha < math.inf):
        raise ValueError(f"concentration must be a finite number > 0, was {alpha!r}")
    if options["kl"] in ("exact", "series") and not _FAMILIES[options["posterior"]].has_kl:
        raise ValueError(f"kl={options['kl']!r} must go with posterior='kumaraswamy'")
