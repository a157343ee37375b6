"""`vbref train stick-breaking`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vbref.systems.base import Config, Params, Rng, Setting, System
from vbref.systems.vae import pictures, sigma_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MUCH_LEFT, _NEVER = 0.05, 1e-3


def build(config: Config, data_dim: int) -> Any:
    """The model that the configuration says; `latent` is the number of sticks."""
    from vbref.models import StickBreakingVAE

    options = {name: config[name] for name in ("activation", "likelihood", "dtype", "kl", "terms")}
    options |= {"posterior": config["fraction"], "concentration": config["concentration"]}
    options |= {"learn_concentration": config["concentration_is"] == "learned"} | sigma_options(config)
    return StickBreakingVAE(data_dim, config["latent"], tuple(config["hidden"]), **options)


def all_pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Those of the VAE, and how much of the stick each piece takes."""
    from vbref import plot

    found = pictures(task, params, rng)
    model = task.model
    prior = model.sample_pieces(params, model.draw_noise(rng, 2000)[0])
    posterior = model.encode(params, task.test)[0]
    found["sticks"] = plot.shares({"prior": prior.mean(axis=0), "posterior": posterior.mean(axis=0)}, "piece")
    return found


def warnings(task: Any, params: Params, rng: Rng) -> list[str]:
    """Mass left at the truncation, and pieces that say nothing of x."""
    from vbref.evaluate import diagnostics

    model, test = task.model, task.test
    left = float(model.unused_mass(params, test, model.draw_noise(rng, len(test), 10)).mean())
    pieces = model.encode(params, test)[0]
    moving = diagnostics.active_units(pieces, threshold=_NEVER**2)
    found = []
    if left > _MUCH_LEFT:
        found.append(
            f"{100 * left:.1f} % of the stick is left at the truncation: try a larger --latent "
            f"(it is {model.sticks}) or a smaller --concentration"
        )
    if moving < 2:
        found.append(
            "posterior collapse: no piece moves with x; try more --epochs, a smaller --learning-rate, "
            "or a larger --concentration"
        )
    if model.config["kl"] == "series":
        error = float(np.mean(model.series_error(params, test, model.config["terms"])))
        found.append(f"the series misses {error:.3f} nats of KL a row: the training objective is no bound")
    return found


SYSTEM = System(
    build,
    all_pictures,
    warnings,
    settings={
        "fraction": Setting(
            "kumaraswamy", "stick-breaking: q of a fraction", ("kumaraswamy", "gauss-logit", "gamma")
        ),
        "concentration": Setting(5.0, "stick-breaking: α₀ of Beta(1, α₀), or where it starts (5)"),
        "concentration_is": Setting("fixed", "stick-breaking: α₀ fixed or learned", ("fixed", "learned")),
        "kl": Setting(
            "auto", "stick-breaking: how the KL is had (auto)", ("auto", "exact", "series", "sampled")
        ),
        "terms": Setting(10, "stick-breaking: terms of the series (10)"),
    },
    defaults={"latent": 30, "hidden": [128]},
    ignores=("prior", "posterior", "objective", "gradient"),
)
