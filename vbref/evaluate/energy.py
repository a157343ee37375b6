"""An energy prior's log Z by annealing, the held-out bounds that need it, and measures of its failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.evaluate import ais
from vbref.evaluate.adversarial import coverage
from vbref.evaluate.ais import Array
from vbref.evaluate.diagnostics import active_units
from vbref.evaluate.importance import Estimate, nested
from vbref.numerics import check

Params = Mapping[str, Array]
_DRAWS = 4096
_NEIGHBOURS = 5


@dataclass(frozen=True)
class LogZ:
    """log Z and its standard error, 0 where a grid gave it."""

    value: float
    error: float


def log_normaliser(
    model: Any, params: Params, rng: np.random.Generator | int, *, k: int = 200, chains: int = 256
) -> LogZ:
    """log Z of an `EnergyPriorVAE`: on a grid for one or two latent dimensions, else annealed from N(0, I).

    By Jensen an annealed one errs downwards, by about half the square of its standard error, and where all
    chains miss a mode by that mode's share, which no error shows. Raises ValueError for a model without an
    energy, and for k and chains below 1.
    """
    if not hasattr(model, "log_normaliser"):
        raise ValueError(f"model must have an energy prior, is {type(model).__name__}")
    check.size(k=k, chains=chains)
    rng = check.generator(rng)
    if model.latent_dim <= 2:
        return LogZ(model.log_normaliser(params), 0.0)
    double = {name: np.asarray(array, np.float64) for name, array in params.items()}
    check.floats(**double)

    def target(z: Array) -> tuple[Array, Array]:
        log_p, saved = model.prior.log_prob(double, z)
        return log_p, model.prior.backward(np.ones_like(log_p), saved)[0]

    path = ais.Path(ais.standard_normal, target)
    shape = (chains, 1, model.latent_dim)
    steps = ais.tune(path, rng.standard_normal(shape), rng)
    log_w = ais.forward(path, rng.standard_normal(shape), ais.schedule(k), steps, rng)
    value, error = ais.log_mean(log_w)
    return LogZ(float(value[0]), float(error[0]))


@dataclass(frozen=True)
class _Known:
    """The model with log Z for its log-weights."""

    model: Any
    log_z: float

    def draw_noise(self, rng: np.random.Generator, n: int, k: int) -> Array:
        return self.model.draw_noise(rng, n, k)

    def log_weights(self, params: Params, x: Array, noise: Array) -> Array:
        return self.model.log_weights(params, x, noise, log_z=self.log_z)


def bounds(
    model: Any, params: Params, x: NDArray[Any], rng: np.random.Generator | int, ks: Sequence[int]
) -> dict[int, Estimate]:
    """IWAE-K of each K of `ks`, as `evaluate.nested` has it, with log Z by `log_normaliser`.

    Bounds as far as log Z is known. Its error is the same for all rows: it enters the mean's Monte Carlo
    error as it is, and therefore each row's as √N times that. Raises ValueError as `log_normaliser` and
    `evaluate.nested` do.
    """
    rng = check.generator(rng)
    log_z = log_normaliser(model, params, rng)
    found = nested(_Known(model, log_z.value), params, x, rng, ks)
    shared = len(x) * log_z.error**2
    return {k: replace(each, noise=np.sqrt(each.noise**2 + shared)) for k, each in found.items()}


@dataclass(frozen=True)
class Health:
    """What goes wrong with an energy prior, as numbers.

    - `departure`: KL(N(0, I) ‖ P) in nats. An energy that diverges has hundreds.
    - `contrast`: |E V| at the codes less at the sampler's draws, in nats: 0 where both have the same law.
    - `generator_gap`: log Z less the generator's bound, at least KL(q(z') ‖ P); NaN for Langevin.
    - `coverage`: the share of codes that the sampler's draws come near (`evaluate.adversarial.coverage`).
    - `active`: latent units that move with x, of `latent_dim`.
    """

    departure: float
    contrast: float
    generator_gap: float
    coverage: float
    active: int
    latent_dim: int


def health(model: Any, params: Params, x: NDArray[Any], rng: np.random.Generator | int) -> Health:
    """The measures for rows x (N, data_dim), N > 5; codes are draws of q(z | x), one a row.

    Raises ValueError for fewer rows and a model without an energy.
    """
    if len(x) <= _NEIGHBOURS:
        raise ValueError(f"x must have more than {_NEIGHBOURS} rows, has {len(x)}")
    rng = check.generator(rng)
    log_z = log_normaliser(model, params, rng).value
    noise = model.draw_noise(rng, _DRAWS)[0]
    draws = model.negatives(params, noise)
    loc, scale = model.encode(params, x)
    codes = loc + scale * rng.standard_normal(loc.shape).astype(loc.dtype)
    normal = rng.standard_normal(draws.shape).astype(draws.dtype)
    at_codes, at_draws, at_normal = (
        model.prior.log_prob(params, z)[0].mean(dtype=np.float64) for z in (codes, draws, normal)
    )
    entropy = model.latent_dim * (1 + np.log(2 * np.pi)) / 2
    gap = np.nan
    if model.config["sampler"] == "generator":
        gap = log_z - model.log_normaliser_weights(params, noise).mean(dtype=np.float64)
    return Health(
        float(log_z - entropy - at_normal),
        float(abs(at_codes - at_draws)),
        float(gap),
        coverage(codes, draws[: len(codes)], _NEIGHBOURS),
        active_units(loc),
        model.latent_dim,
    )
