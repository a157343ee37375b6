"""Pictures: of models (here), of mean field (`plot.meanfield`), of a mixture (`plot.mixture`).

Each function returns a matplotlib `Figure`, which `save` writes.
"""

from vbref.plot.figure import save
from vbref.plot.models import bounds, history, latent_plane, reconstructions, samples, shares

__all__ = ["bounds", "history", "latent_plane", "reconstructions", "samples", "save", "shares"]
