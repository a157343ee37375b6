"""The amortisation gap: a linear model, whose evidence and best posteriors are known, and digits."""

import numpy as np
import pytest
from scipy import stats

from vbref import fit, load_digits
from vbref.meanfield import Gaussian
from vbref.meanfield.amortisation import Gap, amortisation_gap, cubature, fit_per_point
from vbref.models import VAE, LinearGaussian

SIGMA, N = 0.8, 12


def linear(posterior, **options):
    """A linear VAE with an encoder drawn at random, the exact model of its decoder, and data from it."""
    rng = np.random.default_rng(0)
    vae = VAE(5, 2, (), likelihood="gaussian", sigma=SIGMA, posterior=posterior, **options)
    params = vae.init(rng)
    params["decoder.0.weight"] = rng.standard_normal((2, 5))
    params["encoder.0.weight"] /= 4
    theta = {
        "weight": params["decoder.0.weight"],
        "mean": params["decoder.0.bias"],
        "log_var": np.array(2 * np.log(SIGMA)),
    }
    exact = LinearGaussian(5, 2)
    x = exact.sample(theta, rng.standard_normal((N, 2)), rng.standard_normal((N, 5)))
    return vae, params, exact, theta, x


@pytest.mark.parametrize("dim", [1, 3])
def test_cubature_is_exact_to_the_third_degree(dim):
    points = cubature(1, dim)[:, 0]
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(points.T @ points / len(points), np.eye(dim), atol=1e-15)
    np.testing.assert_allclose(np.einsum("ka,kb,kc->abc", points, points, points), 0, atol=1e-14)


def test_full_posteriors_of_their_own_leave_no_gap_to_the_evidence():
    vae, params, exact, theta, x = linear("full")
    gap = amortisation_gap(vae, params, x, cubature(N, 2))
    np.testing.assert_allclose(gap.per_point, exact.log_evidence(theta, x), rtol=1e-7)
    assert (gap.per_datum > 0.01).all()
    once = fit_per_point(vae, params, x, cubature(N, 2), max_iter=1, steps=60).ascent
    assert once.bound == pytest.approx(exact.log_evidence(theta, x).sum(), rel=1e-5)
    loc, factor = gap.fitted.model.encode(gap.fitted.params, x)
    mean, cov = exact.posterior(theta, x)
    np.testing.assert_allclose(loc, mean, atol=1e-4)
    np.testing.assert_allclose(factor @ factor.mT, np.tile(cov, (N, 1, 1)), atol=1e-4)


def test_diagonal_posteriors_leave_the_gap_of_the_gaussian_mean_field():
    """log p(x) − max_ψ ELBO = ½ (Σ log Λ_jj − log|Λ|), Λ the posterior's precision, the same for all rows."""
    vae, params, exact, theta, x = linear("diagonal")
    gap = amortisation_gap(vae, params, x, cubature(N, 2))
    family = Gaussian(np.zeros(2), exact.posterior(theta, x)[1]).optimal_gap
    assert family > 0.01
    np.testing.assert_allclose(exact.log_evidence(theta, x) - gap.per_point, family, rtol=1e-5)


def test_an_encoder_at_the_optimum_has_no_gap():
    vae, params, exact, theta, x = linear("full")
    W = theta["weight"]
    gain = np.linalg.solve(W.T @ W + SIGMA**2 * np.eye(5), W.T)
    factor = np.linalg.cholesky(np.eye(2) - W @ gain)
    params["encoder.0.weight"] = np.concatenate([gain, np.zeros((5, 3))], axis=1)
    tril = [np.log(factor[0, 0]), factor[1, 0], np.log(factor[1, 1])]
    params["encoder.0.bias"] = np.concatenate([-theta["mean"] @ gain, tril])
    gap = amortisation_gap(vae, params, x, cubature(N, 2))
    np.testing.assert_allclose(gap.amortised, exact.log_evidence(theta, x), rtol=1e-12)
    np.testing.assert_allclose(gap.per_datum, 0, atol=1e-9)


