"""Further tables of a study of estimators: every coefficient with its interval, and what the scores cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from analysis.ceiling import Ceiling
from analysis.coefficients import Kind
from analysis.columns import labels
from analysis.correlation import SYMBOLS, Correlation, Correlations, correlate
from analysis.matrix import TransferMatrix
from analysis.tables import Table, TableCell, plain_table
from analysis.units import NOT_ESTIMABLE

KINDS: Final[tuple[Kind, ...]] = ("weighted_kendall", "kendall", "spearman", "pearson")
"""The coefficients that every estimator is read by."""

Readings = Mapping[str, Mapping[str, Correlations]]
"""By estimator or baseline, by coefficient: per target, pooled and on average."""

_PIECES: Final = ("estimate", "low", "high", "n")


@dataclass(frozen=True)
class Cost:
    """What the scores of one estimator took: how many were computed, seconds of all and of one, bytes at most.

    bytes: the most memory that the worker held while one was computed, itself included; NaN where nothing is known.
    """

    scores: int
    seconds: float
    median: float
    most: float
    bytes: float


def readings(
    every: Mapping[str, TransferMatrix], outcome: TransferMatrix, kinds: Sequence[Kind] = KINDS, *,
    n_resamples: int = 1000, seed: int = 0, families: Mapping[str, str] | None = None,
) -> Readings:  # fmt: skip
    """Every score and baseline against the outcome, by every coefficient."""
    return {
        name: {
            kind: correlate(x, outcome, kind, n_resamples=n_resamples, seed=seed, families=families) for kind in kinds
        }
        for name, x in every.items()
    }


def coefficients_table(
    found: Readings, baselines: Sequence[str], ceilings: Mapping[str, Mapping[str, Ceiling]], title: str,
    cols: str = "target",
) -> Table:  # fmt: skip
    """A row an estimator: mean over targets and pooled over cells, by every coefficient, each with its interval."""
    kinds = list(next(iter(found.values()))) if found else []
    rows, records = [], []
    for name, by_kind in found.items():
        shown = [TableCell(_text(one)) for by in by_kind.values() for one in (by.mean, by.pooled)]
        rows.append((TableCell(f"{name} (baseline)" if name in baselines else name), *shown))
        records.append({"name": name, "kind": "baseline" if name in baselines else "estimator"} | {
            f"{reading} {kind} {piece}": getattr(getattr(by, reading), piece)
            for kind, by in by_kind.items() for reading in ("mean", "pooled") for piece in _PIECES
        })  # fmt: skip
    if any(ceilings.get(kind) for kind in kinds):
        shown = [TableCell(text) for kind in kinds for text in (_ceiling(ceilings.get(kind, {})), "")]
        rows.append((TableCell("noise ceiling"), *shown))
    head = ("", *(f"{what} {SYMBOLS[kind]}" for kind in kinds for what in ("mean", "pooled")))
    notes = [
        f"Mean: of the coefficients of each {cols}. Pooled: over all cells at once, where scores of different "
        f"{cols}s need not be comparable. Intervals (95%): bootstrap over rows and {cols}s together.",
    ]
    return Table(title, head, tuple(rows), tuple(notes), tuple(records))


def per_target_table(found: Readings, title: str, cols: str = "target") -> Table:
    """A row an estimator and target: every coefficient with its interval over what is ranked there."""
    rows, records = [], []
    for name, by_kind in found.items():
        kinds = list(by_kind)
        for target in by_kind[kinds[0]].per_target:
            each = [by_kind[kind].per_target[target] for kind in kinds]
            first = each[0]
            cells = [name, target, *map(_text, each), str(first.n), str(first.ties), str(first.dropped)]
            rows.append(tuple(TableCell(text) for text in cells))
            records.append({"name": name, cols: target, "ties": first.ties, "dropped": first.dropped} | {
                f"{kind} {piece}": getattr(one, piece) for kind, one in zip(kinds, each, strict=True)
                for piece in _PIECES
            })  # fmt: skip
    symbols = [SYMBOLS[kind] for kind in next(iter(found.values()))] if found else []
    notes = [
        f"Intervals (95%): bootstrap over what is ranked within each {cols}. n: pairs used; dropped: pairs without a "
        "value of either.",
    ]
    head = ("", cols, *symbols, "n", "ties", "dropped")
    return Table(title, head, tuple(rows), tuple(notes), tuple(records), stubs=2)


def costs(frame: pd.DataFrame) -> dict[str, Cost]:
    """What the scores of every estimator took, each computed score once, however many trials share it."""
    rows = frame.loc[(frame["role"] == "estimator") & frame["seconds"].notna()]
    rows = rows.assign(method=labels(rows["method"])).drop_duplicates(["method", "key"])
    found = {}
    for name, group in rows.groupby("method", sort=True):
        seconds = group["seconds"].to_numpy(dtype=float)
        held = group["memory_bytes"].to_numpy(dtype=float)
        most = float(np.nanmax(held)) if np.isfinite(held).any() else float("nan")
        found[str(name)] = Cost(
            len(seconds), float(seconds.sum()), float(np.median(seconds)), float(seconds.max()), most
        )
    return found


def cost_table(found: Mapping[str, Cost], title: str) -> Table:
    """A row an estimator, the dearest first."""
    order = sorted(found, key=lambda name: -found[name].seconds)
    rows = [
        (name, str(c.scores), f"{c.seconds:.2f}", f"{1000 * c.median:.1f}", f"{1000 * c.most:.1f}", _mebibytes(c.bytes))
        for name, c in ((name, found[name]) for name in order)
    ]
    head = ("", "scores", "seconds", "median ms", "largest ms", "peak MiB")
    notes = [
        "Seconds of one worker on features and predictions that are there already; extracting them is told under where "
        "the time went. Each score by itself: sums that several scores could share are worked out for each.",
        "Peak: the most memory of the worker's process while a score was computed, what it holds anyway included.",
    ]
    return plain_table(title, head, rows, notes)


def _text(found: Correlation) -> str:
    if np.isnan(found.estimate):
        return "undefined"
    if np.isnan(found.low):
        return f"{found.estimate:.2f}"
    return f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _ceiling(of: Mapping[str, Ceiling]) -> str:
    return str(of[""]) if "" in of else NOT_ESTIMABLE


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:.0f}" if np.isfinite(count) else ""
