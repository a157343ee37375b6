"""The mixture's door, its ascent on data of every kind, its restarts, its stochastic steps."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vbref
from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture import hyper

KINDS = ("full", "tied", "diag", "spherical")


@st.composite
def data(draw):
    """Rows that may repeat, lie in a plane, be one, be fewer than columns, far off, or of any scale."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.sampled_from([1, 2, 3, 10, 60])), draw(st.sampled_from([1, 2, 3, 6]))
    x = rng.standard_normal((n, d)) + 4 * rng.integers(0, 3, (n, 1))
    if draw(st.booleans()):
        x = x[rng.integers(0, n, n) // 2]
    if draw(st.booleans()):
        x[:, 0] = x[0, 0]
    x *= 10.0 ** draw(st.sampled_from([-8, 0, 0, 8]))
    x += 10.0 ** draw(st.sampled_from([-300, 0, 6, 10])) * x.std()
    return x.astype(draw(st.sampled_from([np.float32, np.float64])))


@st.composite
def priors(draw):
    """Hyperparameters that do not depend on the scale of the rows."""
    options = {
        "concentration": 10.0 ** draw(st.integers(-6, 3)),
        "mean_precision": 10.0 ** draw(st.integers(-4, 3)),
        "covariance": draw(st.sampled_from(KINDS)),
        "process": draw(st.booleans()),
        "truncation": draw(st.sampled_from(["model", "posterior"])),
    }
    return draw(st.sampled_from([1, 2, 5])), options


@settings(max_examples=60)
@given(data(), priors(), st.integers(0, 100))
def test_the_bound_never_falls(x, prior, seed):
    k, options = prior
    model = GaussianMixture(k, **options).fit(x, rng=seed, max_iter=25, tol=0.0)  # or BoundFell
    bounds = np.array([update.bound for update in model.history])
    assert (np.diff(bounds) > -1e-9 * np.abs(bounds[1:]).max()).all()
    assert sum(model.elbo_terms.values()) == pytest.approx(model.elbo, rel=1e-7, abs=1e-7)
    assert np.isfinite(model.log_predictive(x)).all()
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    assert model.weights.min() >= 0
    assert model.weights.sum() <= 1 + 1e-12


@pytest.mark.parametrize("concentration", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("process", [False, True])
def test_large_concentrations_lose_no_digits(process, concentration):
    """log Γ of them does: the bound of two rows would fall by 1e-11, and one of two nats be off by 1e-3."""
    x = np.array([[0.0, 1.0], [0.5, -1.0]])
    options = {"mean_precision": 1e6, "inverse_scale": 1.0, "mean": [0.0, 0.0], "process": process}
    model = GaussianMixture(2, concentration=concentration, **options).fit(x, rng=0, max_iter=100)
    alone = GaussianMixture(1, **options).fit(x)
    if process:  # a prior so concentrated leaves the first stick next to nothing
        assert model.elbo == pytest.approx(alone.elbo, abs=3 / concentration)
    else:
        even = GaussianMixture(2, concentration=1e300, **options).fit(x, rng=0, max_iter=100)
        assert model.elbo == pytest.approx(even.elbo, abs=3 / concentration)


def test_one_component_needs_no_start():
    x = vbref.load_faithful()
    assert GaussianMixture(1).fit(x).elbo == GaussianMixture(1).fit(x, rng=3).elbo


def test_a_wrong_update_is_caught(monkeypatch):
    """The tests of monotonicity can fail: an M-step that forgets the prior's C_0."""
    from vbref.meanfield.engine import BoundFell
    from vbref.meanfield.mixture.components import Wishart

    right = Wishart.law

    def wrong(self, statistics, pull):
        less = statistics.scatter - 0.5 * self.inverse_scale
        return right(self, dataclasses.replace(statistics, scatter=less), pull)

    monkeypatch.setattr(Wishart, "law", wrong)
    with pytest.raises(BoundFell, match="components"):
        GaussianMixture(2).fit(vbref.load_faithful(), rng=0)


@pytest.mark.parametrize("kind", KINDS)
def test_units_and_offsets_do_not_matter(kind):
    """x → a x + b with default priors moves the bound by −N D log a, and nothing else."""
    x = vbref.load_faithful()
    scale = 1e8 if kind == "spherical" else np.array([1e8, 1e-5])
    plain = GaussianMixture(3, covariance=kind).fit(x, rng=0, max_iter=30, tol=0.0)
    moved = GaussianMixture(3, covariance=kind).fit(x * scale + 1e6 * scale, rng=0, max_iter=30, tol=0.0)
    shift = len(x) * np.log(scale * np.ones(2)).sum()
    assert moved.elbo + shift == pytest.approx(plain.elbo, rel=1e-7)
    np.testing.assert_allclose(moved.weights, plain.weights, rtol=1e-5)
    np.testing.assert_allclose(moved.means / scale - 1e6, plain.means, rtol=1e-5)


def test_old_faithful_has_two_components():
    model = GaussianMixture(6, concentration=1e-3).fit(vbref.load_faithful(), rng=0, n_init=3)
    np.testing.assert_allclose(np.sort(model.weights)[-2:], [0.356, 0.644], atol=0.005)
    assert model.ascent.converged
    assert [update.factor for update in model.history[:4]] == [
        "assignments",
        "weights",
        "components",
        "assignments",
    ]


def test_restarts_keep_the_best_and_are_reproducible():
    x = np.random.default_rng(0).standard_normal((60, 2)) + 6 * np.random.default_rng(1).integers(
        0, 4, (60, 1)
    )
    fits = [GaussianMixture(4).fit(x, rng=5, n_init=n).elbo for n in (1, 4, 8)]
    assert fits[0] <= fits[1] <= fits[2]
    assert GaussianMixture(4).fit(x, rng=np.random.default_rng(5), n_init=4).elbo == fits[1]


def test_float32_rows_are_summed_in_float64():
    x = vbref.load_faithful().astype(np.float32)
    narrow, wide = (GaussianMixture(2).fit(rows, rng=0) for rows in (x, x.astype(np.float64)))
    assert narrow.elbo == wide.elbo
    assert narrow.predict_proba(x).dtype == narrow.log_predictive(x).dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_stochastic_with_all_rows_and_step_one_is_coordinate_ascent(kind):
    x, start = vbref.load_faithful(), np.array([[2.0, 55.0], [4.0, 80.0], [3.0, 70.0]])
    one = GaussianMixture(3, covariance=kind).fit(x, means=start, max_iter=7, tol=0.0)
    other = GaussianMixture(3, covariance=kind)
    other.fit_stochastic(x, batch_size=len(x), epochs=7, step=lambda t: 1.0, means=start, rng=0)
    for name, value in one.posterior.items():
        np.testing.assert_array_equal(value, other.posterior[name], err_msg=name)
    assert [u.bound for u in other.history] == [u.bound for u in one.history if u.factor == "assignments"]


def test_stochastic_step_is_a_step_in_natural_parameters():
    """η ← (1 − ρ) η + ρ η̂ with η = (α, β, β m, ν, C + β m mᵀ), with one between two posteriors."""
    x, start = vbref.load_faithful(), np.array([[2.0, 55.0], [4.0, 80.0]])

    def natural(step, epochs):
        model = GaussianMixture(2, mean=np.array([3.0, 60.0]), inverse_scale=np.eye(2))
        p = model.fit_stochastic(x, batch_size=len(x), epochs=epochs, step=step, means=start, rng=0).posterior
        beta, mean = p["mean_precision"][:, None], p["mean"]
        outer = beta[:, :, None] * mean[:, :, None] * mean[:, None, :]
        return np.concatenate(
            [
                p["weights"][0],
                beta[:, 0],
                (beta * mean).ravel(),
                p["df"],
                (p["inverse_scale"] + outer).ravel(),
            ]
        )

    first, second = natural(lambda t: 1.0, 1), natural(lambda t: 1.0, 2)
    half = natural(lambda t: 1.0 if t == 1 else 0.25, 2)
    np.testing.assert_allclose(half, 0.75 * first + 0.25 * second, rtol=1e-12)


def test_stochastic_comes_close():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 2)) + 5 * rng.integers(0, 3, (4000, 1))
    best = GaussianMixture(3).fit(x, rng=0, n_init=3)
    found = GaussianMixture(3).fit_stochastic(x, batch_size=100, epochs=10, means=best.means + 0.5, rng=0)
    assert best.elbo - 0.002 * abs(best.elbo) < found.elbo < best.elbo
    late = [update.bound for update in found.history][-200:]
    assert abs(np.mean(late) - found.elbo) < 5 * np.std(late) / np.sqrt(200) + 0.001 * abs(found.elbo)


