"""Observation models p(x | z): from a decoder's output to log p(x | z), and back.

Each has `width` (how many outputs it asks of the decoder), its own parameters, `log_prob` with its `backward`
twin, `mean` and `sample`. Outputs are (K, N, width), x is (N, data_dim), log-probabilities (K, N), summed
over features. Normalisers are always kept.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params, Shapes
from vbref.numerics import check

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Bernoulli:
    """x_d ~ Bernoulli(1/(1 + e^−l_d)), for a decoder that gives the logits l."""

    data_dim: int

    @property
    def width(self) -> int:
        """Decoder outputs: one logit a feature."""
        return self.data_dim

    def shapes(self) -> Shapes:
        """No parameters of its own."""
        return {}

    def init(self) -> Params:
        """No parameters of its own."""
        return {}

    def check(self, x: Array) -> None:
        """Raise ValueError unless x is in [0, 1].

        Between 0 and 1 the formula is minus the cross entropy, a bound's usual stand-in for grey values, but
        no normalised density: only a binary x has a likelihood.
        """
        check.unit_interval(x=x)

    def log_prob(self, params: Mapping[str, Array], out: Array, x: Array) -> tuple[Array, Any]:
        """Σ x l − log(1 + e^l), as −Σ [max(l, 0) − x l + log(1 + e^−|l|)]: nothing overflows or cancels."""
        t = np.exp(-abs(out))
        return -(np.maximum(out, 0) - x * out + np.log1p(t)).sum(axis=-1), (out, t, x)

    def backward(self, d_log_prob: Array, saved: Any) -> tuple[Array, Params]:
        """d_l = d_log_prob (x − p), p the probability: d log(1 + e^l)/dl = p."""
        out, t, x = saved
        return d_log_prob[..., None] * (x - _sigmoid(out, t)), {}

    def mean(self, params: Mapping[str, Array], out: Array) -> Array:
        """E[x | z] = p."""
        return _sigmoid(out, np.exp(-abs(out)))

    def sample(self, params: Mapping[str, Array], out: Array, noise: Array) -> Array:
        """1 where the noise, uniform on [0, 1), is below p, else 0."""
        check.unit_interval(observation_noise=noise)
        return (noise < self.mean(params, out)).astype(out.dtype)


def _sigmoid(logits: Array, t: Array) -> Array:
    """1/(1 + e^−l) from t = e^−|l|, which cannot overflow."""
    return np.where(logits < 0, t, 1) / (1 + t)


@dataclass(frozen=True)
class Gaussian:
    """x_d ~ N(f_d, σ_d²), f from the decoder, and σ by `scale`:

    - "fixed": σ = `sigma` for all;
    - "learned": one σ, the parameter "likelihood.log_var" ();
    - "per-pixel": one σ a feature, "likelihood.log_var" (data_dim,);
    - "head": the decoder's further data_dim outputs are log σ², so that σ depends on z.

    The learned ones start at `sigma`, except "head", whose decoder starts near σ = 1.
    """

    data_dim: int
    scale: str = "fixed"
    sigma: float = 1.0

    def __post_init__(self) -> None:
        door.choice("scale", self.scale, ("fixed", "learned", "per-pixel", "head"))
        if not (isinstance(self.sigma, int | float) and 0 < self.sigma < math.inf):
            raise ValueError(f"sigma must be a finite number > 0, was {self.sigma!r}")

    @property
    def width(self) -> int:
        """Decoder outputs: the means, and with "head" the log variances after them."""
        return 2 * self.data_dim if self.scale == "head" else self.data_dim

    def shapes(self) -> Shapes:
        """The shape of "likelihood.log_var", where σ is a parameter."""
        learned: Shapes = {"learned": (), "per-pixel": (self.data_dim,)}
        return {"likelihood.log_var": learned[self.scale]} if self.scale in learned else {}

    def init(self) -> Params:
        """σ = `sigma`."""
        return {name: np.full(shape, 2 * math.log(self.sigma)) for name, shape in self.shapes().items()}

    def check(self, x: Array) -> None:
        """Every finite x has a density."""

    def log_prob(self, params: Mapping[str, Array], out: Array, x: Array) -> tuple[Array, Any]:
        """−½ Σ r² + log σ² + log 2π, with r = (x − f)/σ."""
        log_var = self._log_var(params, out)
        precision_root = np.exp(-log_var / 2)
        r = (x - out[..., : self.data_dim]) * precision_root
        return -(r * r + log_var + out.dtype.type(_LOG_2PI)).sum(axis=-1) / 2, (r, precision_root)

    def backward(self, d_log_prob: Array, saved: Any) -> tuple[Array, Params]:
        """d_f = d r/σ and d_log_var = ½ d (r² − 1), d the cotangent; summed where σ is shared."""
        r, precision_root = saved
        d_mean = d_log_prob[..., None] * r * precision_root
        if self.scale == "fixed":
            return d_mean, {}
        d_log_var = d_log_prob[..., None] * (r * r - 1) / 2
        if self.scale == "head":
            return np.concatenate([d_mean, d_log_var], axis=-1), {}
        axes = tuple(range(r.ndim - precision_root.ndim))
        return d_mean, {"likelihood.log_var": np.asarray(d_log_var.sum(axis=axes))}

    def mean(self, params: Mapping[str, Array], out: Array) -> Array:
        """E[x | z] = f."""
        return out[..., : self.data_dim]

    def sample(self, params: Mapping[str, Array], out: Array, noise: Array) -> Array:
        """f + σ · noise, the noise standard normal."""
        return self.mean(params, out) + np.exp(self._log_var(params, out) / 2) * noise

    def _log_var(self, params: Mapping[str, Array], out: Array) -> Array:
        if self.scale == "head":
            return out[..., self.data_dim :]
        return params.get("likelihood.log_var", np.asarray(2 * math.log(self.sigma), out.dtype))


def make_likelihood(
    word: str, data_dim: int, scale: str = "fixed", sigma: float = 1.0
) -> Bernoulli | Gaussian:
    """The likelihood of a model's options; ValueError for another word, and for σ where there is none."""
    door.choice("likelihood", word, ("bernoulli", "gaussian"))
    if word == "gaussian":
        return Gaussian(data_dim, scale, sigma)
    if (scale, sigma) != ("fixed", 1.0):
        raise ValueError("scale and sigma must be left alone for likelihood='bernoulli', which has no σ")
    return Bernoulli(data_dim)
