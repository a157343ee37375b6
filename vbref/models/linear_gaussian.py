"""The linear-Gaussian latent-variable model: probabilistic PCA and factor analysis, with everything exact.

z ~ N(0, I), x = z W + mean + scale · ε with ε ~ N(0, I). Its evidence, posterior and ELBO have closed forms,
which makes it the oracle for every estimator. The bodies write v for the noise variance, r for x − mean, m
and S for the posterior's mean and covariance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref import kl
from vbref.dist.multivariate_normal import cholesky
from vbref.models import door
from vbref.models.door import Array, Params, Shapes
from vbref.numerics import check

_LOG_2PI = math.log(2 * math.pi)
Gaussian = tuple[Array, Array]


class LinearGaussian:
    """Probabilistic PCA (`noise="isotropic"`) or factor analysis (`noise="diagonal"`).

    Parameters: `weight` (latent_dim, data_dim), `mean` (data_dim,), and `log_var`, the log variance of the
    observation noise, of shape () or (data_dim,). latent_dim may exceed data_dim.

    Raises ValueError for sizes below 1 and unknown words.
    """

    def __init__(
        self, data_dim: int, latent_dim: int, *, noise: str = "isotropic", dtype: str = "float64"
    ) -> None:
        door.size(data_dim=data_dim, latent_dim=latent_dim)
        door.choice("noise", noise, ("isotropic", "diagonal"))
        door.choice("dtype", dtype, ("float32", "float64"))
        self.data_dim, self.latent_dim, self.noise, self.dtype = data_dim, latent_dim, noise, dtype

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments: `LinearGaussian(**model.config)` is the same model."""
        return {name: getattr(self, name) for name in ("data_dim", "latent_dim", "noise", "dtype")}

    def shapes(self) -> Shapes:
        """The shape of each parameter, by name."""
        log_var = () if self.noise == "isotropic" else (self.data_dim,)
        return {"weight": (self.latent_dim, self.data_dim), "mean": (self.data_dim,), "log_var": log_var}

    def init(self, rng: np.random.Generator | int) -> Params:
        """Weights N(0, 1/latent_dim), so that W adds variance 1 to each feature; mean 0; noise variance 1."""
        rng = check.generator(rng)
        params = {name: np.zeros(shape, self.dtype) for name, shape in self.shapes().items()}
        weight = rng.standard_normal(self.shapes()["weight"]) / math.sqrt(self.latent_dim)
        return params | {"weight": weight.astype(self.dtype)}

    def draw_noise(self, rng: np.random.Generator | int, n: int, k: int = 1) -> Array:
        """Standard normals (k, n, latent_dim); float32 rounds the same draw. n and k are >= 1."""
        rng = check.generator(rng)
        door.size(n=n, k=k)
        return rng.standard_normal((k, n, self.latent_dim)).astype(self.dtype)

    @door.overflow_named()
    def posterior(self, params: Mapping[str, Array], x: Array) -> Gaussian:
        """p(z|x) = N(m, S): m (N, latent_dim), and S (latent_dim, latent_dim), which every row shares.

        Completing the square in log p(x, z): S⁻¹ = I + W v⁻¹ Wᵀ and m = r v⁻¹ Wᵀ S.
        """
        checked, x = self._door(params, x)
        spectrum = _Spectrum.of(checked)
        return (x - checked["mean"]) @ spectrum.gain().T, spectrum.posterior_cov()

    @door.overflow_named()
    def log_evidence(self, params: Mapping[str, Array], x: Array) -> Array:
        """log p(x) of each row (N,), in nats: that of N(mean, C), C = diag(v) + WᵀW, never formed."""
        checked, x = self._door(params, x)
        return _Spectrum.of(checked).log_prob(x - checked["mean"])

    def objective(self, params: Mapping[str, Array], x: Array, noise: Array | None = None) -> float:
        """The exact log evidence summed over the batch: a bound without a gap. `noise` is not used."""
        return float(self.log_evidence(params, x).sum(dtype=np.float64))

    @door.overflow_named()
    def objective_and_grad(
        self, params: Mapping[str, Array], x: Array, noise: Array | None = None
    ) -> tuple[float, Params]:
        """The objective and its gradient, by Fisher's identity ∇ log p(x) = E_{z|x}[∇ log p(x, z)].

        With a = r C⁻¹, which is (r − m W)/v, and the gain G = S W/v: E[(r − z W)/v] = a,
        E[zᵀ(r − z W)/v] = mᵀa − G and E[(r − z W)²/v] = v a² + diag(WᵀG).
        """
        checked, x = self._door(params, x)
        spectrum, n = _Spectrum.of(checked), x.dtype.type(len(x))
        r, G = x - checked["mean"], spectrum.gain()
        a = spectrum.solve(r)
        scaled = a * spectrum.scale
        d_log_var = ((scaled * scaled).sum(axis=0) + n * (checked["weight"] * G).sum(axis=0) - n) / 2
        return float(spectrum.log_prob(r).sum(dtype=np.float64)), {
            "weight": (r @ G.T).T @ a - n * G,
            "mean": a.sum(axis=0),
            "log_var": np.asarray(d_log_var.sum()) if self.noise == "isotropic" else d_log_var,
        }

    @door.overflow_named()
    def elbo(self, params: Mapping[str, Array], x: Array, q_mean: Array, q_cov: Array) -> Array:
        """The ELBO of q(z|x) = N(q_mean, q_cov) for each row (N,), in nats, without sampling (xu/8).

        E_q log p(x|z) = log N(x; q_mean W + mean, v) − ½ Σ diag(Wᵀ q_cov W)/v, minus KL(q ‖ N(0, I)).
        `q_mean` is (N, latent_dim); `q_cov` is (latent_dim, latent_dim) or (N, latent_dim, latent_dim).
        Raises ValueError where q_cov is not positive definite.
        """
        checked, x, q_mean, q_cov = self._door(params, x, q_mean=q_mean, q_cov=q_cov)
        factor = self._factor(q_mean, q_cov, len(x))
        noisy = factor.mT @ (checked["weight"] / np.exp(checked["log_var"] / 2))
        log_lik = _log_likelihood(checked, x, q_mean) - (noisy * noisy).sum(axis=(-2, -1)) / 2
        return log_lik - kl.multivariate_normal(
            q_mean, q_cov, np.zeros_like(q_mean[0]), np.eye(self.latent_dim, dtype=x.dtype)
        )

    @door.overflow_named()
    def log_weights(
        self,
        params: Mapping[str, Array],
        x: Array,
        noise: Array,
        *,
        proposal: Gaussian | None = None,
    ) -> Array:
        """log p(x, z) − log q(z), (K, N), at z = q_mean + L ε, with `noise` ε of shape (K, N, latent_dim).

        `proposal` is (q_mean, q_cov) as in `elbo`. By default it is the exact posterior, and then every
        weight is p(x), whatever the noise: an importance sampler of variance zero.
        """
        q_mean, q_cov = self.posterior(params, x) if proposal is None else proposal
        checked, x, noise, q_mean, q_cov = self._door(params, x, noise=noise, q_mean=q_mean, q_cov=q_cov)
        door.noise(noise, len(x), self.latent_dim)
        factor = self._factor(q_mean, q_cov, len(x))
        z = q_mean + (factor @ noise[..., None])[..., 0]
        half_log_det = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
        log_prior_ratio = ((noise * noise).sum(axis=-1) - (z * z).sum(axis=-1)) / 2 + half_log_det
        return _log_likelihood(checked, x, z) + log_prior_ratio

    @door.overflow_named()
    def sample(
        self, params: Mapping[str, Array], noise: Array, observation_noise: Array | None = None
    ) -> Array:
        """x = noise W + mean, (…, data_dim), for `noise` (…, latent_dim) of standard normals.

        `observation_noise` (…, data_dim), standard normals too, is scaled by the noise's scale and added.
        """
        checked, noise, own = door.sampling(
            params, self.shapes(), noise, self.latent_dim, observation_noise, self.data_dim
        )
        mean = noise @ checked["weight"] + checked["mean"]
        return mean if own is None else mean + np.exp(checked["log_var"] / 2) * own

    def fit_exact(self, x: Array) -> Params:
        """Maximum likelihood of PPCA, in closed form (Tipping and Bishop 1999, equations 7 and 8).

        With λ_1 ≥ … ≥ λ_D the eigenvalues of the sample covariance (divisor N) and u_i its eigenvectors, v is
        the mean of the λ_i with i > latent_dim, and row i of W is √(λ_i − v) u_i. They come from the singular
        values of the centred data, λ = s²/N. W is unique up to a rotation of the latent space.

        Raises ValueError for diagonal noise, for latent_dim >= data_dim, and where the data have rank
        latent_dim or less, since the likelihood then has no maximum: it grows without end as v → 0.
        """
        (x,) = check.floats(x=x)
        door.batch(x, self.data_dim)
        if self.noise != "isotropic" or self.latent_dim >= self.data_dim:
            raise ValueError(
                f"fit_exact needs isotropic noise and latent_dim < data_dim, model is {self.config}"
            )
        mean = x.mean(axis=0)
        _, s, u = np.linalg.svd(x - mean, full_matrices=False)
        eigenvalues = s * s / x.dtype.type(len(x))
        kept, discarded = eigenvalues[: self.latent_dim], s[self.latent_dim :]
        if not (discarded > max(x.shape) * np.finfo(x.dtype).eps * s[0]).any():
            raise ValueError(
                f"x must have rank > latent_dim = {self.latent_dim} about its mean: v would be 0"
            )
        v = eigenvalues[self.latent_dim :].sum() / x.dtype.type(self.data_dim - self.latent_dim)
        weight = np.sqrt(np.maximum(kept - v, 0))[:, None] * u[: self.latent_dim]
        return {"weight": weight, "mean": mean, "log_var": np.log(np.asarray(v))}

    @door.overflow_named()
    def fit_em(self, x: Array, params: Mapping[str, Array], *, iterations: int = 100) -> Params:
        """`iterations` steps of EM from `params`, each of which raises the evidence (Rubin and Thayer 1982).

        E-step: m and S. M-step, with the mean at its maximum, the sample's: W = (mᵀm + N S)⁻¹ mᵀr, and v is
        the mean of r² − r (m W) over rows (and, if isotropic, over features).

        Raises ValueError where a noise variance reaches 0 (a Heywood case: the evidence is unbounded there).
        """
        door.size(iterations=iterations)
        checked, x = self._door(params, x)
        checked = checked | {"mean": x.mean(axis=0)}
        for _ in range(iterations):
            checked = checked | self._em_step(checked, x)
        return checked

    def _em_step(self, params: Params, x: Array) -> Params:
        spectrum, r = _Spectrum.of(params), x - params["mean"]
        m, S = r @ spectrum.gain().T, spectrum.posterior_cov()
        W = np.linalg.solve(m.T @ m + x.dtype.type(len(x)) * S, m.T @ r)
        v = (r * (r - m @ W)).mean(axis=0)
        v = np.asarray(v.mean()) if self.noise == "isotropic" else v
        if not (v > 0).all():
            raise ValueError(f"x must leave noise in every feature, a noise variance fell to {v.min()}")
        return {"weight": W, "log_var": np.log(v)}

    def _door(self, params: Mapping[str, Array], x: Array, **arrays: Array) -> tuple[Any, ...]:
        checked, (x, *rest) = door.together(params, self.shapes(), x=x, **arrays)
        door.batch(x, self.data_dim)
        return checked, x, *rest

    def _factor(self, q_mean: Array, q_cov: Array, n: int) -> Array:
        check.shape("q_mean", q_mean, (n, self.latent_dim))
        rows = (n,) if q_cov.ndim == 3 else ()
        check.shape("q_cov", q_cov, (*rows, self.latent_dim, self.latent_dim))
        return cholesky(q_cov, "q_cov")


