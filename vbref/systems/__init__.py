"""The systems that `vbref train` knows: one file, one line here, each."""

from vbref.systems import avb, energy_prior, gmvae, stick_breaking, vae, vaegan
from vbref.systems.base import Setting, System

SYSTEMS: dict[str, System] = {
    "vae": vae.SYSTEM,
    "gmvae": gmvae.SYSTEM,
    "stick-breaking": stick_breaking.SYSTEM,
    "avb": avb.SYSTEM,
    "vaegan": vaegan.SYSTEM,
    "energy-prior": energy_prior.SYSTEM,
}

__all__ = ["SYSTEMS", "Setting", "System"]
