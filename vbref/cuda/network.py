"""A perceptron on the device: the fused layers of `products` over parameters in one flat array."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vbref.cuda import device, products
from vbref.nn.mlp import MLP


class Flat:
    """Arrays by name as views of one flat device array, in a fixed order: Adam sees one long vector."""

    def __init__(self, arrays: Mapping[str, Any], dtype: Any) -> None:
        self.shapes = {name: array.shape for name, array in arrays.items()}
        values = [np.asarray(array, dtype).reshape(-1) for array in arrays.values()]
        self.flat = device.put(np.concatenate(values))
        ends = np.cumsum([value.size for value in values])
        self.offsets = {
            name: end - value.size for name, value, end in zip(arrays, values, ends.tolist(), strict=True)
        }
        self._views = {
            name: self.flat[end - value.size : end].reshape(self.shapes[name])
            for name, value, end in zip(arrays, values, ends.tolist(), strict=True)
        }

    def __getitem__(self, name: str) -> Any:
        return self._views[name]

    def host(self) -> dict[str, Any]:
        """Copies on the host, by name."""
        return {name: self[name].copy_to_host() for name in self.shapes}


class Network:
    """An `MLP` of fixed rows on the device: `forward` keeps each layer's output, `backward` uses them."""

    def __init__(self, mlp: MLP, rows: int, params: Flat, grads: Flat, stream: Any = 0) -> None:
        if mlp.layer_norm:
            raise ValueError("device='cuda' has no layer norm")
        self.mlp, self.params, self.grads, self.stream = mlp, params, grads, stream
        dtype = params.flat.dtype
        self.outputs = [device.empty((rows, width), dtype) for width in mlp.widths[1:]]
        self.cotangents = [device.empty((rows, width), dtype) for width in mlp.widths[:-1]]

    def forward(self, x: Any) -> Any:
        """y (rows, widths[-1])."""
        self.input = x
        last = len(self.outputs) - 1
        for i, out in enumerate(self.outputs):
            activation = "identity" if i == last else self.mlp.activation
            products.layer(x, self._weight(i), self._bias(i), activation, out, self.stream)
            x = out
        return x

    def backward(self, d_y: Any, *, input_grad: bool, weight_grad: bool = True) -> Any:
        """Set the gradients of the parameters from d_y; returns d_x, or None without `input_grad`."""
        for i in reversed(range(len(self.outputs))):
            below = self.input if i == 0 else self.outputs[i - 1]
            if weight_grad:
                name = f"{self.mlp.prefix}.{i}"
                d_weight, d_bias = self.grads[f"{name}.weight"], self.grads[f"{name}.bias"]
                products.weight_gradient(below, d_y, d_weight, d_bias, self.stream)
            if i == 0 and not input_grad:
                return None
            gate, activation = (None, "identity") if i == 0 else (below, self.mlp.activation)
            products.layer_backward(d_y, self._weight(i), gate, activation, self.cotangents[i], self.stream)
            d_y = self.cotangents[i]
        return d_y

    def _weight(self, i: int) -> Any:
        return self.params[f"{self.mlp.prefix}.{i}.weight"]

    def _bias(self, i: int) -> Any:
        return self.params[f"{self.mlp.prefix}.{i}.bias"]
