"""Digits of the mixture's pieces where terms of very different size meet."""

import numpy as np

from vbref.meanfield.mixture.weights import Sticks


def test_what_is_left_of_a_stick_keeps_its_digits():
    """Rows after component k are summed from the end: of 1e6 + 1e-11 less 1e6 nothing would be left."""
    a, b = Sticks(3, 1e-12, True).posterior(np.array([1e6, 1e-11, 1e-13])).parameters
    np.testing.assert_allclose(a, [1e6 + 1, 1.0 + 1e-11], rtol=1e-15)
    np.testing.assert_allclose(b, [1.11e-11, 1.1e-12], rtol=1e-14)
