"""The cases of `benchmarks.cuda`: what vbref launches, and PyTorch's way of the same work."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numba import cuda

from benchmarks import cuda_torch as peer
from benchmarks.cuda import Case
from vbref.cuda import device, elementwise, importance, matrices, mixture, noise, products, steps
from vbref.cuda.chains import Chains
from vbref.cuda.network import Network
from vbref.cuda.training import Trainer
from vbref.kl.gamma import gamma_kl
from vbref.kl.kumaraswamy import kumaraswamy_beta_kl
from vbref.kl.normal import normal_kl, normal_kl_grad
from vbref.meanfield.mixture.statistics import Frame
from vbref.models import VAE

HIDDEN, LATENT, DATA = (200, 200), 50, 784
RNG = np.random.default_rng(0)


def _kl(formula, name: str, n: int, parts: int = 0, dtype=np.float32) -> Case:
    arguments = [device.put(RNG.uniform(0.1, 5, n).astype(dtype)) for _ in range(4)]
    out = device.empty((parts, n) if parts else n, dtype)
    kernel = elementwise.compiled(formula, 4, 2 if parts else 1)
    size = np.dtype(dtype).itemsize * n * (4 + max(1, parts))

    def run(stream) -> None:
        kernel[device.blocks(n), device.threads(), stream](*arguments, out)

    return Case(name, np.dtype(dtype).name, size, 0, kernels={"vbref": run}, peers=peer.kl(name, n))


def multivariate_normal() -> Case:
    """100,000 divergences of D = 16; the floor is reading their arrays."""
    n, d = 100_000, 16
    root = RNG.standard_normal((n, d, d)).astype(np.float32)
    cov = root @ root.swapaxes(1, 2) + d * np.eye(d, dtype=np.float32)
    tril, mean = np.linalg.cholesky(cov), RNG.standard_normal((n, d)).astype(np.float32)
    arguments = [device.put(a) for a in (mean, cov, tril, mean + 1, 2 * cov, np.sqrt(np.float32(2)) * tril)]
    out = device.empty(n, np.float32)
    kernel = matrices.compiled(matrices.value_kernel, d, np.float32)
    size = sum(a.size for a in arguments) * 4 + n * 4

    def run(stream) -> None:
        kernel[n, matrices.lanes(d), stream](*arguments, out)

    peers = peer.multivariate_normal(mean, tril)
    return Case("kl_multivariate_normal", "float32", size, 0, kernels={"vbref": run}, peers=peers)


def _layer(rows: int, inner: int, columns: int) -> Case:
    x, w = (RNG.standard_normal(shape).astype(np.float32) for shape in ((rows, inner), (inner, columns)))
    bias = np.zeros(columns, np.float32)
    x_d, w_d, b_d, out = device.put(x), device.put(w), device.put(bias), device.empty((rows, columns), "f4")
    kernels = {"registers": lambda stream: products.layer(x_d, w_d, b_d, "tanh", out, stream)}
    if rows < 4096:
        plain, tiled = device.kernel(products.plain), device.kernel(products.tiled(16, np.float32))
        grid = device.blocks(columns, 16), device.blocks(rows, 16)
        kernels |= {
            "plain": lambda stream: plain[grid, (16, 16), stream](x_d, w_d, out),
            "tiled": lambda stream: tiled[grid, (16, 16), stream](x_d, w_d, out),
        }
    size = 4.0 * (x.size + w.size + rows * columns)
    name, operations = f"layer_{rows}_{inner}_{columns}", 2.0 * rows * inner * columns
    return Case(name, "float32", size, operations, kernels=kernels, peers=peer.layer(x, w))


def adam() -> Case:
    """Adam on 2²⁴ parameters: four arrays are read and three written."""
    n = 2**24
    arrays = [device.put(RNG.random(n, dtype=np.float32)) for _ in range(4)]
    rates = device.put(np.array([1e-3, 1, 0.9, 0.999, 1e-8], np.float32))
    corrections, kernel = device.put(np.ones(2, np.float32)), steps.compiled(steps.adam, np.float32)

    def run(stream) -> None:
        kernel[device.blocks(n), device.threads(), stream](*arrays, np.float32(1), rates, corrections)

    return Case("adam", "float32", 7 * 4 * n, 0, kernels={"vbref": run}, peers=peer.adam(n))


def cotangent() -> Case:
    """The slope of 16,384 images' log-likelihood by their logits, in place: one array read and written."""
    rows, columns = 16_384, DATA
    logits = device.put(RNG.standard_normal((rows, columns)).astype(np.float32))
    x = device.put((RNG.random((20, columns)) < 0.3).astype(np.float32))
    c, kernel = device.put(np.ones(rows, np.float32)), steps.compiled(steps.cotangent)

    def run(stream) -> None:
        kernel[rows, steps.reducers(), stream](logits, x, c)

    return Case("cotangent", "float32", 2 * 4 * rows * columns, 0, kernels={"vbref": run})


def draws() -> Case:
    """2²⁴ normals from (seed, index): the floor is writing them."""
    n = 2**24
    out, kernel = device.empty(n, np.float32), noise.filler(noise.NORMAL[np.float32])

    def run(stream) -> None:
        kernel[device.blocks(n), device.threads(), stream](np.uint64(0), np.int64(0), out)

    return Case("draws", "float32", 4 * n, 0, kernels={"vbref": run}, peers=peer.draws(n))


