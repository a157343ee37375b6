"""One file a system: parameters in, noise in, a bound and its hand-written gradient out."""

from vbref.models.autoencoder import autoencoder_constant, autoencoder_loss
from vbref.models.avb import AVB
from vbref.models.energy_prior import EnergyPriorVAE
from vbref.models.gmvae import GMVAE
from vbref.models.linear_gaussian import LinearGaussian
from vbref.models.stick_breaking import StickBreakingVAE
from vbref.models.vae import VAE
from vbref.models.vaegan import VAEGAN

__all__ = [
    "AVB",
    "GMVAE",
    "VAE",
    "VAEGAN",
    "EnergyPriorVAE",
    "LinearGaussian",
    "StickBreakingVAE",
    "autoencoder_constant",
    "autoencoder_loss",
]
