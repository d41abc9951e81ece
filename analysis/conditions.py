"""What a study means by ``x: knn`` or ``y: method=fine_tune``: rows of a frame and the metric to read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.columns import NONE_LABEL, axes_of, labels
from harness.errors import HarnessError, suggest


@dataclass(frozen=True)
class Condition:
    """Rows of ``role`` (of the baseline ``baseline``) that meet ``where``, read by ``metric``."""

    text: str
    role: str
    metric: str
    where: Mapping[str, object]
    baseline: str | None = None

    def fitting(self, frame: pd.DataFrame, conditions: Mapping[str, object]) -> dict[str, object]:
        """``conditions`` that can hold for these rows (they have the axis), with this condition's own on top.

        A filter on the method says nothing about an estimator, nor one on the source about a baseline without source.
        """
        rows = self.rows(frame)
        apply: dict[str, object] = {}
        for column, value in conditions.items():
            if column not in frame.columns:
                raise HarnessError(f"A filter names {column!r}, which is no column of the outcomes.")
            if set(labels(rows[column])) != {NONE_LABEL} and not (self.role == "estimator" and column == "method"):
                apply[column] = value
        return {**apply, **self.where}

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of this role and baseline, before ``where``."""
        keep = np.ones(len(frame), dtype=bool)
        if "role" in frame.columns:
            keep = (frame["role"] == self.role).to_numpy()
        if self.baseline is not None:
            keep = keep & (frame["baseline"] == self.baseline).to_numpy()
        return frame.loc[keep]


def condition(frame: pd.DataFrame, text: str, metric: str) -> Condition:
    """Understand ``text``: ``axis=value``, an estimator, a metric, a method, a baseline, or a value of some axis.

    An estimator with several metrics is written ``estimator/metric``. ``metric`` is read where the text names none.

    Raises:
        HarnessError: when nothing, or more than one axis, has that name.
    """
    if "=" in text:
        axis, _, value = (part.strip() for part in text.partition("="))
        return Condition(text, "outcome", metric, {axis: value})
    name, _, wanted = text.partition("/")
    roles = frame["role"] if "role" in frame.columns else pd.Series("outcome", index=frame.index)
    of_estimator = frame.loc[(roles == "estimator") & (labels(frame["method"]) == name)]
    if len(of_estimator):
        return Condition(text, "estimator", _estimator_metric(of_estimator, name, wanted), {"method": name})
    outcomes = frame.loc[roles == "outcome"]
    if text in set(outcomes["metric"].dropna()):
        return Condition(text, "outcome", text, {})
    if "baseline" in frame.columns and text in set(frame["baseline"].dropna()):
        return Condition(text, "baseline", metric, {}, text)
    axes = [a for a in axes_of(outcomes) if text in set(labels(outcomes[a]))]
    if "method" in axes or len(axes) == 1:
        return Condition(text, "outcome", metric, {"method" if "method" in axes else axes[0]: text})
    if axes:
        raise HarnessError(f"{text!r} is a value of several axes ({', '.join(axes)}); write axis={text}.")
    known = {*(str(m) for m in frame["metric"].dropna()), *labels(frame["method"])} - {NONE_LABEL}
    raise HarnessError(f"Nothing in the outcomes is called {text!r}{suggest(text, known)}.")


def _estimator_metric(rows: pd.DataFrame, name: str, wanted: str) -> str:
    metrics = sorted(str(m) for m in rows["metric"].dropna().unique())
    if wanted in metrics or len(metrics) == 1 or name in metrics:
        return wanted if wanted in metrics else metrics[0] if len(metrics) == 1 else name
    if not metrics:
        raise HarnessError(f"The estimator {name!r} has no score yet.")
    raise HarnessError(f"The estimator {name!r} has several metrics; write {name}/{metrics[0]} or another of them.")
