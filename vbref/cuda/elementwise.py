"""One thread an element: grids that stand in for the CPU's loops over a scalar formula."""

import functools
from collections.abc import Callable
from typing import Any

from numba import cuda

from vbref.cuda import device


def value_2(formula: Any) -> Any:
    """out[i] = formula(a[i], b[i])."""

    def value(a, b, out):
        i = cuda.grid(1)
        if i < out.shape[0]:
            out[i] = formula(a[i], b[i])

    return device.kernel(value)


def value_4(formula: Any) -> Any:
    """out[i] = formula(a[i], b[i], c[i], d[i])."""

    def value(a, b, c, d, out):
        i = cuda.grid(1)
        if i < out.shape[0]:
            out[i] = formula(a[i], b[i], c[i], d[i])

    return device.kernel(value)


def value_5(formula: Any) -> Any:
    """out[i] = formula(a[i], b[i], c[i], d[i], e[i])."""

    def value(a, b, c, d, e, out):
        i = cuda.grid(1)
        if i < out.shape[0]:
            out[i] = formula(a[i], b[i], c[i], d[i], e[i])

    return device.kernel(value)


def grad_2(formula: Any) -> Any:
    """out[:, i] = formula(a[i], b[i]), the derivative by each."""

    def grad(a, b, out):
        i = cuda.grid(1)
        if i < out.shape[1]:
            out[0, i], out[1, i] = formula(a[i], b[i])

    return device.kernel(grad)


def grad_4(formula: Any) -> Any:
    """out[:, i] = formula(a[i], b[i], c[i], d[i]), the derivative by each."""

    def grad(a, b, c, d, out):
        i = cuda.grid(1)
        if i < out.shape[1]:
            out[0, i], out[1, i], out[2, i], out[3, i] = formula(a[i], b[i], c[i], d[i])

    return device.kernel(grad)


def grad_5(formula: Any) -> Any:
    """out[:, i] = formula(a[i], b[i], c[i], d[i], e[i]), the derivatives by two variables."""

    def grad(a, b, c, d, e, out):
        i = cuda.grid(1)
        if i < out.shape[1]:
            out[0, i], out[1, i] = formula(a[i], b[i], c[i], d[i], e[i])

    return device.kernel(grad)


_KINDS = {
    (2, 1): value_2, (4, 1): value_4, (5, 1): value_5,
    (2, 2): grad_2, (4, 2): grad_4, (5, 2): grad_5,
}  # fmt: skip


@functools.cache
def compiled(formula: Any, arguments: int, out_dimensions: int) -> Any:
    """The kernel over `formula` of so many arguments: of values (n,), or of derivatives (…, n)."""
    return _KINDS[arguments, out_dimensions](formula)


def grid(formula: Any) -> Callable[..., None]:
    """A stand-in for the CPU's loop over `formula`: takes flat arguments and `out`, which it fills."""
    device.require()

    def run(*arrays: Any) -> None:
        *arguments, out = arrays
        n = out.shape[-1]
        if n == 0:
            return
        result = device.empty(out.shape, out.dtype)
        launch = compiled(formula, len(arguments), out.ndim)[device.blocks(n), device.threads()]
        launch(*(device.put(array) for array in arguments), result)
        result.copy_to_host(out)

    return run
