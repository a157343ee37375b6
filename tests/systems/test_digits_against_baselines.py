"""Short runs on the digits that ship, against what has no latent network: held-out log p(x), and k-means."""

import numpy as np

from vbref import evaluate, runs
from vbref.models import LinearGaussian
from vbref.systems import gmvae


def rows_of(task):
    return task.prepare(task.train[np.arange(len(task.train))], np.random.default_rng(0)).astype(np.float64)


def trained(name, folder, **given):
    task = runs.task(name, given)
    params, _ = runs.train(task, folder, resume=False, progress=False, on_epoch=None)
    found = evaluate.nested(task.model, params, task.test, np.random.default_rng(0), (1, 50))[50]
    return task, params, found


def test_gmvae_is_above_ppca_and_names_clusters_better_than_k_means(tmp_path, monkeypatch):
    """One seed of the default with a shorter start; named and judged on the held-out rows."""
    monkeypatch.setattr(gmvae, "_STARTS", 4)
    task, params, found = trained("gmvae", tmp_path, epochs=15, seed=1)
    ppca = LinearGaussian(64, 12)
    baseline = ppca.log_evidence(ppca.fit_exact(rows_of(task)), task.test.astype(np.float64)).mean()
    assert found.mean - 3 * found.standard_error > baseline
    r = gmvae.responsibilities(task, params, np.random.default_rng(0))
    centres = evaluate.clustering.k_means(rows_of(task), 10, np.random.default_rng(0))
    distances = evaluate.clustering.centre_scores(task.test, centres)
    ours, theirs = (
        evaluate.clustering.clustering_accuracy(
            scores, task.test_labels, evaluate.clustering.exemplar_labels(scores, task.test_labels)
        )
        for scores in (r, distances)
    )
    assert ours > theirs


def test_sticks_are_above_independent_pixels(tmp_path):
    task, _, found = trained("stick-breaking", tmp_path, epochs=60, latent=10, hidden=[64])
    p = np.clip(rows_of(task).mean(axis=0), 1e-3, 1 - 1e-3)
    baseline = (task.test * np.log(p) + (1 - task.test) * np.log1p(-p)).sum(axis=1).mean()
    assert found.mean - 3 * found.standard_error > baseline
