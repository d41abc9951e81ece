"""What is found of one trial in a store made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store import AttemptRow, Group, MeasurementRow, StageRecord, Store
from harness.trial_view import view_trial

SOURCE, DONE, FAILED, LOST = ("5" * 32, "d" * 32, "f" * 32, "1" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four trials: one done, one skipped because its source failed, one pending, one excluded; and a candidate."""
    store = Store.open(tmp_path, create=True)
    ids = ["aa01", "aa02", "ab03", "ab04", "cc05"]
    store.write_trials(
        "first",
        {
            "trial_id": ids,
            "role": ["outcome"] * 4 + ["candidate"],
            "parent": [None] * 4 + ["aa01"],
            "source": ["here"] * 5,
            "target": ["there"] * 5,
            "method": ["move"] * 5,
            "seed": ["0"] * 5,
            "params": [json.dumps({"lr": 0.5})] * 5,
            "key": [DONE, FAILED, LOST, None, DONE],
            "reason": [None, None, None, "too far", None],
        },
    )
    store.write_trials("second", {"trial_id": ["aa01"], "role": ["outcome"], "key": [DONE]})
    source = StageRecord(SOURCE, "train", seconds=2.0)
    end = StageRecord(DONE, "evaluate", inputs=json.dumps({SOURCE: source.attempt}), seconds=1.0, width=4)
    row = MeasurementRow(DONE, end.attempt, "there", "test", "accuracy", 0.75, n_eval=40)
    broken = "b" * 8 + "0" * 24
    attempts = [
        AttemptRow(broken, "train", "x1", "oom", "no memory", error="Traceback: MemoryError", log="logs/x1.txt"),
        AttemptRow(FAILED, "evaluate", "x2", "skipped", f"input weights (train {broken[:8]}) failed"),
        AttemptRow("9" * 32, "other", "x3", "failed", "nothing to do with it"),
    ]
    store.commit(Group([source, end], [row], [], attempts))
    return store


def test_a_trial_that_is_done(store: Store) -> None:
    view = view_trial("aa01", store)
    assert view.state == "done"
    assert view.studies == ("first", "second")
    assert view.settings["lr"] == 0.5 and view.settings["method"] == "move"
    assert [row.value for row in view.rows] == [0.75]
    assert [stage.kind for stage in view.stages] == ["evaluate", "train"]
    assert view.attempts == () and view.candidates == ("cc05",)


def test_a_trial_that_was_skipped_leads_to_the_stage_at_fault(store: Store) -> None:
    view = view_trial("aa02", store)
    assert view.state == "skipped"
    assert [(attempt.kind, attempt.status) for attempt in view.attempts] == [("train", "oom"), ("evaluate", "skipped")]
    assert view.attempts[0].error == "Traceback: MemoryError"
    assert view.rows == () and view.stages == ()


def test_pending_and_excluded(store: Store) -> None:
    assert view_trial("ab03", store).state == "pending"
    excluded = view_trial("ab04", store)
    assert (excluded.state, excluded.reason) == ("excluded", "too far")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("zz", "no trial's id begins with 'zz'"),
        ("aa", "'aa' begins 2 trial ids: aa01, aa02"),
        ("", "begins 5 trial ids"),
    ],
)
def test_no_trial_or_too_many(store: Store, text: str, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        view_trial(text, store)
