"""Importance-weighted bounds: the training step at K = 50, and IWAE-5000 of one image."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from benchmarks import peers
from benchmarks.cases.networks import gemm_floor, perceptron
from benchmarks.timing import Case
from vbref import bounds
from vbref.models import VAE

HIDDEN, LATENT, DATA = (200, 200), 50, 784
ENCODER, DECODER = [DATA, *HIDDEN, 2 * LATENT], [LATENT, *HIDDEN, DATA]


def training_step(cores: int) -> Case:
    """The IWAE's value and gradient for K = 50 and twenty images, 784-200-200-50."""
    batch, k = 20, 50
    world = _world(batch, k)
    model, params, x, noise = world
    peer = {"jax": _jax_step(params, x, noise), "torch": _torch_step(cores, params, x, noise)}
    return Case(
        name="iwae_step",
        dtype="float32",
        unit="step",
        units=1,
        ours=lambda: _sorted(*model.objective_and_grad(params, x, noise)),
        peers={name: run for name, run in peer.items() if run},
        check=_check_step,
        floor=gemm_floor(ENCODER, DECODER, batch, k),
    )


def _world(batch: int, k: int) -> tuple[VAE, dict, np.ndarray, np.ndarray]:
    model = VAE(DATA, LATENT, HIDDEN, objective="iwae", dtype="float32")
    rng = np.random.default_rng(0)
    params = model.init(rng)
    x = (rng.random((batch, DATA)) < 0.3).astype(np.float32)
    return model, params, x, model.draw_noise(rng, batch, k)


def _sorted(value: float, grads: dict) -> tuple[float, list[np.ndarray]]:
    return value, [np.asarray(grads[name]) for name in sorted(grads)]


def _check_step(ours: tuple, peer: tuple) -> None:
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-5)
    for mine, other in zip(ours[1], peer[1], strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-4 * max(1, abs(other).max()))


def _log_w(xp, log_lik: Callable, params: dict, x, noise):
    """log p(x, z) − log q(z | x), written by the noise; log 2π cancels between prior and posterior."""
    h = perceptron(xp, params, "encoder", x)
    loc, log_var = h[..., :LATENT], h[..., LATENT:]
    z = loc + xp.exp(log_var / 2) * noise
    log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(-1)
    return log_lik(perceptron(xp, params, "decoder", z), x) + log_ratio


def _torch_step(cores: int, params: dict, x: np.ndarray, noise: np.ndarray) -> Callable[[], tuple] | None:
    torch = peers.torch(cores)
    if torch is None:
        return None
    leaves = {name: torch.from_numpy(a).requires_grad_() for name, a in params.items()}
    x_t, e_t = torch.from_numpy(x), torch.from_numpy(noise)

    def run() -> tuple[float, list[np.ndarray]]:
        log_w = _log_w(torch, _torch_log_lik(torch), leaves, x_t, e_t)
        value = (torch.logsumexp(log_w, 0) - np.log(len(noise))).sum()
        grads = torch.autograd.grad(value, [leaves[name] for name in sorted(leaves)])
        return value.item(), [g.numpy() for g in grads]

    return run


def _torch_log_lik(torch) -> Callable:
    def log_lik(logits, x):
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        return -bce(logits, x.expand_as(logits), reduction="none").sum(-1)

    return log_lik


def _jax_step(params: dict, x: np.ndarray, noise: np.ndarray) -> Callable[[], tuple] | None:
    jax = peers.jax()
    if jax is None:
        return None
    jnp = jax.numpy

    def bound(p, x, e):
        log_w = _log_w(jnp, _jax_log_lik(jax), p, x, e)
        return (jax.nn.logsumexp(log_w, axis=0) - jnp.log(len(noise))).sum()

    compiled = jax.jit(jax.value_and_grad(bound))
    arguments = ({n: jnp.asarray(a) for n, a in params.items()}, jnp.asarray(x), jnp.asarray(noise))

    def run() -> tuple[float, list[np.ndarray]]:
        value, grads = jax.block_until_ready(compiled(*arguments))
        return _sorted(float(value), grads)

    return run


def _jax_log_lik(jax) -> Callable:
    return lambda logits, x: (x * logits - jax.nn.softplus(logits)).sum(-1)


def evaluation(cores: int) -> Case:
    """IWAE-5000 of one image, its log-weights from given noise."""
    model, params, x, noise = _world(1, 5000)
    peer = {"jax": _jax_value(params, x, noise), "torch": _torch_value(cores, params, x, noise)}
    return Case(
        name="iwae_5000",
        dtype="float32",
        unit="image",
        units=1,
        ours=lambda: bounds.iwae(model.log_weights(params, x, noise)),
        peers={name: run for name, run in peer.items() if run},
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=1e-5),
        floor=_forward_floor(5000),
    )


def _forward_floor(rows: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape, dtype=np.float32) for shape in pairwise(DECODER)]
    inputs = [rng.standard_normal((rows, len(weight)), dtype=np.float32) for weight in weights]
    outs = [np.empty((rows, weight.shape[1]), np.float32) for weight in weights]

    def run() -> None:
        for x, weight, out in zip(inputs, weights, outs, strict=True):
            np.matmul(x, weight, out=out)

    return run


def _torch_value(cores: int, params: dict, x: np.ndarray, noise: np.ndarray) -> Callable[[], object] | None:
    torch = peers.torch(cores)
    if torch is None:
        return None
    fixed = {name: torch.from_numpy(a) for name, a in params.items()}
    x_t, e_t = torch.from_numpy(x), torch.from_numpy(noise)

    def run() -> np.ndarray:
        with torch.no_grad():
            log_w = _log_w(torch, _torch_log_lik(torch), fixed, x_t, e_t)
            return (torch.logsumexp(log_w, 0) - np.log(len(noise))).numpy()

    return run


def _jax_value(params: dict, x: np.ndarray, noise: np.ndarray) -> Callable[[], object] | None:
    jax = peers.jax()
    if jax is None:
        return None
    jnp = jax.numpy

    @jax.jit
    def value(p, x, e):
        return jax.nn.logsumexp(_log_w(jnp, _jax_log_lik(jax), p, x, e), axis=0) - jnp.log(len(noise))

    arguments = ({n: jnp.asarray(a) for n, a in params.items()}, jnp.asarray(x), jnp.asarray(noise))
    return lambda: np.asarray(value(*arguments))
