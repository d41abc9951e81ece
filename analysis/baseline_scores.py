"""What an estimator must beat: size, ImageNet accuracy, how good a source is elsewhere, and being of the same family.

Each baseline is a matrix like that of an estimator and is correlated with the outcome in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.known_models import canonical, known_models
from analysis.matrix import TransferMatrix
from analysis.units import Unit

STATIC_SIZE = "static size order"
IMAGENET = "ImageNet accuracy"
ELSEWHERE = "mean on the other targets"
SAME_FAMILY = "same family (0/1)"


def estimator_baselines(
    outcome: TransferMatrix,
    *,
    sizes: Mapping[str, float] | None = None,
    imagenet: Mapping[str, float] | None = None,
    families: Mapping[str, str] | None = None,
    exclude_self: bool = True,
) -> tuple[dict[str, TransferMatrix], list[str]]:
    """The baselines that can be made for this outcome, and a note for each that cannot.

    Args:
        sizes: row label -> size (larger first); known models are ordered as in ``known_models`` when None.
        imagenet: row label -> accuracy; that of known models when None.
        families: label -> family, of rows and columns; a source of the target's own family scores 1, any other 0.

    ``mean on the other targets`` is the mean z-score of the row over all columns but one (leave one target out); it
    needs no estimator at all, only that a source's quality carries over.
    """
    known: dict[str, Mapping[str, float]] = {row: known_models().get(canonical(row), {}) for row in outcome.row_labels}
    if sizes is None:
        sizes = {row: -facts["size_rank"] for row, facts in known.items() if "size_rank" in facts}
    if imagenet is None:
        imagenet = {row: facts["imagenet_top1"] for row, facts in known.items() if "imagenet_top1" in facts}
    found, notes = {}, []
    for name, values in ((STATIC_SIZE, sizes), (IMAGENET, imagenet)):
        lacking = [row for row in outcome.row_labels if row not in values]
        if lacking:
            notes.append(f"No baseline {name!r}: not known for {', '.join(lacking[:4])}"
                         + (f" and {len(lacking) - 4} more." if len(lacking) > 4 else "."))  # fmt: skip
        else:
            column = np.array([float(values[row]) for row in outcome.row_labels])
            found[name] = _scores(outcome, np.repeat(column[:, None], outcome.shape[1], axis=1), name)
    if outcome.shape[1] > 1:
        found[ELSEWHERE] = _scores(outcome, leave_one_out(outcome, exclude_self), ELSEWHERE)
    else:
        notes.append(f"No baseline {ELSEWHERE!r}: there is one {outcome.cols} only.")
    if families:
        same = [[_same(r, c, families) for c in outcome.col_labels] for r in outcome.row_labels]
        found[SAME_FAMILY] = _scores(outcome, np.array(same, dtype=float).reshape(outcome.shape), SAME_FAMILY)
    else:
        notes.append(f"No baseline {SAME_FAMILY!r}: no families are given.")
    return found, notes


def leave_one_out(outcome: TransferMatrix, exclude_self: bool = True) -> np.ndarray:
    """Float [R, C]: mean over all other columns of the row's z-score there; NaN where it has no other value."""
    values = outcome.values if outcome.higher_is_better else -outcome.values
    if exclude_self:
        own = np.array([[r == c for c in outcome.col_labels] for r in outcome.row_labels], dtype=bool)
        values = np.where(own.reshape(values.shape), np.nan, values)
    present = np.isfinite(values)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, values, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(present & (deviation > 0), (values - mean) / deviation, np.nan)
    total, count = np.nansum(z, axis=1, keepdims=True), np.isfinite(z).sum(axis=1, keepdims=True)
    others = total - np.nan_to_num(z)
    left = count - np.isfinite(z)
    return np.where(left > 0, others / np.maximum(left, 1), np.nan)


def _same(row: str, col: str, families: Mapping[str, str]) -> float:
    if row not in families or col not in families:
        return float("nan")
    return float(families[row] == families[col])


def _scores(outcome: TransferMatrix, values: np.ndarray, name: str) -> TransferMatrix:
    """A matrix of scores on the outcome's labels."""
    values = values if outcome.higher_is_better else -values
    missing = np.where(np.isfinite(values), "", "undefined").astype(object)
    return replace(
        outcome, values=values, reasons=missing, details=missing, spread=np.full(values.shape, np.nan),
        seeds=np.ones(values.shape, dtype=int), flags=np.full(values.shape, "", dtype=object), metric=name, split=None,
        title=name, unit=Unit(decimals=3), relative_to=None, how=None, pairing=None, warnings=(), n_eval=None,
    )  # fmt: skip
