"""Optimisers: numbers worked by hand, PyTorch's, invariances, resumption to the bit, and what is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbref.nn.optim import SGD, Adam, AdamW

OPTIMIZERS = [SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.1), AdamW(0.1, weight_decay=0.01)]


def trajectory(optimizer, theta, gradient, steps, **options):
    """The iterates of one parameter."""
    params = {"w": np.array(theta)}
    state, path = optimizer.init(params), []
    for _ in range(steps):
        optimizer.step(params, {"w": np.asarray(gradient(params["w"]))}, state, **options)
        path.append(params["w"].copy())
    return np.array(path)


@pytest.mark.parametrize(
    ("optimizer", "by_hand"),
    [
        # g = 2θ from θ = 1 for f = θ²; SGD: θ ← 0.8 θ
        (SGD(0.1), [0.8, 0.64, 0.512]),
        # b = 2; 1.6 + 0.5·2 = 2.6; 2(0.54) + 0.5·2.6 = 2.38
        (SGD(0.1, momentum=0.5), [0.8, 0.54, 0.302]),
    ],
)
def test_three_steps_of_sgd_by_hand(optimizer, by_hand):
    np.testing.assert_allclose(trajectory(optimizer, 1.0, lambda w: 2 * w, 3), by_hand, rtol=1e-15)


GRADIENTS = (1.0, -2.0, 4.0)


def scripted(optimizer, theta=0.0):
    script = iter(GRADIENTS)
    return trajectory(optimizer, theta, lambda w: next(script), 3)


def test_three_steps_of_adam_by_hand():
    """g = 1, −2, 4 with α = 0.1, β₁ = ½, β₂ = ¾, ε = 1.

    m = ½, −¾, 13/8; 1 − β₁ᵗ = ½, ¾, 7/8; m̂ = 1, −1, 13/7.
    v = ¼, 19/16, 313/64 (= ¾·19/16 + 4); 1 − β₂ᵗ = ¼, 7/16, 37/64; v̂ = 1, 19/7, 313/37.
    """
    changes = [0.1 * 1 / 2, 0.1 * -1 / ((19 / 7) ** 0.5 + 1), 0.1 * (13 / 7) / ((313 / 37) ** 0.5 + 1)]
    by_hand = -np.cumsum(changes)
    np.testing.assert_allclose(scripted(Adam(0.1, 0.5, 0.75, epsilon=1.0)), by_hand, rtol=1e-14)


def test_three_steps_of_adamw_by_hand():
    """As above, and each step first takes λ = 0.25 of θ, whatever α is."""
    theta, by_hand = 8.0, []
    for change in np.diff(scripted(Adam(0.1, 0.5, 0.75, epsilon=1.0)), prepend=0.0):
        theta = 0.75 * theta + change
        by_hand.append(theta)
    assert by_hand[0] == 8 - 2 - 0.05
    np.testing.assert_allclose(
        scripted(AdamW(0.1, 0.5, 0.75, 1.0, weight_decay=0.25), 8.0), by_hand, rtol=1e-14
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_agrees_with_torch(optimizer, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the comparison with it is skipped")
    twins = {
        SGD: lambda p: torch.optim.SGD(p, lr=0.1, momentum=optimizer.momentum),
        Adam: lambda p: torch.optim.Adam(p, lr=0.1),
        AdamW: lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01 / 0.1),  # λ/α
    }
    rng = np.random.default_rng(0)
    params = {"a.weight": rng.normal(size=(3, 2)).astype(dtype), "a.bias": rng.normal(size=2).astype(dtype)}
    theirs = [torch.tensor(p, requires_grad=True) for p in params.values()]
    twin, state = twins[type(optimizer)](theirs), optimizer.init(params)
    for _ in range(50):
        grads = {name: rng.normal(size=p.shape).astype(dtype) for name, p in params.items()}
        optimizer.step(params, grads, state)
        for p, g in zip(theirs, grads.values(), strict=True):
            p.grad = torch.tensor(g)
        twin.step()
    tolerance = 300 * np.finfo(dtype).eps
    for ours, p in zip(params.values(), theirs, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, p.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.02, 0.9), Adam(0.05)], ids=repr)
def test_converges_on_a_quadratic(optimizer):
    scale, target = np.array([1.0, 3.0, 10.0]), np.array([1.0, -2.0, 0.5])
    path = trajectory(optimizer, np.zeros(3), lambda w: scale * (w - target), 2000)
    np.testing.assert_allclose(path[-1], target, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_ascent_is_descent_on_the_negative(optimizer):
    up = trajectory(optimizer, [1.0, -2.0], lambda w: np.cos(w), 20, direction="ascend")
    down = trajectory(optimizer, [1.0, -2.0], lambda w: -np.cos(w), 20)
    np.testing.assert_array_equal(up, down)
    assert np.sin(up[-1]).sum() > np.sin(up[0]).sum()


@given(factor=st.floats(1e-6, 1e6))
def test_adam_forgets_the_scale_of_the_gradient(factor):
    """m̂/√v̂ is unchanged when g is multiplied by c > 0; ε is all that can tell."""
    one, other = (
        trajectory(Adam(0.1, epsilon=1e-30), [1.0], lambda w, c=c: c * np.cos(w), 10) for c in (1, factor)
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)


@given(gradient=st.floats(1e-3, 1e3), beta1=st.floats(0, 0.99), beta2=st.floats(0, 0.999))
def test_adam_moves_by_alpha_under_a_constant_gradient(gradient, beta1, beta2):
    """Bias correction makes m̂ = g and v̂ = g² at every step, the first one too."""
    path = trajectory(Adam(0.1, beta1, beta2, 1e-30), [0.0], lambda w: np.full(1, gradient), 5)
    np.testing.assert_allclose(path[:, 0], -0.1 * np.arange(1, 6), rtol=1e-10)


def test_decay_is_decoupled():
    """Without a gradient AdamW shrinks θ by 1 − ηλ; an L2 penalty through Adam would move it by α instead."""
    path = trajectory(AdamW(0.1, weight_decay=0.25), [8.0], lambda w: 0 * w, 3)
    np.testing.assert_array_equal(path[:, 0], [6.0, 4.5, 3.375])
    halved = trajectory(AdamW(0.1, weight_decay=0.25), [8.0], lambda w: 0 * w, 1, schedule=0.5)
    np.testing.assert_array_equal(halved, [[7.0]])
    coupled = trajectory(Adam(0.1), [8.0], lambda w: 0.25 * w, 3)
    np.testing.assert_allclose(coupled[0], 7.9, rtol=1e-8)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), Adam(0.1)], ids=repr)
def test_schedule_multiplies_the_step(optimizer):
    script = [np.array([float(g)]) for g in GRADIENTS]
    params = {"w": np.zeros(1)}
    state, before, changes = optimizer.init(params), 0.0, []
    for g, schedule in zip(script, (1.0, 0.5, 0.0), strict=True):
        optimizer.step(params, {"w": g}, state, schedule=schedule)
        changes.append(params["w"][0] - before)
        before = params["w"][0]
    full = np.diff(scripted(optimizer), prepend=0.0)
    np.testing.assert_allclose(changes, full * [1.0, 0.5, 0.0], rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_run_resumed_from_npz_has_the_same_bits(optimizer, dtype):
    rng = np.random.default_rng(0)
    script = [
        {"w": rng.normal(size=(3, 2)).astype(dtype), "s": rng.normal(size=()).astype(dtype)} for _ in range(9)
    ]

    def run(params, state, grads):
        for g in grads:
            optimizer.step(params, g, state)
        return params, state

    start = {"w": np.ones((3, 2), dtype), "s": np.zeros((), dtype)}
    whole, _ = run({k: v.copy() for k, v in start.items()}, optimizer.init(start), script)
    half, state = run({k: v.copy() for k, v in start.items()}, optimizer.init(start), script[:4])
    restored = []
    for arrays in (half, state):
        file = io.BytesIO()
        np.savez(file, **arrays)
        file.seek(0)
        restored.append(dict(np.load(file, allow_pickle=False)))
    resumed, state = run(*restored, script[4:])
    assert state["step"] == 9
    for name in start:
        assert resumed[name].dtype == dtype
        np.testing.assert_array_equal(resumed[name], whole[name])
        assert not np.array_equal(whole[name], start[name])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_gradients_are_left_alone(optimizer):
    params, grads = {"w": np.ones(3)}, {"w": np.arange(3.0)}
    state = optimizer.init(params)
    for direction in ("ascend", "descend"):
        optimizer.step(params, grads, state, direction=direction)
    np.testing.assert_array_equal(grads["w"], np.arange(3.0))


@pytest.mark.parametrize(
    ("params", "grads", "options", "message"),
    [
        ({"w": np.ones(3)}, {"v": np.ones(3)}, {}, r"missing \['w'\], unknown \['v'\]"),
        ({"v": np.ones(3), "w": np.ones(3)}, {"v": np.ones(3)}, {}, r"missing \['w'\], unknown \[\]"),
        ({"w": np.ones(3)}, {"w": np.ones(2)}, {}, r"grads\['w'\] must be \(3,\), float64 .* was \(2,\)"),
        ({"w": np.ones(3)}, {"w": np.ones(3, np.float32)}, {}, r"grads\['w'\] must be"),
        ({"w": np.ones(3)}, {"w": np.array([1, np.nan, 2])}, {}, r"grads\['w'\] must be finite"),
        (
            {"w": np.ones(3)},
            {"w": np.ones(3)},
            {"direction": "up"},
            "direction must be one of descend, ascend",
        ),
        (
            {"w": np.arange(3)},
            {"w": np.arange(3)},
            {},
            r"params\['w'\] must be a writeable array of floats, was int",
        ),
        ({"w": np.float64(1)}, {"w": np.float64(1)}, {}, r"params\['w'\] must be a writeable array"),
    ],
)
def test_misfits_are_named_and_change_nothing(params, grads, options, message):
    optimizer = Adam()
    state = optimizer.init(params)
    before = {name: p.copy() for name, p in params.items()}
    with pytest.raises(ValueError, match=message):
        optimizer.step(params, grads, state, **options)
    assert state["step"] == 0
    np.testing.assert_array_equal(params["w"], before["w"])


def test_a_foreign_state_is_refused():
    params = {"w": np.ones(3)}
    for state, message in [({}, "no 'step'"), (SGD(0.1).init(params), r"state\['m.w'\]")]:
        with pytest.raises(ValueError, match=message):
            Adam().step(params, {"w": np.ones(3)}, state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "learning_rate must be > 0"),
        (lambda: SGD(np.nan), "learning_rate must be > 0"),
        (lambda: SGD("a"), "learning_rate must be > 0, was 'a'"),
        (lambda: Adam(True), "learning_rate must be > 0, was True"),
        (lambda: SGD(0.1, 1.0), r"momentum must be in \[0, 1\), was 1.0"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: Adam(epsilon=0.0), "epsilon"),
        (lambda: AdamW(weight_decay=-1.0), "weight_decay must be >= 0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
