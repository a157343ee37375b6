import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from vbref.evaluate import Estimate, iwae, nested
from vbref.models import VAE, LinearGaussian, fast


class Off:
    """PPCA of two latents with a proposal that is off by a shift and a factor."""

    def __init__(self):
        rng = np.random.default_rng(5)
        self.model = LinearGaussian(4, 2)
        self.params = self.model.init(rng)
        self.x = rng.standard_normal((30, 4))
        mean, cov = self.model.posterior(self.params, self.x)
        self.proposal = (mean + 0.4, 1.7 * cov)
        self.tiles = []

    def draw_noise(self, rng, n, k=1):
        self.tiles.append((k, n))
        return self.model.draw_noise(rng, n, k)

    def log_weights(self, params, x, noise):
        mean, cov = self.proposal
        return self.model.log_weights(params, x, noise, proposal=(mean[: len(x)], cov))


def rng():
    return np.random.default_rng(11)


def test_zero_variance_at_the_exact_posterior():
    off = Off()
    for k in (1, 7):
        estimate = iwae(off.model, off.params, off.x, rng(), k, tile=3)
        np.testing.assert_allclose(estimate.per_datum, off.model.log_evidence(off.params, off.x), rtol=1e-12)
    assert estimate.monte_carlo_error < 1e-6
    for batched in (
        iwae(off.model, off.params, off.x, rng(), 3, batch_size=7),
        nested(off.model, off.params, off.x, rng(), (3,), batch_size=29)[3],
    ):
        np.testing.assert_allclose(batched.per_datum, estimate.per_datum, rtol=1e-12)


def test_one_sample_is_the_elbo():
    off = Off()
    estimate = iwae(off, off.params, off.x, rng(), 1, repeats=100)
    exact = off.model.elbo(off.params, off.x, *off.proposal)
    z = (estimate.per_datum - exact) / estimate.noise
    assert abs(z).max() < 4.5
    assert z.std() == pytest.approx(1, abs=0.4)


