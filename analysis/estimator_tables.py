"""The table of a study of estimators: every estimator and every baseline, per target and on average, with intervals.

The p-value of a row is that of its mean against the strongest baseline, on the same resamples, corrected over the
estimators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.baseline_scores import estimator_baselines
from analysis.ceiling import Ceiling
from analysis.coefficients import Kind
from analysis.correlation import SYMBOLS, Correlations, correlate
from analysis.estimator_scores import compare_estimators
from analysis.matrix import TransferMatrix
from analysis.multiplicity import CORRECTION_TEXT, Correction, adjust
from analysis.tables import Table, TableCell
from analysis.units import NOT_ESTIMABLE

SIMPLE: Final = frozenset({"parameter_count", "imagenet_accuracy", "source_accuracy"})
"""Scores that know nothing of the target: baselines, although they are computed like estimators."""

MOSTLY: Final = 0.9
"""Share of the cells in which a baseline must be known to be the one that estimators are tested against."""


@dataclass(frozen=True, eq=False)
class EstimatorStudy:
    """Coefficients of estimators and baselines against one outcome.

    Attributes:
        every: name -> scores; estimators first, then baselines.  found: name -> their correlations.
        baselines: names of the baselines.  strongest: the baseline of the highest mean, "" without any.
        p_values: estimator -> p against ``strongest`` (mean over targets; of one target, there), raw and adjusted.
    """

    every: Mapping[str, TransferMatrix]
    found: Mapping[str, Correlations]
    baselines: tuple[str, ...]
    strongest: str
    p_values: Mapping[str, tuple[float, float]]
    outcome: TransferMatrix
    kind: str
    variant: str
    correction: str
    ceiling: Mapping[str, Ceiling]
    notes: tuple[str, ...]


def estimator_study(
    scores: Mapping[str, TransferMatrix], outcome: TransferMatrix, kind: Kind = "weighted_kendall",
    variant: str | None = None, *, n_resamples: int = 2000, seed: int = 0, correction: Correction = "holm",
    families: Mapping[str, str] | None = None, sizes: Mapping[str, float] | None = None,
    imagenet: Mapping[str, float] | None = None, ceiling: Mapping[str, Ceiling] | None = None,
) -> EstimatorStudy:  # fmt: skip
    """Correlate every estimator and every baseline with the outcome; see ``EstimatorStudy``."""
    made, notes = estimator_baselines(outcome, sizes=sizes, imagenet=imagenet, families=families)
    simple = {name: x for name, x in scores.items() if name in SIMPLE}
    baselines = {**simple, **made}
    scores = {name: x for name, x in scores.items() if name not in simple}
    every = {**scores, **baselines}
    found = {
        name: correlate(x, outcome, kind, variant, n_resamples=n_resamples, seed=seed, families=families)
        for name, x in every.items()
    }
    strongest = _strongest(found, tuple(baselines))
    raw = {}
    for name in scores:
        raw[name] = float("nan")
        if strongest and n_resamples:
            difference = compare_estimators(every, outcome, name, strongest, kind, variant, n_resamples=n_resamples,
                                            seed=seed, families=families)  # fmt: skip
            alone = outcome.shape[1] == 1
            raw[name] = next(iter(difference.per_target.values())).p_value if alone else difference.mean.p_value
    adjusted = adjust(list(raw.values()), correction)
    p_values = {name: (p, float(q)) for (name, p), q in zip(raw.items(), adjusted, strict=True)}
    chosen = next(iter(found.values())).pooled.variant if found else ""
    return EstimatorStudy(every, found, tuple(baselines), strongest, p_values, outcome, kind, chosen, correction,
                          dict(ceiling or {}), tuple(notes))  # fmt: skip


def _strongest(found: Mapping[str, Correlations], baselines: tuple[str, ...]) -> str:
    """The baseline of the highest mean among those that are known in most cells; "" without any."""
    defined = [name for name in baselines if np.isfinite(found[name].mean.estimate)]
    most = max((found[name].pooled.n for name in defined), default=0)
    # One that is known for a few networks only cannot be beaten, or lost to, on the others.
    whole = [name for name in defined if found[name].pooled.n >= MOSTLY * most]
    return max(whole, key=lambda name: found[name].mean.estimate) if whole else ""


def estimator_table(study: EstimatorStudy, title: str = "Estimators against the outcome") -> Table:
    """A row per estimator and baseline, a column per target, then the mean with its interval and the test."""
    targets = study.outcome.col_labels
    rows, records = [], []
    for name, found in study.found.items():
        cells = [TableCell(_number(found.per_target[t].estimate), detail=str(found.per_target[t])) for t in targets
                 if t in found.per_target]  # fmt: skip
        mean = found.mean
        interval = f"[{mean.low:.2f}, {mean.high:.2f}]" if np.isfinite(mean.low) else NOT_ESTIMABLE
        raw, adjusted = study.p_values.get(name, (np.nan, np.nan))
        kind = "baseline" if name in study.baselines else "estimator"
        tested = f"{adjusted:.2g}" if np.isfinite(adjusted) else ("" if kind == "baseline" else NOT_ESTIMABLE)
        rows.append((TableCell(f"{name} ({kind})" if kind == "baseline" else name), *cells,
                     TableCell(_number(mean.estimate)), TableCell(interval), TableCell(tested),
                     TableCell(str(found.pooled.n))))  # fmt: skip
        records.append({
            "name": name, "kind": kind, **{t: found.per_target[t].estimate for t in targets if t in found.per_target},
            "mean": mean.estimate, "low": mean.low, "high": mean.high, "p": raw, "p_adjusted": adjusted,
            "variant": mean.variant, "n": mean.n, "cells": found.pooled.n,
        })  # fmt: skip
    if study.ceiling:
        per = [TableCell(str(study.ceiling[t]) if t in study.ceiling else "") for t in targets]
        rows.append((TableCell("noise ceiling"), *per, TableCell(str(study.ceiling.get("", ""))), TableCell(""),
                     TableCell(""), TableCell("")))  # fmt: skip
    symbol = SYMBOLS[study.kind]
    head = ("", *targets, f"mean {symbol}", "95% interval", f"p against {study.strongest or 'a baseline'}", "cells")
    return Table(title, head, tuple(rows), _notes(study, symbol), tuple(records))


def _notes(study: EstimatorStudy, symbol: str) -> tuple[str, ...]:
    notes = [
        f"{symbol}: {study.kind}, variant {study.variant!r}, over the {study.outcome.rows}s of each "
        f"{study.outcome.cols}; "
        f"interval of the mean: bootstrap over {study.outcome.rows}s and {study.outcome.cols}s together.",
        f"p: paired on the same resamples, two-sided, {CORRECTION_TEXT[study.correction]}.",
        "Cells: those in which both the score and the outcome are known.",
        *study.notes,
    ]
    if study.ceiling and "" in study.ceiling:
        one = study.ceiling[""]
        how = one.correction or "split halves of the seeds"
        notes.append(f"Noise ceiling: what an oracle would reach ({how}): {one}.")
    elif not study.ceiling:
        notes.append(f"Noise ceiling: {NOT_ESTIMABLE} (no repeated seeds).")
    return tuple(notes)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "undefined"
