"""Clusters against labels, and the measures of collapse, on cases whose answer is seen at once."""

import numpy as np
import pytest

from vbref.evaluate import clustering, diagnostics


def test_the_exemplar_rule_by_hand():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    labels = [7, 3, 3, 7]
    found = clustering.exemplar_labels(scores, labels)
    assert found.tolist() == [7, 3]
    assert clustering.clustering_accuracy(scores, labels, found) == 0.5


def test_labels_come_from_one_set_of_rows_and_are_judged_on_another():
    found = clustering.exemplar_labels(np.eye(3), np.array([2, 0, 1]))
    assert clustering.clustering_accuracy(np.eye(3)[[1, 1, 2]], [0, 0, 2], found) == pytest.approx(2 / 3)


def test_k_means_finds_what_is_there_and_is_no_worse_than_its_peer():
    cluster = pytest.importorskip("sklearn.cluster", reason="scikit-learn is the peer here")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((60, 3)) + 4 * np.eye(3)[c] for c in range(3)])
    centres = clustering.k_means(x, 3, np.random.default_rng(1))
    inertia = -clustering.centre_scores(x, centres).max(axis=1).sum()
    assert inertia == pytest.approx(cluster.KMeans(3, n_init=10, random_state=0).fit(x).inertia_, rel=1e-6)
    distances = ((x[:, None] - centres) ** 2).sum(axis=-1)
    np.testing.assert_allclose(clustering.centre_scores(x, centres), -distances, atol=1e-12)


def test_k_means_settles_where_each_centre_is_the_mean_of_its_rows():
    x = np.random.default_rng(0).random((300, 1))
    centres = clustering.k_means(x, 12, np.random.default_rng(1), restarts=1)
    nearest = abs(x - centres.T).argmin(axis=1)
    np.testing.assert_allclose(centres[:, 0], [x[nearest == c].mean() for c in range(12)], rtol=1e-12)


def test_k_means_keeps_the_best_of_its_runs():
    x = np.random.default_rng(3).random((40, 2))

    def runs(n, rng):
        return ((x[:, None] - clustering.k_means(x, 6, rng, restarts=n)) ** 2).sum(axis=-1).min(axis=1).sum()

    rng = np.random.default_rng(4)
    single = [runs(1, rng) for _ in range(6)]
    assert runs(6, np.random.default_rng(4)) == min(single) < 0.99 * single[0]


def test_k_means_with_as_many_centres_as_rows_and_with_rows_that_are_equal():
    x = np.array([[0.0], [1.0], [5.0]])
    assert sorted(clustering.k_means(x, 3, np.random.default_rng(0)).ravel()) == [0, 1, 5]
    assert np.isfinite(clustering.k_means(np.ones((4, 2)), 2, np.random.default_rng(0))).all()


def test_k_means_far_from_the_origin():
    x = 1e9 + np.array([[0.0], [1.0], [5.0], [6.0]])
    assert sorted(clustering.k_means(x, 2, 0).ravel() - 1e9) == [0.5, 5.5]
    assert clustering.centre_scores(x, x[:1] + 2).tolist() == [[-4], [-1], [-9], [-16]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"k": 4}, "k must be at most the 3 rows of x, was 4"),
        ({"k": 0}, "k must be an integer >= 1, was 0"),
        ({"k": 2.0}, "k must be an integer >= 1, was 2.0"),
        ({"restarts": 0}, "restarts must be an integer >= 1, was 0"),
        ({"rng": None}, "rng must be"),
        ({"x": np.ones(3)}, r"x must have shape \(\*, \*\), has \(3,\)"),
        ({"x": 1e200 * np.eye(3)}, "x must have rows whose squared distances"),
    ],
)
def test_k_means_names_bad_input(bad, message):
    with pytest.raises(ValueError, match=message):
        clustering.k_means(**{"x": np.eye(3), "k": 2, "rng": 0} | bad)


@pytest.mark.parametrize(("x", "centres", "name"), [((3,), (1, 3), "x"), ((2, 3), (3,), "centres")])
def test_centre_scores_names_what_does_not_fit(x, centres, name):
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        clustering.centre_scores(np.ones(x), np.ones(centres))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.ones((2, 2)), np.ones(3), "labels"),
        (np.ones((0, 2)), np.ones(0), "at least one row"),
        (np.full((2, 2), np.nan), np.ones(2), "scores"),
        (np.ones(2), np.ones(2), "scores"),
    ],
)
def test_bad_input_is_named(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        clustering.exemplar_labels(scores, labels)
    with pytest.raises(ValueError, match=message):
        clustering.clustering_accuracy(scores, labels, [0, 1])


@pytest.mark.parametrize(
    ("clusters", "own", "message"), [(2, [1], "cluster_labels must have shape"), (0, [], "clusters must be")]
)
def test_clustering_accuracy_wants_a_label_for_each_of_its_clusters(clusters, own, message):
    with pytest.raises(ValueError, match=message):
        clustering.clustering_accuracy(np.ones((3, clusters)), [1, 1, 1], own)


def test_active_units_are_those_whose_mean_moves_with_x():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((500, 3)) * [1.0, 0.5, 0.01]
    np.testing.assert_allclose(diagnostics.unit_activity(means), [1, 0.25, 1e-4], rtol=0.2)
    assert diagnostics.active_units(means) == 2
    assert diagnostics.active_units(np.sqrt([[0.0101, 0.0099]]) * [[1], [-1]]) == 1


def test_effective_clusters_and_confidence_at_their_ends():
    one = np.tile([1.0, 0, 0, 0], (5, 1))
    assert diagnostics.effective_clusters(one) == 1
    assert diagnostics.confidence(one) == 1
    assert diagnostics.effective_clusters(np.eye(4)) == pytest.approx(4)
    assert diagnostics.confidence(np.full((5, 4), 0.25)) == 0.25
    with pytest.raises(ValueError, match="responsibilities"):
        diagnostics.confidence(np.full((5, 4), 0.3))


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        (diagnostics.unit_activity, "means"),
        (diagnostics.active_units, "means"),
        (diagnostics.effective_clusters, "responsibilities"),
        (diagnostics.confidence, "responsibilities"),
    ],
)
@pytest.mark.parametrize(
    ("shape", "message"),
    [((1,), "must have shape"), ((1, 1, 1), "must have shape"), ((0, 1), "must have at least")],
)
def test_measures_of_rows_want_rows(measure, name, shape, message):
    with pytest.raises(ValueError, match=f"{name} {message}"):
        measure(np.ones(shape))