def test_coordinate_ascent_on_both_finds_maximum_likelihood():
    """D4 and D5 on probabilistic PCA: with full posteriors the maximum of J is that of the evidence."""
    vae, params, _, _, x = linear("full", scale="learned")
    fitted = fit_per_point(vae, params, x, cubature(N, 2), learn=True, tol=1e-8, steps=5)
    best = LinearGaussian(5, 2)
    assert fitted.ascent.converged
    assert fitted.ascent.bound == pytest.approx(best.log_evidence(best.fit_exact(x), x).sum(), abs=1e-4)
    assert {row.factor for row in fitted.ascent.history} == {"posteriors", "generative parameters"}


def test_the_gap_of_an_encoder_on_digits():
    """Positive for images seen, and larger for images not seen, for which the encoder was not trained."""
    x = (load_digits().x[:600] > 7).astype(float)
    rng = np.random.default_rng(0)
    model = VAE(64, 4, (32,))
    params, _ = fit(model, x[:300], epochs=60, batch_size=50, rng=rng, learning_rate=5e-3)
    seen, unseen = (
        amortisation_gap(
            model, params, rows, cubature(300, 4), evaluation_noise=model.draw_noise(rng, 300, 100)
        )
        for rows in (x[:300], x[300:])
    )
    for gap in (seen, unseen):
        assert gap.fitted.ascent.converged
        assert gap.mean > 4 * gap.standard_error
        # Each row separately, but for the noise of its evaluation and cubature's error in the fit.
        assert (gap.per_datum > 0).mean() > 0.95
    apart = np.hypot(seen.standard_error, unseen.standard_error)
    assert unseen.mean - seen.mean > 3 * apart


def test_rows_add_up_to_the_models_own_objective():
    vae, params, _, _, x = linear("diagonal")
    noise = vae.draw_noise(np.random.default_rng(1), N, 3)
    gap = amortisation_gap(vae, params, x, noise)
    assert gap.amortised.sum() == pytest.approx(vae.objective(params, x, noise), rel=1e-13)
    assert gap.per_point.sum() == pytest.approx(gap.fitted.ascent.bound, rel=1e-13)


def test_lists_are_as_good_as_arrays():
    vae, params, _, _, x = linear("diagonal")
    found, expected = (
        amortisation_gap(vae, params, rows, cubature(N, 2), max_iter=2) for rows in (x.tolist(), x)
    )
    np.testing.assert_array_equal(found.per_datum, expected.per_datum)


def test_the_mean_gap_and_its_standard_error():
    found = np.array([0.5, 2.0, 1.0, 4.5])
    gap = Gap(amortised=np.full(4, -7.0), per_point=found - 7, fitted=None)
    assert gap.mean == pytest.approx(2.0)
    assert gap.standard_error == pytest.approx(stats.sem(found), rel=1e-13)


def test_the_given_parameters_are_left_alone():
    vae, params, _, _, x = linear("diagonal")
    before = {name: value.copy() for name, value in params.items()}
    fitted = fit_per_point(vae, params, x, cubature(N, 2), learn=True, max_iter=2)
    assert all(np.array_equal(params[name], before[name]) for name in before)
    assert not np.array_equal(fitted.params["decoder.0.weight"], params["decoder.0.weight"])


def test_bad_input_is_named():
    vae, params, _, _, x = linear("diagonal")
    with pytest.raises(ValueError, match="model must be amortised"):
        fit_per_point(VAE(5, 2, (), inference="per-point", rows=N), params, x, cubature(N, 2))
    with pytest.raises(ValueError, match="steps"):
        fit_per_point(vae, params, x, cubature(N, 2), steps=0)
    for n in (3, 20):
        with pytest.raises(ValueError, match="evaluation_noise must have shape"):
            amortisation_gap(vae, params, x, cubature(N, 2), evaluation_noise=cubature(n, 2))
        with pytest.raises(ValueError, match=r"^noise must have shape"):
            amortisation_gap(vae, params, x, cubature(n, 2))
    for bad, message in [
        (x[:, :4], r"have shape \(\*, 5\)"),
        (x[0], "have shape"),
        (x[:0], "have at least one row"),
    ]:
        with pytest.raises(ValueError, match=f"x must {message}"):
            fit_per_point(vae, params, bad, cubature(N, 2))
    with pytest.raises(ValueError, match="model must be amortised"):
        fit_per_point(LinearGaussian(5, 2), params, x, cubature(N, 2))
    with pytest.raises(ValueError, match="dtype must be one of"):
        cubature(2, 2, "int64")
    with pytest.raises(ValueError, match="n must be an integer"):
        cubature(0, 2)
