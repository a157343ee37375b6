"""The multilayer perceptron: affine layers with an activation, and if wanted a layer norm, between them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import DTypeLike

from vbref.nn.layers import ACTIVATIONS, Array, affine, affine_backward, layer_norm, layer_norm_backward

Params = Mapping[str, Array]

_LAYERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "affine": (affine, affine_backward),
    "layer_norm": (layer_norm, layer_norm_backward),
    **ACTIVATIONS,
}


@dataclass(frozen=True)
class MLP:
    """x → affine → [layer norm] → activation → … → affine, of the given widths (input first, output last).

    Parameters live in a flat dict under `prefix`: "encoder.0.weight" (fan_in, fan_out), "encoder.0.bias" and,
    with `layer_norm`, "encoder.0.norm.gain", "encoder.0.norm.bias"; 0 is the first affine layer.
    """

    widths: tuple[int, ...]
    activation: str = "tanh"
    layer_norm: bool = False
    prefix: str = "mlp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths must be two or more positive integers, was {self.widths}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, was {self.activation!r}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter, by name, in the order of the forward pass."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(self.widths)):
            shapes[f"{self.prefix}.{i}.weight"] = (fan_in, fan_out)
            shapes[f"{self.prefix}.{i}.bias"] = (fan_out,)
            if self.layer_norm and i + 2 < len(self.widths):
                shapes[f"{self.prefix}.{i}.norm.gain"] = (fan_out,)
                shapes[f"{self.prefix}.{i}.norm.bias"] = (fan_out,)
        return shapes

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> dict[str, Array]:
        """Draw the weights; biases are 0 and gains 1.

        The variance of a weight keeps that of the signal: 2/(fan_in + fan_out), uniform (Glorot & Bengio
        2010), or for ReLU, which passes half of it, 2/fan_in, normal (He et al. 2015). Every dtype gets the
        same draw, rounded.
        """
        return {name: self._draw(name, shape, rng).astype(dtype) for name, shape in self.shapes().items()}

    def _draw(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if name.endswith("bias"):
            return np.zeros(shape)
        if name.endswith("gain"):
            return np.ones(shape)
        if self.activation == "relu":
            return rng.normal(0.0, np.sqrt(2 / shape[0]), shape)
        limit = np.sqrt(6 / sum(shape))
        return rng.uniform(-limit, limit, shape)

    def forward(self, params: Params, x: Array) -> tuple[Array, list[Any]]:
        """Return y (..., widths[-1]) for x (..., widths[0]), and what `backward` needs.

        Raises ValueError that names the parameter where one is missing or has the wrong shape.
        """
        self._check(params, x)
        saved = []
        for layer, names in self._layers():
            x, kept = _LAYERS[layer][0](x, *(params[name] for name in names))
            saved.append(kept)
        return x, saved

    def apply(self, params: Params, x: Array) -> Array:
        """Return y alone."""
        return self.forward(params, x)[0]

    @overload
    def backward(
        self, d_y: Array, saved: list[Any], *, input_grad: Literal[True] = True
    ) -> tuple[Array, dict[str, Array]]: ...

    @overload
    def backward(
        self, d_y: Array, saved: list[Any], *, input_grad: Literal[False]
    ) -> tuple[None, dict[str, Array]]: ...

    def backward(
        self, d_y: Array, saved: list[Any], *, input_grad: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return d_x and the gradient by each parameter, in the order of `shapes`.

        With `input_grad=False` d_x is None, and the first layer's product with its weight is not formed.
        """
        grads: dict[str, Array] = {}
        (_, first), *rest = self._layers()
        for (layer, names), kept in zip(reversed(rest), reversed(saved[1:]), strict=True):
            back = _LAYERS[layer][1](d_y, kept)
            d_y, *d_params = back if names else (back,)
            grads.update(zip(names, d_params, strict=True))
        d_x, *d_params = affine_backward(d_y, saved[0], input_grad=input_grad)
        grads.update(zip(first, d_params, strict=True))
        return d_x, {name: grads[name] for name in self.shapes()}

    def _layers(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the kind and the parameter names of each layer, in order."""
        for i in range(len(self.widths) - 1):
            if i > 0 and self.layer_norm:
                yield "layer_norm", (f"{self.prefix}.{i - 1}.norm.gain", f"{self.prefix}.{i - 1}.norm.bias")
            if i > 0:
                yield self.activation, ()
            yield "affine", (f"{self.prefix}.{i}.weight", f"{self.prefix}.{i}.bias")

    def _check(self, params: Params, x: Array) -> None:
        if x.shape[-1:] != self.widths[:1]:
            raise ValueError(f"x must have shape (..., {self.widths[0]}), has {x.shape}")
        for name, shape in self.shapes().items():
            if name not in params:
                raise ValueError(f"params must have {name!r} of shape {shape}")
            weight = params[name]
            if weight.shape != shape or weight.real.dtype != x.real.dtype:
                found = f"has {weight.shape}, {weight.dtype}"
                raise ValueError(
                    f"params[{name!r}] must have shape {shape} and dtype {x.dtype} as x, {found}"
                )
