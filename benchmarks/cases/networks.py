"""What the network cases share: a perceptron for PyTorch and JAX, and the matrix products of a step."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np


def layers(params: dict, prefix: str) -> list[tuple]:
    """The (weight, bias) pairs under a prefix, first layer first."""
    count = sum(name.startswith(f"{prefix}.") and name.endswith(".weight") for name in params)
    return [(params[f"{prefix}.{i}.weight"], params[f"{prefix}.{i}.bias"]) for i in range(count)]


def perceptron(xp, params: dict, prefix: str, x):
    """tanh between affine layers; `xp` is torch or jax.numpy."""
    *hidden, (weight, bias) = layers(params, prefix)
    for inner, shift in hidden:
        x = xp.tanh(x @ inner + shift)
    return x @ weight + bias


def gemm_floor(
    encoder: Sequence[int], decoder: Sequence[int], batch: int, samples: int
) -> Callable[[], object]:
    """The matrix products of one training step and nothing else: forward, weight gradients, input gradients.

    The gradient by the data is never formed, so the first layer has two products and every other one three.
    """
    rng = np.random.default_rng(0)
    work = []
    for widths, rows, first in ((encoder, batch, True), (decoder, batch * samples, False)):
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            x, weight, d_y = (
                rng.standard_normal(shape, dtype=np.float32)
                for shape in ((rows, fan_in), (fan_in, fan_out), (rows, fan_out))
            )
            work.append((x, weight))
            work.append((x.T, d_y))
            if not (first and i == 0):
                work.append((d_y, weight.T))
    outs = [np.empty((left.shape[0], right.shape[1]), np.float32) for left, right in work]

    def run() -> None:
        for (left, right), out in zip(work, outs, strict=True):
            np.matmul(left, right, out=out)

    return run
