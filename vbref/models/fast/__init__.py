"""The VAE's hot paths in compiled code; `vbref.models.vae` is the plain form, which they are tested against."""

from vbref.models.fast.trainer import Trainer, applies
from vbref.models.fast.weights import Weights

__all__ = ["Trainer", "Weights", "applies"]