def test_an_inverse_is_symmetric_enough():
    """As np.linalg.inv leaves it: off by some 1e-12 of √(C_ii C_jj), more of a small entry itself."""
    rng = np.random.default_rng(0)
    column = np.array([1.0, 1e3, 1e-3])
    for _ in range(20):
        root = rng.standard_normal((3, 3)) * column
        given = np.linalg.inv(np.linalg.inv(root.T @ root + np.diag(column**2)))
        x = rng.standard_normal((5, 3)) * column
        fitted = GaussianMixture(1, inverse_scale=given).fit(x)
        assert fitted.elbo == GaussianMixture(1, inverse_scale=(given + given.T) / 2).fit(x).elbo
    slip = np.diag(column**2)
    slip[0, 1] = 1e-7 * column[1]
    with pytest.raises(ValueError, match="inverse_scale must be symmetric"):
        GaussianMixture(1, inverse_scale=slip).fit(x)


@pytest.mark.parametrize(("share", "enough"), [(0.9, True), (1.1, False)])
def test_symmetric_enough_is_by_the_roots_of_both_entries_of_the_diagonal(share, enough):
    given = np.array([[1e12, 0.0], [share * hyper._ASYMMETRY * 1e6 * 2, 4.0]])
    for matrix in (given, given.T):
        with nullcontext() if enough else pytest.raises(ValueError, match="inverse_scale must be symmetric"):
            GaussianMixture(1, inverse_scale=matrix).fit(np.array([[0.0, 1.0], [1.0, 3.0]]))


