"""Do the values of an axis (methods) prefer the same transfers? Every two of their matrices against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from analysis.ceiling import Ceiling
from analysis.coefficients import Kind
from analysis.correlation import Correlation, correlate
from analysis.matrix import TransferMatrix
from analysis.permutation import PermutationTest, matrix_test
from analysis.tables import Table, plain_table
from analysis.units import NOT_ESTIMABLE
from harness.errors import HarnessError


@dataclass(frozen=True)
class Agreement:
    """Two matrices: pooled over cells, the mean of the coefficients per column, and Mantel's test of the pooled one."""

    x: str
    y: str
    pooled: Correlation
    mean: Correlation
    test: PermutationTest


def agreements(
    matrices: Mapping[str, TransferMatrix], kind: Kind = "spearman", *, n_resamples: int = 2000,
    n_permutations: int = 2000, seed: int = 0,
) -> list[Agreement]:  # fmt: skip
    """Correlate every two of some matrices of the same axes, without the cells of a task with itself.

    Rows that are no column (sets of tasks) are left out where the others are tasks: so rows and columns are the same
    tasks, and are permuted together.

    Raises:
        HarnessError: for fewer than two matrices.
    """
    if len(matrices) < 2:
        raise HarnessError(f"Agreement is between two matrices or more, not {len(matrices)}.")
    found = []
    shown = {name: of_tasks(matrix) for name, matrix in matrices.items()}
    for x, y in combinations(shown, 2):
        made = correlate(shown[x], shown[y], kind, n_resamples=n_resamples, seed=seed)
        test = matrix_test(shown[x], shown[y], kind, n_permutations=n_permutations, seed=seed)
        found.append(Agreement(x, y, made.pooled, made.mean, test))
    return found


def of_tasks(matrix: TransferMatrix) -> TransferMatrix:
    """The matrix without rows that are no column; as it is where no row is one."""
    rows = np.array([k for k, name in enumerate(matrix.row_labels) if name in set(matrix.col_labels)], dtype=int)
    return matrix.reordered(rows, np.arange(len(matrix.col_labels))) if rows.size else matrix


def agreement_table(
    found: list[Agreement], ceilings: Mapping[str, Ceiling], quantity: str, axis: str, title: str
) -> Table:
    """A row for each pair, and what each matrix would reach against itself, from its seeds."""
    rows = []
    for one in found:
        told = not one.test.reason
        rows.append((
            f"{one.x}, {one.y}", str(one.pooled), str(one.mean),
            f"{one.test.null_low:.2f} to {one.test.null_high:.2f}" if told else NOT_ESTIMABLE,
            f"{one.test.p_value:.2g}" if told else f"{NOT_ESTIMABLE} ({one.test.reason})", str(one.pooled.n),
        ))  # fmt: skip
    rows += [(f"noise ceiling of {name}", "", str(ceiling), "", "", "") for name, ceiling in ceilings.items()]
    kind, test = found[0].pooled.kind, next((one.test for one in found if not one.test.reason), found[0].test)
    notes = (
        f"{quantity}: {kind} coefficients between the matrices of two values of {axis}, cells of a task with itself "
        "left out. Pooled: over all cells; mean: of the coefficients within each column. In brackets 95 % intervals, "
        "rows and columns resampled together.",
        f"By chance: central 95 % of the pooled coefficient when the labels of {test.permuted} are permuted "
        f"({test.n_permutations} times; Mantel), and the two-sided p-value.",
        "Noise ceiling: the mean coefficient within columns that a matrix known without noise would have with the "
        "measured one, from halves of the seeds.",
    )
    head = (axis, "pooled", "mean over columns", "by chance", "p", "cells")
    return plain_table(title, head, rows, notes)
