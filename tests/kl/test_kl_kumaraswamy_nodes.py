"""Several nodes at a time against the plain rule, which sees the same elements a few at a time."""

import numpy as np
import pytest

from vbref import kl
from vbref.kl import kumaraswamy, kumaraswamy_nodes

N = 2400


def shapes(low, high, seed=0):
    return 10 ** np.random.default_rng(seed).uniform(low, high, (4, N))


def plain(point):
    parts = [kl.kumaraswamy_beta_value_and_grad(*point[:, i : i + 600]) for i in range(0, N, 600)]
    return [np.concatenate(rows) for rows in zip(*((value, *grads) for value, grads in parts), strict=True)]


def many(point):
    value, grads = kl.kumaraswamy_beta_value_and_grad(*point)
    return [value, *grads]


def assert_close(point, tolerance):
    for got, want in zip(many(point), plain(point), strict=True):
        assert (abs(got - want) / np.maximum(1, abs(want))).max() < tolerance


def test_against_the_plain_rule():
    assert_close(shapes(-2, 2), 1e-12)
    assert_close(shapes(-0.5, 0.5), 1e-13)


def test_shapes_that_take_more_nodes_than_there_are():
    assert_close(shapes(-6, 6), 1e-10)
    point = shapes(-15, 15)
    point[2:] = [[2], [3]]
    with np.errstate(over="ignore"):
        _, _, first, last = np.vectorize(kumaraswamy.node_range)(*point[:2])
    many_nodes = (last - first) / kumaraswamy.STEP > kumaraswamy_nodes._NODES
    assert 0.1 < many_nodes.mean() < 0.9
    for got, want in zip(many(point), plain(point), strict=True):
        np.testing.assert_array_equal(got[many_nodes], want[many_nodes])


def test_value_and_gradient_are_those_of_the_two_functions():
    for point in (shapes(-1, 1), shapes(-1, 1)[:, :3]):
        value, *grads = many(point)
        np.testing.assert_array_equal(value, kl.kumaraswamy_beta(*point))
        for got, want in zip(grads, kl.kumaraswamy_beta_grad(*point), strict=True):
            np.testing.assert_array_equal(got, want)


def test_an_element_does_not_know_its_place():
    point = shapes(-1, 1)
    for got, want in zip(many(np.roll(point, 5, axis=1)), many(point), strict=True):
        np.testing.assert_array_equal(got, np.roll(want, 5))


def test_extremes_and_bad_input():
    point = np.ones((4, N))
    point[:2, 7] = 1e-300
    with pytest.raises(ValueError, match="out of the range of float64"):
        kl.kumaraswamy_beta_value_and_grad(*point)
    point[1, 7] = -1
    with pytest.raises(ValueError, match="b_q must be > 0, has -1"):
        kl.kumaraswamy_beta_value_and_grad(*point)
