"""Runs of training steps, each side in its best common form: forward, backward, Adam, minibatch by minibatch.

`loss(xp, log_lik, params, x, noise)` is written once for PyTorch and JAX: the batch's sum, to be lowered. All
sides start from the same parameters and see the same rows and the same noise, so the values of a run must
agree to float32 rounding, step by step.
"""

from collections.abc import Callable

import numpy as np

from benchmarks import peers
from benchmarks.cases.networks import gemm_floor
from benchmarks.timing import Case
from vbref.models import VAE
from vbref.models.fast import Trainer
from vbref.nn import Adam

Run = Callable[[], np.ndarray]


def case(
    name: str,
    cores: int,
    model: VAE,
    params: dict,
    loss: Callable,
    rng: np.random.Generator,
    *,
    batch: int,
    steps: int,
    k: int = 1,
) -> Case:
    """`steps` steps of `model` from `params`, on binary rows and with noise that `rng` draws."""
    rows = (rng.random((steps, batch, model.data_dim)) < 0.3).astype(np.float32)
    noise = np.stack([model.draw_noise(rng, batch, k) for _ in range(steps)])
    products = gemm_floor(model.inference.encoder.widths, model.decoder.widths, batch, k)
    return Case(
        name=name,
        dtype="float32",
        unit="step",
        units=steps,
        ours=ours(model, params, rows, noise),
        peers=present(
            jax=jax(loss, params, rows, noise, scan=True),
            jax_step_by_step=jax(loss, params, rows, noise, scan=False),
            torch=torch(cores, loss, params, rows, noise),
        ),
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=2e-5),
        floor=repeat(steps, products),
    )


def ours(model: VAE, params: dict, rows: np.ndarray, noise: np.ndarray) -> Run:
    """`Trainer`, as `vbref.fit` uses it; rows (steps, batch, data_dim), noise (steps, k, batch, latent)."""
    batch, k = rows.shape[1], noise.shape[1]
    x = rows.reshape(-1, rows.shape[-1])
    order = np.arange(len(x))
    trainer = Trainer(model, params, batch_size=batch, k=k, optimizer=Adam(1e-3))

    def run() -> np.ndarray:
        trainer.reset(params)
        return trainer.steps(x, order, noise)

    return run


def present(**candidates: Run | None) -> dict[str, Run]:
    """Those that are installed, by name."""
    return {name.replace("_", " "): run for name, run in candidates.items() if run}


def torch(cores: int, loss: Callable, params: dict, rows: np.ndarray, noise: np.ndarray) -> Run | None:
    """PyTorch eager with its fused Adam."""
    torch = peers.torch(cores)
    if torch is None:
        return None
    x_all, e_all = torch.from_numpy(rows), torch.from_numpy(noise)

    def run() -> np.ndarray:
        p = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in params.items()}
        adam = torch.optim.Adam(p.values(), lr=1e-3, fused=True)
        values = []
        for x, e in zip(x_all, e_all, strict=True):
            adam.zero_grad()
            value = loss(torch, torch_log_lik(torch), p, x, e)
            (value / len(x)).backward()
            adam.step()
            values.append(-value.item())
        return np.array(values)

    return run


def torch_log_lik(torch) -> Callable:
    """log p(x | logits), summed over features."""

    def log_lik(logits, x):
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        return -bce(logits, x.expand_as(logits), reduction="none").sum(-1)

    return log_lik


def jax_log_lik(jax) -> Callable:
    """log p(x | logits), summed over features."""
    return lambda logits, x: (x * logits - jax.nn.softplus(logits)).sum(-1)


def jax(loss: Callable, params: dict, rows: np.ndarray, noise: np.ndarray, *, scan: bool) -> Run | None:
    """JAX, jitted: `lax.scan` over the run, or one call a step."""
    jax = peers.jax()
    if jax is None:
        return None
    jnp, tree = jax.numpy, jax.tree_util

    def step(carry, row):
        p, m, v, t = carry
        value, g = jax.value_and_grad(lambda p: loss(jnp, jax_log_lik(jax), p, *row))(p)
        g = tree.tree_map(lambda a: a / len(row[0]), g)
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


def repeat(times: int, run: Callable[[], object]) -> Callable[[], object]:
    """The same work `times` times."""

    def repeated() -> None:
        for _ in range(times):
            run()

    return repeated