def test_many_samples_reach_the_evidence_from_below():
    off = Off()
    truth = off.model.log_evidence(off.params, off.x).mean()
    means = [iwae(off, off.params, off.x, rng(), k, repeats=200 // k).mean for k in (1, 10, 100)]
    assert means == sorted(means)
    last = iwae(off, off.params, off.x, rng(), 20_000)
    assert abs(last.mean - truth) < 4 * last.monte_carlo_error
    assert means[0] < truth - 0.1


def test_delta_method_agrees_with_repeats():
    off = Off()
    single = iwae(off, off.params, off.x, rng(), 500).monte_carlo_error
    repeated = iwae(off, off.params, off.x, rng(), 500, repeats=60).monte_carlo_error * math.sqrt(60)
    assert single == pytest.approx(repeated, rel=0.15)


def test_delta_method_by_its_formula_for_few_weights():
    w = np.array([1.0, 2.0, 6.0])
    relative = w.std(ddof=1) / w.mean() / math.sqrt(3)
    assert iwae(Given(np.log(w)[:, None]), {}, np.zeros((1, 1)), rng(), 3).noise == pytest.approx(relative)


def test_tiles_bound_what_passes_through_the_model_and_do_not_change_the_sum():
    off = Off()
    iwae(off, off.params, off.x, rng(), 1001, tile=50, batch_size=30)
    assert max(k * n for k, n in off.tiles) == 50 * 30
    assert sum(k for k, _ in off.tiles) == 1001
    whole = iwae(off, off.params, off.x, rng(), 1001, tile=5000, batch_size=30)
    tiled = iwae(off, off.params, off.x, rng(), 1001, tile=50, batch_size=30)
    np.testing.assert_allclose(tiled.per_datum, whole.per_datum, rtol=1e-12)
    np.testing.assert_allclose(tiled.noise, whole.noise, rtol=1e-10)


def test_errors_of_the_mean():
    estimate = Estimate(np.array([1.0, 3.0]), np.array([0.3, 0.4]))
    assert estimate.mean == 2
    assert estimate.standard_error == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert estimate.monte_carlo_error == pytest.approx(0.25)
    off = Off()
    assert iwae(off, off.params, off.x[:1], rng(), 5).standard_error == math.inf
    np.testing.assert_array_equal(iwae(off, off.params, off.x, rng(), 1).noise, np.full(30, math.inf))


def test_nested_estimates_share_their_weights():
    off = Off()
    found = nested(off, off.params, off.x, rng(), (1, 6, 60))
    log_w = off.log_weights(off.params, off.x, off.draw_noise(rng(), len(off.x), 60))
    np.testing.assert_allclose(found[1].per_datum, log_w.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found[60].per_datum, np.log(np.exp(log_w).mean(axis=0)), rtol=1e-12)
    sixes = np.log(np.exp(log_w).reshape(10, 6, -1).mean(axis=1))
    np.testing.assert_allclose(found[6].per_datum, sixes.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[6].noise, sixes.std(axis=0, ddof=1) / math.sqrt(10), rtol=1e-10)
    for small, large in ((1, 6), (6, 60)):
        assert (found[small].per_datum < found[large].per_datum).all()


def test_nested_is_iwae_at_its_largest_k():
    off = Off()
    found, single = nested(off, off.params, off.x, rng(), (4, 40)), iwae(off, off.params, off.x, rng(), 40)
    np.testing.assert_allclose(found[40].per_datum, single.per_datum, rtol=1e-13)
    np.testing.assert_allclose(found[40].noise, single.noise, rtol=1e-10)


def small_vae():
    """A VAE, its parameters, rows, and the model in a shape that no compiled code knows."""
    model = VAE(5, 2, (4,))
    plain = SimpleNamespace(draw_noise=model.draw_noise, log_weights=model.log_weights)
    return model, model.init(rng()), rng().random((3, 5)).round(), plain


@pytest.mark.parametrize("k", [255, 256])
def test_many_weights_are_the_same_compiled(k):
    model, params, x, plain = small_vae()
    seen, expected = (iwae(each, params, x, rng(), k, tile=100) for each in (model, plain))
    np.testing.assert_allclose(seen.per_datum, expected.per_datum, rtol=1e-14)
    np.testing.assert_allclose(seen.noise, expected.noise, rtol=1e-11)


@pytest.mark.parametrize(("k", "more"), [(255, 0), (256, 3)])
@pytest.mark.parametrize("overflows", [False, True])
def test_only_many_weights_are_compiled_and_those_that_overflow_are_taken_plain(
    monkeypatch, k, more, overflows
):
    class Weights:
        def __init__(self, model, params):
            self.plain = partial(model.log_weights, params)

        def log_weights(self, x, noise):
            return np.full(noise.shape[:2], np.nan) if overflows else self.plain(x, noise) + 3

    monkeypatch.setattr(fast, "Weights", Weights)
    model, params, x, plain = small_vae()
    seen, expected = (iwae(each, params, x, rng(), k, tile=100) for each in (model, plain))
    more = 0 if overflows else more
    np.testing.assert_allclose(seen.per_datum, expected.per_datum + more, rtol=1e-14)


@pytest.mark.parametrize("k", [2, 256])
def test_rows_and_parameters_are_checked_by_the_model_compiled_or_not(k):
    model, params, x, _ = small_vae()
    with pytest.raises(ValueError, match=r"x must be in \[0, 1\]"):
        iwae(model, params, x + 2, rng(), k)
    with pytest.raises(ValueError, match="params must name"):
        iwae(model, {}, x, rng(), k)
    with pytest.raises(ValueError, match=r"encoder\.0\.bias must have shape"):
        iwae(model, params | {"encoder.0.bias": np.ones(9)}, x, rng(), k)
    with pytest.raises(ValueError, match="share one dtype"):
        iwae(model, params, x.astype(np.float32), rng(), k)


def test_a_list_of_rows_is_as_good_as_an_array_and_a_seed_as_a_generator():
    model, params, x, _ = small_vae()
    for k in (2, 256):
        found, expected = (
            iwae(model, params, x.tolist(), 3, k),
            iwae(model, params, x, np.random.default_rng(3), k),
        )
        np.testing.assert_allclose(found.per_datum, expected.per_datum, rtol=1e-13)
    found, expected = (
        nested(model, params, x, seed, np.array([1, 2])) for seed in (3, np.random.default_rng(3))
    )
    np.testing.assert_array_equal(found[2].per_datum, expected[2].per_datum)
    for bound in (iwae, nested):
        with pytest.raises(ValueError, match="rng must be"):
            bound(model, params, x, None, 2 if bound is iwae else (2,))


@pytest.mark.parametrize("ks", [(), (2, 5), (5, 1), (0, 5), (5, 5), 5, [[1]], np.ones((1, 1), int)])
def test_nested_refuses_ks_that_do_not_nest(ks):
    off = Off()
    with pytest.raises(ValueError, match="ks"):
        nested(off, off.params, off.x, rng(), ks)


class Given:
    def __init__(self, log_w):
        self.log_w = np.asarray(log_w)

    def draw_noise(self, rng, n, k=1):
        return None

    def log_weights(self, params, x, noise):
        return self.log_w


def test_repeats_of_known_weights_are_their_log_mean_without_error():
    estimate = iwae(Given(np.full((5, 2), 1.7)), {}, np.zeros((2, 1)), rng(), 5, repeats=3)
    np.testing.assert_allclose(estimate.per_datum, 1.7, rtol=1e-15)
    np.testing.assert_allclose(estimate.noise, 0, atol=1e-15)


def test_extreme_weights():
    x = np.zeros((2, 1))
    estimate = iwae(Given([[-1e5, -np.inf], [-1e5, -np.inf]]), {}, x, rng(), 2)
    np.testing.assert_array_equal(estimate.per_datum, [-1e5, -np.inf])
    # Rounding of log Σ w near −1e5 is 1e-11, and the error is the root of a difference of such.
    assert estimate.noise[0] < 1e-5
    assert estimate.noise[1] == np.inf
    with pytest.raises(ValueError, match="NaN"):
        iwae(Given([[np.nan, 0.0]]), {}, x, rng(), 1)


@pytest.mark.parametrize("bad", [{"k": 0}, {"repeats": 0}, {"batch_size": 0}, {"tile": 0}, {"k": 2.5}])
def test_refuses_sizes_below_one(bad):
    off = Off()
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be an integer >= 1, was"):
        iwae(off, off.params, off.x, rng(), **{"k": 2} | bad)
    with pytest.raises(ValueError, match="rows must"):
        iwae(off, off.params, off.x[:0], rng(), 2)