def test_gammas_may_have_less_than_one_degree_of_freedom():
    x = np.array([[0.0, 1.0], [1.0, 3.0]])
    assert np.isfinite(GaussianMixture(1, covariance="diag", df=0.5).fit(x).elbo)


@pytest.mark.parametrize(("kind", "shape"), [("diag", (1, 2)), ("spherical", (1,))])
def test_covariances_are_the_inverse_of_the_mean_precision(kind, shape):
    """C/ν of one component by hand: C_0, the scatter about m_0 = x̄, and ν_0 + N."""
    x = np.array([[0.0, 1.0], [1.0, 3.0], [5.0, 2.0]])
    model = GaussianMixture(1, covariance=kind, df=2.5, inverse_scale=0.7, mean=x.mean(axis=0)).fit(x)
    scatter = 3 * x.var(axis=0)
    expected = (0.7 + (scatter if kind == "diag" else scatter.mean())) / 5.5
    assert model.covariances.shape == shape
    np.testing.assert_allclose(model.covariances, np.broadcast_to(expected, shape), rtol=1e-13)


def test_tiny_concentrations_cost_the_terms_digits_but_not_the_bound():
    """What the docstring of `elbo_terms` says; the limit γ → 0 of one stick broken is one component."""
    x = vbref.load_faithful()
    model = GaussianMixture(6, concentration=1e-12, process=True).fit(x, rng=0, max_iter=50)
    off = sum(model.elbo_terms.values()) - model.elbo
    assert 0 < abs(off) < 1e-15 * max(map(abs, model.elbo_terms.values()))
    usual = GaussianMixture(6, concentration=1e-3, process=True).fit(x, rng=0, max_iter=50)
    assert sum(usual.elbo_terms.values()) == pytest.approx(usual.elbo, abs=1e-9)


@pytest.mark.parametrize("far", [1e9, 1e100, 1e150])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mean_far_from_all_rows_gets_none_and_costs_no_digits(kind, far):
    x = vbref.load_faithful()
    near = GaussianMixture(2, covariance=kind).fit(x, means=[[3.0, 70.0], [4e3, 4e4]])
    found = GaussianMixture(2, covariance=kind).fit(x, means=[[3.0, 70.0], [far, far]])
    assert found.elbo == pytest.approx(near.elbo, rel=1e-12)


@pytest.mark.parametrize("name", ["x", "means", "the prior", "stochastic"])
def test_what_float64_cannot_hold_is_named(name):
    x, start = vbref.load_faithful(), [[2.0, 55.0], [4.0, 80.0]]
    doors = {
        "x": lambda: GaussianMixture(2).fit(x * 1e160, rng=0),
        "means": lambda: GaussianMixture(2).fit(x, means=np.full((2, 2), 1e200)),
        "the prior": lambda: GaussianMixture(2, mean=[1e200, 0.0]).fit(x, means=start),
        "stochastic": lambda: GaussianMixture(2).fit_stochastic(x * 1e160, batch_size=50, epochs=1, rng=0),
    }
    with pytest.raises(ValueError, match=r"(x, the prior's numbers and the start|means) must .* float64"):
        doors[name]()


@pytest.mark.parametrize("method", ["log_predictive", "predict_proba"])
def test_rows_too_far_for_their_squares_are_named(method):
    model = GaussianMixture(2).fit(vbref.load_faithful(), rng=0)
    assert np.isfinite(getattr(model, method)(np.full((1, 2), 1e140))).all()
    with pytest.raises(ValueError, match="x must stay within what float64 can hold"):
        getattr(model, method)(np.full((1, 2), 1e200))


