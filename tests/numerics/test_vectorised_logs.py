"""e^−x, log(1 + u) and 1/(eˣ − 1) on several elements at once, against 40 digits."""

import mpmath
import numpy as np

from vbref.numerics.jit import elementwise_loop
from vbref.numerics.vectorised import exp_decay, log1p_unit, reciprocal_expm1


@elementwise_loop
def decays(x, out):
    for i in range(x.size):
        out[i] = exp_decay(-x[i])


@elementwise_loop
def logs(u, out):
    for i in range(u.size):
        out[i] = log1p_unit(u[i])


@elementwise_loop
def reciprocals(x, out):
    for i in range(x.size):
        out[i] = reciprocal_expm1(x[i])


def worst(loop, function, x):
    out = np.empty_like(x)
    loop(x, out)
    with mpmath.workdps(40):
        exact = [function(mpmath.mpf(float(each))) for each in x]
        return max(float(abs(mpmath.mpf(float(o)) / e - 1)) for o, e in zip(out, exact, strict=True))


def points(largest):
    rng = np.random.default_rng(0)
    small = 10.0 ** rng.uniform(-200, 0, 500)
    return np.concatenate([rng.uniform(0, largest, 1500), small, [np.sqrt(2) - 1, largest]])


def test_exp_decay():
    assert worst(decays, lambda x: mpmath.exp(-x), points(708.0)) < 2.3e-16
    out = np.empty(3)
    decays(np.array([0.0, np.nextafter(708, 709), np.inf]), out)
    assert out.tolist() == [1, 0, 0]


def test_log1p_unit():
    assert worst(logs, mpmath.log1p, points(1.0)) < 4e-16
    out = np.empty(2)
    logs(np.array([0.0, 0.0]), out)
    assert (out == 0).all()


def test_reciprocal_expm1():
    assert worst(reciprocals, lambda x: 1 / mpmath.expm1(x), points(700.0)) < 7e-16
    out = np.empty(2)
    reciprocals(np.array([0.0, 1e5]), out)
    assert np.isinf(out[0])
    assert 0 <= out[1] < 1e-300
