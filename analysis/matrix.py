"""The transfer matrix: any two axes of a study against each other, with spread, counts and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.units import NOT_ESTIMABLE, RELATIVE, Unit

if TYPE_CHECKING:
    import pandas as pd

    from analysis.baselines import How, Pairing
    from analysis.imputation import FailedReading

SPREAD = "standard deviation over seeds"
# Why a cell has no value, in the order in which one reason hides another.
REASONS = (
    "failed",
    "diverged",
    "skipped",
    "no baseline",
    "undefined",
    "flagged",
    "related",
    "excluded",
    "not run",
    "not measured",
    "not planned",
)


@dataclass(frozen=True, eq=False)
class Mark:
    """Cells that a reader should know something about: ``name`` for a legend, ``note`` for a caption.

    ``symbol`` follows their values; with ``outlined`` a heatmap frames them too. ``cells``: bool [R, C].
    """

    name: str
    symbol: str
    cells: np.ndarray
    note: str
    outlined: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell with what stands behind it; ``value`` is NaN exactly when ``reason`` is not ""."""

    row: str
    col: str
    value: float
    spread: float
    seeds: int
    count: int
    reason: str
    detail: str
    flags: str
    trial_ids: tuple[str, ...]
    baseline_ids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Values of ``metric`` for every pair of a row and a column label.

    Attributes:
        rows, cols: names of the two axes.
        values: float [R, C]; mean over seeds (each seed first averaged over the axes in ``over``), NaN if missing.
        spread: float [R, C]; standard deviation over seeds with n - 1, NaN (not estimable) with fewer than two.
        seeds: int [R, C]; number of seeds behind a value.  count: int [R, C]; number of trials behind it.
        reasons: text [R, C]; "" where there is a value, else one of ``REASONS``.  details: a sentence on it.
        flags: text [R, C]; flags of the trials behind a value ("not_trained"), comma separated.
        trial_ids, baseline_ids: tuple of ids [R, C].
        relative_to, how, pairing: the baseline, the reading and how outcomes and baseline were paired (None: absolute).
        unit: how values are printed.
        n_eval: float [R, C]; fewest evaluation examples behind a value, NaN if unknown; None if nothing is known.
        marks: cells to be pointed out (source and target of one family, shared examples).
    """

    rows: str
    cols: str
    row_labels: tuple[str, ...]
    col_labels: tuple[str, ...]
    values: np.ndarray
    spread: np.ndarray
    seeds: np.ndarray
    count: np.ndarray
    reasons: np.ndarray
    details: np.ndarray
    flags: np.ndarray
    trial_ids: np.ndarray
    baseline_ids: np.ndarray
    metric: str
    split: str | None
    title: str
    unit: Unit
    higher_is_better: bool = True
    relative_to: str | None = None
    how: str | None = None
    pairing: str | None = None
    over: tuple[str, ...] = ()
    conditions: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    n_eval: np.ndarray | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.row_labels), len(self.col_labels)

    @property
    def signed(self) -> bool:
        """Whether zero is a meaningful centre: the values are relative to a baseline."""
        return self.relative_to is not None

    @property
    def quantity(self) -> str:
        """What the values are, with the unit: "test accuracy (%)"."""
        name = f"{self.split} {self.metric}" if self.split else self.metric
        if self.how == "z":
            name = f"{name}: standard score within each {self.cols}"
        elif self.relative_to is not None:
            name = f"{name}: {RELATIVE[str(self.how)]} {self.relative_to!r}"
        return f"{name} ({self.unit.name})" if self.unit.name else name

    @property
    def spread_note(self) -> str:
        """One sentence on what follows the plus-minus sign."""
        found = np.unique(self.seeds[np.isfinite(self.values)])
        if not found.size:
            return "No cell has a value."
        if found[-1] < 2:
            return f"Spread over seeds: {NOT_ESTIMABLE} (one seed)."
        text = f"± is the {SPREAD} (n = {', '.join(str(n) for n in found if n > 1)})"
        return text + (f"; {NOT_ESTIMABLE} where there is one seed." if found[0] < 2 else ".")

    def frame(self) -> pd.DataFrame:
        """Values as a data frame with the labels as index and columns."""
        import pandas as pd

        index = pd.Index(self.row_labels, name=self.rows)
        return pd.DataFrame(self.values, index=index, columns=pd.Index(self.col_labels, name=self.cols))

    def cell(self, row: str, col: str) -> Cell:
        """The cell of two labels. Raises HarnessError for a label that the matrix lacks."""
        from harness.errors import HarnessError, suggest

        for name, wanted, known in ((self.rows, row, self.row_labels), (self.cols, col, self.col_labels)):
            if wanted not in known:
                raise HarnessError(f"The matrix has no {name} {wanted!r}{suggest(wanted, known)}.")
        return self._cell(self.row_labels.index(row), self.col_labels.index(col))

    def cells(self) -> Iterator[Cell]:
        """All cells, row by row."""
        for i in range(len(self.row_labels)):
            for j in range(len(self.col_labels)):
                yield self._cell(i, j)

    def _cell(self, i: int, j: int) -> Cell:
        return Cell(
            self.row_labels[i],
            self.col_labels[j],
            float(self.values[i, j]),
            float(self.spread[i, j]),
            int(self.seeds[i, j]),
            int(self.count[i, j]),
            str(self.reasons[i, j]),
            str(self.details[i, j]),
            str(self.flags[i, j]),
            self.trial_ids[i, j],
            self.baseline_ids[i, j],
        )

    def reordered(self, rows: np.ndarray, cols: np.ndarray) -> TransferMatrix:
        """The matrix with its rows and columns in the given order of their numbers (some may be left out)."""
        names = ("values", "spread", "seeds", "count", "reasons", "details", "flags", "trial_ids", "baseline_ids")
        moved = {name: getattr(self, name)[np.ix_(rows, cols)] for name in names}
        row_labels = tuple(self.row_labels[k] for k in rows)
        col_labels = tuple(self.col_labels[k] for k in cols)
        n_eval = None if self.n_eval is None else self.n_eval[np.ix_(rows, cols)]
        marks = tuple(replace(mark, cells=mark.cells[np.ix_(rows, cols)]) for mark in self.marks)
        return replace(self, row_labels=row_labels, col_labels=col_labels, n_eval=n_eval, marks=marks, **moved)

    def symbols(self, i: int, j: int, framed: bool = False) -> str:
        """The signs behind a measured cell's value: a dagger for flagged values, and those of the marks.

        Args:
            framed: whether outlined marks are shown by their frame, so that they need no sign.
        """
        own = "†" if self.flags[i, j] else ""
        return own + "".join(m.symbol for m in self.marks if m.cells[i, j] and not (framed and m.outlined))

    def marginal(self, axis: Literal["rows", "cols"]) -> tuple[np.ndarray, np.ndarray]:
        """Mean over the measured cells of every row (or column), and how many cells that is; NaN where none."""
        measured = np.isfinite(self.values)
        along = 1 if axis == "rows" else 0
        n = measured.sum(axis=along)
        total = np.where(measured, self.values, 0.0).sum(axis=along)
        return np.where(n > 0, total / np.maximum(n, 1), np.nan), n

    def text(self, i: int, j: int, spread: bool = True) -> str:
        """The cell as printed: "82.3 ± 1.2", "82.3" without spread, or the reason why it is missing."""
        if self.reasons[i, j]:
            return str(self.reasons[i, j])
        value = self.unit.text(float(self.values[i, j]), self.signed)
        if spread and np.isfinite(self.spread[i, j]):
            value = f"{value} ± {self.unit.text(float(self.spread[i, j]))}"
        return value


def transfer_matrix(
    frame: pd.DataFrame,
    rows: str = "source",
    cols: str = "target",
    value: str = "accuracy",
    *,
    relative_to: str | None = None,
    how: How = "difference",
    paired: Pairing = True,
    over: Sequence[str] = (),
    filter: Mapping[str, object] | None = None,
    split: str | None = "test",
    role: str = "outcome",
    flagged: Literal["keep", "drop"] = "keep",
    failed: FailedReading = "drop",
    chance: float | Mapping[str, float] | None = None,
    trials: pd.DataFrame | None = None,
    order: Mapping[str, Sequence[str]] | None = None,
    replaces: Sequence[str] | None = None,
    higher_is_better: bool | None = None,
    title: str | None = None,
) -> TransferMatrix:
    """Set two axes of an outcome frame against each other.

    Args:
        frame: outcomes, long (see ``load_outcomes``).
        rows, cols: any two axis columns.
        value: the metric.
        relative_to: None for absolute values; the name of a declared baseline ("baseline": the only one); else
            ``own`` (the target's own task as source), ``target_best`` (the best row of each column) or ``z``
            (standard score within each column). A declared baseline of such a name comes first.
        how: ``difference`` v - b, ``relative_gain`` (v - b) / b, ``relative_error_reduction`` (v - b) / (1 - b).
            Paired readings are taken per trial and then averaged.
        paired: True: the baseline of the same target, seed and other axes; "target": the target's own baseline,
            averaged over seeds; False: pooled over seeds and targets.
        over: axes that may be averaged inside a cell. Seeds always may.
        filter: ``{column: value or list of values}``.
        split: evaluation split; None when the frame has one only.
        role: which rows are shown: outcome, baseline or estimator.
        flagged: whether values with flags (``not_trained``) count ("keep", and are marked) or not ("drop").
        failed: what failed, diverged and dropped flagged trials count as: nothing ("drop"), the worst measured value
            of their column ("worst"), or the level of guessing ("chance"), given by ``chance``, one number or one for
            each target. They are marked.
        trials: planned trials (``load_trials``), to tell excluded, pending and never planned cells apart.
        order: ``{axis: labels}`` declared order of labels; others follow in natural order.
        replaces: axes that the baseline's declaration fixes; inferred when None.
        higher_is_better: None: known from the metric's name.

    Raises:
        HarnessError: for an unknown column, metric, baseline or label; and when an axis varies inside a cell that is
            neither a seed nor named in ``over`` (the message names it and its values).
    """
    from analysis.build import Request, build

    request = Request(
        rows=rows,
        cols=cols,
        metric=value,
        relative_to=relative_to,
        how=how,
        paired=paired,
        over=tuple(over),
        filter=dict(filter or {}),
        split=split,
        role=role,
        flagged=flagged,
        failed=failed,
        chance=chance,
        order={axis: tuple(names) for axis, names in (order or {}).items()},
        replaces=None if replaces is None else tuple(replaces),
        higher_is_better=higher_is_better,
        title=title,
    )
    return build(frame, trials, request)
