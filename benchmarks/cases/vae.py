"""The VAE's training step: binary rows, ELBO with its KL in closed form, tanh, Adam, batch 100."""

import numpy as np

from benchmarks.cases import training
from benchmarks.cases.networks import perceptron
from benchmarks.timing import Case
from vbref.models import VAE


def large(cores: int) -> Case:
    """784-400-20, as on MNIST."""
    return _case("vae_step", cores, data_dim=784, hidden=400, latent_dim=20, steps=20)


def small(cores: int) -> Case:
    """64-128-8, as on the digits."""
    return _case("vae_step_small", cores, data_dim=64, hidden=128, latent_dim=8, steps=100)


def _case(name: str, cores: int, *, data_dim: int, hidden: int, latent_dim: int, steps: int) -> Case:
    model, rng = VAE(data_dim, latent_dim, (hidden,), dtype="float32"), np.random.default_rng(0)
    return training.case(name, cores, model, model.init(rng), _loss, rng, batch=100, steps=steps)


def _loss(xp, log_lik, p: dict, x, e):
    h = perceptron(xp, p, "encoder", x)
    latent = h.shape[-1] // 2
    loc, log_var = h[..., :latent], h[..., latent:]
    logits = perceptron(xp, p, "decoder", loc + xp.exp(log_var / 2) * e[0])
    return 0.5 * (xp.exp(log_var) + loc**2 - 1 - log_var).sum() - log_lik(logits, x).sum()
