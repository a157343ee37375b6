"""The Gaussian-mixture VAE (xu/37 to xu/43; Dilokthanakul et al. 2016): clusters in the prior of the latent.

w ~ N(0, I), z ~ Mult(π), x | z = k, w ~ N(μ_k(w), σ_k²(w)), y | x from a decoder; y is what is observed.
The posterior is q(x | y) q(w | y) p(z | x, w), whose last factor is exact (xu/43), summed over, never drawn.
With r_k = p(z = k | x, w) the four terms of xu/42, for one draw of x and w, are

    reconstruction      log p(y | x)
    conditional prior   Σ_k r_k log p(x | w, z = k) + H(q(x | y))
    w prior             −KL(q(w | y) ‖ N(0, I))
    z prior             −KL(r ‖ π)

whose sum's mean is the ELBO, a bound on log p(y), because the second and fourth are log p(x | w) + H: with
s_k = log π_k + log p(x | w, z = k), r = softmax(s) and Σ r_k (s_k − log r_k) = log Σ_k e^(s_k).

xu/42's last line instead prints −Σ_k r_k KL(q(x | y) ‖ p(x | w, z = k)), whose KL averages over x on its own:
as r depends on the same x, E r_k log p(x | w, k) is not E r_k E log p(x | w, k). That "decoupled" form is no
ELBO: it takes x to be where component k must have put it with a probability that another x decides. `terms`
reports the gap, and `form="decoupled"` trains it, to show what it does.

`min_information` λ is the paper's remedy against clusters that merge: −max(λ, KL(r ‖ π)) for the z prior.
That takes max(0, λ − KL) off the ELBO, and leaves a bound.

Gradients, x = x(y, ε) and w = w(y, ε) with ε held fixed, are the exact derivatives of the objective as
sampled, unbiased for the gradient of its mean. A cotangent c of a sample's log p(x | w) gives d_s = c r.
Where KL < λ there is also d_s_k = c r_k (log r_k/π_k − KL). In the decoupled form, with
t_k = E_q log p(x | w, k) and g_k = t_k + log π_k − log r_k, d_t = c r and d_s_k = c r_k (g_k − Σ r g).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.decoded import Observed
from vbref.models.door import Array, Params
from vbref.models.likelihood import make_likelihood
from vbref.models.mixture_prior import MixturePrior
from vbref.models.posterior import DiagonalPosterior
from vbref.models.prior import DiagonalPrior
from vbref.nn.mlp import MLP
from vbref.numerics import check


class GMVAE(Observed):
    """A VAE whose prior is a mixture of `components` Gaussians, bent by w.

    - `latent_dim`, `w_dim`: widths of x and w. `hidden`: of both encoders, in reverse of the decoder;
      `prior_hidden`: of the network from w to the components.
    - `weights`: π "uniform" or "learned".
    - `form`: "exact" or "decoupled"; `min_information`: λ ≥ 0, in nats (see above).
    - `likelihood`, `scale`, `sigma`, `activation`, `dtype`: as in `VAE`.

    Raises ValueError for words not listed, sizes below 1 and λ < 0.
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        components: int,
        *,
        w_dim: int = 2,
        hidden: tuple[int, ...] = (128,),
        prior_hidden: tuple[int, ...] = (32,),
        weights: str = "uniform",
        form: str = "exact",
        min_information: float = 0.0,
        activation: str = "tanh",
        likelihood: str = "bernoulli",
        scale: str = "fixed",
        sigma: float = 1.0,
        dtype: str = "float64",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        _check_options(options)
        self._config = door.plain(options) | {
            name: door.widths(name, options[name]) for name in ("hidden", "prior_hidden")
        }
        self.data_dim, self.latent_dim, self.w_dim, self.dtype = data_dim, latent_dim, w_dim, dtype
        self.components, self.form, self.min_information = components, form, float(min_information)
        self.likelihood = make_likelihood(likelihood, data_dim, scale, sigma)
        learned = weights == "learned"
        self.prior = MixturePrior(latent_dim, w_dim, components, tuple(prior_hidden), activation, learned)
        self.q_x, self.q_w = DiagonalPosterior(latent_dim), DiagonalPosterior(w_dim)
        self.w_prior = DiagonalPrior(w_dim)
        self.encoder = MLP((data_dim, *hidden, self.q_x.width), activation, prefix="encoder")
        self.w_encoder = MLP((data_dim, *hidden, self.q_w.width), activation, prefix="w_encoder")
        self.decoder = MLP((latent_dim, *hidden[::-1], self.likelihood.width), activation, prefix="decoder")
        self._parts = (self.encoder, self.w_encoder, self.decoder, self.likelihood, self.prior)

    def init(self, rng: np.random.Generator | int) -> Params:
        """Networks as `MLP.init` draws them, cluster means standard normal; float32 rounds the same draw."""
        rng = check.generator(rng)
        params = self.encoder.init(rng) | self.w_encoder.init(rng) | self.decoder.init(rng)
        params |= self.likelihood.init() | self.prior.init(rng)
        return {name: np.asarray(array, self.dtype) for name, array in params.items()}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, latent_dim + w_dim), x's before w's."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, self.latent_dim + self.w_dim)).astype(self.dtype)

    @door.overflow_named()
    def objective(self, params: Mapping[str, Array], y: Array, noise: Array) -> float:
        """The bound's estimate summed over the batch, in nats, to be maximised (no bound if decoupled).

        y is (N, data_dim), noise (K, N, latent_dim + w_dim). Raises ValueError as `VAE.objective` does.
        """
        return self._value(self._run(params, y, noise))

    @door.overflow_named()
    def objective_and_grad(self, params: Mapping[str, Array], y: Array, noise: Array) -> tuple[float, Params]:
        """The objective and its derivative by each parameter, noise held fixed."""
        run = self._run(params, y, noise)
        c = np.full_like(run["log_lik"], 1 / len(noise))
        d_x, grads = self._log_lik_backward(c, run["saved_lik"])
        back = self._prior_backward(run, c)
        d_hx = self._x_backward(run, d_x + back["x"], back)
        d_hw = self._w_backward(run, back["w"])
        grads |= back["params"]
        grads |= self.encoder.backward(d_hx, run["saved_hx"], input_grad=False)[1]
        grads |= self.w_encoder.backward(d_hw, run["saved_hw"], input_grad=False)[1]
        return self._value(run), {name: grads[name] for name in self.shapes()}

    @door.overflow_named()
    def log_weights(self, params: Mapping[str, Array], y: Array, noise: Array) -> Array:
        """log p(y | x) + log Σ_k π_k p(x | w, k) + log p(w) − log q(x | y) − log q(w | y), (K, N)."""
        run = self._run(params, y, noise)
        log_p_w = self.w_prior.log_prob(run["params"], run["w"])[0]
        return run["log_lik"] + _log_sum(run["s"]) + log_p_w - run["log_q_x"] - run["log_q_w"]

    @door.overflow_named()
    def terms(self, params: Mapping[str, Array], y: Array, noise: Array) -> dict[str, Array]:
        """The four terms of xu/42 of each row (N,), means over the samples, with what the printed form makes.

        "reconstruction", "conditional prior", "w prior", "z prior" sum to "elbo". "decoupled conditional
        prior" is xu/42's KL form of the second, "decoupled" the sum with it, "gap" elbo − decoupled.
        """
        run = self._run(params, y, noise)
        r, t = run["r"], self._expected_log_normals(run)[0]
        entropy = self.q_x.moments(run["hx"])[2]
        found = {
            "reconstruction": run["log_lik"].mean(axis=0),
            "conditional prior": (r * (run["s"] - run["log_pi"])).sum(axis=-1).mean(axis=0) + entropy,
            "w prior": -self._kl_w(run),
            "z prior": -_kl_z(run).mean(axis=0),
        }
        found["elbo"] = sum(found.values(), np.zeros_like(entropy))
        found["decoupled conditional prior"] = (r * t).sum(axis=-1).mean(axis=0) + entropy
        found["gap"] = found["conditional prior"] - found["decoupled conditional prior"]
        found["decoupled"] = found["elbo"] - found["gap"]
        return found

    @door.overflow_named()
    def responsibilities(self, params: Mapping[str, Array], y: Array, noise: Array) -> Array:
        """E p(z = k | x, w) (N, components), the mean over the samples of x and w."""
        return self._run(params, y, noise)["r"].mean(axis=0)

    def cluster(self, params: Mapping[str, Array], y: Array, noise: Array) -> Array:
        """The most probable cluster of each row, (N,) integers."""
        return self.responsibilities(params, y, noise).argmax(axis=-1)

    @door.overflow_named()
    def encode(self, params: Mapping[str, Array], y: Array) -> tuple[Array, Array]:
        """loc and scale (N, latent_dim) of q(x | y)."""
        params, (y,) = door.together(params, self.shapes(), y=y)
        door.batch(y, self.data_dim)
        return self.q_x.parameters(self.encoder.apply(params, y))

    @door.overflow_named()
    def encode_w(self, params: Mapping[str, Array], y: Array) -> tuple[Array, Array]:
        """loc and scale (N, w_dim) of q(w | y)."""
        params, (y,) = door.together(params, self.shapes(), y=y)
        door.batch(y, self.data_dim)
        return self.q_w.parameters(self.w_encoder.apply(params, y))

    @door.overflow_named()
    def decode(self, params: Mapping[str, Array], x: Array) -> Array:
        """E[y | x], (…, data_dim) for x (…, latent_dim)."""
        params, (x,) = door.together(params, self.shapes(), x=x)
        door.last_axis("x", x, self.latent_dim)
        return self._observe(params, x)

    @door.overflow_named()
    def sample(
        self,
        params: Mapping[str, Array],
        noise: Array,
        observation_noise: Array | None = None,
        *,
        component: Any = None,
    ) -> Array:
        """E[y | x] at the prior draws of `noise` (…, latent_dim + w_dim); with `observation_noise`, y.

        The first normal draws z as well (`MixturePrior.sample`). `component`, integers (…), takes z as given.
        """
        dims = self.latent_dim + self.w_dim
        params, noise, own = door.sampling(
            params, self.shapes(), noise, dims, observation_noise, self.data_dim
        )
        eps, w = noise[..., : self.latent_dim], noise[..., self.latent_dim :]
        return self._observe(params, self.prior.sample(params, w, eps, component), own)

    def _run(self, params: Mapping[str, Array], y: Array, noise: Array) -> dict[str, Any]:
        """One forward pass to log p(y | x) and s, with what each part's backward needs."""
        params, (y, noise) = door.together(params, self.shapes(), y=y, noise=noise)
        door.batch(y, self.data_dim)
        door.noise(noise, len(y), self.latent_dim + self.w_dim)
        self.likelihood.check(y)
        run: dict[str, Any] = {"params": params}
        run["hx"], run["saved_hx"] = self.encoder.forward(params, y)
        run["hw"], run["saved_hw"] = self.w_encoder.forward(params, y)
        eps_x, eps_w = noise[..., : self.latent_dim], noise[..., self.latent_dim :]
        run["x"], run["log_q_x"], run["saved_x"] = self.q_x.sample(run["hx"], eps_x)
        run["w"], run["log_q_w"], run["saved_w"] = self.q_w.sample(run["hw"], eps_w)
        run["log_lik"], run["saved_lik"] = self._log_lik(params, run["x"], y)
        return run | self._clusters(run)

    def _clusters(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """log π, s and r = softmax(s) at the samples."""
        stats, saved_stats = self.prior.forward(run["params"], run["w"])
        log_pi = self.prior.log_weights(run["params"], stats.dtype)
        log_p, saved_s = self.prior.log_normals(stats, run["x"], np.zeros(1, stats.dtype))
        s = log_p + log_pi
        log_r = s - _log_sum(s)[..., None]
        found = {"stats": stats, "saved_stats": saved_stats, "saved_s": saved_s}
        return found | {"log_pi": log_pi, "s": s, "log_r": log_r, "r": np.exp(log_r)}

    def _expected_log_normals(self, run: Mapping[str, Any]) -> tuple[Array, Any]:
        """t_k = E_q log p(x | w, k), (K, N, components)."""
        mean, var, _, _ = self.q_x.moments(run["hx"])
        return self.prior.log_normals(run["stats"], mean, var)

    def _kl_w(self, run: Mapping[str, Any]) -> Array:
        mean, var, entropy, _ = self.q_w.moments(run["hw"])
        return -entropy - self.w_prior.expected_log_prob(run["params"], mean, var)[0]

    def _value(self, run: Mapping[str, Any]) -> float:
        """log p(y | x) + log p(x | w) + H(q(x)) − KL(w) − max(0, λ − KL(r ‖ π)), summed over the rows.

        Decoupled, Σ r t − KL(r ‖ π) stands for log p(x | w).
        """
        kl_z = _kl_z(run)
        if self.form == "exact":
            prior = _log_sum(run["s"])
        else:
            prior = (run["r"] * self._expected_log_normals(run)[0]).sum(axis=-1) - kl_z
        prior = prior - np.maximum(self.min_information - kl_z, 0)
        rows = (run["log_lik"] + prior).mean(axis=0) + self.q_x.moments(run["hx"])[2] - self._kl_w(run)
        return door.total(rows)

    def _prior_backward(self, run: Mapping[str, Any], c: Array) -> dict[str, Any]:
        """Cotangents of the sampled x and w, of q(x)'s mean and variance, and of the prior's parameters."""
        c, r = c[..., None], run["r"]
        short = (_kl_z(run) < self.min_information).astype(c.dtype)[..., None] * c
        d_s = short * _centred(r, run["log_r"] - run["log_pi"])
        nothing = np.zeros_like(run["x"])
        d_stats, d_mean, d_var = np.zeros_like(run["stats"]), nothing, nothing
        if self.form == "exact":
            d_s, d_log_pi = d_s + c * r, -short * r
        else:
            t, saved_t = self._expected_log_normals(run)
            d_s = d_s + c * _centred(r, t + run["log_pi"] - run["log_r"])
            d_log_pi = (c - short) * r
            d_stats, d_mean, d_var = self.prior.log_normals_backward(c * r, saved_t)
        by_s, d_x, _ = self.prior.log_normals_backward(d_s, run["saved_s"])
        d_w, grads = self.prior.backward(d_stats + by_s, run["saved_stats"])
        d_log_pi = (d_log_pi + d_s).sum(axis=(0, 1))
        grads = grads | self.prior.log_weights_backward(d_log_pi, run["log_pi"])
        return {"x": d_x, "w": d_w, "mean": d_mean, "var": d_var, "params": grads}

    def _x_backward(self, run: Mapping[str, Any], d_x: Array, back: Mapping[str, Any]) -> Array:
        """d_h of q(x | y): through the samples, its entropy, and, decoupled, its mean and variance."""
        _, _, entropy, saved = self.q_x.moments(run["hx"])
        d_mean, d_var = (back[name].sum(axis=0) for name in ("mean", "var"))
        d_h = self.q_x.sample_backward(d_x, np.zeros_like(run["log_lik"]), run["saved_x"])
        return d_h + self.q_x.moments_backward(d_mean, d_var, np.ones_like(entropy), saved)

    def _w_backward(self, run: Mapping[str, Any], d_w: Array) -> Array:
        """d_h of q(w | y): through the samples and −KL(q(w | y) ‖ N(0, I))."""
        mean, var, entropy, saved = self.q_w.moments(run["hw"])
        d_row = np.ones_like(entropy)
        saved_prior = self.w_prior.expected_log_prob(run["params"], mean, var)[1]
        d_mean, d_var, _ = self.w_prior.backward(d_row, saved_prior)
        d_h = self.q_w.sample_backward(d_w, np.zeros_like(run["log_lik"]), run["saved_w"])
        return d_h + self.q_w.moments_backward(d_mean, d_var, d_row, saved)


def _log_sum(s: Array) -> Array:
    """log Σ_k e^(s_k)."""
    return np.logaddexp.reduce(s, axis=-1)


def _kl_z(run: Mapping[str, Any]) -> Array:
    """KL(r ‖ π) of each sample, (K, N)."""
    return (run["r"] * (run["log_r"] - run["log_pi"])).sum(axis=-1)


def _centred(r: Array, g: Array) -> Array:
    """r_k (g_k − Σ r g): the derivative of Σ r g by s, r = softmax(s), where g's own part vanishes."""
    return r * (g - (r * g).sum(axis=-1, keepdims=True))


def _check_options(options: Mapping[str, Any]) -> None:
    door.choice("weights", options["weights"], ("uniform", "learned"))
    door.choice("form", options["form"], ("exact", "decoupled"))
    door.choice("dtype", options["dtype"], ("float32", "float64"))
    door.size(**{name: options[name] for name in ("data_dim", "latent_dim", "w_dim", "components")})
    floor = options["min_information"]
    if not (isinstance(floor, int | float) and 0 <= floor < math.inf):
        raise ValueError(f"min_information must be a finite number >= 0, was {floor!r}")
