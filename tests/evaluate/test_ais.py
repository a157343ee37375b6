"""AIS against exact normalisers: PPCA, and a bimodal density on a line by quadrature."""

import numpy as np
import pytest
from scipy import integrate, special

from vbref.evaluate import ais, annealed, exact, sandwich
from vbref.evaluate.ais import Path
from vbref.models import VAE, LinearGaussian


def two_humps(z):
    """log f and its slope, f = e^(−2 (z − 1.5)²) + ½ e^(−4 (z + 1)²)."""
    a, b = -2 * (z[..., 0] - 1.5) ** 2, np.log(0.5) - 4 * (z[..., 0] + 1) ** 2
    log_f = np.logaddexp(a, b)
    slope = np.exp(a - log_f) * -4 * (z[..., 0] - 1.5) - np.exp(b - log_f) * 8 * (z[..., 0] + 1)
    return log_f, slope[..., None]


def log_z_of_two_humps():
    return np.log(integrate.quad(lambda z: np.exp(two_humps(np.array([z]))[0]), -8, 8, points=[-1, 1.5])[0])


def chains(target, shape, k, seed, run=ais.forward, start=None):
    """log w and the step sizes of chains on the path from N(0, I)."""
    rng = np.random.default_rng(seed)
    path = Path(ais.standard_normal, target)
    steps = ais.tune(path, rng.standard_normal((20, *shape[1:])), rng)
    z = rng.standard_normal(shape) if start is None else start
    return run(path, z, ais.schedule(k), steps, rng)


def z_score(w, expected):
    return (w.mean() - expected) / (w.std(ddof=1) / np.sqrt(w.size))


@pytest.mark.parametrize("k", [1, 3, 20])
def test_weights_are_unbiased_for_z(k):
    log_w = chains(two_humps, (40, 500, 1), k, seed=k)
    assert abs(z_score(np.exp(log_w - log_z_of_two_humps()), 1)) < 4


def test_reverse_weights_are_unbiased_for_one_over_z():
    rng = np.random.default_rng(2)
    mass = np.array([np.sqrt(np.pi / 2), 0.5 * np.sqrt(np.pi / 4)])
    first = rng.random((2000, 1)) < mass[0] / mass.sum()
    z = np.where(first, 1.5 + rng.normal(size=(2000, 1)) / 2, -1 + rng.normal(size=(2000, 1)) / np.sqrt(8))
    log_w = chains(two_humps, (1, *z.shape), 20, 3, run=ais.reverse, start=z[None])
    assert np.log(mass.sum()) == pytest.approx(log_z_of_two_humps(), abs=1e-10)
    assert abs(z_score(np.exp(np.log(mass.sum()) - log_w), 1)) < 4
    assert log_w.mean() > np.log(mass.sum())


def test_weights_show_a_biased_transition():
    """Metropolis's test is taken out."""

    class Unadjusted(Path):
        def move(self, point, beta, step, rng):
            momentum = rng.standard_normal(point.z.shape)
            return self._trajectory(point, momentum, beta, np.full((1, 1), 0.9))[0], None

    rng = np.random.default_rng(0)
    path, steps = Unadjusted(ais.standard_normal, two_humps), lambda beta: np.full(500, 0.9)
    log_w = ais.forward(path, rng.standard_normal((40, 500, 1)), ais.schedule(20), steps, rng)
    assert abs(z_score(np.exp(log_w - log_z_of_two_humps()), 1)) > 6


class PPCA:
    """PPCA as a model with a decoder: z W + mean, one σ."""

    def __init__(self, d=6, latent=3, seed=0):
        rng = np.random.default_rng(seed)
        self.exact, self.latent_dim, self.data_dim = LinearGaussian(d, latent), latent, d
        self.vae = VAE(d, latent, (), likelihood="gaussian", scale="learned")
        self.decoder, self.likelihood, self.prior = self.vae.decoder, self.vae.likelihood, self.vae.prior
        p = {"weight": rng.standard_normal((latent, d)), "mean": rng.standard_normal(d)}
        p["log_var"] = np.array(np.log(0.3))
        self.of_exact = p
        names = {"decoder.0.weight": "weight", "decoder.0.bias": "mean", "likelihood.log_var": "log_var"}
        self.params = {ours: p[theirs] for ours, theirs in names.items()}
        self.x = self.exact.sample(p, rng.standard_normal((30, latent)), rng.standard_normal((30, d)))


def test_evidence_of_ppca():
    world = PPCA()
    true = world.exact.log_evidence(world.of_exact, world.x)
    found = annealed(world, world.params, world.x, np.random.default_rng(1), (1, 10, 100), chains=40)
    z = (found[100].per_datum - true) / found[100].noise
    assert abs(z).max() < 5
    assert abs(found[100].mean - true.mean()) < 4 * found[100].monte_carlo_error < 0.2
    assert found[1].mean < found[10].mean < found[100].mean + 0.01


