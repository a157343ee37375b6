"""How good is a model, in nats: exact evidence where it can be had; IWAE-K, or AIS, with errors elsewhere."""

from vbref.evaluate import adversarial, ais, clustering, diagnostics, exact
from vbref.evaluate.annealed import Sandwich, annealed, sandwich
from vbref.evaluate.importance import Estimate, iwae, nested

__all__ = [
    "Estimate",
    "Sandwich",
    "adversarial",
    "ais",
    "annealed",
    "clustering",
    "diagnostics",
    "exact",
    "iwae",
    "nested",
    "sandwich",
]
