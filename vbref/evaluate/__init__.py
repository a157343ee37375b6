"""How good is a model, in nats: exact evidence where it can be had, IWAE-K with standard errors elsewhere."""

from vbref.evaluate import clustering, diagnostics, exact
from vbref.evaluate.importance import Estimate, iwae, nested

__all__ = ["Estimate", "clustering", "diagnostics", "exact", "iwae", "nested"]