def test_rows_in_batches_are_all_there():
    world = PPCA()
    true = world.exact.log_evidence(world.of_exact, world.x[:7])
    found = annealed(
        world, world.params, world.x[:7], np.random.default_rng(1), (30,), chains=40, batch_size=3
    )
    assert abs((found[30].per_datum - true) / found[30].noise).max() < 5


def test_sandwich_closes_around_the_evidence():
    gaps = []
    for k in (3, 200):
        world = PPCA()
        bounds = sandwich(world, world.params, 200, np.random.default_rng(4), k, chains=4)
        gaps.append(bounds.gap)
        difference = bounds.upper - bounds.lower
        assert difference.mean() > -3 * difference.std() / np.sqrt(200)
    assert gaps[0] > 1 > 0.2 > gaps[1] > 0


def test_a_bent_decoder_by_quadrature():
    model = VAE(5, 1, (8,))
    rng = np.random.default_rng(0)
    params = {name: 3 * value for name, value in model.init(rng).items()}
    x = rng.random((20, 5)).round()
    true = exact.quadrature(model, params | encoder_at_prior(model, params), x, nodes=300)
    found = annealed(model, params, x, rng, (50,), chains=50)[50]
    assert abs((found.per_datum - true) / found.noise).max() < 5


def encoder_at_prior(model, params):
    return {name: np.zeros_like(value) for name, value in params.items() if name.startswith("encoder")}


def test_divergence_is_refused_not_nan():
    rng = np.random.default_rng(0)
    path = Path(ais.standard_normal, lambda z: (-np.exp(z[..., 0] ** 2), -2 * z * np.exp(z * z)))
    point = path.at(rng.standard_normal((5, 4, 1)))
    moved, accepted = path.move(point, 1.0, np.full(4, 50.0), rng)
    np.testing.assert_array_equal(moved.z, point.z)
    assert (accepted == 0).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (r"len\(ks\)", {"ks": ()}),
        (r"ks\[1\]", {"ks": (5, 0)}),
        ("chains", {"chains": 0}),
        ("batch_size", {"batch_size": 0}),
        ("leapfrog", {"leapfrog": 0}),
    ],
)
def test_bad_sizes(name, bad):
    world = PPCA()
    given = {"x": world.x, "ks": (3,), "rng": 0} | bad
    with pytest.raises(ValueError, match=f"{name} must be an integer >= 1"):
        annealed(world, world.params, **given)


@pytest.mark.parametrize("bad", [{"n": 0}, {"k": 0}, {"chains": 0}, {"leapfrog": 0}])
def test_bad_sizes_of_a_sandwich(bad):
    world = PPCA()
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be an integer >= 1, was 0"):
        sandwich(world, world.params, **{"n": 2, "rng": 0, "k": 3} | bad)


GREY = np.full((2, 4), 0.5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"x": GREY[0]}, r"x must have shape \(\*, 4\), has \(4,\)"),
        ({"x": GREY[:, :1]}, r"x must have shape \(\*, 4\), has \(2, 1\)"),
        ({"x": GREY[:0]}, "x must have at least one row"),
        ({"x": GREY + 1}, r"x must be in \[0, 1\], has 1.5"),
        ({"x": np.nan * GREY}, "x must be finite, has nan"),
        ({"x": GREY.astype(np.float32)}, "arguments must share one dtype"),
        ({"params": {}}, "params must name .* missing .*decoder.0.bias"),
        ({"rng": None}, "rng must be"),
        ({"ks": 5}, "ks must be a sequence of integers, was 5"),
    ],
)
def test_rows_that_a_model_cannot_have_made_are_refused(bad, message):
    model = VAE(4, 2, (3,))
    with pytest.raises(ValueError, match=message):
        annealed(
            model, **{"params": model.init(np.random.default_rng(0)), "x": GREY, "rng": 0, "ks": (3,)} | bad
        )


@pytest.mark.parametrize(
    "broken", [{"decoder.1.bias": np.full(4, np.nan)}, {"decoder.0.weight": np.ones(2)}, {}]
)
def test_a_sandwich_checks_its_parameters(broken):
    model = VAE(4, 2, (3,))
    params = model.init(np.random.default_rng(0)) | broken if broken else {}
    with pytest.raises(ValueError, match="decoder"):
        sandwich(model, params, 2, 0, 3)


@pytest.mark.parametrize("run", [annealed, lambda *given: sandwich(*given[:2], 2, *given[3:])])
def test_parameters_that_overflow_are_named(run):
    model = VAE(4, 2, (), likelihood="gaussian", scale="learned")
    params = model.init(np.random.default_rng(0)) | {"likelihood.log_var": np.array(-1500.0)}
    with pytest.raises(ValueError, match="params must stay within what their dtype can hold"):
        run(model, params, GREY, 0, [3] if run is annealed else 3)


def test_rows_of_float32_are_annealed_in_float32():
    """The decoder takes no other dtype than its parameters'."""
    model = VAE(4, 2, (3,), dtype="float32")
    found = annealed(model, model.init(np.random.default_rng(0)), GREY.astype(np.float32), 0, (3,))[3]
    assert np.isfinite(found.per_datum).all()


