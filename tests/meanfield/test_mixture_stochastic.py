"""The steps of stochastic variational inference, and the minibatches they are taken on."""

import numpy as np

from vbref.meanfield import GaussianMixture
from vbref.meanfield.mixture import stochastic
from vbref.meanfield.mixture.stochastic import robbins_monro


def test_the_steps_of_robbins_and_monro():
    """Σρ diverges and Σρ² does not where ρ falls as t^−κ, ½ < κ ≤ 1: the slope of log ρ, far out."""
    t = 2.0 ** np.arange(20, 25)
    slopes = np.diff(np.log([robbins_monro(int(each)) for each in t])) / np.log(2)
    assert ((slopes >= -1) & (slopes < -0.5)).all()
    assert 1 > robbins_monro(1) > robbins_monro(2) > 0
    assert robbins_monro(3) == 4**-0.7


def test_every_epoch_has_its_own_minibatches(monkeypatch):
    """Rows that know their number: none twice in an epoch, and other batches in the next."""
    x = np.random.default_rng(0).standard_normal((24, 2))
    x[:, 0] = np.arange(24)
    seen, right = [], stochastic.gather

    def gather(batch, *rest):
        seen.append(frozenset(batch[:, 0]))
        return right(batch, *rest)

    monkeypatch.setattr(stochastic, "gather", gather)
    model = GaussianMixture(2).fit_stochastic(x, batch_size=5, epochs=3, rng=0)
    assert [(row.sweep, row.factor) for row in model.history] == [
        (epoch, "assignments") for epoch in (1, 2, 3) for _ in range(4)
    ]
    epochs = [seen[i : i + 4] for i in (0, 4, 8)]
    assert len(seen) == 12
    assert [len(frozenset.union(*batches)) for batches in epochs] == [20, 20, 20]
    assert len(set(seen)) == 12
    assert len({frozenset.union(*batches) for batches in epochs}) > 1
