"""A posterior that is a ring: AVB's q against the best Gaussian one, by the exact evidence on a grid."""

import numpy as np
from scipy import stats

import vbref
from vbref.models import AVB, VAE
from vbref.players import Player

SIGMA, WIDTH = 0.1, 32
EDGE, FINE = np.linspace(-4, 4, 401), 8 / 400
MIDDLE = (EDGE[1:] + EDGE[:-1]) / 2
GRID = np.stack(np.meshgrid(MIDDLE, MIDDLE, indexing="ij"), axis=-1).reshape(-1, 2)
ANGLES = 2 * np.pi * np.arange(WIDTH) / WIDTH
# The decoder takes the mean of softplus(4 u·z) over directions u, and its softplus: of ‖z‖ alone, or nearly.
DECODER = {
    "decoder.0.weight": 4 * np.stack([np.cos(ANGLES), np.sin(ANGLES)]),
    "decoder.0.bias": np.zeros(WIDTH),
    "decoder.1.weight": np.full((WIDTH, WIDTH), 1 / WIDTH),
    "decoder.1.bias": np.zeros(WIDTH),
    "decoder.2.weight": np.full((WIDTH, 1), 1 / WIDTH),
    "decoder.2.bias": np.zeros(1),
}
OPTIONS = {"activation": "softplus", "likelihood": "gaussian", "sigma": SIGMA}


def cone(z):
    return np.logaddexp(0, np.logaddexp(0, z @ DECODER["decoder.0.weight"]).mean(axis=-1))


X = cone(np.array([1.5, 0.0]))
LOG_JOINT = stats.norm.logpdf(X, cone(GRID), SIGMA) + stats.norm.logpdf(GRID).sum(-1)
LOG_EVIDENCE = np.log(np.exp(LOG_JOINT).sum() * FINE**2)


class OnlyInference:
    """A model whose decoder is held at the world's."""

    def __init__(self, model, *players):
        self.model, self.players, self.draw_noise = model, players, model.draw_noise

    def fitted(self, epochs, rate, seed=0, **start):
        rng = np.random.default_rng(seed)
        params = self.model.init(rng) | DECODER | start
        x = np.full((64, 1), X)
        more = {"learning_rate": rate, "schedule": lambda epoch: 0.999**epoch}
        return vbref.fit(self, x, epochs=epochs, batch_size=64, rng=rng, params=params, **more)


def best_gaussian_elbo():
    model = VAE(1, 2, (WIDTH, WIDTH), posterior="full", **OPTIONS)
    game = OnlyInference(model, Player("train", model.objective_and_grad, ("encoder.",)))
    start = {"encoder.2.bias": np.array([1.4, 0.3, -1.0, 0.0, -1.0])}
    params, _ = game.fitted(600, 1e-2, **start)
    loc, factor = model.encode(params, np.full((1, 1), X))
    log_q = stats.multivariate_normal(loc[0], factor[0] @ factor[0].T).logpdf(GRID)
    return (np.exp(log_q) * (LOG_JOINT - log_q)).sum() * FINE**2


def binned_kl(z, cells):
    """KL of draws z to the posterior, both in cells² cells, whose masses are counts and sums over the grid.

    Cells hide some KL, n draws add (occupied cells − 1)/2n: the finer the cells the more of both.
    """
    edge = np.linspace(-4, 4, cells + 1)
    q = np.histogram2d(*z.T, bins=[edge, edge])[0] / len(z)
    p = np.histogram2d(*GRID.T, bins=[edge, edge], weights=np.exp(LOG_JOINT - LOG_EVIDENCE) * FINE**2)[0]
    return (q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum()


def test_the_binned_kl_is_right_for_a_gaussian():
    q = stats.multivariate_normal([1.5, 0], np.diag([0.06, 0.2]) ** 2)
    exact = (q.pdf(GRID) * (q.logpdf(GRID) - LOG_JOINT + LOG_EVIDENCE)).sum() * FINE**2
    z = q.rvs(200_000, random_state=0)
    found = [binned_kl(z, cells) for cells in (50, 100, 200)]
    assert found[0] < found[1] < found[2]
    assert exact - 0.1 < found[2] < exact + 0.01


def test_avb_on_a_ring_is_a_nat_and_more_above_the_best_gaussian():
    gaussian_gap = LOG_EVIDENCE - best_gaussian_elbo()
    assert 2.0 < gaussian_gap < 2.2
    model = AVB(1, 2, (WIDTH, WIDTH), noise_dim=4, critic_steps=2, contrast="adaptive", **OPTIONS)
    critic, train = model.players
    game = OnlyInference(model, critic, Player("train", train.objective_and_grad, ("encoder.",)))
    params, _ = game.fitted(1500, 1e-2)
    noise = np.random.default_rng(1).standard_normal((200_000, 1, 4))
    z = model.draw(params, np.full((1, 1), X), noise)[:, 0]
    assert abs(z).max() < 4
    assert binned_kl(z, 200) < gaussian_gap - 1
    assert (np.histogram(np.arctan2(*z.T), 8)[0] > 1000).all()
