"""The Bayesian mixture of Gaussians: Dirichlet or Dirichlet process, four kinds of covariance."""

from vbref.meanfield.mixture.bridge import from_sklearn, sklearn_bound
from vbref.meanfield.mixture.model import GaussianMixture

__all__ = ["GaussianMixture", "from_sklearn", "sklearn_bound"]
