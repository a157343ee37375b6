"""The mixture's E-step on the device against its definition, and a whole fit against the CPU's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vbref.cuda.mixture import Rows
from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture.statistics import Frame, moments, responsibilities


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("n", "k", "d"), [(1, 1, 1), (11, 3, 2), (17, 2, 5)])
def test_statistics(n, k, d, dense, dtype):
    rng = np.random.default_rng(n)
    x, center = rng.standard_normal((n, d)).astype(dtype) + 3, np.full(d, 2.5)
    roots = np.tril(rng.standard_normal((k, d, d))) if dense else rng.uniform(0.5, 2, (k, d))
    means, origins = rng.standard_normal((2, k, d))
    frame = Frame(means, roots, rng.standard_normal(k), origins)
    gaps = x.astype(np.float64) - center
    expected = moments(gaps, responsibilities(gaps, frame), dense)
    got = Rows(x)(x, center, frame)
    for name in ("count", "mean", "scatter", "entropy"):
        assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-11, atol=1e-12, err_msg=name)


def test_fit():
    x = np.random.default_rng(0).standard_normal((13, 2)) * [1, 3]
    on_cpu, on_device = (
        GaussianMixture(2).fit(x, rng=1, max_iter=4, device=name) for name in ("cpu", "cuda")
    )
    assert_allclose(on_device.elbo, on_cpu.elbo, rtol=1e-12)
    assert_allclose(on_device.means, on_cpu.means, rtol=1e-10, atol=1e-12)
