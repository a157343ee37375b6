"""`vbref train vaegan`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vbref.systems import adversarial
from vbref.systems.base import AIS, Config, Params, Rng, Setting, System
from vbref.systems.vae import sigma_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGMA = 0.3


def build(config: Config, data_dim: int) -> Any:
    """The VAE-GAN that the configuration says; its discriminator is as wide as its encoder."""
    from vbref.models import VAEGAN

    names = ("activation", "likelihood", "dtype", "loss", "gamma", "fakes", "feature_layer", "feature_scale")
    options = {name: config[name] for name in names}
    if config["likelihood"] == "gaussian":
        options["sigma"] = _SIGMA
    options |= sigma_options(config)
    hidden = tuple(config["hidden"])
    return VAEGAN(data_dim, config["latent"], hidden, hidden, **options)


def pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Reconstructions, samples from the prior, the plane of posterior means."""
    from vbref import plot

    model, test = task.model, task.test
    codes = model.encode(params, test)[0]
    return {
        "reconstructions": plot.reconstructions(test[:48], model.decode(params, codes[:48])),
        "samples": plot.samples(adversarial.samples(model, params, rng, 96)),
        "latent": plot.latent_plane(codes, task.test_labels),
    }


def warnings(task: Any, params: Params, rng: Rng) -> list[str]:
    """A saturated discriminator, a collapsed posterior, lost modes."""
    model, test = task.model, task.test
    fake = adversarial.samples(model, params, rng, len(test))
    logits = model.discriminate(params, test)[1], model.discriminate(params, fake)[1]
    advice = "try a smaller --learning-rate or --hidden, or --loss non-saturating"
    found = adversarial.doubts(logits, model.encode(params, test)[0], advice)
    seen = np.asarray(fake, test.dtype)
    return found + adversarial.mode_doubts(test, seen, "try a larger --gamma, or more --epochs")


SYSTEM = System(
    build,
    pictures,
    warnings,
    estimate=adversarial.estimate,
    bound=AIS,
    settings={
        "loss": Setting(
            "non-saturating", "VAE-GAN: the decoder's GAN loss", ("non-saturating", "saturating")
        ),
        "gamma": Setting(1.0, "VAE-GAN: weight of the decoder's reconstruction (1)", zero=True),
        "fakes": Setting("both", "VAE-GAN: what is told from the data (both)", ("both", "prior")),
        "feature_layer": Setting(1, "VAE-GAN: the layer whose features are compared (1)"),
        "feature_scale": Setting(0.2, "VAE-GAN: the scale at which they are (0.2; 1 in the paper)"),
    },
    defaults={"likelihood": "gaussian", "learning_rate": 5e-4},
    ignores=("prior", "posterior", "objective", "gradient"),
)
