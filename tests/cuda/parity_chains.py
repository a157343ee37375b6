"""Chains on the device against the CPU's transitions at the same noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vbref import evaluate
from vbref.cuda import device
from vbref.cuda.chains import Chains
from vbref.evaluate import ais, exact
from vbref.evaluate.annealed import joint
from vbref.models import VAE
from vbref.numerics import normals, uniforms

CHAINS = 2 if device.SIMULATED else 90  # of three rows: more than a block of threads


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_a_transition_is_the_cpus(beta):
    model, params, x = _world()
    run = Chains(model, params, x, chains=CHAINS, leapfrog=3, seed=4)
    z = run.z.copy_to_host().reshape(CHAINS, 3, 2)
    assert_allclose(z, normals(4, 0, z.shape), atol=1e-14)
    sizes, path = np.array([0.2, 0.9, 5.0]), ais.Path(ais.standard_normal, joint(model, params, x), 3)
    expected, end = _transition(path, path.at(z), beta, sizes)
    assert_allclose(run.move(beta, sizes), expected, rtol=1e-10, atol=1e-12)
    assert_allclose(run.z.copy_to_host().reshape(z.shape), end.z, rtol=1e-10)
    assert_allclose(run.log_lik.copy_to_host().reshape(CHAINS, 3), end.log_ratio(), rtol=1e-10)
    slopes = joint(model, params, x)(end.z)[1] + end.z  # without the prior's
    assert_allclose(run.g.copy_to_host().reshape(z.shape), slopes, rtol=1e-9, atol=1e-10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's
def test_a_trajectory_that_diverges_goes_nowhere():
    model, params, x = _world()
    run = Chains(model, params, x, chains=1, leapfrog=3, seed=4)
    before = run.z.copy_to_host()
    assert_array_equal(run.move(1.0, np.full(3, 1e200)), np.zeros((1, 3)))
    assert_array_equal(run.z.copy_to_host(), before)


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


def test_annealing_back_from_the_rows_own_z():
    model, params, x = _world()
    run, z = Chains(model, params, x, chains=2, leapfrog=3, seed=4), normals(5, 0, (3, 2))
    run.begin(z)
    path = ais.Path(ais.standard_normal, joint(model, params, x), 3)
    before = path.at(np.stack([z, z]))
    _, end = _transition(path, before, 0.5, np.array([0.2, 0.4, 0.6]))
    steps = ais.StepSizes(np.array([0.0, 1]), np.array([[0.1, 0.2, 0.3], [0.3, 0.6, 0.9]]))
    log_w = run.anneal(ais.schedule(2)[::-1], steps)
    assert_allclose(-log_w, (before.log_ratio() + end.log_ratio()) / 2, rtol=1e-10)


def test_the_pilot_makes_steps_smaller_where_few_are_accepted(monkeypatch):
    """ln s ← ln s + ½ (accepted − 0.8), each row its own, from 0.3 on, and the next β goes on from there."""
    accepted = {0.0: np.array([[1.0, 0.5, 0.2], [1.0, 0.7, 0.0]]), 1.0: np.full((2, 3), 0.9)}
    seen = []
    monkeypatch.setattr(Chains, "move", lambda run, beta, s: seen.append((beta, s)) or accepted[beta])
    model, params, x = _world()
    steps = Chains(model, params, x, chains=2, leapfrog=1, seed=4).tune(np.array([0.0, 1.0]))
    first = 0.3 * np.exp(0.5 * np.array([0.2, -0.2, -0.7]))
    assert [beta for beta, _ in seen] == [0.0, 1.0]
    assert_allclose(seen[0][1], [0.3] * 3)
    assert_allclose(seen[1][1], first)
    assert_allclose(steps(0.0), first)
    assert_allclose(steps(1.0), first * np.exp(0.05))


def test_annealed_has_the_rows_in_batches_each_with_draws_of_its_own(no_pilot):
    """At K = 1 a weight is p(x | z) of a draw of N(0, I), each chain's second: its pilot had the first."""
    model, params, x = _world()
    found = evaluate.annealed(model, params, x, 3, (1,), chains=2, batch_size=2, device="cuda")[1]
    rng = np.random.default_rng(3)
    for i, rows in ((0, 2), (2, 1)):
        z = normals(int(rng.integers(2**63)), 4 * rows, (2, rows, 2))
        point = ais.Path(ais.standard_normal, joint(model, params, x[i : i + 2])).at(z)
        value, error = ais.log_mean(point.log_ratio())
        assert_allclose(found.per_datum[i : i + 2], value, rtol=1e-10)
        assert_allclose(found.noise[i : i + 2], error, rtol=1e-8)