def test_converged_is_whether_the_last_sweep_stood_still():
    x = vbref.load_faithful()
    model = GaussianMixture(2).fit(x, rng=0, tol=1e-6)
    bounds = [update.bound for update in model.history if update.factor == "components"]
    still = abs(np.diff(bounds)) <= 1e-6 * np.abs(bounds[1:])
    assert model.converged
    assert still[-1]
    assert not still[:-1].any()
    assert not GaussianMixture(2).fit(x, rng=0, tol=1e-6, max_iter=len(bounds) - 1).converged
    assert not GaussianMixture(2).fit_stochastic(x, batch_size=50, epochs=1, rng=0).converged


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_components": 0}, "n_components"),
        ({"process": "no"}, "process must be True or False"),
        ({"process": 1}, "process must be True or False"),
        ({"inverse_scale": True}, "inverse_scale must hold real numbers, was bool"),
        ({"inverse_scale": 1j}, "inverse_scale must hold real numbers, was complex"),
        ({"inverse_scale": np.ma.masked_array(np.eye(2))}, "inverse_scale must not be a masked array"),
        ({"mean": [[1.0], [1.0, 2.0]]}, "mean must be an array"),
        ({"concentration": 10**400}, "concentration must be a finite number"),
        ({"n_components": 2.0}, "n_components"),
        ({"concentration": 0.0}, "concentration"),
        ({"concentration": np.nan}, "concentration"),
        ({"mean_precision": -1.0}, "mean_precision"),
        ({"covariance": "round"}, "covariance"),
        ({"truncation": "none"}, "truncation"),
        ({"df": 1.0}, "df must be > 1"),
        ({"mean": np.zeros(3)}, "mean"),
        ({"inverse_scale": -np.eye(2)}, "inverse_scale must be positive definite"),
        ({"inverse_scale": np.array([[1.0, 0.5], [0.0, 1.0]])}, "inverse_scale must be symmetric"),
        ({"inverse_scale": np.ones(2), "covariance": "spherical"}, "inverse_scale must be a number"),
        ({"inverse_scale": np.array([1.0, 0.0]), "covariance": "diag"}, "inverse_scale"),
    ],
)
def test_hyperparameters_out_of_range(options, name):
    with pytest.raises(ValueError, match=name):
        GaussianMixture(**({"n_components": 2} | options)).fit(vbref.load_faithful(), rng=0)


@pytest.mark.parametrize(
    ("x", "options", "name"),
    [
        (np.zeros((0, 2)), {"rng": 0}, "x must have at least one row"),
        (np.zeros(3), {"rng": 0}, "x must have shape"),
        (np.zeros((3, 2), int), {"rng": 0}, "x must be float32 or float64"),
        (np.array([[0.0, np.nan]]), {"rng": 0}, "x must be finite"),
        (np.zeros((3, 2)), {}, "rng, resp, means"),
        (np.zeros((3, 2)), {"resp": np.full((3, 2), 0.4)}, "resp must sum to one"),
        (np.zeros((3, 2)), {"resp": np.full((2, 2), 0.5)}, "resp must have shape"),
        (np.zeros((3, 2)), {"means": np.zeros((3, 2))}, "means must have shape"),
        (np.zeros((3, 2)), {"rng": 0, "n_init": 0}, "n_init"),
        (
            np.zeros((3, 2)),
            {"resp": np.full((3, 2), 0.5), "n_init": 3},
            "n_init must be 1 with resp or means",
        ),
        (np.zeros((3, 2)), {"means": np.zeros((2, 2)), "n_init": 3}, "n_init must be 1 with resp or means"),
        (None, {"rng": 0}, "x must be float32 or float64, was object"),
        (3.0, {"rng": 0}, "x must have shape"),
        (np.zeros((3, 2), ">f8"), {"rng": 0}, "x must be in this machine's byte order"),
        (np.ma.masked_array(np.zeros((3, 2))), {"rng": 0}, "x must not be a masked array"),
        (np.zeros((3, 2)), {"rng": 0, "tol": -1.0}, "tol"),
    ],
)
def test_rows_and_starts_out_of_range(x, options, name):
    with pytest.raises(ValueError, match=name):
        GaussianMixture(2).fit(x, **options)


def test_other_doors():
    model = GaussianMixture(2)
    with pytest.raises(ValueError, match="fitted first"):
        _ = model.elbo
    model.fit(vbref.load_faithful(), rng=0)
    with pytest.raises(ValueError, match="x must have shape"):
        model.predict_proba(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="step must be in"):
        model.fit_stochastic(vbref.load_faithful(), batch_size=50, epochs=1, rng=0, step=lambda t: 0.0)
    with pytest.raises(ValueError, match="step\\(1\\) must be a finite number"):
        model.fit_stochastic(vbref.load_faithful(), batch_size=50, epochs=1, rng=0, step=lambda t: "a")
    with pytest.raises(ValueError, match="batch_size"):
        model.fit_stochastic(vbref.load_faithful(), batch_size=0, epochs=1, rng=0)
