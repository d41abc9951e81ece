"""The parts of a report that are about the study as a whole: how many trials, what failed, where values come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.columns import MIXABLE, NONE_LABEL, axes_of, labels, ordered, textual
from analysis.tables import Table, plain_table

STATES = ("done", "failed", "diverged", "skipped", "pending", "excluded")
_ROLES = {"outcome": "transfer trials", "baseline": "baselines", "estimator": "estimators"}
_MOST_LISTED = 100


def counts(trials: pd.DataFrame) -> dict[str, int]:
    """Number of planned trials in every state."""
    found = trials["state"].value_counts()
    return {state: int(found.get(state, 0)) for state in STATES}


def counts_table(trials: pd.DataFrame) -> Table:
    """Trials by role and state."""
    roles = ordered(trials["role"].astype(str), tuple(_ROLES))
    rows = []
    for role in roles:
        ours = counts(trials.loc[trials["role"] == role])
        rows.append((_ROLES.get(role, role), str(sum(ours.values())), *(str(ours[s]) for s in STATES)))
    total = counts(trials)
    rows.append(("all", str(sum(total.values())), *(str(total[s]) for s in STATES)))
    return plain_table("Trials", ("", "planned", *STATES), rows)


def reasons_table(trials: pd.DataFrame) -> Table | None:
    """Why trials have no value, each reason once with its number of trials; None when all are done."""
    rest = trials.loc[~trials["state"].isin(["done", "pending"])]
    if rest.empty:
        return None
    texts = rest["reason"].fillna("no reason was recorded").astype(str)
    grouped = rest.assign(reason=texts).groupby(["state", "reason"], sort=False).size()
    keys = [tuple(map(str, key)) if isinstance(key, tuple) else (str(key), "") for key in grouped.index]
    entries = [(key[0], key[1], int(n)) for key, n in zip(keys, grouped.tolist(), strict=True)]
    entries.sort(key=lambda e: (STATES.index(e[0]) if e[0] in STATES else len(STATES), -e[2], e[1]))
    rows = [(state, reason, str(n)) for state, reason, n in entries]
    return plain_table("Reasons", ("state", "reason", "trials"), rows, stubs=2)


def failures_table(trials: pd.DataFrame) -> Table | None:
    """Failed, diverged and skipped trials one by one (the first hundred); None when there are none."""
    text = textual(trials)
    bad = text.loc[text["state"].isin(["failed", "diverged", "skipped"])]
    if bad.empty:
        return None
    axes = [a for a in axes_of(text) if a != "study" and text[a].nunique() > 1]
    rows = [
        (str(r["trial_id"]), str(r["state"]), *(str(r[a]) for a in axes), str(r["reason"] or ""))
        for r in bad.head(_MOST_LISTED).to_dict("records")
    ]
    notes = [f"The first {_MOST_LISTED} of {len(bad)}."] if len(bad) > _MOST_LISTED else []
    return plain_table("Trials without a value", ("trial", "state", *axes, "reason"), rows, notes, stubs=1)


def flags_text(frame: pd.DataFrame) -> str:
    """A sentence on flagged outcomes, "" when there are none."""
    text = textual(frame)
    if "flags" not in text.columns:
        return ""
    flagged = text.loc[(text["flags"] != "") & text["value"].notna()]
    if flagged.empty:
        return ""
    kinds = ordered(k for f in flagged["flags"].unique() for k in str(f).split(", "))
    return f"{flagged['trial_id'].nunique()} trials have flagged values ({', '.join(kinds)}); they are marked †."


def circumstances_table(frame: pd.DataFrame) -> Table:
    """On what the values were computed, and when."""
    rows = []
    for column, plural in MIXABLE.items():
        if column in frame.columns:
            found = labels(frame[column]).value_counts()
            parts = [f"{v} ({found[v]})" for v in ordered(found.index) if v != NONE_LABEL]
            if parts:
                rows.append((plural, ", ".join(parts)))
    if "finished_at" in frame.columns and frame["finished_at"].notna().any():
        times = pd.to_datetime(frame["finished_at"], utc=True)
        rows.append(("computed (UTC)", f"{times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M}"))
    return plain_table("Circumstances of the values", ("", "values"), rows)


def provenance_rows(results: Path, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Versions, commit and hardware of every run behind the outcomes; host and user names are left out."""
    if "provenance" not in frame.columns:
        return []
    from harness.store import Store

    store = Store.open(results)
    found: list[tuple[str, str]] = []
    for identifier in sorted(str(p) for p in frame["provenance"].dropna().unique()):
        record = store.provenance_of(identifier)
        if record is not None:
            parts = [_described(record[key]) for key in ("versions", "git", "hardware") if record.get(key)]
            found.append((identifier[:12], "; ".join(p for p in parts if p)))
    return found


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_described(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(_described(v) for v in value)
    return str(value)
