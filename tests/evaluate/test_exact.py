import math

import numpy as np
import pytest
from scipy import integrate, stats

from vbref.evaluate import exact
from vbref.models import LinearGaussian


class Skewed:
    """p(x|z) = N(x; sin z₁ + z₂²/3, 0.8²) with q(z|x) = N(0.2 x, 1.3²) in each dimension."""

    def __init__(self, dims):
        self.dims = dims

    def draw_noise(self, rng, n, k=1):
        return rng.standard_normal((k, n, self.dims))

    def log_joint(self, x, z):
        centre = np.sin(z[..., 0]) + (z[..., 1] ** 2 / 3 if self.dims > 1 else 0)
        return stats.norm.logpdf(x, centre, 0.8) + stats.norm.logpdf(z).sum(axis=-1)

    def log_weights(self, params, x, noise):
        z = 0.2 * x + 1.3 * noise
        log_q = stats.norm.logpdf(noise).sum(axis=-1) - self.dims * math.log(1.3)
        return self.log_joint(x[:, 0], z) - log_q


X = np.array([[0.3], [1.1], [-0.7]])


def test_quadrature_against_adaptive_integration_in_one_dimension():
    model = Skewed(1)
    value = exact.quadrature(model, {}, X.tolist(), nodes=120)
    for x, log_p in zip(X[:, 0], value, strict=True):
        truth = integrate.quad(
            lambda z, x=x: np.exp(model.log_joint(x, np.array([z]))), -12, 12, epsabs=1e-13, limit=400
        )
        assert log_p == pytest.approx(math.log(truth[0]), abs=1e-9)


def test_quadrature_against_a_trapezoid_grid_in_two_dimensions():
    model = Skewed(2)
    axis = np.linspace(-9, 9, 1201)
    z = np.stack(np.meshgrid(axis, axis), axis=-1)
    value = exact.quadrature(model, {}, X, nodes=160)
    for x, log_p in zip(X[:, 0], value, strict=True):
        total = np.exp(model.log_joint(x, z)).sum() * (axis[1] - axis[0]) ** 2
        assert log_p == pytest.approx(math.log(total), abs=1e-8)


def test_quadrature_with_one_node_is_the_log_weight_at_no_noise():
    np.testing.assert_allclose(
        exact.quadrature(Skewed(2), {}, X, nodes=1), Skewed(2).log_weights({}, X, np.zeros((1, 3, 2)))[0]
    )


@pytest.mark.parametrize(("nodes", "rows"), [(64, [64, 64, 2]), (65, [63, 63, 4]), (4225, [1] * 3)])
def test_quadrature_passes_on_as_many_rows_as_make_4096_pairs_but_one_at_least(nodes, rows):
    passed = []

    class Counting(Skewed):
        def log_weights(self, params, x, noise):
            passed.append(noise.shape[:2])
            return super().log_weights(params, x, noise)

    model = Counting(2 if nodes > 300 else 1)
    value = exact.quadrature(model, {}, np.ones((sum(rows), 1)), nodes=65 if nodes > 300 else nodes)
    assert passed == [(nodes, n) for n in rows]
    assert value.shape == (sum(rows),)


def linear_gaussian(latent, rng, **kwargs):
    model = LinearGaussian(3, latent, **kwargs)
    params = model.init(rng)
    params["mean"] = rng.standard_normal(3)
    params["log_var"] = rng.standard_normal(params["log_var"].shape)
    return model, params


class Wide:
    """A linear-Gaussian model with a proposal that is off: shifted, and wider than the posterior."""

    def __init__(self, model):
        self.model = model
        self.draw_noise = model.draw_noise

    def log_weights(self, params, x, noise):
        mean, cov = self.model.posterior(params, x)
        return self.model.log_weights(params, x, noise, proposal=(mean + 0.3, 2 * cov))


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_three_roads_to_linear_gaussian_evidence(latent, noise):
    rng = np.random.default_rng(latent)
    model, params = linear_gaussian(latent, rng, noise=noise)
    x = rng.standard_normal((7, 3))
    cov = np.diag(np.broadcast_to(np.exp(params["log_var"]), 3))
    dense = exact.linear_gaussian(x, params["weight"], params["mean"], cov)
    np.testing.assert_allclose(model.log_evidence(params, x), dense, rtol=1e-12)
    np.testing.assert_allclose(exact.quadrature(Wide(model), params, x, nodes=60), dense, rtol=1e-10)
    by_scipy = stats.multivariate_normal(params["mean"], params["weight"].T @ params["weight"] + cov).logpdf(
        x
    )
    np.testing.assert_allclose(dense, by_scipy, rtol=1e-10)


