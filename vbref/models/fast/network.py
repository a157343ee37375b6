"""The perceptron on flat arrays: forward, backward, and the gradient by a share of each layer's weights.

`layers` are rows of `layout.LAYER`; `first` and `rows` choose the rows of activations to work on, so that
threads can share a batch.
"""

from vbref.models.fast import rows as fused
from vbref.numerics.blas import gemm
from vbref.numerics.jit import loop


@loop
def forward(layers, activation, params, room, first, rows):
    """y = φ([x 1] [W; b]) from layer to layer, the last without φ; the first input must be there."""
    one, zero, item = room.dtype.type(1), room.dtype.type(0), room.itemsize
    at, weights = room.ctypes.data, params.ctypes.data
    for i in range(layers.size):
        fan_in, fan_out = layers[i].fan_in, layers[i].fan_out
        ld_x, ld_y = layers[i].ld_x, layers[i].ld_y
        x, y = layers[i].x + first * ld_x, layers[i].y + first * ld_y
        weight = weights + item * layers[i].weight
        gemm(False, False, rows, fan_out, fan_in + 1, one, at + item * x, ld_x, weight, fan_out, zero,
             at + item * y, ld_y)  # fmt: skip
        if i + 1 < layers.size:
            fused.activate(activation, fused.grid(room, y, ld_y, rows), fan_out)


@loop
def backward(layers, activation, params, room, first, rows, c, input_grad):
    """From the last layer's d_y to each d_x, times φ'; c, one factor or one a row, multiplies the last d_y.

    What the last layer leaves undone, c on its own d_y, `scale_rows` does on its input.
    """
    one, zero, item = room.dtype.type(1), room.dtype.type(0), room.itemsize
    at, weights = room.ctypes.data, params.ctypes.data
    plain = c[:1] * zero + one
    for i in range(layers.size - 1, -1 if input_grad else 0, -1):
        fan_in, fan_out = layers[i].fan_in, layers[i].fan_out
        ld_x, ld_y = layers[i].ld_x, layers[i].ld_y
        x, d_x, d_y = layers[i].x + first * ld_x, layers[i].d_x + first * ld_x, layers[i].d_y + first * ld_y
        weight = weights + item * layers[i].weight
        gemm(False, True, rows, fan_in, fan_out, one, at + item * d_y, ld_y, weight, fan_out, zero,
             at + item * d_x, ld_x)  # fmt: skip
        factor = c if i + 1 == layers.size else plain
        if i > 0:
            d, out = fused.grid(room, d_x, ld_x, rows), fused.grid(room, x, ld_x, rows)
            fused.activate_backward(activation, d, out, fan_in, factor)
        elif factor.size > 1 or factor[0] != one:
            scale_rows(room, d_x, ld_x, fan_in, rows, factor)


@loop
def scale_rows(room, start, step, width, rows, c):
    """Multiply each row by its c."""
    for row in range(rows):
        fused.scale(room[start + row * step : start + row * step + width], c[row])


@loop
def weight_gradient(layer, room, grads, rows, begin, end):
    """Rows begin to end of d[W; b] = [x 1]ᵀ d_y, into `grads`."""
    one, zero, item = room.dtype.type(1), room.dtype.type(0), room.itemsize
    at = room.ctypes.data
    gemm(True, False, end - begin, layer.fan_out, rows, one, at + item * (layer.x + begin), layer.ld_x,
         at + item * layer.d_y, layer.ld_y, zero,
         grads.ctypes.data + item * (layer.weight + begin * layer.fan_out), layer.fan_out)  # fmt: skip