@dataclass(frozen=True)
class _Spectrum:
    """What x has to say of z: the singular values s of A = W/√v = U diag(s) V, and h = √(1 + s²).

    In the basis V, C scaled by 1/√v on both sides is 1 + s² along V and 1 across it, so that each form below
    is a sum over s without a difference of large terms, also where v → 0 or latent_dim >= data_dim. U is
    (latent_dim, rank), V (rank, data_dim), rank the smaller of the two; r are rows x − mean.
    """

    scale: Array
    U: Array
    s: Array
    V: Array

    @classmethod
    def of(cls, params: Params) -> "_Spectrum":
        scale = np.broadcast_to(np.exp(params["log_var"] / 2), params["mean"].shape)
        return cls(scale, *np.linalg.svd(params["weight"] / scale, full_matrices=False))

    @property
    def h(self) -> Array:
        return np.hypot(self.s.dtype.type(1), self.s)

    def log_prob(self, r: Array) -> Array:
        """log N(r; 0, C): r C⁻¹ rᵀ = ‖across‖² + Σ (along/h)², log|C| = 2 Σ log scale + 2 Σ log h."""
        along, across = self._split(r)
        square = (across * across).sum(axis=-1) + ((along / self.h) ** 2).sum(axis=-1)
        log_det = np.log(self.scale).sum() + np.log(self.h).sum()
        return -square / 2 - log_det - r.dtype.type(len(self.scale) * _LOG_2PI / 2)

    def solve(self, r: Array) -> Array:
        """r C⁻¹."""
        along, across = self._split(r)
        return (across + (along / self.h / self.h) @ self.V) / self.scale

    def gain(self) -> Array:
        """S W/v = U diag(s/h²) V/√v, (latent_dim, data_dim): the posterior's mean is r Gᵀ."""
        return (self.U * (self.s / self.h / self.h)) @ self.V / self.scale

    def posterior_cov(self) -> Array:
        """S = (I + A Aᵀ)⁻¹: 1/h² along the columns of U, 1 across them where latent_dim > data_dim."""
        scaled = self.U / self.h
        along = scaled @ scaled.T
        if len(self.U) == len(self.s):
            return along
        return along + np.eye(len(self.U), dtype=along.dtype) - self.U @ self.U.T

    def _split(self, r: Array) -> Gaussian:
        """r/√v along V, as coordinates, and the rest of it, which is 0 where V spans the data space."""
        t = r / self.scale
        along = t @ self.V.T
        return along, t - along @ self.V if len(self.V) < t.shape[-1] else np.zeros_like(t)


def _log_likelihood(params: Params, x: Array, z: Array) -> Array:
    """log N(x; z W + mean, diag(v)), summed over features."""
    log_var = np.broadcast_to(params["log_var"], x.shape[-1:])
    standardised = (x - params["mean"] - z @ params["weight"]) * np.exp(-log_var / 2)
    return -(standardised * standardised + log_var + x.dtype.type(_LOG_2PI)).sum(axis=-1) / 2
