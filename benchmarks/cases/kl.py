"""Closed-form divergences over large batches, in float64."""

import os
from collections.abc import Callable

import numpy as np

import vbref
from benchmarks import peers
from benchmarks.timing import Case

Arrays = tuple[np.ndarray, ...]


def multivariate_normal(cores: int) -> Case:
    """100,000 full-covariance divergences in eight dimensions."""
    n, d = 100_000, 8
    arguments = _gaussians(np.random.default_rng(0), n, d)
    return Case(
        name="kl_multivariate_normal",
        dtype="float64",
        unit="divergence",
        units=n,
        ours=lambda: vbref.kl.multivariate_normal(*arguments),
        peers=_present(torch=_torch_mvn(cores, arguments), jax=_jax_mvn(cores, arguments)),
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=1e-9),
    )


def _gaussians(rng: np.random.Generator, n: int, d: int) -> Arrays:
    def cov() -> np.ndarray:
        root = rng.standard_normal((n, d, d))
        return root @ root.swapaxes(-1, -2) + np.eye(d)

    return rng.standard_normal((n, d)), cov(), rng.standard_normal((n, d)), cov()


def _present(**by_name: Callable[[], object] | None) -> dict[str, Callable[[], object]]:
    return {name: run for name, run in by_name.items() if run}


def _torch_mvn(cores: int, arguments: Arrays) -> Callable[[], object] | None:
    torch = peers.torch(cores)
    if torch is None:
        return None
    mean_q, cov_q, mean_p, cov_p = (torch.from_numpy(a) for a in arguments)
    normal = torch.distributions.MultivariateNormal

    def run() -> np.ndarray:
        with torch.no_grad():
            q = normal(mean_q, cov_q, validate_args=False)
            p = normal(mean_p, cov_p, validate_args=False)
            return torch.distributions.kl_divergence(q, p).numpy()

    return run


def _jax_mvn(cores: int, arguments: Arrays) -> Callable[[], object] | None:
    # On two threads jaxlib 0.10.2's batched LAPACK calls wait for each other for ever; with a third they end.
    os.environ["NPROC"] = str(cores if cores == 1 else cores + 1)
    jax = peers.jax()
    if jax is None:
        return None
    jnp, linalg = jax.numpy, jax.scipy.linalg

    def kl(mean_q, cov_q, mean_p, cov_p):
        root_q, root_p = jnp.linalg.cholesky(cov_q), jnp.linalg.cholesky(cov_p)
        whitened = linalg.solve_triangular(root_p, root_q, lower=True)
        shift = linalg.solve_triangular(root_p, mean_p - mean_q, lower=True)
        half_log_det = jnp.log(jnp.diagonal(root_p)).sum() - jnp.log(jnp.diagonal(root_q)).sum()
        return half_log_det + 0.5 * ((whitened**2).sum() + (shift**2).sum() - mean_q.shape[0])

    batched = jax.jit(jax.vmap(kl))
    on_device = [jnp.asarray(a) for a in arguments]
    return lambda: np.asarray(batched(*on_device))


def kumaraswamy_beta(cores: int) -> Case:
    """A million Kumaraswamy–Beta divergences with their gradients, against the usual 10-term series.

    The peers cut the series, so that theirs is not the same number: the check is that each agrees with the
    truncated series here, and the price of the truncation is not hidden in a tolerance.
    """
    n = 1_000_000
    rng = np.random.default_rng(0)
    arguments = tuple(rng.uniform(low, high, n) for low, high in ((0.5, 5), (0.5, 5), (0.9, 1.1), (1, 5)))
    series = vbref.kl.kumaraswamy_beta_series(*arguments, terms=10)

    def check(ours: object, peer: object) -> None:
        del ours  # exact; compared with quadrature in the tests
        np.testing.assert_allclose(series, peer, rtol=1e-8, atol=1e-10)

    return Case(
        name="kl_kumaraswamy_beta",
        dtype="float64",
        unit="divergence with gradient",
        units=n,
        ours=lambda: vbref.kl.kumaraswamy_beta_value_and_grad(*arguments),
        peers=_present(torch=_torch_series(cores, arguments), jax=_jax_series(arguments)),
        check=check,
    )


def _series(xp, special, a, b, alpha, beta, terms=10):
    """The truncated series as the peers write it, in either array library."""
    log_beta = special.gammaln(alpha) + special.gammaln(beta) - special.gammaln(alpha + beta)
    first = (a - alpha) / a * (-np.euler_gamma - special.digamma(b) - 1 / b)
    total = 0.0
    for m in range(1, terms + 1):
        x = m / a
        total = total + xp.exp(special.gammaln(x) + special.gammaln(b) - special.gammaln(x + b)) / (m + a * b)
    return first + xp.log(a) + xp.log(b) + log_beta - (b - 1) / b + (beta - 1) * b * total


def _torch_series(cores: int, arguments: Arrays) -> Callable[[], object] | None:
    torch = peers.torch(cores)
    if torch is None:
        return None
    leaves = [torch.from_numpy(a).requires_grad_() for a in arguments]

    def run() -> np.ndarray:
        value = _series(torch, torch.special, *leaves)
        torch.autograd.grad(value.sum(), leaves)
        return value.detach().numpy()

    return run


def _jax_series(arguments: Arrays) -> Callable[[], object] | None:
    jax = peers.jax()
    if jax is None:
        return None
    jnp, special = jax.numpy, jax.scipy.special

    def total(*args):
        value = _series(jnp, special, *args)
        return value.sum(), value

    compiled = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))
    on_device = [jnp.asarray(a) for a in arguments]

    def run() -> np.ndarray:
        (_, value), grads = compiled(*on_device)
        jax.block_until_ready(grads)
        return np.asarray(value)

    return run
