"""LinearGaussian against the dense joint normal, scikit-learn, quadrature, differences and Bayes' rule."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from vbref.models import LinearGaussian

SHAPES = [(5, 2), (3, 3), (2, 4), (1, 1), (4, 1)]
CASES = [(noise, *shape) for noise in ("isotropic", "diagonal") for shape in SHAPES]


def setting(noise, data_dim, latent_dim, seed=0, n=6):
    rng = np.random.default_rng(seed)
    model = LinearGaussian(data_dim, latent_dim, noise=noise)
    params = {name: rng.standard_normal(shape) for name, shape in model.shapes().items()}
    return model, {k: np.asarray(v) for k, v in params.items()}, 2 * rng.standard_normal((n, data_dim)), rng


def joint_cov(model, params):
    """The covariance of (z, x), written out."""
    W = params["weight"]
    C = W.T @ W + np.diag(np.full(model.data_dim, np.exp(params["log_var"])))
    return np.block([[np.eye(model.latent_dim), W], [W.T, C]]), C


@pytest.mark.parametrize("case", CASES)
def test_evidence_is_the_dense_normal(case):
    model, params, x, _ = setting(*case)
    dense = multivariate_normal(params["mean"], joint_cov(model, params)[1]).logpdf(x)
    np.testing.assert_allclose(model.log_evidence(params, x), dense, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_posterior_conditions_the_joint_normal(case):
    model, params, x, _ = setting(*case)
    joint, C = joint_cov(model, params)
    L = model.latent_dim
    gain = joint[:L, L:] @ np.linalg.inv(C)
    mean, cov = model.posterior(params, x)
    np.testing.assert_allclose(mean, (x - params["mean"]) @ gain.T, atol=1e-11)
    np.testing.assert_allclose(cov, joint[:L, :L] - gain @ joint[L:, :L], atol=1e-11)


def test_evidence_by_quadrature():
    model, params, x, _ = setting("diagonal", 3, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    means = nodes[:, None, None] * params["weight"] + params["mean"]
    lik = np.exp(-((x - means) ** 2) / np.exp(params["log_var"]) / 2).prod(-1)
    lik /= np.sqrt(2 * np.pi * np.exp(params["log_var"])).prod()
    exact = np.log(weights @ lik / weights.sum())
    np.testing.assert_allclose(model.log_evidence(params, x), exact, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gradient_by_central_differences(case):
    model, params, x, _ = setting(*case)
    value, grad = model.objective_and_grad(params, x)
    assert value == model.objective(params, x)
    for name, array in params.items():
        assert grad[name].shape == array.shape
        for at in np.ndindex(array.shape):
            shift = np.zeros(array.shape)
            shift[at] = 1e-5
            up, down = (model.objective(params | {name: array + s}, x) for s in (shift, -shift))
            assert grad[name][at] == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from(CASES))
@settings(max_examples=60, deadline=None)
def test_elbo_and_gap_add_up_to_the_evidence(seed, case):
    model, params, x, rng = setting(*case, seed=seed)
    D, n = model.latent_dim, len(x)
    q_mean, root = rng.standard_normal((n, D)), rng.standard_normal((n, D, D))
    q_cov = root @ root.mT + 0.1 * np.eye(D)
    mean, cov = model.posterior(params, x)
    precision, r = np.linalg.inv(cov), q_mean - mean
    gap = np.trace(precision @ q_cov, axis1=1, axis2=2) - D + np.einsum("ni,ij,nj->n", r, precision, r)
    gap = (gap + np.linalg.slogdet(cov)[1] - np.linalg.slogdet(q_cov)[1]) / 2
    assert (gap >= -1e-12).all()
    elbo = model.elbo(params, x, q_mean, q_cov)
    evidence = model.log_evidence(params, x)
    size = 1 + abs(elbo) + gap
    assert (abs(elbo + gap - evidence) / size).max() < 1e-12


def test_elbo_is_the_mean_log_weight():
    model, params, x, rng = setting("diagonal", 4, 2)
    q = (rng.standard_normal((6, 2)), np.array([[0.5, 0.2], [0.2, 0.4]]))
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    noise = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 1, 2).repeat(6, 1)
    product = np.outer(weights, weights).ravel() / weights.sum() ** 2
    log_w = model.log_weights(params, x, noise, proposal=q)
    np.testing.assert_allclose(product @ log_w, model.elbo(params, x, *q), rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_posterior_proposal_has_zero_variance(case):
    model, params, x, rng = setting(*case)
    log_w = model.log_weights(params, x, model.draw_noise(rng, len(x), 7))
    np.testing.assert_allclose(log_w, np.tile(model.log_evidence(params, x), (7, 1)), rtol=1e-11)


def test_a_weight_is_that_of_the_mean_and_the_factor_times_the_noise():
    model, params, x, rng = setting("isotropic", 3, 2)
    mean, cov = np.ones((6, 2)), np.array([[0.5, 0.2], [0.2, 0.4]])
    noise = rng.standard_normal((1, 6, 2))
    z = mean + noise[0] @ np.linalg.cholesky(cov).T
    log_lik = norm.logpdf(x, z @ params["weight"] + params["mean"], np.exp(params["log_var"] / 2))
    log_q = multivariate_normal(np.ones(2), cov).logpdf(z)
    expected = log_lik.sum(axis=-1) + norm.logpdf(z).sum(axis=-1) - log_q
    found = model.log_weights(params, x, noise, proposal=(mean, cov))
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_other_proposals_average_to_the_evidence():
    model, params, x, rng = setting("isotropic", 3, 2)
    mean, cov = model.posterior(params, x)
    log_w = model.log_weights(params, x, model.draw_noise(rng, 6, 20_000), proposal=(mean + 0.1, 1.5 * cov))
    ratio = np.exp(log_w - model.log_evidence(params, x))
    z_score = (ratio.mean(0) - 1) / (ratio.std(0, ddof=1) / np.sqrt(len(ratio)))
    assert abs(z_score).max() < 4.5
    assert ratio.std() > 0.1


@pytest.mark.parametrize("n", [5, 40])
def test_ppca_maximum_is_stationary_and_beats_its_neighbours(n):
    rng = np.random.default_rng(3)
    x = 0.1 * rng.standard_normal((n, 6)) @ rng.standard_normal((6, 6))
    model = LinearGaussian(6, 2)
    params = model.fit_exact(x)
    value, grad = model.objective_and_grad(params, x)
    assert max(abs(g).max() for g in grad.values()) < 1e-9
    for _ in range(50):
        near = {k: v + 0.01 * rng.standard_normal(v.shape) for k, v in params.items()}
        assert model.objective(near, x) < value


def test_ppca_agrees_with_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is the peer here")
    x = np.random.default_rng(4).standard_normal((200, 5)) @ np.diag([3.0, 2.0, 1.0, 0.5, 0.4])
    model = LinearGaussian(5, 2)
    pca = decomposition.PCA(2).fit(x)
    params = model.fit_exact(x)
    # scikit-learn divides its covariance by N - 1, maximum likelihood by N.
    shrink = 0.5 * np.log(199 / 200)
    params = params | {
        "weight": params["weight"] * np.exp(-shrink),
        "log_var": params["log_var"] - 2 * shrink,
    }
    np.testing.assert_allclose(model.log_evidence(params, x), pca.score_samples(x), rtol=1e-12)


def test_the_rounding_of_rows_on_a_line_is_no_second_direction():
    """Far from 0 it leaves tens of eps of the first singular value."""
    x = 20 + np.random.default_rng(0).standard_normal((300, 1)) * np.array([1.0, -0.7, 0.3])
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    assert s[1] > 10 * np.finfo(float).eps * s[0]
    with pytest.raises(ValueError, match="rank > latent_dim"):
        LinearGaussian(3, 1).fit_exact(x)


def test_em_reaches_the_closed_form():
    x = np.random.default_rng(5).standard_normal((100, 4)) @ np.diag([4.0, 3.0, 0.5, 0.4])
    model = LinearGaussian(4, 2)
    start = model.init(np.random.default_rng(0))
    by_em, exact = model.fit_em(x, start, iterations=2000), model.fit_exact(x)
    assert model.objective(by_em, x) == pytest.approx(model.objective(exact, x), rel=1e-12)


def test_factor_analysis_em_climbs_to_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is the peer here")
    rng = np.random.default_rng(6)
    x = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 6)) + 0.7 * rng.standard_normal((300, 6))
    model = LinearGaussian(6, 2, noise="diagonal")
    params = model.init(rng)
    values = [model.objective(params := model.fit_em(x, params, iterations=50), x) for _ in range(20)]
    assert (np.diff(values) > -1e-9).all()
    peer = decomposition.FactorAnalysis(2, tol=1e-12, max_iter=10_000, svd_method="lapack").fit(x)
    assert values[-1] == pytest.approx(peer.score_samples(x).sum(), rel=1e-9)


def test_sample_has_the_model_moments():
    model, params, _, rng = setting("diagonal", 3, 2)
    noise, own = rng.standard_normal((200_000, 2)), rng.standard_normal((200_000, 3))
    x = model.sample(params, noise, own)
    C = joint_cov(model, params)[1]
    products = (x - params["mean"])[:, :, None] * (x - params["mean"])[:, None]
    z_score = (products.mean(0) - C) / (products.std(0) / np.sqrt(len(x)))
    assert abs(z_score).max() < 4.5
    mean = noise[:2] @ params["weight"] + params["mean"]
    np.testing.assert_allclose(model.sample(params, noise[:2]), mean)
    np.testing.assert_allclose((x[:2] - mean) / np.exp(params["log_var"] / 2), own[:2], rtol=1e-12)


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_float32_stays(noise):
    model = LinearGaussian(4, 2, noise=noise, dtype="float32")
    rng = np.random.default_rng(0)
    params, x = model.init(rng), rng.standard_normal((5, 4), np.float32)
    eps = model.draw_noise(rng, 5, 2)
    arrays = [*model.objective_and_grad(params, x)[1].values(), *model.posterior(params, x), eps]
    arrays += [model.log_weights(params, x, eps), model.log_evidence(params, x), model.sample(params, eps)]
    arrays += [model.elbo(params, x, *model.posterior(params, x)), *model.fit_em(x, params).values()]
    arrays += LinearGaussian(4, 2, dtype="float32").fit_exact(x).values()
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


EXTREMES = [(shape, at) for shape in [(2, 2), (2, 3), (3, 1)] for at in (-600.0, -30.0, 30.0, 600.0)]
# With data_dim > latent_dim, noise far below the rounding of x leaves no digit of the residual to compare.
EXTREMES.remove(((3, 1), -600.0))


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
@pytest.mark.parametrize(("shape", "log_var"), EXTREMES)
def test_extreme_noise_against_exact_digits(noise, shape, log_var):
    """r is in W's span, where v → 0 has a limit, and the dense covariance has lost it in any float."""
    model, _, _, rng = setting(noise, *shape)
    weight = rng.integers(-4, 5, shape[::-1]).astype(float)
    r = rng.integers(1, 4, shape[1]) @ weight
    full = {"weight": weight, "mean": np.zeros(shape[0])}
    full["log_var"] = np.full(model.shapes()["log_var"], log_var)
    with mpmath.workdps(600):
        W, row = mpmath.matrix(weight.tolist()), mpmath.matrix([r.tolist()])
        C = W.T * W + mpmath.exp(log_var) * mpmath.eye(shape[0])
        exact = -(row * C**-1 * row.T)[0] / 2 - mpmath.log(mpmath.det(2 * mpmath.pi * C)) / 2
    assert model.log_evidence(full, r[None])[0] == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("log_var", [-1e4, 1e4])
