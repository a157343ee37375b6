"""Where a loop runs: on the CPU, or as a grid of GPU threads over the same formula, imported only then."""

from collections.abc import Callable
from typing import Any

DEVICES = ("cpu", "cuda")


def choice(device: str) -> bool:
    """Whether `device` is "cuda"; ValueError for a word that is neither that nor "cpu"."""
    if device not in DEVICES:
        raise ValueError(f"device must be 'cpu' or 'cuda', was {device!r}")
    return device == "cuda"


def on(device: str, loop: Callable[..., None], formula: Any) -> Callable[..., None]:
    """`loop`, or for device="cuda" a grid over `formula` that takes the same arguments.

    Raises ValueError for another word, and RuntimeError that names what is missing where CUDA cannot run.
    """
    if not choice(device):
        return loop
    from vbref.cuda.elementwise import grid

    return grid(formula)
