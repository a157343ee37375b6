import numpy as np

from vbref.numerics import elementwise


def difference_and_product(a, b, out):
    """A loop with two outputs, as compiled ones are called."""
    out[0], out[1] = a - b, a * b


def test_outputs_have_the_broadcast_shape_and_the_dtype():
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.float32([[10], [20]])
    for outputs in (
        elementwise.elementwise_outputs(difference_and_product, 2, a=a, b=b),
        elementwise.elementwise_grad(difference_and_product, a=a, b=b),
    ):
        assert [part.dtype for part in outputs] == [np.float32, np.float32]
        np.testing.assert_array_equal(outputs, [a - b, a * b])


def test_outputs_of_scalars_are_scalars():
    values = elementwise.elementwise_grad(difference_and_product, a=np.array(5.0), b=np.array(2.0))
    assert values == (3, 10)
    assert all(isinstance(value, np.float64) for value in values)
