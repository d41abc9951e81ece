"""Matrix against matrix: exact on small matrices, correct level under the null, power when planted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from analysis import permutation, transfer_matrix
from analysis.permutation import matrix_test, permutation_test
from harness.errors import HarnessError


def symmetric_noise(rng, n):
    """Cells of one row share an effect, so cells are not independent."""
    return rng.normal(size=n)[:, None] + rng.normal(size=n)[None, :] + 0.5 * rng.normal(size=(n, n))


def test_the_p_value_is_that_of_all_permutations():
    rng = np.random.default_rng(0)
    a, b = (symmetric_noise(rng, 5) for _ in range(2))
    off = ~np.eye(5, dtype=bool)
    a, b = np.where(off, a, np.nan), np.where(off, b, np.nan)
    estimate = stats.spearmanr(a[off], b[off]).statistic
    null = np.array([stats.spearmanr(a[np.ix_(p, p)][off], b[off]).statistic for p in itertools.permutations(range(5))])
    exact = np.mean(np.abs(null - null.mean()) >= abs(estimate - null.mean()) - 1e-12)
    found = permutation_test(a, b, "spearman", together=True, n_permutations=4000)
    assert found.estimate == pytest.approx(estimate) and found.n == 20 and found.permuted == "tasks"
    assert found.p_value == pytest.approx(exact, abs=0.03)
    assert (found.null_low, found.null_high) == pytest.approx(tuple(np.quantile(null, [0.025, 0.975])), abs=0.05)


@pytest.mark.parametrize("together", [True, False])
def test_the_level_holds_where_a_test_of_cells_is_far_too_sure(together):
    tasks, cells, reps = 0, 0, 120
    for k in range(reps):
        rng = np.random.default_rng(k)
        a, b = (symmetric_noise(rng, 7) for _ in range(2))
        tasks += permutation_test(a, b, "pearson", together=together, n_permutations=199, seed=k).p_value <= 0.05
        cells += stats.pearsonr(a.ravel(), b.ravel()).pvalue <= 0.05
    assert tasks / reps <= 0.10 and cells / reps > 0.15


def test_a_planted_relation_is_found():
    rng = np.random.default_rng(3)
    a = symmetric_noise(rng, 8)
    found = permutation_test(a, a + 0.3 * rng.normal(size=(8, 8)), "kendall", together=True, n_permutations=499)
    assert found.p_value <= 0.01 and found.estimate > found.null_high and "p = 0.0" in str(found)


def test_matrices_of_one_set_of_tasks_move_together(grid_frame):
    rows = grid_frame(tasks="abcdef")
    a, b = (transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune"))
    found = matrix_test(a, b, n_permutations=99)
    assert found.permuted == "tasks" and found.n == 30 and found.p_value == pytest.approx(0.01)
    apart = matrix_test(a, b, n_permutations=99, exclude_self=False)
    assert apart.n == 36
    half = transfer_matrix(rows, filter={"method": "tune", "source": list("abcd")})
    assert matrix_test(a, half, n_permutations=99).permuted == "rows and columns"
    with pytest.raises(HarnessError, match="method x target"):
        matrix_test(a, transfer_matrix(rows, "method", "target", over=["source"]))


def test_labels_in_another_order_give_the_same_test(grid_frame):
    rows = grid_frame(tasks="abcde")
    a, b = (transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune"))
    turned = [m.reordered(np.array([4, 2, 0, 1, 3]), np.arange(5)) for m in (a, b)]
    first, second = matrix_test(a, b, n_permutations=600), matrix_test(*turned, n_permutations=600)
    assert first.estimate == pytest.approx(second.estimate)
    assert first.p_value == pytest.approx(second.p_value, abs=0.02)


def test_what_cannot_be_tested_says_why():
    constant = permutation_test(np.ones((5, 5)), np.arange(25.0).reshape(5, 5), "spearman")
    assert constant.reason == "x is constant" and str(constant) == "undefined (x is constant)"
    rng = np.random.default_rng(0)
    small = permutation_test(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), "spearman")
    assert "fewer than 4 tasks" in small.reason and np.isnan(small.p_value)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("kind", "scipys"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr),
                                              ("kendall", stats.kendalltau)])  # fmt: skip
def test_it_is_a_loop_over_permutations_also_where_empty_cells_move(kind, scipys, together, monkeypatch):
    """Empty cells of both matrices, so that the number of cells that both have differs between permutations."""
    rng = np.random.default_rng(5)
    a, b = (np.round(symmetric_noise(rng, 6), 1) for _ in range(2))
    a[0, 1], a[2, 4], b[3, 3], b[5, 0] = np.nan, np.nan, np.nan, np.nan
    draws = np.random.default_rng(9)
    null = []
    for _ in range(150):
        rows = draws.permutation(6)
        cols = rows if together else draws.permutation(6)
        moved = np.array([[a[rows[i], cols[j]] for j in range(6)] for i in range(6)])
        both = np.isfinite(moved) & np.isfinite(b)
        null.append(scipys(moved[both], b[both]).statistic)
    both = np.isfinite(a) & np.isfinite(b)
    estimate, null = scipys(a[both], b[both]).statistic, np.array(null)
    as_far = np.abs(null - null.mean()) >= abs(estimate - null.mean()) - 1e-12
    monkeypatch.setattr(permutation, "_CHUNK", 36 * 40)
    found = permutation_test(a, b, kind, together=together, n_permutations=150, seed=9)
    assert found.estimate == pytest.approx(estimate, abs=1e-12) and found.n == 32 and found.n_permutations == 150
    assert found.p_value == pytest.approx((1 + as_far.sum()) / 151)
    assert (found.null_low, found.null_high) == pytest.approx(tuple(np.quantile(null, [0.025, 0.975])), abs=1e-12)