def _world(objective: str, rows: int):
    model = VAE(DATA, LATENT, HIDDEN, objective=objective, dtype="float32")
    return model, model.init(RNG), (RNG.random((rows, DATA)) < 0.3).astype(np.float32)


def _operations(model: VAE, rows: int, k: int, passes: int) -> float:
    """Of `passes` products a layer; the gradient by the data is never formed."""
    encoder, decoder = (
        [2.0 * a * b for a, b in pairwise(mlp.widths)] for mlp in (model.inference.encoder, model.decoder)
    )
    skipped = encoder[0] * rows if passes == 3 else 0
    return passes * (rows * sum(encoder) + rows * k * sum(decoder)) - skipped


def iwae_5000(rows: int = 1) -> Case:
    """IWAE-5000, drawn, decoded and scored in one kernel."""
    model, params, x = _world("iwae", rows)
    evaluator = importance.Evaluator(model, params)
    x_d = device.put(x)
    out = evaluator.room(rows, 5000)
    encoder = Network(model.inference.encoder, rows, evaluator.params, evaluator.params)

    def run(stream) -> None:
        encoder.stream = stream
        evaluator.launch(x_d, encoder.forward(x_d), 5000, 0, 0, rows, out, stream)

    peers = peer.importance(params, x, 5000)
    operations = _operations(model, rows, 5000, 1)
    return Case(f"iwae_5000_{rows}", "float32", 0, operations, kernels={"vbref": run}, peers=peers)


def _step(objective: str, rows: int, k: int) -> Case:
    model, params, x = _world(objective, rows)
    stream = cuda.stream()
    ours = {}
    for graph in (False, True):
        trainer = Trainer(model, params, x, k=k, seed=0, stream=stream)
        trainer.start_epoch(np.arange(rows), 1.0)
        ours["graph" if graph else "launches"] = _again(trainer, rows, graph)
    weights = sum(p.size for p in params.values())
    name, operations = f"{objective}_step_{rows}_{k}", _operations(model, rows, k, 3)
    peers = peer.training(objective, params, x, k)
    return Case(name, "float32", 4.0 * 7 * weights, operations, ours=ours, peers=peers)


def _again(trainer: Trainer, rows: int, graph: bool) -> Callable[[], None]:
    """Each step from the first row on: the clock's second entry is set back on the device."""
    first, zero = trainer.clock[1:2], device.put(np.zeros(1, np.int64))

    def run() -> None:
        first.copy_to_device(zero, stream=trainer.stream)
        trainer.step(rows, graph=graph)

    return run


def _mixture(n: int, k: int, d: int) -> Case:
    x = RNG.standard_normal((n, d)).astype(np.float32)
    roots, means = np.tile(np.eye(d), (k, 1, 1)), RNG.standard_normal((k, d))
    frame, gather = Frame(means, roots, np.zeros(k), means), mixture.Rows(x)
    pairs = d * (d + 1) // 2
    operations = 2.0 * n * k * (pairs + d) + 2.0 * n * k * (pairs + d + 1)
    launch, _ = gather.prepared(np.zeros(d), frame)
    whole = {"with copies": lambda: gather(x, np.zeros(d), frame)}
    return Case(
        f"mixture_{k}_{d}", "float64", x.nbytes, operations,
        kernels={"vbref": launch}, ours=whole, peers=peer.mixture(x, k),
    )  # fmt: skip


def chains() -> Case:
    """One transition of 16 chains for each of 100 images, five leapfrog steps."""
    model, params, x = _world("iwae", 100)
    run = Chains(model, params, x, chains=16, leapfrog=5, seed=0)
    operations = 5 * 2 * sum(2.0 * 1600 * a * b for a, b in pairwise(model.decoder.widths))
    sizes = np.full(100, 0.1)
    return Case("chains_1600", "float32", 0, operations, ours={"vbref": lambda: run.move(0.5, sizes)})


CASES: dict[str, Callable[[], Case]] = {
    "kl_normal": lambda: _kl(normal_kl, "kl_normal", 2**24),
    "kl_normal_grad": lambda: _kl(normal_kl_grad, "kl_normal_grad", 2**24, 4),
    "kl_gamma": lambda: _kl(gamma_kl, "kl_gamma", 2**24),
    "kl_kumaraswamy_beta": lambda: _kl(kumaraswamy_beta_kl, "kl_kumaraswamy_beta", 2**24),
    "kl_multivariate_normal": multivariate_normal,
    "adam": adam,
    "draws": draws,
    "cotangent": cotangent,
    "layer_small": lambda: _layer(1000, 200, 784),
    "layer_large": lambda: _layer(4096, 4096, 4096),
    "iwae_5000": iwae_5000,
    "iwae_5000_100": lambda: iwae_5000(100),
    "iwae_step": lambda: _step("iwae", 20, 50),
    "vae_step": lambda: _step("elbo", 100, 1),
    "mixture_2d": lambda: _mixture(1_000_000, 6, 2),
    "mixture_16d": lambda: _mixture(1_000_000, 16, 16),
    "chains": chains,
}
