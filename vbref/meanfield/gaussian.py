"""Mean field for a multivariate normal, where every claim about it has a closed form (Bishop 2006, 10.1.2).

For p(z) = N(μ, Λ⁻¹) and q(z) = Π_b q_b(z_b) over blocks b of coordinates, E_{−b} log p(z) is quadratic in z_b
(meanfield/D30), and so q̂_b = N(m_b, Λ_bb⁻¹) with

    m_b = μ_b − Λ_bb⁻¹ Λ_{b,−b} (m_{−b} − μ_{−b})                             (Bishop 10.12–10.15).

Sweeping over the blocks is Gauss–Seidel for Λ m = Λ μ: with Λ = L + U, L its lower triangle of blocks and U
the rest, the error m − μ is multiplied by G = −L⁻¹U each sweep, and |eigenvalues of G| < 1 as Λ is positive
definite. At the fixed point the means are exact, Σ_bb − Λ_bb⁻¹ is positive semidefinite, and as tr(Λ diag_b
Λ_bb⁻¹) = D

    KL(q ‖ p) = ½ (Σ_b log|Λ_bb| − log|Λ|).

Inside, coordinates are divided by their standard deviations √Σ_jj, which changes none of this.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.dist.multivariate_normal import cholesky, inverse_from_tril
from vbref.meanfield.engine import Ascent, Bound, Update, ascend
from vbref.meanfield.limits import within_float64
from vbref.numerics import check

Array = NDArray[Any]
Blocks = Sequence[Sequence[int]]


class Gaussian:
    """Mean field for p(z) = N(mean, cov), by default with one factor a coordinate.

    `mean` (D,), `cov` (D, D) symmetric positive definite; `blocks` lists the coordinates of each factor,
    every coordinate in one. p is normalised: log p(x) = 0, and the bound is −KL(q ‖ p) ≤ 0.

    Raises ValueError for other shapes and dtypes, a cov that is not positive definite, and blocks that are no
    partition.
    """

    def __init__(self, mean: ArrayLike, cov: ArrayLike, *, blocks: Blocks | None = None) -> None:
        mu, sigma = check.floats(mean=mean, cov=cov)
        check.shape("mean", mu, (None,))
        check.shape("cov", sigma, (len(mu), len(mu)))
        cholesky(sigma, "cov")
        self.mean, self.cov = mu.astype(np.float64), sigma.astype(np.float64)
        self.blocks = _partition(len(mu), blocks)
        self._scale = np.sqrt(np.diagonal(self.cov))
        root = np.linalg.cholesky(self.cov / self._scale / self._scale[:, None])
        self._lambda, self._log_det = inverse_from_tril(root), -2 * float(np.log(np.diagonal(root)).sum())
        self._inverses = [_inverse(self._lambda[np.ix_(b, b)]) for b in self.blocks]
        self._error, self._cov = np.zeros_like(self.mean), self._marginal_blocks()
        self.ascent, self.path = Ascent(), np.empty((0, len(mu)))

    @within_float64("mean, cov and start")
    def fit(
        self,
        *,
        start: ArrayLike | None = None,
        tol: float = 1e-12,
        max_iter: int = 1000,
        progress: bool = False,
    ) -> "Gaussian":
        """Coordinate ascent from means `start` (D,), default 0, and p's own blocks of cov; returns itself.

        Afterwards `path` (updates + 1, D) has the means after each update, the start first. `tol` and
        `max_iter` end it as in `engine.ascend`; factors are named "q0", "q1", …
        """
        (first,) = check.floats(start=np.zeros_like(self.mean) if start is None else start)
        check.shape("start", first, self.mean.shape)
        self._error = (first - self.mean) / self._scale
        self._cov = self._marginal_blocks()
        path = [self.means]

        def update(b: int) -> None:
            self._update(b)
            path.append(self.means)

        updates = {f"q{b}": lambda b=b: update(b) for b in range(len(self.blocks))}
        self.ascent = ascend(updates, self.evidence_bound, tol=tol, max_iter=max_iter, progress=progress)
        self.path = np.array(path)
        return self

    def _update(self, b: int) -> None:
        """q_b ← N(m_b, Λ_bb⁻¹), in scaled coordinates less μ: e_b ← −Λ_bb⁻¹ Λ_{b,−b} e_{−b}."""
        block, inverse, e = self.blocks[b], self._inverses[b], self._error
        pull = self._lambda[block] @ e - self._lambda[np.ix_(block, block)] @ e[block]
        e[block] = -inverse @ pull
        self._cov[np.ix_(block, block)] = inverse

    def evidence_bound(self) -> Bound:
        """−KL(q ‖ p) = −½ [tr ΛS − log|ΛS| − D + eᵀΛe], S block diagonal, e the means' error."""
        trace = float((self._lambda * self._cov).sum())
        log_det = self._log_det + sum(_log_det(self._cov[np.ix_(b, b)]) for b in self.blocks)
        square = float(self._error @ self._lambda @ self._error)
        size = abs(self._error) @ abs(self._lambda) @ abs(self._error)
        value = -(trace - log_det - len(self.mean) + square) / 2
        return Bound(value, float(abs(self._lambda * self._cov).sum() + abs(log_det) + size + len(self.mean)))

    @property
    def elbo(self) -> float:
        """The bound, −KL(q ‖ p) in nats."""
        return self.evidence_bound().value

    @property
    def history(self) -> list[Update]:
        """The bound after every update: (sweep, factor, bound)."""
        return self.ascent.history

    @property
    def converged(self) -> bool:
        """Whether the last sweep changed the bound by less than the tolerance."""
        return self.ascent.converged

    @property
    def means(self) -> Array:
        """m (D,), the means of q."""
        return self.mean + self._scale * self._error

    @property
    def covariance(self) -> Array:
        """The covariance of q (D, D), zero between blocks."""
        return self._cov * self._scale * self._scale[:, None]

    @property
    def variances(self) -> Array:
        """The variances of q (D,); at the optimum, with one factor a coordinate, 1/Λ_jj ≤ Σ_jj."""
        return np.diagonal(self._cov) * self._scale**2

    @property
    def optimal_variances(self) -> Array:
        """Those of the optimum (D,), in closed form: the diagonals of Λ_bb⁻¹."""
        variances = np.empty_like(self.mean)
        for block, inverse in zip(self.blocks, self._inverses, strict=True):
            variances[block] = np.diagonal(inverse)
        return variances * self._scale**2

    @property
    def optimal_gap(self) -> float:
        """KL(q ‖ p) at the optimum, in nats, in closed form: ½ (Σ_b log|Λ_bb| − log|Λ|) ≥ 0."""
        blocks = sum((_log_det(self._lambda[np.ix_(b, b)]) for b in self.blocks), 0.0)
        return max((blocks - self._log_det) / 2, 0.0)

    @property
    def sweep_matrix(self) -> Array:
        """G (D, D) with m − μ ← G (m − μ) each sweep: the product over the blocks, the last one leftmost."""
        product = np.eye(len(self.mean))
        for block, inverse in zip(self.blocks, self._inverses, strict=True):
            step = np.eye(len(self.mean))
            step[block] -= inverse @ self._lambda[block]
            product = step @ product
        return product * self._scale[:, None] / self._scale

    @property
    def rate(self) -> float:
        """ρ, the spectral radius of G: in the end a sweep multiplies the error by ρ, the gap by ρ²."""
        return float(abs(np.linalg.eigvals(self.sweep_matrix)).max())

    def _marginal_blocks(self) -> Array:
        """Σ with zeros between the blocks, in scaled coordinates."""
        cov = np.zeros_like(self.cov)
        for b in self.blocks:
            scales = self._scale[b]
            cov[np.ix_(b, b)] = self.cov[np.ix_(b, b)] / scales / scales[:, None]
        return cov


def _partition(d: int, blocks: Blocks | None) -> list[NDArray[np.intp]]:
    given: Any = [[j] for j in range(d)] if blocks is None else blocks
    try:
        arrays = [np.asarray(block) for block in given] if isinstance(given, Sequence | np.ndarray) else []
    except ValueError:  # a list within a block
        arrays = []
    whole = all(a.ndim == 1 and len(a) and a.dtype.kind in "iu" for a in arrays)
    if not whole or sorted(np.concatenate(arrays).tolist() if arrays else []) != list(range(d)):
        raise ValueError(f"blocks must hold each of 0..{d - 1} once, in non-empty lists, was {blocks!r}")
    return [a.astype(np.intp) for a in arrays]


def _inverse(matrix: NDArray[Any]) -> NDArray[Any]:
    return inverse_from_tril(np.linalg.cholesky(matrix))


def _log_det(matrix: NDArray[Any]) -> float:
    return 2 * float(np.log(np.diagonal(np.linalg.cholesky(matrix))).sum())
