"""Counts, reasons, failures and circumstances of a study."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.summary import (
    circumstances_table,
    counts,
    counts_table,
    failures_table,
    flags_text,
    reasons_table,
)


@pytest.fixture
def trials(frame):
    states = ["done"] * 3 + ["failed"] * 2 + ["skipped", "excluded", "excluded", "pending"]
    reasons = [None] * 3 + ["out of memory", "out of memory", None, "licence", "licence", None]
    rows = frame([{"source": f"s{k}", "reason": r} for k, r in enumerate(reasons)]).assign(state=states)
    rows.loc[0, "role"] = "baseline"
    return rows


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_counts_by_state_and_role(trials):
    assert counts(trials) == {"done": 3, "failed": 2, "diverged": 0, "skipped": 1, "pending": 1, "excluded": 2}
    assert texts(counts_table(trials)) == [
        ["transfer trials", "8", "2", "2", "0", "1", "1", "2"],
        ["baselines", "1", "1", "0", "0", "0", "0", "0"],
        ["all", "9", "3", "2", "0", "1", "1", "2"],
    ]


def test_each_reason_once(trials):
    assert texts(reasons_table(trials)) == [
        ["failed", "out of memory", "2"],
        ["skipped", "no reason was recorded", "1"],
        ["excluded", "licence", "2"],
    ]
    assert reasons_table(trials[trials.state == "done"]) is None


def test_failures_one_by_one(trials):
    table = failures_table(trials)
    assert table.header == ("trial", "state", "source", "reason")
    assert texts(table)[0] == ["t3", "failed", "s3", "out of memory"] and len(table.rows) == 3
    assert failures_table(trials[trials.state == "done"]) is None
    many = pd.concat([trials[trials.state == "failed"]] * 60)
    assert len(failures_table(many).rows) == 100 and failures_table(many).notes == ("The first 100 of 120.",)


def test_flags_in_words(frame):
    rows = frame([{"value": 0.5, "flags": "not_trained"}, {"value": 0.5}, {"flags": "not_trained", "status": "failed"}])
    assert flags_text(rows) == "1 trials have flagged values (not_trained); they are marked †."
    assert flags_text(rows.assign(flags="")) == "" and flags_text(rows.drop(columns="flags")) == ""


def test_circumstances(frame):
    rows = frame([{"value": 0.5, "device": d} for d in ("cpu", "cuda", "cuda")])
    rows["finished_at"] = pd.to_datetime(["2024-01-01 10:00", "2024-01-02 11:30", None], utc=True)
    found = dict(texts(circumstances_table(rows)))
    assert found["devices"] == "cpu (1), cuda (2)"
    assert found["computed (UTC)"] == "2024-01-01 10:00 to 2024-01-02 11:30"
