"""Where a row's posterior statistics come from: a shared encoder, or free parameters of that row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models.door import Array, Params, Shapes
from vbref.nn.mlp import MLP


@dataclass(frozen=True)
class Amortised:
    """h = encoder(x): inference for a row never seen costs one forward pass (meanfield/D13)."""

    encoder: MLP

    def shapes(self) -> Shapes:
        """The encoder's parameters."""
        return self.encoder.shapes()

    def init(self, rng: np.random.Generator) -> Params:
        """The encoder's own initialisation."""
        return self.encoder.init(rng)

    def forward(self, params: Mapping[str, Array], x: Array, index: Any = None) -> tuple[Array, Any]:
        """h (N, width) for x (N, data_dim); `index` is not needed."""
        return self.encoder.forward(params, x)

    def backward(self, d_h: Array, saved: Any) -> Params:
        """The gradient by the encoder's parameters."""
        return self.encoder.backward(d_h, saved, input_grad=False)[1]


@dataclass(frozen=True)
class PerPoint:
    """h_i is a parameter of row i: "posterior.NAME" (rows, width of NAME) for each part of the statistics.

    A mini-batch moves the rows it holds and no others. The sum over a batch of B stands for that over all N
    rows with the factor N/B (meanfield/D10, D11), which is the caller's, as the mean is.
    """

    rows: int
    parts: Mapping[str, int]

    def shapes(self) -> Shapes:
        """One table a part."""
        return {f"posterior.{name}": (self.rows, width) for name, width in self.parts.items()}

    def init(self, rng: np.random.Generator) -> Params:
        """Every row starts at zeros, q = N(0, I)."""
        return {name: np.zeros(shape) for name, shape in self.shapes().items()}

    def forward(self, params: Mapping[str, Array], x: Array, index: Any = None) -> tuple[Array, Any]:
        """h (N, width) of the rows `index` (N,), which defaults to all rows in order."""
        at = self._index(index, len(x))
        return np.concatenate([params[name][at] for name in self.shapes()], axis=-1), at

    def backward(self, d_h: Array, saved: Any) -> Params:
        """d_h added into its rows (a row drawn twice adds twice), zeros in all others."""
        grads = {name: np.zeros(shape, d_h.dtype) for name, shape in self.shapes().items()}
        for name, d_part in self.tables(d_h).items():
            np.add.at(grads[name], saved, d_part)
        return grads

    def tables(self, h: Array) -> Params:
        """The columns of h (N, width) by the name of the table that they belong to."""
        ends = np.cumsum(list(self.parts.values()))[:-1]
        return dict(zip(self.shapes(), np.split(h, ends, axis=-1), strict=True))

    def _index(self, index: Any, n: int) -> Any:
        at = np.arange(self.rows) if index is None else np.asarray(index)
        if at.dtype.kind not in "iu" or at.shape != (n,):
            raise ValueError(
                f"index must be {n} integers, one a row of x, was {at.dtype} of shape {at.shape}"
            )
        if ((at < 0) | (at >= self.rows)).any():
            raise ValueError(f"index must be in [0, {self.rows}), has {at.min()} to {at.max()}")
        return at
