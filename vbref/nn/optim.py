"""Stochastic gradient methods as they were published, on flat dicts of parameters.

`optimizer.init(params)` returns the state, a flat dict of arrays that `numpy.savez` keeps to the bit: "step",
and each parameter's moments ("m.encoder.0.weight"). `optimizer.step(params, grads, state)` changes the arrays
of `params` and `state` in place. Nothing else is remembered: a run that restores both goes on as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Params = Mapping[str, Array]
State = dict[str, NDArray[Any]]

_SIGNS = {"descend": 1, "ascend": -1}
_ALLOWED = {
    "learning_rate": ("> 0", lambda value: 0 < value < np.inf),
    "epsilon": ("> 0", lambda value: 0 < value < np.inf),
    "weight_decay": (">= 0", lambda value: 0 <= value < np.inf),
    "momentum": ("in [0, 1)", lambda value: 0 <= value < 1),
    "beta1": ("in [0, 1)", lambda value: 0 <= value < 1),
    "beta2": ("in [0, 1)", lambda value: 0 <= value < 1),
}


@dataclass(frozen=True)
class _Optimizer:
    learning_rate: float

    moments: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            allowed, holds = _ALLOWED[name]
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not holds(value):
                raise ValueError(f"{name} must be {allowed}, was {value!r}")

    def init(self, params: Params) -> State:
        """Return the state before the first step: step 0, all moments 0."""
        zeros = {
            f"{moment}.{name}": np.zeros_like(p) for moment in self.moments for name, p in params.items()
        }
        return {"step": np.zeros((), np.int64), **zeros}

    def step(
        self,
        params: Params,
        grads: Params,
        state: State,
        *,
        direction: str = "descend",
        schedule: float = 1.0,
    ) -> None:
        """Take one step in place: down the gradients as published, or up them with `direction="ascend"`.

        A bound is raised by its own gradients with "ascend". `schedule` multiplies this step's change.

        Raises ValueError, before anything has changed, where grads or state do not fit params in names,
        shapes and dtype, or a gradient is not finite.
        """
        if direction not in _SIGNS:
            raise ValueError(f"direction must be one of {', '.join(_SIGNS)}, was {direction!r}")
        _check(params, grads, state, self.moments)
        state["step"] += 1
        for name, theta in params.items():
            g = _SIGNS[direction] * grads[name]
            slots = (state[f"{moment}.{name}"] for moment in self.moments)
            theta -= float(schedule) * self._change(theta, g, int(state["step"]), *slots)

    def _change(self, theta: Array, g: Array, t: int, *moments: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(_Optimizer):
    """Gradient descent with momentum (Polyak 1964): b ← μ b + g, θ ← θ − α b."""

    momentum: float = 0.0

    moments: ClassVar = ("b",)

    def _change(self, theta: Array, g: Array, t: int, *moments: Array) -> Array:
        (b,) = moments
        b *= self.momentum
        b += g
        return self.learning_rate * b


@dataclass(frozen=True)
class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1).

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − α m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ),
    v̂ = v/(1 − β₂ᵗ). The defaults are the paper's.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    moments: ClassVar = ("m", "v")

    def _change(self, theta: Array, g: Array, t: int, *moments: Array) -> Array:
        m, v = moments
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * (g * g)
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        return self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    θ ← θ − η [α m̂/(√v̂ + ε) + λ θ], with η the `schedule` of the step, and m̂, v̂ those of Adam, which see the
    gradient alone. As printed, λ is not multiplied by α: PyTorch's `weight_decay` is λ/α.
    """

    weight_decay: float = field(kw_only=True)

    def _change(self, theta: Array, g: Array, t: int, *moments: Array) -> Array:
        return super()._change(theta, g, t, *moments) + self.weight_decay * theta


def _check(params: Params, grads: Params, state: State, moments: tuple[str, ...]) -> None:
    if grads.keys() != params.keys():
        missing, unknown = sorted(params.keys() - grads.keys()), sorted(grads.keys() - params.keys())
        raise ValueError(f"grads must have the names of params: missing {missing}, unknown {unknown}")
    if "step" not in state:
        raise ValueError("state must come from init: it has no 'step'")
    for name, theta in params.items():
        _check_parameter(name, theta)
        _check_like(f"grads[{name!r}]", grads[name], theta)
        if not np.isfinite(grads[name]).all():
            raise ValueError(f"grads[{name!r}] must be finite")
        for key in (f"{moment}.{name}" for moment in moments):
            _check_like(f"state[{key!r}]", state.get(key), theta)


def _check_parameter(name: str, theta: Any) -> None:
    if not isinstance(theta, np.ndarray) or theta.dtype.kind != "f" or not theta.flags.writeable:
        found = getattr(theta, "dtype", type(theta).__name__)
        raise ValueError(f"params[{name!r}] must be a writeable array of floats, was {found}")


def _check_like(name: str, array: Any, theta: Array) -> None:
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape != theta.shape or dtype != theta.dtype:
        raise ValueError(
            f"{name} must be {theta.shape}, {theta.dtype} as its parameter, was {shape}, {dtype}"
        )
