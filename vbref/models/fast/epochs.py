"""Passes over the rows by a `Trainer`, in the order and with the noise of the plain loop of `vbref.fit`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.models import door
from vbref.models.fast.trainer import Trainer, applies
from vbref.nn.optim import Adam

Array = NDArray[Any]
Prepare = Callable[[Array, np.random.Generator], Array]
_NOISE = 1 << 20  # elements drawn at a time


def serves(model: Any, x: Any, optimizer: Any, prepare: Prepare | None) -> bool:
    """Whether `Epochs` does what the plain loop would: a model for it, Adam itself, rows of its dtype."""
    plain = prepare is not None or (isinstance(x, np.ndarray) and x.dtype == getattr(model, "dtype", None))
    return plain and type(optimizer) is Adam and applies(model)


class Epochs:
    """Epochs of steps on a `Trainer`, whose parameters and moments the caller keeps as views."""

    def __init__(
        self,
        model: Any,
        x: Any,
        prepare: Prepare | None,
        params: Mapping[str, Array],
        state: Mapping[str, Array],
        *,
        batch_size: int,
        k: int,
        optimizer: Adam,
    ) -> None:
        self.x, self.prepare = x if prepare else np.ascontiguousarray(x), prepare
        self.model, self.k, self.batch_size = model, k, batch_size
        self._check(params, None if prepare else self.x)
        options: dict[str, Any] = {"batch_size": min(batch_size, len(x)), "k": k, "optimizer": optimizer}
        self.trainer = Trainer(model, params, state=state, **options)

    def _check(self, params: Mapping[str, Array], x: Array | None) -> None:
        given = {} if x is None else {"x": x}
        door.together(params, self.model.shapes(), **given)
        if x is not None:
            door.batch(x, self.model.data_dim)
            self.model.likelihood.check(x)

    def epoch(
        self, order: NDArray[np.intp], rng: np.random.Generator, *, scale: float, schedule: float
    ) -> float:
        """One pass over the rows in the order given; the sum of the minibatches' objectives, NaN if it broke.

        What is drawn from rng is what the plain loop draws, in the same order.
        """
        total = 0.0
        for rows in self._runs(order):
            x, index = self._rows(rows, rng)
            noise = rng.standard_normal((len(rows), self.k, self.model.latent_dim)).astype(self.model.dtype)
            total += self.trainer.steps(x, index, noise, scale=scale, schedule=schedule).sum()
            if not np.isfinite(total):
                return np.nan
        return total if self.trainer.finite() else np.nan

    def _runs(self, order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Minibatches, or several in a row where nothing happens between them but draws of noise."""
        each = self.batch_size * self.k * self.model.latent_dim
        batches = 1 if self.prepare else max(1, _NOISE // each)
        step = batches * self.batch_size
        return [order[start : start + step] for start in range(0, len(order), step)]

    def _rows(self, rows: NDArray[np.intp], rng: np.random.Generator) -> tuple[Array, NDArray[np.intp]]:
        if self.prepare is None:
            return self.x, rows
        x = self.prepare(self.x[rows], rng)
        self._check(self.trainer.params, x)
        return np.ascontiguousarray(x), np.arange(len(rows))
