"""AIS and its sandwich under other priors than N(0, I): exact evidence with a learned one, others refused."""

import numpy as np
import pytest
from scipy import stats

from vbref.evaluate import annealed, sandwich
from vbref.models import GMVAE, VAE, EnergyPriorVAE, StickBreakingVAE


def linear_world():
    """A linear decoder under N(loc, s²): log p(x) is a normal's."""
    model = VAE(4, 2, (), likelihood="gaussian", scale="learned", prior="learned")
    params = model.init(np.random.default_rng(5))
    params |= {"prior.loc": np.array([2.0, -1.0]), "prior.log_var": np.array([-1.5, 0.5])}
    params["likelihood.log_var"] = np.array(-1.0)
    weight = params["decoder.0.weight"]
    cov = weight.T @ np.diag(np.exp(params["prior.log_var"])) @ weight + np.exp(-1) * np.eye(4)
    return (
        model,
        params,
        stats.multivariate_normal(params["prior.loc"] @ weight + params["decoder.0.bias"], cov),
    )


def test_annealing_reaches_the_evidence_of_a_learned_prior():
    model, params, truth = linear_world()
    x = truth.rvs(40, random_state=np.random.default_rng(0))
    found = annealed(model, params, x, np.random.default_rng(1), (100,), chains=20)[100]
    assert abs(found.mean - truth.logpdf(x).mean()) < 4 * found.monte_carlo_error < 0.1


def test_the_sandwich_draws_its_rows_from_the_learned_prior():
    """Both bounds estimate the mean of log p over the model's own rows, which is minus the entropy."""
    model, params, truth = linear_world()
    found = sandwich(model, params, 400, np.random.default_rng(2), 300)
    for bound in (found.lower, found.upper):
        error = bound.std() / np.sqrt(400)
        assert abs(bound.mean() + truth.entropy()) < 4 * error + abs(found.gap)
    difference = found.upper - found.lower
    assert abs(found.gap) < 4 * difference.std() / np.sqrt(400) + 0.1


@pytest.mark.parametrize(
    "model",
    [EnergyPriorVAE(4, 2, (3,)), GMVAE(4, 2, 3), StickBreakingVAE(4, 3)],
    ids=lambda m: type(m).__name__,
)
def test_priors_of_other_kinds_are_refused(model):
    """An energy's log Z would be left out of the answer without a word."""
    rng = np.random.default_rng(0)
    params = model.init(rng)
    with pytest.raises(ValueError, match="model must have a normal prior"):
        annealed(model, params, np.ones((2, 4)), rng, (3,))
    with pytest.raises(ValueError, match="model must have a normal prior"):
        sandwich(model, params, 2, rng, 3)
