"""The Dirichlet mixture of full Gaussians as Bishop (2006, 10.2) prints it: dense inverses, loops over k."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln, logsumexp, multigammaln, xlogy


def log_b(w, nu):
    """B.79."""
    d = len(w)
    return -nu / 2 * np.linalg.slogdet(w)[1] - nu * d / 2 * np.log(2) - multigammaln(nu / 2, d)


def log_c(alpha):
    """B.23."""
    return gammaln(alpha.sum()) - gammaln(alpha).sum()


@dataclass
class Mixture:
    """Hyperparameters, and q after an M-step on the responsibilities given."""

    x: np.ndarray
    r: np.ndarray
    alpha_0: float
    m_0: np.ndarray
    beta_0: float
    nu_0: float
    w_0: np.ndarray

    def __post_init__(self):
        self.update()

    def update(self):
        """10.51–10.53, 10.58–10.63, 10.65, 10.66."""
        r, d = self.r, len(self.m_0)
        self.n = r.sum(axis=0)
        self.mean = (r.T @ self.x) / self.n[:, None]
        gaps = self.x[:, None] - self.mean
        self.s = np.einsum("nk,nki,nkj->kij", r, gaps, gaps) / self.n[:, None, None]
        self.alpha, self.beta, self.nu = self.alpha_0 + self.n, self.beta_0 + self.n, self.nu_0 + self.n
        self.m = (self.beta_0 * self.m_0 + self.n[:, None] * self.mean) / self.beta[:, None]
        inverse = [
            np.linalg.inv(self.w_0)
            + n * s
            + self.beta_0 * n / (self.beta_0 + n) * np.outer(mean - self.m_0, mean - self.m_0)
            for n, s, mean in zip(self.n, self.s, self.mean, strict=True)
        ]
        self.w = np.linalg.inv(inverse)
        half = (self.nu[:, None] - np.arange(d)) / 2
        self.log_lambda = digamma(half).sum(axis=1) + d * np.log(2) + np.linalg.slogdet(self.w)[1]
        self.log_pi = digamma(self.alpha) - digamma(self.alpha.sum())

    def assign(self):
        """10.46, 10.49, 10.64."""
        gaps, d = self.x[:, None] - self.m, len(self.m_0)
        squares = d / self.beta + self.nu * np.einsum("nki,kij,nkj->nk", gaps, self.w, gaps)
        rho = self.log_pi + self.log_lambda / 2 - d / 2 * np.log(2 * np.pi) - squares / 2
        self.r = np.exp(rho - logsumexp(rho, axis=1, keepdims=True))

    def terms(self):
        """10.71 to 10.77, the last three with the sign that they have in 10.70."""
        return [
            sum(self._likelihood(k) for k in range(len(self.n))),
            float((self.r * self.log_pi).sum()),
            float(log_c(np.full(len(self.n), self.alpha_0)) + ((self.alpha_0 - 1) * self.log_pi).sum()),
            sum(self._prior(k) for k in range(len(self.n))),
            -float(xlogy(self.r, self.r).sum()),
            -float(((self.alpha - 1) * self.log_pi).sum() + log_c(self.alpha)),
            -sum(self._posterior(k) for k in range(len(self.n))),
        ]

    def _likelihood(self, k):
        d, gap = len(self.m_0), self.mean[k] - self.m[k]
        squares = self.nu[k] * (np.trace(self.s[k] @ self.w[k]) + gap @ self.w[k] @ gap)
        return self.n[k] / 2 * (self.log_lambda[k] - d / self.beta[k] - squares - d * np.log(2 * np.pi))

    def _prior(self, k):
        d, gap = len(self.m_0), self.m[k] - self.m_0
        mean = d * np.log(self.beta_0 / (2 * np.pi)) + self.log_lambda[k] - d * self.beta_0 / self.beta[k]
        mean -= self.beta_0 * self.nu[k] * gap @ self.w[k] @ gap
        trace = self.nu[k] * np.trace(np.linalg.inv(self.w_0) @ self.w[k])
        return mean / 2 + log_b(self.w_0, self.nu_0) + ((self.nu_0 - d - 1) * self.log_lambda[k] - trace) / 2

    def _posterior(self, k):
        """B.82 is the entropy H."""
        d, nu = len(self.m_0), self.nu[k]
        entropy = -log_b(self.w[k], nu) - (nu - d - 1) / 2 * self.log_lambda[k] + nu * d / 2
        return self.log_lambda[k] / 2 + d / 2 * (np.log(self.beta[k] / (2 * np.pi)) - 1) - entropy

    def log_predictive(self, x):
        """10.81, 10.82, the Students by SciPy."""
        t = self.nu + 1 - len(self.m_0)
        shapes = np.linalg.inv((t * self.beta / (1 + self.beta))[:, None, None] * self.w)
        students = [stats.multivariate_t.logpdf(x, *law) for law in zip(self.m, shapes, t, strict=True)]
        return logsumexp(np.array(students).T + np.log(self.alpha / self.alpha.sum()), axis=1)
