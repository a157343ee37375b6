"""log p(x) of a decoder by annealed importance sampling, where q has no density or is not to be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.evaluate import ais
from vbref.evaluate.ais import Array, Path
from vbref.evaluate.importance import Estimate
from vbref.models import door
from vbref.models.likelihood import Bernoulli
from vbref.models.prior import DiagonalPrior
from vbref.numerics import check
from vbref.numerics.device import choice

Params = Mapping[str, Array]


def joint(model: Any, params: Params, x: Array) -> ais.LogDensity:
    """log p(x, z) and its gradient by z, of a model with a `decoder`, a `likelihood` and a `prior`.

    d/dz log p(x | z) goes back through the likelihood and the decoder, d/dz log p(z) through the prior.
    """

    def log_joint(z: Array) -> tuple[Array, Array]:
        out, saved_out = model.decoder.forward(params, z)
        log_lik, saved_lik = model.likelihood.log_prob(params, out, x)
        log_prior, saved_prior = model.prior.log_prob(params, z)
        d_out, _ = model.likelihood.backward(np.ones_like(log_lik), saved_lik)
        d_z, _ = model.decoder.backward(d_out, saved_out)
        return log_lik + log_prior, d_z + model.prior.backward(np.ones_like(log_prior), saved_prior)[0]

    return log_joint


class Tuned:
    """`chains` of each row of x between N(0, I) and p(x, z), their step sizes from a pilot of their own."""

    def __init__(
        self, model: Any, params: Params, x: Array, rng: np.random.Generator, *, chains: int, leapfrog: int
    ) -> None:
        self.path = Path(ais.standard_normal, joint(model, params, x), leapfrog)
        self.shape, self.dtype, self.rng = (chains, len(x), model.latent_dim), x.dtype, rng
        self.steps = ais.tune(self.path, self._start(), rng)

    def forward(self, k: int) -> Array:
        """log w (C, N) of k steps from N(0, I)."""
        return ais.forward(self.path, self._start(), ais.schedule(k), self.steps, self.rng)

    def reverse(self, k: int, z: Array) -> Array:
        """log w (C, N) of k steps back from z (N, D), exact posterior draws."""
        start = np.broadcast_to(z, self.shape)
        return ais.reverse(self.path, start, ais.schedule(k), self.steps, self.rng)

    def _start(self) -> Array:
        return self.rng.standard_normal(self.shape).astype(self.dtype)


def _tuned(device: str) -> Any:
    """`Tuned`, or its twin on the device, imported only then."""
    if not choice(device):
        return Tuned
    from vbref.cuda import chains

    return chains.Tuned


@door.overflow_named()
def annealed(
    model: Any,
    params: Params,
    x: NDArray[Any],
    rng: np.random.Generator | int,
    ks: Sequence[int],
    *,
    chains: int = 4,
    batch_size: int = 300,
    leapfrog: int = 5,
    device: str = "cpu",
) -> dict[int, Estimate]:
    """AIS from N(0, I) to p(x, z) in K steps for each K of `ks`, in nats a row: E ≤ log p(x), rising with K.

    The value of a row is log mean w over `chains`, its Monte Carlo error that of the delta method. K = 1 is
    importance sampling from N(0, I). For a model with a `decoder`, a `likelihood` and a normal `prior`; q is
    not used. `device="cuda"` has a VAE with Bernoulli likelihood and standard prior, and draws its noise from
    a seed that `rng` gives. Raises ValueError for another prior, no rows, rows that the model cannot have
    made, no `ks`, and sizes below 1.
    """
    params, (x,) = _checked(model, params, x=x)
    door.batch(x, model.likelihood.data_dim)
    model.likelihood.check(x)
    ks, rng = door.widths("ks", ks), check.generator(rng)
    check.size(**{"len(ks)": len(ks)}, chains=chains, batch_size=batch_size, leapfrog=leapfrog)
    tuned, parts = _tuned(device), []
    for i in range(0, len(x), batch_size):
        run = tuned(model, params, x[i : i + batch_size], rng, chains=chains, leapfrog=leapfrog)
        parts.append({k: ais.log_mean(run.forward(k)) for k in ks})
    return {
        k: Estimate(*(np.concatenate(both) for both in zip(*(part[k] for part in parts), strict=True)))
        for k in ks
    }


def _checked(model: Any, params: Params, **arrays: Array) -> tuple[door.Params, list[Array]]:
    """The generative part of params, and the arrays, checked for a model with a normal prior."""
    prior = getattr(model, "prior", None)
    if not isinstance(prior, DiagonalPrior):
        raise ValueError(
            f"model must have a normal prior to be annealed to, has {type(prior).__name__}; "
            "for an EnergyPriorVAE see vbref.evaluate.energy.bounds"
        )
    shapes = model.decoder.shapes() | model.likelihood.shapes() | prior.shapes()
    return door.together({name: params[name] for name in shapes if name in params}, shapes, **arrays)


@dataclass(frozen=True)
class Sandwich:
    """For data that the model has made: bounds on log p(x) of each row from below and from above (N,)."""

    lower: Array
    upper: Array

    @property
    def gap(self) -> float:
        """The mean distance between them, at least the sum of their two biases: how far off AIS can be."""
        return float((self.upper - self.lower).mean())


@door.overflow_named()
def sandwich(
    model: Any,
    params: Params,
    n: int,
    rng: np.random.Generator | int,
    k: int,
    *,
    chains: int = 4,
    leapfrog: int = 5,
    device: str = "cpu",
) -> Sandwich:
    """Bidirectional Monte Carlo on n rows drawn from the model, whose own z are exact posterior draws.

    A model and a device as for `annealed`; forward chains start from N(0, I) even where the prior is another
    normal. `lower` is log mean w of `chains` of them, `upper` is −log mean 1/w of as many reverse ones, all
    from the row's own z. Means, not single rows, are in order. Raises ValueError as `annealed` does.
    """
    params, _ = _checked(model, params)
    check.size(n=n, k=k, chains=chains, leapfrog=leapfrog)
    tuned, rng = _tuned(device), check.generator(rng)
    dtype = next(iter(params.values())).dtype
    z = model.prior.sample(params, rng.standard_normal((n, model.latent_dim)).astype(dtype))
    uniform = isinstance(model.likelihood, Bernoulli)
    own = (rng.random if uniform else rng.standard_normal)((n, model.data_dim)).astype(dtype)
    x = model.likelihood.sample(params, model.decoder.apply(params, z), own)
    run = tuned(model, params, x, rng, chains=chains, leapfrog=leapfrog)
    return Sandwich(ais.log_mean(run.forward(k))[0], -ais.log_mean(-run.reverse(k, z))[0])
