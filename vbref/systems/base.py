"""What `vbref train` must know of a system: how to build, start, show and doubt it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vbref import evaluate
from vbref.models import door

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
Params = dict[str, Array]
Config = dict[str, Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """An option of one system: `--name` on the command line, `name` in a run's configuration.

    A number must be above 0, or with `zero` at least that.
    """

    default: Any
    help: str
    choices: tuple[str, ...] = ()
    zero: bool = False

    @property
    def kind(self) -> type:
        """The type of its values: that of the default."""
        return type(self.default)

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError unless `value` is of this kind, and one of the choices where there are any."""
        if self.choices:
            door.choice(name, value, self.choices)
            return
        kinds = (int, float) if self.kind is float else (self.kind,)
        if type(value) not in kinds or not 0 <= value < math.inf or (value == 0 and not self.zero):
            least = ">= 0" if self.zero else "> 0"
            raise ValueError(f"{name} must be {self.kind.__name__} {least}, was {value!r}")


@dataclass(frozen=True)
class Bound:
    """A name for held-out bounds that grow with K, what K counts, and what the one of K = 1 is called."""

    name: str
    counts: str
    first: str


IWAE = Bound("IWAE-K", "samples in the bound", "ELBO")
AIS = Bound("AIS-K", "annealing steps", "prior")


def _nothing(task: Any, params: Params, rng: Rng) -> list[str]:
    return []


@dataclass(frozen=True)
class System:
    """One entry of the registry. `task` is a `vbref.runs.Task`; every draw comes from the `rng` given.

    - `build(config, data_dim)`: the model.
    - `pictures(task, params, rng)`: figures by file name, besides those of bounds and history.
    - `warnings(task, params, rng)`: one line for each failure seen, with what to try.
    - `notes(task, params, rng)`: lines on what was found, besides the bounds.
    - `start(task, rng)`: parameters to train from, where `model.init` alone will not do.
    - `estimate(model, params, x, rng, ks)`: K → `evaluate.Estimate`, the held-out bounds; `bound`: which.
    - `settings`: options of its own. `defaults`: common options that differ. `ignores`: common options that
      the system does not have, which may not be given.
    """

    build: Callable[[Config, int], Any]
    pictures: Callable[[Any, Params, Rng], dict[str, "Figure"]]
    warnings: Callable[[Any, Params, Rng], list[str]] = _nothing
    notes: Callable[[Any, Params, Rng], list[str]] = _nothing
    start: Callable[[Any, Rng], Params] | None = None
    estimate: Callable[..., dict[int, Any]] = evaluate.nested
    bound: Bound = IWAE
    settings: Mapping[str, Setting] = field(default_factory=dict)
    defaults: Config = field(default_factory=dict)
    ignores: tuple[str, ...] = ()

    def completed(self, common: Config, given: Config) -> Config:
        """The settings given, over the system's own and the common defaults.

        Raises ValueError for a setting that the system does not have, unless it is the common default, and
        for a value that one of its own cannot have.
        """
        own = {name: setting.default for name, setting in self.settings.items()}
        config = common | own | self.defaults
        recorded = ("vbref", "system", "maximum", "fingerprint")
        for name, value in given.items():
            refused = name in self.ignores and value != config[name]
            if refused or (name not in config and name not in recorded):
                raise ValueError(f"this model has no setting {name!r}")
        config |= given
        for name, setting in self.settings.items():
            setting.check(name, config[name])
        return config
