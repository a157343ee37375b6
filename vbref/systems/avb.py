"""`vbref train avb`."""

from typing import TYPE_CHECKING, Any

from vbref.systems import adversarial
from vbref.systems.base import AIS, Array, Config, Params, Rng, Setting, System
from vbref.systems.vae import sigma_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWS = 64


def build(config: Config, data_dim: int) -> Any:
    """The AVB that the configuration says; its critic is as wide as its encoder."""
    from vbref.models import AVB

    names = ("activation", "likelihood", "dtype", "saddle", "noise_dim", "critic_steps")
    options = {name: config[name] for name in names} | sigma_options(config)
    contrast = None if config["contrast"] == "none" else config["contrast"]
    return AVB(data_dim, config["latent"], tuple(config["hidden"]), contrast=contrast, **options)


def posterior_means(task: Any, params: Params, rng: Rng) -> Array:
    """E[z | x] of the held-out rows, over draws of q."""
    model, test = task.model, task.test
    noise = model.draw_noise(rng, len(test), _DRAWS)[..., : model.noise_dim]
    return model.draw(params, test, noise).mean(axis=0)


def pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Reconstructions, samples from the prior, the plane of posterior means."""
    from vbref import plot

    model, test = task.model, task.test
    codes = posterior_means(task, params, rng)
    return {
        "reconstructions": plot.reconstructions(test[:48], model.decode(params, codes[:48])),
        "samples": plot.samples(adversarial.samples(model, params, rng, 96)),
        "latent": plot.latent_plane(codes, task.test_labels),
    }


def warnings(task: Any, params: Params, rng: Rng) -> list[str]:
    """A saturated critic, a collapsed posterior, lost modes."""
    model, test = task.model, task.test
    logits = model.ratio(params, test, model.draw_noise(rng, len(test), 4))
    advice = "try --contrast adaptive, more --noise-dim, or a smaller --learning-rate"
    found = adversarial.doubts(logits, posterior_means(task, params, rng), advice)
    fake = adversarial.drawn(model, params, rng, len(test), task.config["likelihood"])
    return found + adversarial.mode_doubts(test, fake, "try more --epochs or --critic-steps")


SYSTEM = System(
    build,
    pictures,
    warnings,
    estimate=adversarial.estimate,
    bound=AIS,
    settings={
        "contrast": Setting("adaptive", "AVB: what q is told from (adaptive)", ("adaptive", "none")),
        "saddle": Setting("logistic", "AVB: the critic's objective (logistic)", ("logistic", "f-divergence")),
        "noise_dim": Setting(16, "AVB: width of q's noise (16)"),
        "critic_steps": Setting(2, "AVB: steps of the critic for each of the model (2)"),
    },
    ignores=("prior", "posterior", "objective", "gradient"),
)
