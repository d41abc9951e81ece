"""Groups from a matrix: planted ones are found, silhouettes are scikit-learn's, and chance is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score, silhouette_score

from analysis.grouping import _silhouette, agreement, distances, group_tasks, mean_matrix, mutual_gains
from analysis.heatmaps import runs
from harness.errors import HarnessError
from tests.analysis.blocks import gains_matrix, planted

NAMES = [f"task {k:02d}" for k in range(12)]


@pytest.mark.parametrize("by", ["average", "complete", "spectral"])
def test_planted_groups_are_found_with_their_number(frame, by):
    gains, block = planted((5, 4, 3), 0.1, 0.01)
    found = group_tasks(gains_matrix(frame, gains, NAMES), by, n_deals=19)
    mine = found.of()
    assert adjusted_rand_score(block, [mine[name] for name in NAMES]) == 1.0
    assert [len(group) for group in found.groups] == [5, 4, 3], "the largest first"
    assert found.chosen_by == "silhouette" and set(found.silhouettes) == set(range(2, 7))
    assert found.p_value == pytest.approx(1 / 20) and (found.tree is None) == (by == "spectral")


def test_gains_without_groups_are_told_from_groups(frame):
    """Of matrices of noise few have a silhouette that chance has not: p-values are about uniform."""
    small = 0
    for seed in range(12):
        gains, _ = planted((8,), 0.0, 0.05, seed)
        small += group_tasks(gains_matrix(frame, gains, NAMES[:8]), n_deals=9, seed=seed).p_value <= 0.1
    assert small <= 5, "1.2 are expected of 12; more than 5 come once in a thousand times"


def test_it_is_scipys_tree_and_sklearns_silhouette(frame):
    gains, _ = planted((4, 4, 4), 0.02, 0.03, 3)
    matrix = gains_matrix(frame, gains, NAMES)
    both = (gains + gains.T) / 2
    off = ~np.eye(12, dtype=bool)
    apart = np.where(off, both[off].max() - both, 0.0)
    tree = linkage(squareform(apart, checks=False), "average")
    for k in (2, 3, 5):
        found = group_tasks(matrix, "average", k, n_deals=0)
        wanted = fcluster(tree, k, "maxclust")
        assert adjusted_rand_score(wanted, [found.of()[name] for name in NAMES]) == 1.0
        assert found.silhouette == pytest.approx(silhouette_score(apart, wanted, metric="precomputed"))
        assert found.chosen_by == "given" and np.isnan(found.p_value)


@pytest.mark.parametrize("by", ["average", "complete", "spectral"])
def test_groups_stand_together_in_the_order(frame, by):
    gains, _ = planted((6, 3, 3), 0.03, 0.03, 1)
    found = group_tasks(gains_matrix(frame, gains, NAMES), by, n_deals=0)
    assert len(runs([found.of()[name] for name in found.labels])) == len(found.groups)
    assert sorted(found.labels) == NAMES
    if found.tree is not None:
        assert len(found.tree.links) == 11


def test_mutual_gains_are_means_of_both_directions(frame):
    gains = np.array([[9.0, 0.1, 0.2], [0.3, 9.0, np.nan], [np.nan, np.nan, 9.0]])
    labels, mutual, filled = mutual_gains(gains_matrix(frame, gains, ["a", "b", "c"]))
    assert labels == ("a", "b", "c") and filled == 1
    assert mutual[0, 1] == pytest.approx(0.2) and mutual[2, 0] == pytest.approx(0.2), "of one direction, that one"
    assert mutual[1, 2] == pytest.approx(0.2), "of none, the mean of the others"
    assert np.allclose(distances(mutual), 0.0)


def test_less_is_better_is_turned(frame):
    gains, block = planted((6, 6), -0.1, 0.01)
    matrix = gains_matrix(frame, gains, NAMES)
    from dataclasses import replace

    found = group_tasks(replace(matrix, higher_is_better=False), n_deals=0)
    assert adjusted_rand_score(block, [found.of()[name] for name in NAMES]) == 1.0


def test_sets_of_tasks_are_no_tasks(frame):
    gains, _ = planted((6, 6), 0.1, 0.01)
    more = np.vstack([gains, np.full((1, 12), 0.3)])
    assert sorted(group_tasks(gains_matrix(frame, more, NAMES, sets=["all"]), n_deals=0).labels) == NAMES


def test_agreement_is_the_adjusted_rand_index_on_shared_tasks(frame):
    gains, _ = planted((6, 6), 0.1, 0.01)
    whole = group_tasks(gains_matrix(frame, gains, NAMES), n_deals=0)
    part = group_tasks(gains_matrix(frame, gains[:8, :8], NAMES[:8]), groups=4, n_deals=0)
    shared = NAMES[:8]
    wanted = adjusted_rand_score([whole.of()[n] for n in shared], [part.of()[n] for n in shared])
    assert agreement(whole, part) == pytest.approx(wanted) and agreement(whole, whole) == 1.0


def test_the_mean_of_matrices_is_over_what_they_have(frame):
    first = np.array([[0.0, 0.1, 0.2], [0.2, 0.0, 0.4], [0.1, 0.1, 0.1]])
    second = first + 0.2
    second[0, 1] = np.nan
    made = mean_matrix([gains_matrix(frame, g, ["a", "b", "c"]) for g in (first, second)], "method", "both")
    assert made.values[1, 2] == pytest.approx(0.5) and made.values[0, 1] == pytest.approx(0.1)
    assert made.over == ("method",) and made.count[1, 2] == 2 and len(made.trial_ids[1, 2]) == 2


@pytest.mark.parametrize(
    ("options", "names", "said"),
    [
        ({"linkage": "averge"}, NAMES[:6], "did you mean 'average'"),
        ({"groups": 6}, NAMES[:6], "2 to 5 groups, not 6"),
        ({}, NAMES[:2], "needs 3 tasks"),
    ],
)
def test_what_cannot_be_grouped_is_refused(frame, options, names, said):
    gains, _ = planted((len(names),), 0.0, 0.01)
    with pytest.raises(HarnessError, match=said):
        group_tasks(gains_matrix(frame, gains, names), n_deals=0, **options)


def test_equal_gains_make_no_groups(frame):
    with pytest.raises(HarnessError, match="do not tell"):
        group_tasks(gains_matrix(frame, np.full((4, 4), 0.1), NAMES[:4]), n_deals=0)


def test_the_labels_of_averaged_matrices_must_agree(frame):
    one, two = (gains_matrix(frame, np.zeros((3, 3)), names) for names in (["a", "b", "c"], ["a", "b", "d"]))
    with pytest.raises(HarnessError, match="other sources or targets"):
        mean_matrix([one, two], "method", "both")


@pytest.mark.parametrize("seed", range(20))
def test_the_silhouette_is_scikit_learns_to_the_last_bit(seed):
    """Groups of one item, equal distances and groups of any names among them."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 25))
    apart = rng.integers(0, 4, (n, n)) / 3 if seed % 2 else rng.uniform(size=(n, n))
    apart = np.triu(apart, 1) + np.triu(apart, 1).T
    numbers = rng.integers(0, 5, n) * 3 + 1
    numbers[0], numbers[1:3] = 99, 1
    assert _silhouette(apart, numbers) == silhouette_score(apart, numbers, metric="precomputed")
    assert _silhouette(apart, np.zeros(n, dtype=int)) == _silhouette(apart, np.arange(n)) == float("-inf")