def test_table_is_the_sum_over_states():
    joint = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(2, 3, 2)
    np.testing.assert_allclose(
        exact.table(np.log(joint), axis=(1, 2)), np.log(joint.sum(axis=(1, 2))), rtol=1e-13
    )
    np.testing.assert_allclose(exact.table(np.log(joint)), np.log(joint.sum(axis=-1)), rtol=1e-13)
    assert exact.table(np.array([-np.inf, -1000.0, -np.inf])) == -1000
    assert exact.table(np.array([-np.inf, -np.inf])) == -np.inf
    assert exact.table(np.ones((0, 2))).shape == (0,)


@pytest.mark.parametrize("bad", [[0.0, np.nan], [0.0, np.inf], []])
def test_table_refuses(bad):
    with pytest.raises(ValueError, match="log_joint"):
        exact.table(np.array(bad))


def test_table_refuses_integers_and_other_axes():
    with pytest.raises(ValueError, match="log_joint must be float32 or float64"):
        exact.table([0, 1])
    with pytest.raises(ValueError, match="axis must be an axis of log_joint"):
        exact.table([0.0, 1.0], axis=1)
    with pytest.raises(ValueError, match="axis must be an axis of log_joint"):
        exact.table([0.0, 1.0], axis=0.5)
    with pytest.raises(ValueError, match=r"axis must name each axis of log_joint once, was \(1, -1\)"):
        exact.table(np.ones((2, 2)), axis=(1, -1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", 1.0),
        ("x", np.zeros(3)),
        ("x", np.zeros((4, 1))),
        ("weight", np.ones((1, 2))),
        ("noise_cov", np.eye(2)),
    ],
)
def test_linear_gaussian_names_what_does_not_fit(name, value):
    good = {"x": np.zeros((4, 3)), "weight": np.ones((1, 3)), "mean": np.zeros(3), "noise_cov": np.eye(3)}
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        exact.linear_gaussian(**good | {name: value})


@pytest.mark.parametrize(
    ("weight", "noise_cov", "message"),
    [
        (1.0, np.eye(3) + np.triu(np.ones((3, 3)), 1) / 2, "must be symmetric"),
        (1.0, -np.eye(3), "must be positive definite"),
        (1e200, np.eye(3), "must be finite"),
    ],
)
def test_linear_gaussian_names_a_covariance_that_is_none(weight, noise_cov, message):
    with pytest.raises(ValueError, match=f"weightᵀ weight \\+ noise_cov {message}"):
        exact.linear_gaussian(np.zeros((4, 3)), np.full((1, 3), weight), np.zeros(3), noise_cov)


def test_linear_gaussian_at_rows_beyond_the_dtype_is_minus_infinity():
    found = exact.linear_gaussian(np.full((1, 2), 1e200), np.ones((1, 2)), np.zeros(2), np.eye(2))
    assert found.tolist() == [-np.inf]


def test_quadrature_refuses_rules_that_numpy_cannot_make_and_no_rows():
    with pytest.raises(ValueError, match="nodes must be at most 300, was 301"):
        exact.quadrature(LinearGaussian(3, 1), {}, X, nodes=301)
    with pytest.raises(ValueError, match="nodes must be an integer"):
        exact.quadrature(LinearGaussian(3, 1), {}, X, nodes=2.5)
    with pytest.raises(ValueError, match="x must have at least one row"):
        exact.quadrature(LinearGaussian(3, 1), {}, X[:0])
    with pytest.raises(ValueError, match=r"x must have shape \(\*, \*\), has \(3,\)"):
        exact.quadrature(LinearGaussian(3, 1), {}, X[:, 0])


def test_quadrature_refuses_many_dimensions():
    with pytest.raises(ValueError, match=r"must be <= 1000000, was 40 \*\* 6"):
        exact.quadrature(LinearGaussian(3, 6), {}, X)
