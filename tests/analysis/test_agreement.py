"""Every two matrices: the coefficient, chance by permuted tasks, and the ceiling beside them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.agreement import agreement_table, agreements, of_tasks
from analysis.ceiling import Ceiling
from harness.errors import HarnessError
from tests.analysis.blocks import gains_matrix, planted

NAMES = [f"t{k}" for k in range(9)]


@pytest.fixture
def matrices(frame):
    common, _ = planted((9,), 0.0, 0.1, 0)
    noise = [planted((9,), 0.0, 0.05, seed)[0] for seed in (1, 2)]
    alone, _ = planted((9,), 0.0, 0.1, 5)
    values = {"coop": common + noise[0], "vpt": common + noise[1], "upt": alone}
    return {name: gains_matrix(frame, np.vstack([v, np.ones((1, 9))]), NAMES, sets=["all"])
            for name, v in values.items()}, values  # fmt: skip


def test_coefficients_are_scipys_without_the_diagonal_and_without_sets(matrices):
    made, values = matrices
    off = ~np.eye(9, dtype=bool)
    found = {(a.x, a.y): a for a in agreements(made, n_resamples=200, n_permutations=200)}
    assert list(found) == [("coop", "vpt"), ("coop", "upt"), ("vpt", "upt")]
    for (x, y), one in found.items():
        assert one.pooled.estimate == pytest.approx(spearmanr(values[x][off], values[y][off]).statistic)
        assert one.pooled.n == 72 and one.test.permuted == "tasks"
        within = [spearmanr(values[x][off[:, j], j], values[y][off[:, j], j]).statistic for j in range(9)]
        assert one.mean.estimate == pytest.approx(np.mean(within))
    assert found["coop", "vpt"].test.p_value < 0.01 and found["coop", "upt"].test.p_value > 0.05
    assert found["coop", "vpt"].pooled.low > 0.3


def test_the_table_names_what_is_what(matrices):
    made, _ = matrices
    found = agreements(made, n_resamples=100, n_permutations=99)
    ceilings = {"coop": Ceiling(0.8, 0.5, 3, "spearman", ""), "vpt": Ceiling(np.nan, np.nan, 1, "spearman", "", "one")}
    table = agreement_table(found, ceilings, "gain", "method", "Agreement")
    texts = [[cell.text for cell in row] for row in table.rows]
    assert [row[0] for row in texts] == ["coop, vpt", "coop, upt", "vpt, upt", "noise ceiling of coop",
                                         "noise ceiling of vpt"]  # fmt: skip
    assert texts[3][2] == "0.80" and texts[4][2] == "not estimable (one)"
    assert "labels of tasks are permuted (99 times" in table.notes[1]


def test_few_tasks_have_no_test(frame):
    one, two = (gains_matrix(frame, planted((3,), 0.0, 0.1, s)[0], NAMES[:3]) for s in (0, 1))
    found = agreements({"x": one, "y": two}, n_resamples=0, n_permutations=9)
    text = [cell.text for cell in agreement_table(found, {}, "gain", "method", "A").rows[0]]
    assert text[3] == "not estimable" and "fewer than 4 tasks" in text[4]


def test_rows_that_are_sets_only_stay(frame):
    rows = np.vstack([np.full((4, 4), np.nan), np.ones((2, 4))])
    assert of_tasks(gains_matrix(frame, rows, NAMES[:4], sets=["a", "b"])).row_labels == ("a", "b")


def test_one_matrix_agrees_with_nothing(frame):
    with pytest.raises(HarnessError, match="two matrices or more"):
        agreements({"x": gains_matrix(frame, np.zeros((3, 3)), NAMES[:3])})