def test_noise_beyond_the_dtype_is_named(log_var):
    params = PARAMS | {"log_var": np.array(log_var)}
    for call in (MODEL.log_evidence, MODEL.posterior, MODEL.objective_and_grad):
        with pytest.raises(ValueError, match="params must stay within"):
            call(params, X)


X, MODEL = np.zeros((2, 3)), LinearGaussian(3, 1)
PARAMS = MODEL.init(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearGaussian(0, 1), "data_dim must be"),
        (lambda: LinearGaussian(3, 1, noise="full"), "noise must be one of"),
        (lambda: MODEL.log_evidence(PARAMS, X[:, :2]), "x must have shape"),
        (lambda: MODEL.log_evidence(PARAMS, X[:0]), "at least one row"),
        (lambda: MODEL.log_evidence(PARAMS, X.astype(np.float32)), "share one dtype"),
        (lambda: MODEL.log_evidence(PARAMS, X.astype(int)), "x must be float32 or float64"),
        (lambda: MODEL.log_evidence(PARAMS, np.full((2, 3), np.nan)), "x must be finite"),
        (lambda: MODEL.log_evidence({"weight": PARAMS["weight"]}, X), r"missing \['log_var', 'mean'\]"),
        (lambda: MODEL.log_evidence(PARAMS | {"bias": X}, X), r"unknown \['bias'\]"),
        (lambda: MODEL.log_evidence(PARAMS | {"mean": X}, X), "mean must have shape"),
        (lambda: MODEL.log_weights(PARAMS, X, np.zeros((0, 2, 1))), "K >= 1"),
        (lambda: MODEL.log_weights(PARAMS, X, np.zeros((1, 3, 1))), "noise must have shape"),
        (lambda: MODEL.elbo(PARAMS, X, np.zeros((2, 1)), np.array([[-1.0]])), "q_cov must be positive"),
        (lambda: MODEL.sample(PARAMS, X), r"noise must have shape \(..., 1\)"),
        (lambda: MODEL.sample(PARAMS, X[:, :1], X[0]), "observation_noise must have shape"),
        (lambda: MODEL.draw_noise(np.random.default_rng(0), 2, 0), "k must be"),
        (lambda: MODEL.fit_exact(X), "rank > latent_dim"),
        (lambda: LinearGaussian(3, 3).fit_exact(X), "latent_dim < data_dim"),
        (lambda: LinearGaussian(3, 1, noise="diagonal").fit_exact(X), "isotropic noise"),
        (lambda: MODEL.fit_em(X, PARAMS), "x must leave noise"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_batch_of_one_row_has_the_elbo_of_that_row():
    q_mean, q_cov = MODEL.posterior(PARAMS, X)
    whole = MODEL.elbo(PARAMS, X, q_mean, q_cov)
    np.testing.assert_allclose(MODEL.elbo(PARAMS, X[:1], q_mean[:1], q_cov), whole[:1], rtol=1e-13)


def test_initial_weights_add_variance_one_to_each_feature():
    added = (LinearGaussian(4000, 8).init(np.random.default_rng(0))["weight"] ** 2).sum(axis=0)
    assert abs(added.mean() - 1) < 4 * added.std() / np.sqrt(4000)
