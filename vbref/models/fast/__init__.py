"""The VAE's hot paths in compiled code, tested against their plain form, `vbref.models.vae`."""

from vbref.models.fast.trainer import Trainer, applies
from vbref.models.fast.weights import Weights

__all__ = ["Trainer", "Weights", "applies"]
