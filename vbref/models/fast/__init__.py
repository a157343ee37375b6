"""The VAE's hot paths in compiled code, the plain form in `vbref.models.vae` being what they are tested against."""

from vbref.models.fast.trainer import Trainer, applies

__all__ = ["Trainer", "applies"]
