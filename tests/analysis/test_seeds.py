"""Halves of the seeds: the noise ceiling against simulated oracles, and best sources without the winner's curse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from analysis import transfer_matrix
from analysis.best_source import best_source_table, best_sources
from analysis.ceiling import ceiling_of, corrected, noise_ceiling
from analysis.seeds import SeedValues, half_splits, seed_values


def values_of(cube, rows=None, cols=None, higher=True):
    """Seed values without a frame: float [R, C, S]."""
    r, c, s = cube.shape
    names = rows or [f"r{k}" for k in range(r)], cols or [f"c{k}" for k in range(c)]
    unit = SimpleNamespace(text=lambda v, signed=False: f"{v:.3f}")
    matrix = SimpleNamespace(
        row_labels=tuple(names[0]), col_labels=tuple(names[1]), higher_is_better=higher, rows="source", cols="target",
        quantity="accuracy", signed=False, unit=unit,
    )  # fmt: skip
    return SeedValues(matrix, tuple(str(k) for k in range(s)), cube)


def test_the_cube_holds_each_seed_and_its_mean_is_the_matrix(grid_frame):
    rows = grid_frame(tasks="abcd", methods=("probe",))
    rows = rows[~((rows.source == "a") & (rows.target == "b") & (rows.seed == 1))]
    found = seed_values(rows, relative_to="own")
    assert found.seeds == ("0", "1", "2") and found.values.shape == (4, 4, 3)
    assert np.allclose(np.nanmean(found.values, axis=2), transfer_matrix(rows, relative_to="own").values)
    assert np.isnan(found.values[0, 1, 1]) and np.isfinite(found.values[0, 1, [0, 2]]).all()
    assert np.allclose(found.mean_of(np.array([0])), found.values[:, :, 0])


@pytest.mark.parametrize(("n", "count"), [(1, 0), (2, 2), (3, 6), (4, 6), (10, 100)])
def test_halves_are_disjoint_and_equal(n, count):
    splits = list(half_splits(n))
    assert len(splits) == count
    for a, b in splits:
        assert len(a) == len(b) == n // 2 and not set(a) & set(b) and max(*a, *b) < n


def test_pearsons_ceiling_is_spearman_brown():
    assert corrected(0.5, "pearson") == pytest.approx(np.sqrt(2 / 3))
    for kind in ("pearson", "spearman", "kendall", "weighted_kendall"):
        assert corrected(1.0, kind) == pytest.approx(1.0)
        assert corrected(0.4, kind) > 0.4


@pytest.mark.parametrize(
    ("kind", "variant", "within"),
    [("pearson", "product-moment", 0.02), ("spearman", "average ranks", 0.02), ("kendall", "tau-b", 0.03),
     ("weighted_kendall", "scipy", 0.07)],
)  # fmt: skip
@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_the_ceiling_is_what_an_oracle_reaches(kind, variant, within, seeds):
    """Known true values plus seed noise: the oracle's own correlation with the mean over seeds is the truth."""
    rng = np.random.default_rng(seeds)
    coefficient = {
        "pearson": lambda a, b: stats.pearsonr(a, b).statistic,
        "spearman": lambda a, b: stats.spearmanr(a, b).statistic,
        "kendall": lambda a, b: stats.kendalltau(a, b).statistic,
        "weighted_kendall": lambda a, b: stats.weightedtau(a, b).statistic,
    }[kind]  # fmt: skip
    oracle, found = [], []
    for _ in range(40):
        true = rng.normal(size=60)
        measured = true[:, None] + 0.8 * rng.normal(size=(60, seeds))
        oracle.append(coefficient(true, measured.mean(axis=1)))
        found.append(ceiling_of(measured, kind, variant).estimate)
    assert np.mean(found) == pytest.approx(np.mean(oracle), abs=within)


def test_what_is_not_estimable_says_why(grid_frame):
    one = noise_ceiling(seed_values(grid_frame(tasks="abcde", methods=("probe",), seeds=(0,))))
    assert str(one[""]) == "not estimable (one seed)" and one["a"].reason == "one seed"
    rng = np.random.default_rng(0)
    assert "do not agree" in ceiling_of(np.array([[1, 4], [2, 3], [3, 2], [4, 1.0]]), "kendall", "tau-b").reason
    assert ceiling_of(np.ones((5, 4)), "kendall", "tau-b").reason == "constant values"
    assert "fewer than three" in ceiling_of(rng.normal(size=(2, 4)), "kendall", "tau-b").reason
    assert "no correction is known" in ceiling_of(rng.normal(size=(9, 4)), "regret", "top-1").reason


def test_the_ceiling_leaves_the_self_cell_out(grid_frame):
    values = seed_values(grid_frame(tasks="abcdef", methods=("probe",)))
    changed = SeedValues(values.matrix, values.seeds, values.values.copy())
    for k in range(6):
        changed.values[k, k] += np.array([5.0, -5.0, 0.0])
    assert noise_ceiling(values)[""].estimate == noise_ceiling(changed)[""].estimate
    assert noise_ceiling(changed, exclude_self=False)[""].half != noise_ceiling(changed)[""].half


def test_choosing_and_scoring_on_the_same_seeds_flatters():
    """All sources equally good: the selected mean is above the truth, the held-out one is not."""
    rng = np.random.default_rng(0)
    data = values_of(0.5 + 0.1 * rng.normal(size=(12, 40, 4)))
    found = best_sources(data)
    naive, honest = np.mean([b.value for b in found]), np.mean([b.honest for b in found])
    assert naive > 0.56 and honest == pytest.approx(0.5, abs=0.015)
    assert np.mean([b.probability for b in found]) < 0.8


def test_a_clear_winner_is_found_every_time():
    cube = np.random.default_rng(1).normal(size=(4, 3, 6)) * 0.01
    cube[2] += 1.0
    for one in best_sources(values_of(cube)):
        assert one.name == "r2" and one.chosen == 1.0 and one.probability == 1.0 and one.honest > 0.9
        assert one.margin == pytest.approx(1.0, abs=0.05) and one.runner_up != "r2"
    lower = best_sources(values_of(-cube, higher=False))[0]
    assert lower.name == "r2" and lower.value < -0.9 and lower.honest < -0.9


def test_self_cells_missing_cells_and_one_seed():
    cube = np.array([[[0.9], [0.1]], [[0.2], [0.8]], [[0.5], [np.nan]]])
    data = values_of(cube, ["a", "b", "c"], ["a", "b"])
    own = {b.col: b.name for b in best_sources(data)}
    assert own == {"a": "c", "b": "a"}
    assert {b.col: b.name for b in best_sources(data, exclude_self=False)} == {"a": "a", "b": "b"}
    table = best_source_table(data, best_sources(data))
    assert [c.text for c in table.rows[0]][3:5] == ["not estimable", "not estimable"]
    assert best_sources(values_of(np.full((2, 1, 2), np.nan))) == []
