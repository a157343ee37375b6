"""Chains on the device against the CPU's transitions at the same noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vbref.cuda.chains import Chains
from vbref.evaluate import ais
from vbref.evaluate.annealed import joint
from vbref.models import VAE
from vbref.numerics import normals, uniforms


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_a_transition_is_the_cpus(beta):
    model, params, x = _world()
    run = Chains(model, params, x, chains=2, leapfrog=3, seed=4)
    z = run.z.copy_to_host().reshape(2, 3, 2)
    assert_allclose(z, normals(4, 0, (2, 3, 2)), atol=1e-14)
    sizes, path = np.array([0.2, 0.9, 5.0]), ais.Path(ais.standard_normal, joint(model, params, x), 3)
    momentum, step = normals(4, 12, (2, 3, 2)), sizes * (0.5 + uniforms(4, 24, (2, 3)))
    before = path.at(z)
    after, last = path._trajectory(before, momentum, beta, step[..., None])
    kinetic = ((last**2).sum(-1) - (momentum**2).sum(-1)) / 2
    expected = np.exp(np.minimum(after.log_f(beta) - before.log_f(beta) - kinetic, 0))
    accepted = run.move(beta, sizes)
    assert_allclose(accepted, expected, rtol=1e-10, atol=1e-12)
    end = after.where(uniforms(4, 32, (2, 3)) < expected, before)
    assert_allclose(run.z.copy_to_host().reshape(z.shape), end.z, rtol=1e-10)
    assert_allclose(run.log_lik.copy_to_host().reshape(2, 3), end.log_ratio(), rtol=1e-10)


def test_a_langevin_move():
    model, params, x = _world()
    run = Chains(model, params, x, chains=1, leapfrog=1, seed=4)
    z = normals(4, 0, (1, 3, 2))
    slope = joint(model, params, x)(z)[1]
    expected = z + 0.5 * 0.3**2 * slope + 0.3 * normals(4, 8, (1, 3, 2))
    assert_allclose(run.langevin(1, 0.3), expected[0], rtol=1e-10, atol=1e-13)


def test_one_step_of_annealing_is_importance_sampling():
    model, params, x = _world()
    run = Chains(model, params, x, chains=5, leapfrog=1, seed=1)
    log_w = run.anneal(ais.schedule(1), None)
    assert_allclose(log_w, run.log_lik.copy_to_host().reshape(5, 3))


def _world():
    model = VAE(5, 2, (3,))
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.3, p.shape) for n, p in model.init(rng).items()}
    return model, params, (rng.random((3, 5)) < 0.4).astype(float)