CHAINS = np.zeros((2, 3, 1))


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (CHAINS[0], "z must have shape"),
        (CHAINS[:0], "chains must be an integer >= 1, was 0"),
        (CHAINS * np.nan, "z must be finite"),
        (CHAINS.astype(int), "z must be float32 or float64"),
    ],
)
def test_chains_that_are_none_are_refused(z, message):
    path = Path(ais.standard_normal, ais.standard_normal)
    steps = ais.tune(path, CHAINS, np.random.default_rng(0), k=2)
    for run in (
        lambda: ais.tune(path, z, np.random.default_rng(0)),
        lambda: ais.forward(path, z, ais.schedule(2), steps, np.random.default_rng(0)),
        lambda: ais.reverse(path, z, ais.schedule(2), steps, np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match=message):
            run()


@pytest.mark.parametrize("betas", [[0.0], [0.1, 1.0], [0.0, 0.9], [1.0, 0.0], [0.0, 0.6, 0.5, 1.0]])
def test_betas_that_do_not_rise_from_0_to_1_are_refused(betas):
    path = Path(ais.standard_normal, ais.standard_normal)
    for run in (ais.forward, ais.reverse):
        with pytest.raises(ValueError, match="betas must rise from 0 to 1"):
            run(path, CHAINS, betas, lambda beta: np.ones(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match="betas must rise from 0 to 1"):
        ais.StepSizes(np.array(betas), np.ones((len(betas), 3)))


def test_what_else_annealing_refuses():
    path = Path(ais.standard_normal, ais.standard_normal)
    with pytest.raises(ValueError, match=r"betas must have shape \(\*\)"):
        ais.forward(path, CHAINS, np.ones((2, 1)), lambda beta: np.ones(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"sizes must have shape \(3, \*\)"):
        ais.StepSizes(ais.schedule(2), np.ones((2, 3)))
    with pytest.raises(ValueError, match="step must be > 0"):
        ais.tune(path, CHAINS, np.random.default_rng(0), step=-0.3)
    with pytest.raises(ValueError, match="sharpness must be > 0"):
        ais.schedule(3, 0.0)
    with pytest.raises(ValueError, match="leapfrog must be an integer >= 1, was 0"):
        Path(ais.standard_normal, ais.standard_normal, 0)
    with pytest.raises(ValueError, match="z must be float32 or float64"):
        ais.standard_normal([[1]])


def test_schedule():
    betas = ais.schedule(10)
    assert (betas[0], betas[-1]) == (0, 1)
    assert (np.diff(betas) > 0).all()
    assert ais.schedule(1).tolist() == [0, 1]
    s = special.expit(np.linspace(-4, 4, 11))
    np.testing.assert_allclose(betas, (s - s[0]) / (s[-1] - s[0]), rtol=1e-13)
    with pytest.raises(ValueError, match="k must be an integer >= 1"):
        ais.schedule(0)


def test_step_sizes_are_linear_in_between():
    steps = ais.StepSizes(np.array([0, 0.5, 1]), np.array([[2.0], [3.0], [7.0]]))
    assert [float(steps(beta)[0]) for beta in (0, 0.25, 0.5, 0.75, 1)] == [2, 2.5, 3, 5, 7]


def test_tuning_moves_the_log_step_by_half_of_what_acceptance_lacks():
    class Accepting(Path):
        def move(self, point, beta, step, rng):
            return point, np.array([[0.9, 0.2], [0.9, 0.4]])

    path = Accepting(ais.standard_normal, two_humps)
    sizes = ais.tune(path, np.zeros((2, 2, 1)), np.random.default_rng(0), k=3, step=0.3).sizes
    exponents = np.outer([1, 2, 3, 4], [0.05, -0.25])
    np.testing.assert_allclose(sizes, 0.3 * np.exp(exponents), rtol=1e-14)


def test_log_mean_of_few_and_far_weights():
    one, error = ais.log_mean(np.array([[-3.0, 700.0]]))
    assert (one.tolist(), error.tolist()) == ([-3, 700], [np.inf, np.inf])
    value, error = ais.log_mean(np.array([[0.0, -2000.0], [-1500.0, -2000.0]]))
    np.testing.assert_allclose(value, [-np.log(2), -2000], rtol=1e-15)
    np.testing.assert_allclose(error, [1, 0], atol=1e-15)  # std √½, of a mean ½, over √2


def test_log_mean_of_weights_of_zero_and_of_what_is_no_weight():
    value, error = ais.log_mean(np.array([[-np.inf, -np.inf], [-np.inf, 0]]))
    np.testing.assert_allclose(value, [-np.inf, -np.log(2)], rtol=1e-15)
    np.testing.assert_allclose(error, [np.inf, 1], rtol=1e-15)
    for bad, message in [
        (np.zeros((0, 3)), "chains must be an integer >= 1, was 0"),
        (np.zeros(3), "log_w must have shape"),
        (np.full((2, 1), np.nan), "log_w must be finite or -inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            ais.log_mean(bad)
