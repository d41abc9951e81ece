"""The grid of a matrix: rows of a frame gathered into cells, seeds collapsed, gaps explained. All vectorised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.columns import SEEDS, group_codes
from analysis.matrix import REASONS


@dataclass(frozen=True, eq=False)
class Collapsed:
    """Per cell [R, C]: mean and standard deviation over seeds, number of seeds and trials, flags, trial ids,
    fewest evaluation examples."""

    values: np.ndarray
    spread: np.ndarray
    seeds: np.ndarray
    count: np.ndarray
    flags: np.ndarray
    trial_ids: np.ndarray
    baseline_ids: np.ndarray
    n_eval: np.ndarray


@dataclass(frozen=True)
class Grid:
    """Two axes with their labels; a row of a textual frame falls into the cell of its two labels."""

    rows: str
    cols: str
    row_labels: tuple[str, ...]
    col_labels: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.row_labels), len(self.col_labels)

    def name(self, cell: int) -> str:
        """The cell numbered row by row as "row, column"."""
        i, j = divmod(int(cell), len(self.col_labels))
        return f"{self.row_labels[i]}, {self.col_labels[j]}"

    def locate(self, frame: pd.DataFrame) -> np.ndarray:
        """The number of the cell (row by row) of every row of ``frame``."""
        i = pd.Index(self.row_labels).get_indexer(pd.Index(frame[self.rows], dtype=object))
        j = pd.Index(self.col_labels).get_indexer(pd.Index(frame[self.cols], dtype=object))
        return np.asarray(i * len(self.col_labels) + j)

    def collapse(self, measured: pd.DataFrame) -> Collapsed:
        """Average every cell: first within each seed, then over seeds; the spread is over seeds (n - 1)."""
        n = len(self.row_labels) * len(self.col_labels)
        cell = self.locate(measured)
        seeds = [s for s in SEEDS if s in measured.columns and s not in (self.rows, self.cols)]
        unit = group_codes(measured.assign(**{"": cell}), ["", *seeds])
        per_unit = np.bincount(unit)
        unit_mean = np.bincount(unit, weights=measured["value"].to_numpy(dtype=float)) / np.maximum(per_unit, 1)
        unit_cell = np.zeros(len(per_unit), dtype=np.int64)
        unit_cell[unit] = cell
        counts = np.bincount(unit_cell, minlength=n) if len(measured) else np.zeros(n, dtype=np.int64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(unit_cell, weights=unit_mean, minlength=n) / np.where(counts == 0, np.nan, counts)
            squares = np.bincount(unit_cell, weights=(unit_mean - mean[unit_cell]) ** 2, minlength=n)
            spread = np.sqrt(squares / np.where(counts < 2, np.nan, counts - 1))
        return Collapsed(
            mean.reshape(self.shape),
            spread.reshape(self.shape),
            counts.reshape(self.shape),
            np.bincount(cell, minlength=n).reshape(self.shape),
            self._flags(measured, cell),
            self._gather(measured["trial_id"], cell),
            self._gather_baselines(measured, cell),
            self._fewest_examples(measured, cell),
        )

    def explain(self, missing: pd.DataFrame, empty: np.ndarray, unknown: str) -> tuple[np.ndarray, np.ndarray]:
        """Reason and detail of every cell that is ``empty`` [R, C]; ``unknown`` where no row says anything."""
        reasons = np.where(empty, unknown, "").astype(object)
        details = np.where(empty, "no trial of this cell is known", "").astype(object)
        if missing.empty:
            return reasons, details
        cell = self.locate(missing)
        rank = missing["state"].map({name: k for k, name in enumerate(REASONS)}).to_numpy(dtype=int)
        texts = missing["reason"].to_numpy(dtype=object) if "reason" in missing.columns else np.full(len(cell), None)
        order = np.lexsort((np.arange(len(cell)), rank, cell))
        total = np.bincount(cell, minlength=reasons.size)
        alike = np.bincount(cell * len(REASONS) + rank, minlength=reasons.size * len(REASONS))
        first = order[np.unique(cell[order], return_index=True)[1]]
        for row in first:
            at = np.unravel_index(cell[row], self.shape)
            if empty[at]:
                same = alike[cell[row] * len(REASONS) + rank[row]]
                reasons[at] = REASONS[rank[row]]
                why = f": {texts[row]}" if isinstance(texts[row], str) and texts[row] else ""
                details[at] = f"{same} of {total[cell[row]]} trials {REASONS[rank[row]]}{why}"
        return reasons, details

    def _flags(self, measured: pd.DataFrame, cell: np.ndarray) -> np.ndarray:
        found = np.full(len(self.row_labels) * len(self.col_labels), "", dtype=object)
        if "flags" in measured.columns:
            flags = measured["flags"].to_numpy(dtype=object)
            for row in np.flatnonzero(flags != ""):
                known = [f for f in str(found[cell[row]]).split(", ") if f]
                found[cell[row]] = ", ".join(sorted({*known, *str(flags[row]).split(", ")}))
        return found.reshape(self.shape)

    def _gather(self, ids: pd.Series, cell: np.ndarray) -> np.ndarray:
        """Tuples of distinct ids per cell, in the order of the rows."""
        gathered: list[dict[str, None]] = [{} for _ in range(len(self.row_labels) * len(self.col_labels))]
        for at, trial in zip(cell.tolist(), ids.tolist(), strict=True):
            gathered[at][str(trial)] = None
        return self._objects([tuple(g) for g in gathered])

    def _gather_baselines(self, measured: pd.DataFrame, cell: np.ndarray) -> np.ndarray:
        gathered: list[dict[str, None]] = [{} for _ in range(len(self.row_labels) * len(self.col_labels))]
        if "baseline_ids" in measured.columns:
            for at, several in zip(cell.tolist(), measured["baseline_ids"].tolist(), strict=True):
                gathered[at].update(dict.fromkeys(several))
        return self._objects([tuple(g) for g in gathered])

    def _fewest_examples(self, measured: pd.DataFrame, cell: np.ndarray) -> np.ndarray:
        """Fewest evaluation examples of the values of each cell; NaN where one of them does not say."""
        fewest = np.full(len(self.row_labels) * len(self.col_labels), np.inf)
        if "n_eval" in measured.columns:
            numbers = pd.to_numeric(measured["n_eval"], errors="coerce").to_numpy(dtype=float)
            np.minimum.at(fewest, cell, np.where(numbers > 0, numbers, -np.inf))
        return np.where(np.isfinite(fewest), fewest, np.nan).reshape(self.shape)

    def _objects(self, items: list[tuple[str, ...]]) -> np.ndarray:
        array = np.empty(len(items), dtype=object)
        for k, item in enumerate(items):
            array[k] = item
        return array.reshape(self.shape)