def test_a_sandwich_has_the_cpus_rows(no_pilot):
    """At K = 1 the upper bound is log p(x | z) at the row's own z, the lower one that of other draws."""
    model, params, _ = _world()
    on_cpu, on_device = (
        evaluate.sandwich(model, params, 2, 2, 1, chains=2, device=name) for name in ("cpu", "cuda")
    )
    assert_allclose(on_device.upper, on_cpu.upper, rtol=1e-10)
    assert (abs(on_device.lower - on_cpu.lower) > 1e-3).all()


@pytest.mark.skipif(device.SIMULATED, reason="OF WHAT IS COMPILED: minutes in the simulator")
def test_both_close_around_the_evidence(monkeypatch):
    tune = Chains.tune
    monkeypatch.setattr(Chains, "tune", lambda run, betas: tune(run, betas[::20]))
    model, params, x = _world(1)
    at_prior = {name: 0 * value for name, value in params.items() if name.startswith("encoder")}
    true = exact.quadrature(model, params | at_prior, x, nodes=100)
    sizes = {"chains": 50, "leapfrog": 1, "device": "cuda"}
    found = evaluate.annealed(model, params, x, 0, (5,), **sizes)[5]
    assert (abs(found.per_datum - true) < 4 * found.noise).all()
    assert found.noise.max() < 0.1
    assert abs(evaluate.sandwich(model, params, 3, 0, 5, **sizes).gap) < 0.2


@pytest.mark.parametrize(("option", "word"), [("likelihood", "gaussian"), ("prior", "learned")])
def test_what_the_device_lacks_is_named(option, word):
    model = VAE(5, 2, (3,), **{option: word})
    with pytest.raises(ValueError, match=f"device='cuda' has {option}='.*' alone, was '{word}'"):
        evaluate.annealed(model, model.init(0), _world()[2], 0, (1,), device="cuda")
    with pytest.raises(ValueError, match=f"device='cuda' has {option}='.*' alone, was '{word}'"):
        evaluate.sandwich(model, model.init(0), 2, 0, 1, device="cuda")


def test_another_dtype_than_the_models_is_named():
    model, params, x = _world()
    narrow = {name: value.astype(np.float32) for name, value in params.items()}
    with pytest.raises(ValueError, match="x must be float64, was float32"):
        evaluate.annealed(model, narrow, x.astype(np.float32), 0, (1,), device="cuda")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's
def test_weights_that_are_not_finite_are_named(no_pilot):
    model, params, _ = _world()
    params["decoder.1.bias"][:2] = -np.finfo(float).max, np.finfo(float).max
    with pytest.raises(ValueError, match="params must stay within what their dtype can hold"):
        evaluate.annealed(model, params, np.eye(5)[:1], 0, (1,), device="cuda")


@pytest.fixture
def no_pilot(monkeypatch):
    monkeypatch.setattr(Chains, "tune", lambda run, betas: None)


def _transition(path, before, beta, sizes):
    """(acceptance, end) from the draws of stream 4 that chains take after their first."""
    shape, n = before.z.shape, before.z.size
    momentum, step = normals(4, n, shape), sizes * (0.5 + uniforms(4, 2 * n, shape[:2]))
    after, last = path._trajectory(before, momentum, beta, step[..., None])
    kinetic = ((last**2).sum(-1) - (momentum**2).sum(-1)) / 2
    last_draws = -(-(2 * n + shape[0] * shape[1]) // 4) * 4  # a stream goes on with a whole block
    accepted = np.exp(np.minimum(after.log_f(beta) - before.log_f(beta) - kinetic, 0))
    return accepted, after.where(uniforms(4, last_draws, shape[:2]) < accepted, before)


def _world(latent=2):
    model = VAE(5, latent, (3,))
    rng = np.random.default_rng(1)
    params = {n: p + rng.normal(0, 0.3, p.shape) for n, p in model.init(rng).items()}
    return model, params, (rng.random((3, 5)) < 0.4).astype(float)
