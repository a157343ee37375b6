"""The checker, checked: right gradients pass, planted mistakes are caught, silly input is refused."""

import numpy as np
import pytest

from vbref.nn.gradcheck import GradientMismatch, check_gradient

METHODS = ("central", "complex")
X = np.array([[0.3, -1.2, 2.5], [0.01, 4.0, -0.7]])
NOISE = np.random.default_rng(0)


def f(x):
    return (np.sin(x) * x**2).sum()


def f_grad(x):
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


@pytest.mark.parametrize("method", METHODS)
def test_right_gradient_passes(method):
    assert check_gradient(f, f_grad, X, method=method) < {"central": 1e-8, "complex": 1e-14}[method]


@pytest.mark.parametrize("method", METHODS)
def test_a_factor_of_2_001_for_2_is_caught(method):
    with pytest.raises(GradientMismatch, match=r"^x\[0\]: analytic 2.001, .*relative error 0.0005"):
        check_gradient(lambda x: (x**2).sum(), lambda x: 2.001 * x, np.ones(1), method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: np.cos(x) * x**2 + x * np.sin(x),
        lambda x: np.cos(x) * x**2 - 2 * x * np.sin(x),
        lambda x: -f_grad(x),
        lambda x: np.zeros_like(x),
        lambda x: np.full_like(x, np.nan),
        lambda x: f_grad(x) * (1 + 1e-6),
    ],
    ids=["missing factor", "swapped sign", "descent", "zeros", "nan", "six digits"],
)
def test_planted_mistakes_are_caught(method, wrong):
    with pytest.raises(GradientMismatch):
        check_gradient(f, wrong, X, method=method)


def test_the_worst_entry_is_named():
    wrong = {"a": np.full((2, 3), 3.0), "b": np.full(4, 1.0)}
    wrong["a"][1, 2] += 1e-3
    x = {"a": np.ones((2, 3)), "b": np.zeros(4)}
    with pytest.raises(GradientMismatch, match=r"^a\[1, 2\]: analytic 3.001, .*; 1 of 10 fail$") as caught:
        check_gradient(lambda p: (p["a"] ** 3).sum() + p["b"].sum(), wrong, x)
    assert (caught.value.worst.name, caught.value.worst.index) == ("a", (1, 2))


@pytest.mark.parametrize("method", METHODS)
def test_one_wrong_entry_in_a_large_array_is_caught_along_random_directions(method):
    x = np.random.default_rng(0).normal(size=(200, 300))
    right = f_grad(x)
    wrong = right.copy()
    wrong[17, 211] += 0.1
    options = {"method": method, "directions": 2}
    assert check_gradient(f, right, x, rng=np.random.default_rng(1), **options) < 1e-8
    with pytest.raises(GradientMismatch, match="along a random direction"):
        check_gradient(f, wrong, x, rng=np.random.default_rng(1), **options)


@pytest.mark.parametrize("x", [1e-60, 1e-8, 1.0, 1e8, 1e60])
@pytest.mark.parametrize("method", METHODS)
def test_steps_follow_the_magnitude_of_x(method, x):
    at = np.array([x])
    check_gradient(lambda x: np.log(x).sum(), 1 / at, at, method=method, typical=min(x, 1.0))
    with pytest.raises(GradientMismatch):
        check_gradient(lambda x: np.log(x).sum(), 1.001 / at, at, method=method, typical=min(x, 1.0))


def test_zero_gradients_of_large_values_pass():
    """f(x ± h) of size 1e6 leaves rounding in the difference; it is not a mistake of the gradient."""
    check_gradient(lambda x: 1e6 + 0.1 * np.cos(x[0]) + 0 * x[1], lambda x: np.array([0.0, 0.0]), np.zeros(2))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"x": np.arange(3)}, "x must be a float64 array, was int64"),
        ({"x": np.ones(3, np.float32)}, "x must be a float64 array, was float32"),
        ({"x": [1.0, 2.0]}, "x must be a float64 array"),
        ({"x": np.array([1.0, np.nan, 2.0])}, "x must be finite"),
        ({"x": np.ones(0)}, "at least one entry"),
        ({"f": lambda x: x**2}, "finite real scalar"),
        ({"f": lambda x: np.nan}, "finite real scalar"),
        ({"f": lambda x: 3}, "finite real scalar"),
        ({"f": lambda x: NOISE.normal()}, "repeatable"),
        ({"grad": np.ones(2)}, r"gradient of x must be float64 of shape \(3,\), is float64 of \(2,\)"),
        ({"grad": np.ones(3, int)}, "gradient of x must be float64"),
        ({"x": {"a": np.ones(3)}, "f": lambda p: p["a"].sum(), "grad": {"b": np.ones(3)}}, "names"),
        ({"method": "forward"}, "method must be one of"),
        ({"directions": 3}, "rng"),
        ({"directions": 0, "rng": np.random.default_rng(0)}, "directions"),
        ({"f": lambda x: float((x.real**2).sum()), "method": "complex"}, "must be complex"),
    ],
)
def test_silly_input_is_refused(kwargs, message):
    good = {"f": lambda x: (x**2).sum(), "grad": 2 * np.ones(3), "x": np.ones(3)}
    with pytest.raises(ValueError, match=message):
        check_gradient(**{**good, **kwargs})
