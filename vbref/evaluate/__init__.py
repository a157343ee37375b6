"""How good is a model, in nats: exact evidence where it can be had, IWAE-K with standard errors elsewhere."""

from vbref.evaluate import exact
from vbref.evaluate.importance import Estimate, iwae, nested

__all__ = ["Estimate", "exact", "iwae", "nested"]
