"""The systems that `vbref train` knows: one file, one line here, each."""

from vbref.systems import vae
from vbref.systems.base import Setting, System

SYSTEMS: dict[str, System] = {
    "vae": vae.SYSTEM,
}

__all__ = ["SYSTEMS", "Setting", "System"]
