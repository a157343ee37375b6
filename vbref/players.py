"""A game's players, below both the models that name them and the loop that trains them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Player:
    """An objective to be raised and the parameters it owns, all whose names start with one of `owns`.

    `objective_and_grad(params, x, noise)` is as a model's own. Each minibatch gives every player, in
    order, `steps` steps on its own parameters, `rate` times as long as the learning rate says. A model with
    one objective is a game for one.
    """

    name: str
    objective_and_grad: Callable[..., tuple[float, Mapping[str, NDArray[Any]]]]
    owns: tuple[str, ...] = ("",)
    steps: int = 1
    rate: float = 1.0

    def own(self, params: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The player's part of a dict of parameters or of gradients."""
        return {name: value for name, value in params.items() if name.startswith(self.owns)}


def players_of(model: Any) -> tuple[Player, ...]:
    """The model's `players`, or its one objective as the player "train"."""
    return tuple(getattr(model, "players", None) or (Player("train", model.objective_and_grad),))
