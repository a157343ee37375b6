"""log p(x) without sampling: by enumeration, by quadrature, by the dense linear-Gaussian form."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.dist.multivariate_normal import cholesky
from vbref.numerics import check

_MOST_NODES = 1_000_000
# NumPy's rule divides by zero somewhere above 350 nodes.
_MOST_EACH = 300
# (node, datum) pairs that pass through the model at once.
_TILE = 4096


def table(log_joint: ArrayLike, axis: int | tuple[int, ...] = -1) -> Any:
    """log p(x) = log Σ_z p(x, z) for a finite table of log p(x, z), in nats; impossible states are −inf.

    `axis` is the axis, or the axes, of the states z. Raises ValueError for NaN, +inf, a dtype other than
    float32 or float64, no states, and an axis that is not there or is named twice.
    """
    (log_joint,) = check.below_infinity(log_joint=log_joint)
    axes = np.atleast_1d(axis)
    if axes.dtype.kind != "i" or not all(-log_joint.ndim <= a < log_joint.ndim for a in axes):
        raise ValueError(f"axis must be an axis of log_joint, of shape {log_joint.shape}; was {axis!r}")
    if len({a % log_joint.ndim for a in axes}) < len(axes):
        raise ValueError(f"axis must name each axis of log_joint once, was {axis!r}")
    states = math.prod(log_joint.shape[a] for a in axes)
    if states == 0:
        raise ValueError(f"log_joint must have at least one state, has shape {log_joint.shape}")
    last = np.moveaxis(log_joint, axes, range(-len(axes), 0))
    return np.logaddexp.reduce(last.reshape(*last.shape[: -len(axes)], states), axis=-1)


def quadrature(model: Any, params: Mapping[str, Any], x: NDArray[Any], *, nodes: int = 40) -> NDArray[Any]:
    """log p(x) of each row (N,), in nats, by Gauss–Hermite quadrature over a latent space of few dimensions.

    p(x) = E over ε ~ N(0, I) of w(ε), w = p(x, z)/q(z|x) at z(ε), whatever q is: the model's own log-weights
    on a grid of `nodes` values of each ε, summed with the rule's weights. It converges where w is smooth
    and q no narrower than the posterior; compare two values of `nodes` to see that it has.

    Raises ValueError for no rows, for more than 300 `nodes`, and where the grid would have more than a
    million.
    """
    (x,) = check.floats(x=x)
    check.shape("x", x, (None, None))
    dims = model.draw_noise(np.random.default_rng(0), 1).shape[-1]
    check.size(nodes=nodes)
    if nodes > _MOST_EACH:
        raise ValueError(f"nodes must be at most {_MOST_EACH}, was {nodes}")
    if nodes**dims > _MOST_NODES:
        raise ValueError(f"nodes ** latent dimensions must be <= {_MOST_NODES}, was {nodes} ** {dims}")
    if len(x) == 0:
        raise ValueError("x must have at least one row, has none")
    grid, log_mass = _gauss_hermite(nodes, dims)
    step = max(1, _TILE // len(grid))
    batches = [x[start : start + step] for start in range(0, len(x), step)]
    return np.concatenate([_weighted(model, params, batch, grid, log_mass) for batch in batches])


def _gauss_hermite(nodes: int, dims: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Nodes (nodes^dims, dims) and log masses of the product rule, whose total mass is 1, the normal's."""
    points, mass = np.polynomial.hermite_e.hermegauss(nodes)
    log_mass = np.log(mass / mass.sum())
    grid = np.array(list(itertools.product(points, repeat=dims)))
    return grid, np.array([sum(each) for each in itertools.product(log_mass, repeat=dims)])


def _weighted(
    model: Any, params: Any, x: NDArray[Any], grid: NDArray[Any], log_mass: NDArray[Any]
) -> NDArray[Any]:
    shape = (len(grid), len(x), grid.shape[-1])
    noise = np.ascontiguousarray(np.broadcast_to(grid[:, None], shape), dtype=x.dtype)
    return np.logaddexp.reduce(model.log_weights(params, x, noise) + log_mass[:, None], axis=0)


def linear_gaussian(x: ArrayLike, weight: ArrayLike, mean: ArrayLike, noise_cov: ArrayLike) -> NDArray[Any]:
    """log N(x; mean, weightᵀ weight + noise_cov) of each row (N,), in nats, in dense form.

    `x` (N, D), `weight` (latent, D), `mean` (D,), `noise_cov` (D, D). Integrating z ~ N(0, I) out of
    x = z W + mean + noise leaves a normal with covariance WᵀW + noise_cov. Raises ValueError where that is
    not finite, symmetric and positive definite.
    """
    x, weight, mean, noise_cov = check.floats(x=x, weight=weight, mean=mean, noise_cov=noise_cov)
    check.shape("mean", mean, (None,))
    check.shape("x", x, (None, len(mean)))
    check.shape("weight", weight, (None, len(mean)))
    check.shape("noise_cov", noise_cov, (len(mean), len(mean)))
    with np.errstate(over="ignore"):
        factor = cholesky(weight.T @ weight + noise_cov, "weightᵀ weight + noise_cov")
        whitened = np.linalg.solve(factor, (x - mean).T)
        log_det = 2 * np.log(np.diagonal(factor)).sum()
        return -((whitened * whitened).sum(axis=0) + log_det + len(mean) * math.log(2 * math.pi)) / 2
