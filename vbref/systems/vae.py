"""`vbref train vae`."""

from typing import TYPE_CHECKING, Any

from vbref.systems.base import Config, Params, Rng, System

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def build(config: Config, data_dim: int) -> Any:
    """The VAE that the configuration says."""
    from vbref.models import VAE

    names = ("activation", "likelihood", "prior", "posterior", "objective", "gradient", "dtype")
    options = {name: config[name] for name in names} | sigma_options(config)
    if config["gradient"] == "sticking-the-landing":
        options["kl"] = "sampled"
    return VAE(data_dim, config["latent"], tuple(config["hidden"]), **options)


def sigma_options(config: Config) -> dict[str, Any]:
    """How σ is set, where the likelihood has one."""
    return {name: config[name] for name in ("scale", "sigma") if config[name] is not None}


def pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Reconstructions, samples from the prior, the plane of posterior means."""
    from vbref import plot

    model, test = task.model, task.test
    codes = model.encode(params, test)[0]
    noise = model.draw_noise(rng, 96)[0]
    return {
        "reconstructions": plot.reconstructions(test[:48], model.decode(params, codes[:48])),
        "samples": plot.samples(model.sample(params, noise)),
        "latent": plot.latent_plane(codes, task.test_labels),
    }


SYSTEM = System(build, pictures)
