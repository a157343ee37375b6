"""Neural networks by hand: layers with their backward twins, the MLP, optimisers, a gradient checker."""

from vbref.nn import layers
from vbref.nn.gradcheck import GradientMismatch, check_gradient
from vbref.nn.mlp import MLP
from vbref.nn.optim import SGD, Adam, AdamW

__all__ = ["MLP", "SGD", "Adam", "AdamW", "GradientMismatch", "check_gradient", "layers"]
