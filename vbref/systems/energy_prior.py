"""`vbref train energy-prior`."""

from typing import TYPE_CHECKING, Any

from vbref.evaluate import energy
from vbref.systems.base import Config, Params, Rng, Setting, System
from vbref.systems.vae import sigma_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Nats: what a departure may be for each latent dimension, a contrast, the generator's gap for each, log Z.
_DEPARTURE, _CONTRAST, _GAP, _ERROR = 10.0, 10.0, 0.3, 0.1
_COVERED, _ACTIVE = 0.3, 0.5


def build(config: Config, data_dim: int) -> Any:
    """The model that the configuration says."""
    from vbref.models import EnergyPriorVAE

    names = ("activation", "likelihood", "dtype", "sampler", "negatives", "noise_scale")
    options = {name: config[name] for name in (*names, "energy_rate", "slope_penalty")}
    return EnergyPriorVAE(
        data_dim,
        config["latent"],
        tuple(config["hidden"]),
        energy_hidden=(config["energy_width"],) * 2,
        generator_hidden=(config["energy_width"],) * 2,
        tilt=config["energy_form"] == "tilted",
        **options,
        **sigma_options(config),
    )


def pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Reconstructions, samples, the plane of posterior means, the energy with codes and draws over it."""
    from vbref import plot
    from vbref.plot.energy import energy_map

    model, test = task.model, task.test
    loc, scale = model.encode(params, test)
    codes = loc + scale * rng.standard_normal(loc.shape).astype(loc.dtype)
    noise = model.draw_noise(rng, 600)[0]
    return {
        "reconstructions": plot.reconstructions(test[:48], model.decode(params, loc[:48])),
        "samples": plot.samples(model.sample(params, noise[:96])),
        "latent": plot.latent_plane(loc, task.test_labels),
        "energy": energy_map(model, params, codes, model.negatives(params, noise)),
    }


def notes(task: Any, params: Params, rng: Rng) -> list[str]:
    """log Z, and how far prior and sampler have gone."""
    log_z = energy.log_normaliser(task.model, params, rng)
    found = energy.health(task.model, params, task.test, rng)
    kind = "on a grid" if task.model.latent_dim <= 2 else f"annealed, ± {log_z.error:.4f}"
    return [
        f"log Z {log_z.value:.3f} ({kind}); the bounds above hold as far as it is known",
        f"KL(N(0, I) ‖ prior) {found.departure:.2f} nats; the generator's gap {found.generator_gap:.2f}; "
        f"draws come near {100 * found.coverage:.0f} % of the codes",
    ]


def warnings(task: Any, params: Params, rng: Rng) -> list[str]:
    """A diverging energy, a log Z not known, a generator that lags or lost modes, a collapsed posterior."""
    error = energy.log_normaliser(task.model, params, rng).error
    return doubts(energy.health(task.model, params, task.test, rng), error)


def doubts(found: energy.Health, log_z_error: float) -> list[str]:
    """One line for each measure out of its range."""
    d = found.latent_dim
    said = {
        f"the energy diverges: the prior is {found.departure:.0f} nats from N(0, I), and codes and draws "
        f"{found.contrast:.0f} nats apart; try --slope-penalty 0.1 or a smaller --energy-rate": (
            found.departure > _DEPARTURE * d or found.contrast > _CONTRAST
        ),
        f"log Z is known to {log_z_error:.2f} nats only, and so are the bounds; try --slope-penalty 0.1": (
            log_z_error > _ERROR
        ),
        f"the generator lags: {found.generator_gap:.2f} nats below log Z; try a smaller --energy-rate, more "
        "--epochs or more --energy-width": found.generator_gap > _GAP * d,
        f"mode collapse: the sampler comes near {100 * found.coverage:.0f} % of the codes; try a larger "
        "--noise-scale, more --epochs or --negatives weighted": found.coverage < _COVERED,
        f"posterior collapse: {found.active} of {d} latent units move with x; try a smaller --latent, or a "
        "--sigma below the data's scale": found.active < _ACTIVE * d,
    }
    return [line for line, holds in said.items() if holds]


SYSTEM = System(
    build,
    pictures,
    warnings,
    notes=notes,
    estimate=energy.bounds,
    settings={
        "sampler": Setting(
            "generator", "energy: stands for the prior (generator)", ("generator", "langevin")
        ),
        "negatives": Setting("weighted", "energy: the prior's averages (weighted)", ("weighted", "plain")),
        "energy_form": Setting("tilted", "energy: e^−U N(0, I), or e^−U alone (tilted)", ("tilted", "whole")),
        "noise_scale": Setting(0.2, "energy: δ, the generator's noise (0.2)"),
        "slope_penalty": Setting(0.01, "energy: λ3 on its squared slope (0.01)", zero=True),
        "energy_rate": Setting(1.0, "energy: its steps against the others' (1)"),
        "energy_width": Setting(64, "energy: hidden widths of it and of the generator (64)"),
    },
    ignores=("prior", "posterior", "objective", "gradient"),
)
