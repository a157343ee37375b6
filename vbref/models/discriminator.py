"""The discriminator of a GAN, cut at the layer whose features are compared (xu §5.3.2).

f(x) = act(trunk(x)), the l-th hidden layer, Des_l;    T(x) = head(f(x)),    D(x) = σ(T(x)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vbref.models import door
from vbref.models.door import Array, Params, Shapes
from vbref.nn.layers import ACTIVATIONS
from vbref.nn.mlp import MLP


@dataclass(frozen=True)
class Discriminator:
    """A network of `hidden` widths to one logit; `layer` l counts its hidden layers from 1."""

    data_dim: int
    hidden: tuple[int, ...]
    layer: int
    activation: str = "tanh"

    def __post_init__(self) -> None:
        door.size(feature_layer=self.layer)
        if self.layer > len(self.hidden):
            raise ValueError(f"feature_layer must be <= {len(self.hidden)}, was {self.layer}")

    @property
    def trunk(self) -> MLP:
        """x to layer l, before its activation."""
        return MLP((self.data_dim, *self.hidden[: self.layer]), self.activation, prefix="critic.trunk")

    @property
    def head(self) -> MLP:
        """Layer l to T."""
        return MLP((*self.hidden[self.layer - 1 :], 1), self.activation, prefix="critic.head")

    def shapes(self) -> Shapes:
        """The parameters' shapes by name."""
        return self.trunk.shapes() | self.head.shapes()

    def init(self, rng: np.random.Generator) -> Params:
        """Both networks as `MLP.init` draws them."""
        return self.trunk.init(rng) | self.head.init(rng)

    def forward(self, params: Mapping[str, Array], x: Array) -> tuple[Array, Array, Any]:
        """f(x) (…, width of layer l), T(x) (…,), and what `backward` needs."""
        before, saved_trunk = self.trunk.forward(params, x)
        features, saved_activation = ACTIVATIONS[self.activation][0](before)
        logit, saved_head = self.head.forward(params, features)
        return features, logit[..., 0], (saved_trunk, saved_activation, saved_head)

    def backward(self, d_features: Array | float, d_logit: Array, saved: Any) -> tuple[Array, Params]:
        """(d_x, d_params): what T sends back joins the cotangent of f, and both go on through the trunk."""
        saved_trunk, saved_activation, saved_head = saved
        d_f, d_head = self.head.backward(d_logit[..., None], saved_head)
        d_before = ACTIVATIONS[self.activation][1](d_f + d_features, saved_activation)
        d_x, d_trunk = self.trunk.backward(d_before, saved_trunk)
        return d_x, d_trunk | d_head
