"""Exact evidence of Gaussian components, a row at a time: each is a Student's given those before.

Shares nothing with the normalisers and the digammas of the package; the Students are SciPy's.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from scipy.special import betaln, gammaln, logsumexp


@dataclass
class Chain:
    """Components of one kind, updated row by row; `c` is shared by all where they are tied."""

    kind: str
    m0: np.ndarray
    beta0: float
    nu0: float
    c0: np.ndarray
    beta: dict = field(default_factory=dict)
    mean: dict = field(default_factory=dict)
    nu: dict = field(default_factory=dict)
    c: dict = field(default_factory=dict)

    def log_density(self, row, k):
        """log p(row | rows before, z = k); then the row is one of those before."""
        law = 0 if self.kind == "tied" else k
        beta, m = self.beta.get(k, self.beta0), self.mean.get(k, self.m0)
        nu, c = self.nu.get(law, self.nu0), self.c.get(law, self.c0)
        value = self.student(row, m, nu, c, (1 + beta) / beta)
        gap = row - m
        self.beta[k], self.mean[k] = beta + 1, m + gap / (beta + 1)
        self.nu[law], self.c[law] = nu + 1, c + beta / (beta + 1) * self.square(gap)
        return value

    def square(self, gap):
        if self.kind == "diag":
            return gap**2
        return np.mean(gap**2) if self.kind == "spherical" else np.outer(gap, gap)

    def student(self, row, m, nu, c, widening):
        d = len(row)
        if self.kind == "diag":
            return stats.t.logpdf(row, nu, m, np.sqrt(c * widening / nu)).sum()
        if self.kind == "spherical":
            return stats.multivariate_t.logpdf(row, m, c * widening / nu * np.eye(d), df=d * nu)
        t = nu + 1 - d
        return stats.multivariate_t.logpdf(row, m, np.atleast_2d(c) * widening / t, df=t)

    def log_joint(self, x, z):
        """log p(x | z) from the start."""
        fresh = Chain(self.kind, self.m0, self.beta0, self.nu0, self.c0)
        return sum(fresh.log_density(row, k) for row, k in zip(x, z, strict=True))


def log_dirichlet_multinomial(z, k, alpha):
    n = np.bincount(z, minlength=k)
    return gammaln(k * alpha) - gammaln(k * alpha + n.sum()) + (gammaln(alpha + n) - gammaln(alpha)).sum()


def log_sticks(z, k, gamma):
    """Sticks with the last one whole."""
    n = np.bincount(z, minlength=k)
    after = n.sum() - n.cumsum()
    return sum(betaln(1 + n[i], gamma + after[i]) - betaln(1, gamma) for i in range(k - 1))


def log_chinese_restaurant(z, gamma):
    """The process itself, as a partition: gamma^tables Π (n − 1)! / rising factorial."""
    sizes = np.unique(z, return_counts=True)[1]
    rising = gammaln(gamma + len(z)) - gammaln(gamma)
    return len(sizes) * math.log(gamma) + gammaln(sizes).sum() - rising


def log_evidence(chain, x, k, log_prior):
    """log Σ_z p(z) p(x | z) over all Kᴺ assignments."""
    return logsumexp(
        [log_prior(np.array(z)) + chain.log_joint(x, z) for z in itertools.product(range(k), repeat=len(x))]
    )


def partitions(n):
    """All partitions of n rows, as labels in order of first appearance."""

    def grow(labels):
        if len(labels) == n:
            yield np.array(labels)
            return
        for label in range(max(labels, default=-1) + 2):
            yield from grow([*labels, label])

    yield from grow([])
