"""Importance-weighted bounds: the training step at K = 50, and IWAE-5000 of one image."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from benchmarks import peers
from benchmarks.cases import training
from benchmarks.cases.networks import perceptron
from benchmarks.timing import Case
from vbref import bounds
from vbref.models import VAE
from vbref.models.fast import Weights

HIDDEN, LATENT, DATA = (200, 200), 50, 784


def training_step(cores: int) -> Case:
    """A step of Adam on the IWAE bound for K = 50 and twenty images, 784-200-200-50."""
    model, params = _model()
    rng = np.random.default_rng(1)
    return training.case("iwae_step", cores, model, params, _loss, rng, batch=20, steps=5, k=50)


def _model() -> tuple[VAE, dict]:
    model = VAE(DATA, LATENT, HIDDEN, objective="iwae", dtype="float32")
    return model, model.init(np.random.default_rng(0))


def _loss(xp, log_lik: Callable, params: dict, x, noise):
    log_w = _log_w(xp, log_lik, params, x, noise)
    top = log_w.max(0)
    top = top.values if hasattr(top, "values") else top  # PyTorch returns where it was, too
    lse = top + xp.log(xp.exp(log_w - top).sum(0))
    return -(lse - np.log(len(noise))).sum()


def _log_w(xp, log_lik: Callable, params: dict, x, noise):
    """log p(x, z) − log q(z | x), written by the noise; log 2π cancels between prior and posterior."""
    h = perceptron(xp, params, "encoder", x)
    loc, log_var = h[..., :LATENT], h[..., LATENT:]
    z = loc + xp.exp(log_var / 2) * noise
    log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(-1)
    return log_lik(perceptron(xp, params, "decoder", z), x) + log_ratio


def evaluation(cores: int) -> Case:
    """IWAE-5000 of one image, its log-weights from given noise."""
    model, params = _model()
    rng = np.random.default_rng(1)
    x = (rng.random((1, DATA)) < 0.3).astype(np.float32)
    noise = model.draw_noise(rng, 1, 5000)
    weights = Weights(model, params)
    return Case(
        name="iwae_5000",
        dtype="float32",
        unit="image",
        units=1,
        ours=lambda: bounds.iwae(weights.log_weights(x, noise)),
        peers=training.present(jax=_jax_value(params, x, noise), torch=_torch_value(cores, params, x, noise)),
        check=lambda ours, peer: np.testing.assert_allclose(ours, peer, rtol=1e-5),
        floor=_forward_floor(model.decoder.widths, 5000),
    )


def _forward_floor(widths: tuple[int, ...], rows: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape, dtype=np.float32) for shape in pairwise(widths)]
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
            log_w = _log_w(torch, training.torch_log_lik(torch), fixed, x_t, e_t)
            return (torch.logsumexp(log_w, 0) - np.log(len(noise))).numpy()

    return run


def _jax_value(params: dict, x: np.ndarray, noise: np.ndarray) -> Callable[[], object] | None:
    jax = peers.jax()
    if jax is None:
        return None
    jnp = jax.numpy

    @jax.jit
    def value(p, x, e):
        return jax.nn.logsumexp(_log_w(jnp, training.jax_log_lik(jax), p, x, e), axis=0) - jnp.log(len(noise))

    arguments = ({n: jnp.asarray(a) for n, a in params.items()}, jnp.asarray(x), jnp.asarray(noise))
    return lambda: np.asarray(value(*arguments))
