"""From stored values to the floats a model reads, a minibatch at a time: uint8 images stay uint8 at rest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINARISE = ("none", "static", "dynamic")


@dataclass(frozen=True)
class Prepare:
    """rows → rows / maximum in `dtype`, then made binary: not ("none"), at one half ("static"), or "dynamic".

    "dynamic" draws each pixel from Bernoulli(value) whenever it is asked, so every epoch sees new binary
    images (Burda, Grosse and Salakhutdinov 2016).
    """

    maximum: float = 1.0
    binarise: str = "none"
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.binarise not in BINARISE:
            raise ValueError(f"binarise must be one of {', '.join(BINARISE)}, was {self.binarise!r}")
        if not 0 < self.maximum < np.inf:
            raise ValueError(f"maximum must be positive and finite, was {self.maximum}")

    def __call__(self, rows: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        dtype = np.dtype(self.dtype)
        with np.errstate(over="ignore"):  # to inf, which every model refuses by name
            values = rows.astype(dtype)
        values /= dtype.type(self.maximum)
        if self.binarise == "static":
            return (values >= 0.5).astype(dtype)
        if self.binarise == "dynamic":
            return (rng.random(values.shape, dtype) < values).astype(dtype)
        return values


class Rows:
    """Chosen rows of an array, without a copy: `len(rows)`, and `rows[index]` for a minibatch."""

    def __init__(self, array: NDArray[Any], index: NDArray[np.integer[Any]]):
        self.array, self.index = array, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return self.array[self.index[index]]


def split(n: int, held_out: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the sorted indices of a random split of n rows: (those that stay, the `held_out` that do not).

    Raises ValueError unless 0 < held_out < n.
    """
    if not 0 < held_out < n:
        raise ValueError(f"held_out must be between 1 and {n - 1} for {n} rows, was {held_out}")
    order = rng.permutation(n)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
