"""The VAE's training step: forward, backward, Adam; one pass over an epoch of minibatches a round.

All sides start from the same parameters and see the same rows and the same noise, so the bounds of an epoch
must agree to float32 rounding, step by step. Binary rows, ELBO with its KL in closed form.
"""

from collections.abc import Callable

import numpy as np

from benchmarks import peers
from benchmarks.cases.networks import gemm_floor, perceptron
from benchmarks.timing import Case
from vbref.models import VAE
from vbref.nn import Adam

BATCH = 100


def large(cores: int) -> Case:
    """784-400-20, as on MNIST."""
    return _case("vae_step", cores, data_dim=784, hidden=400, latent_dim=20, steps=20)


def small(cores: int) -> Case:
    """64-128-8, as on the digits."""
    return _case("vae_step_small", cores, data_dim=64, hidden=128, latent_dim=8, steps=100)


def _case(name: str, cores: int, *, data_dim: int, hidden: int, latent_dim: int, steps: int) -> Case:
    model = VAE(data_dim, latent_dim, (hidden,), dtype="float32")
    rng = np.random.default_rng(0)
    params = model.init(rng)
    rows = (rng.random((steps, BATCH, data_dim)) < 0.3).astype(np.float32)
    noise = np.stack([model.draw_noise(rng, BATCH)[0] for _ in range(steps)])
    world = (params, rows, noise)
    candidates = {
        "jax": _jax(*world, scan=True),
        "jax step by step": _jax(*world, scan=False),
        "torch": _torch(cores, *world),
    }
    return Case(
        name=name,
        dtype="float32",
        unit="step",
        units=steps,
        ours=lambda: _ours(model, *world),
        peers={peer: run for peer, run in candidates.items() if run},
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=2e-5),
        floor=_repeat(
            steps,
            gemm_floor([data_dim, hidden, 2 * latent_dim], [latent_dim, hidden, data_dim], BATCH, 1),
        ),
    )


def _repeat(times: int, run: Callable[[], object]) -> Callable[[], object]:
    def repeated() -> None:
        for _ in range(times):
            run()

    return repeated


def _ours(model: VAE, params: dict, rows: np.ndarray, noise: np.ndarray) -> np.ndarray:
    params = {name: array.copy() for name, array in params.items()}
    adam = Adam(1e-3)
    state = adam.init(params)
    values = []
    for x, e in zip(rows, noise, strict=True):
        value, grads = model.objective_and_grad(params, x, e[None])
        adam.step(params, grads, state, direction="ascend")
        values.append(value)
    return np.array(values)


def _torch(cores: int, params: dict, rows: np.ndarray, noise: np.ndarray) -> Callable[[], np.ndarray] | None:
    torch = peers.torch(cores)
    if torch is None:
        return None
    x_all, e_all = torch.from_numpy(rows), torch.from_numpy(noise)

    def loss(p: dict, x, e):
        loc, log_var = perceptron(torch, p, "encoder", x).chunk(2, dim=-1)
        logits = perceptron(torch, p, "decoder", loc + torch.exp(log_var / 2) * e)
        log_lik = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return 0.5 * (log_var.exp() + loc**2 - 1 - log_var).sum() - log_lik

    def run() -> np.ndarray:
        p = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in params.items()}
        adam = torch.optim.Adam(p.values(), lr=1e-3, fused=True)
        values = []
        for x, e in zip(x_all, e_all, strict=True):
            adam.zero_grad()
            value = loss(p, x, e)
            value.backward()
            adam.step()
            values.append(-value.item())
        return np.array(values)

    return run


def _jax(params: dict, rows: np.ndarray, noise: np.ndarray, *, scan: bool) -> Callable[[], np.ndarray] | None:
    jax = peers.jax()
    if jax is None:
        return None
    jnp, tree = jax.numpy, jax.tree_util

    def loss(p: dict, x, e):
        loc, log_var = jnp.split(perceptron(jnp, p, "encoder", x), 2, axis=-1)
        logits = perceptron(jnp, p, "decoder", loc + jnp.exp(log_var / 2) * e)
        log_lik = (x * logits - jax.nn.softplus(logits)).sum()
        return 0.5 * (jnp.exp(log_var) + loc**2 - 1 - log_var).sum() - log_lik

    def step(carry, row):
        p, m, v, t = carry
        value, g = jax.value_and_grad(loss)(p, *row)
        t = t + 1
        m = tree.tree_map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = tree.tree_map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        epsilon = 1e-8 * jnp.sqrt(1 - 0.999**t)  # the published order of operations, rearranged
        p = tree.tree_map(lambda a, b, c: a - rate * b / (jnp.sqrt(c) + epsilon), p, m, v)
        return (p, m, v, t), -value

    start = {name: jnp.asarray(array) for name, array in params.items()}
    zeros = tree.tree_map(jnp.zeros_like, start)
    carry = (start, zeros, zeros, jnp.zeros((), jnp.float32))
    data = (jnp.asarray(rows), jnp.asarray(noise))
    if scan:
        epoch = jax.jit(lambda c, d: jax.lax.scan(step, c, d)[1])
        return lambda: np.asarray(epoch(carry, data))
    compiled = jax.jit(step)

    def run() -> np.ndarray:
        state, values = carry, []
        for x, e in zip(*data, strict=True):
            state, value = compiled(state, (x, e))
            values.append(value)
        return np.array([float(value) for value in values])

    return run
