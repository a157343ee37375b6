"""The Bayesian mixture of Gaussians: Dirichlet or Dirichlet process, four kinds of covariance."""

from vbref.meanfield.mixture.model import GaussianMixture

__all__ = ["GaussianMixture"]
