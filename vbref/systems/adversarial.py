"""What `vbref train` says of both systems that have a critic."""

from typing import Any

import numpy as np

from vbref.evaluate import adversarial
from vbref.evaluate.annealed import annealed
from vbref.evaluate.diagnostics import active_units
from vbref.systems.base import Array, Params, Rng

_SATURATED, _COVERED, _ACTIVE = 0.9, 0.3, 0.5


def estimate(model: Any, params: Params, x: Array, rng: Rng, ks: Any) -> Any:
    """AIS of two chains a row: neither system has a q that an IWAE could lean on."""
    return annealed(model, params, x, rng, ks, chains=2)


def doubts(logits: tuple[Array, Array], codes: Array, advice: str) -> list[str]:
    """A saturated critic, from its logits at both kinds of draw; a collapsed posterior, from E[z | x]."""
    lines = []
    share = adversarial.saturation(*logits)
    if share > _SATURATED:
        lines.append(
            f"the critic is sure of {100 * share:.0f} % of its draws and has no slope left: {advice}"
        )
    active, width = active_units(codes), codes.shape[1]
    if active < _ACTIVE * width:
        lines.append(
            f"posterior collapse: {active} of {width} latent units move with x; "
            "try a smaller --latent, or a --sigma below the data's scale"
        )
    return lines


def mode_doubts(real: Array, fake: Array, advice: str) -> list[str]:
    """Modes that no sample reaches."""
    share = adversarial.coverage(real, fake)
    if share >= _COVERED:
        return []
    return [f"mode collapse: samples come near {100 * share:.0f} % of the held-out rows; {advice}"]


def samples(model: Any, params: Params, rng: Rng, n: int) -> Array:
    """The decoder's mean at n draws of N(0, I)."""
    return model.sample(params, rng.standard_normal((n, model.latent_dim)).astype(model.dtype))


def drawn(model: Any, params: Params, rng: Rng, n: int, likelihood: str) -> Array:
    """n rows drawn from the model, with the observation's own randomness."""
    z = rng.standard_normal((n, model.latent_dim)).astype(model.dtype)
    noise = rng.random if likelihood == "bernoulli" else rng.standard_normal
    own = np.asarray(noise((n, model.data_dim)), model.dtype)
    return model.sample(params, z, observation_noise=own)
