"""The VAE's training step: binary rows, ELBO with its KL in closed form, tanh, Adam, batch 100."""

import numpy as np

from benchmarks.cases import training
from benchmarks.cases.networks import gemm_floor, perceptron
from benchmarks.timing import Case
from vbref.models import VAE

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
    noise = np.stack([model.draw_noise(rng, BATCH) for _ in range(steps)])
    world = (params, rows, noise)
    return Case(
        name=name,
        dtype="float32",
        unit="step",
        units=steps,
        ours=training.ours(model, *world),
        peers=training.present(
            jax=training.jax(_loss, *world, scan=True),
            jax_step_by_step=training.jax(_loss, *world, scan=False),
            torch=training.torch(cores, _loss, *world),
        ),
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=2e-5),
        floor=training.repeat(
            steps,
            gemm_floor([data_dim, hidden, 2 * latent_dim], [latent_dim, hidden, data_dim], BATCH, 1),
        ),
    )


def _loss(xp, log_lik, p: dict, x, e):
    h = perceptron(xp, p, "encoder", x)
    latent = h.shape[-1] // 2
    loc, log_var = h[..., :latent], h[..., latent:]
    logits = perceptron(xp, p, "decoder", loc + xp.exp(log_var / 2) * e[0])
    return 0.5 * (xp.exp(log_var) + loc**2 - 1 - log_var).sum() - log_lik(logits, x).sum()
