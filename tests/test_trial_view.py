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


def test_an_id_that_begins_another_is_found_by_itself(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    store.write_trials("s", {"trial_id": ["aa", "aab", "aabc"], "key": [DONE, FAILED, LOST]})
    assert view_trial("aa", store).trial_id == "aa"
    assert view_trial("aabc", store).key == LOST
    with pytest.raises(HarnessError, match=r"'a' begins 3 trial ids: aa, aab, aabc$"):
        view_trial("a", store)


@pytest.mark.parametrize(("count", "more"), [(8, None), (9, "and 1 more"), (1500, "and 1,492 more")])
def test_of_many_ids_the_first_are_named(tmp_path: Path, count: int, more: str | None) -> None:
    store = Store.open(tmp_path, create=True)
    ids = [f"f{number:04d}" for number in range(count)]
    store.write_trials("s", {"trial_id": list(reversed(ids)), "key": [None] * count, "reason": ["no"] * count})
    with pytest.raises(HarnessError) as caught:
        view_trial("f", store)
    text = str(caught.value)
    assert f"begins {count:,} trial ids: {', '.join(ids[:8])}" in text
    assert text.endswith(more) if more else "more" not in text


def test_a_wrong_letter_gets_the_nearest_id(store: Store) -> None:
    with pytest.raises(HarnessError, match=r"begins with 'cc06' \(did you mean 'cc05'\?\); `harness export` lists"):
        view_trial("cc06", store)


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["oom"], "oom"),
        (["failed", "timeout"], "timeout"),
        (["failed", "duplicate"], "failed"),
        (["duplicate"], "pending"),
        (["damaged"], "pending"),
        (["crashed", "damaged"], "crashed"),
    ],
)
def test_the_last_failure_is_the_state_of_a_trial_without_a_record(
    tmp_path: Path, statuses: list[str], state: str
) -> None:
    from datetime import UTC, datetime, timedelta

    store = Store.open(tmp_path, create=True)
    store.write_trials("s", {"trial_id": ["t"], "key": [LOST]})
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        AttemptRow(LOST, "evaluate", f"x{i}", status, finished_at=begin + timedelta(minutes=i))  # type: ignore[arg-type]
        for i, status in enumerate(statuses)
    ]
    store.commit(Group(attempts=rows[::-1]))
    view = view_trial("t", store)
    assert view.state == state
    assert [attempt.status for attempt in view.attempts] == statuses, "oldest first"


def test_a_trial_that_diverged_says_so_and_keeps_what_came_before(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    store.write_trials("s", {"trial_id": ["t"], "key": [DONE]})
    failed = AttemptRow(DONE, "evaluate", "x", "crashed", "the worker died")
    store.commit(Group([StageRecord(DONE, "evaluate", status="diverged")], attempts=[failed]))
    view = view_trial("t", store)
    assert view.state == "diverged" and view.rows == ()
    assert [attempt.reason for attempt in view.attempts] == ["the worker died"]


def test_stages_are_found_through_all_their_inputs_and_each_once(tmp_path: Path) -> None:
    """A diamond: the end was made of two that were made of one; what a lost input was made of is not known."""
    end, left, right, top, gone = ("e" * 32, "2" * 32, "3" * 32, "4" * 32, "6" * 32)
    store = Store.open(tmp_path, create=True)
    store.write_trials("s", {"trial_id": ["t"], "key": [end]})
    made_from = {end: [left, right], left: [top, gone], right: [top], top: []}
    rows = [
        StageRecord(key, f"kind{key[0]}", inputs=json.dumps(dict.fromkeys(inputs, "x")))
        for key, inputs in made_from.items()
    ]
    stranger = StageRecord("7" * 32, "stranger", inputs=json.dumps({top: "x"}))
    store.commit(Group([stranger, *rows]))
    assert [stage.kind for stage in view_trial("t", store).stages] == ["kinde", "kind2", "kind3", "kind4"]


def test_settings_are_the_columns_that_say_something_and_the_parameters(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    params = json.dumps({"shots": "all", "numerics": {"tf32": True}})
    columns = {"trial_id": ["t"], "role": ["baseline"], "baseline": ["own"], "target": ["ü"], "params": [params]}
    store.write_trials("s", {**columns, "key": [LOST]})
    assert view_trial("t", store).settings == {
        "role": "baseline",
        "baseline": "own",
        "target": "ü",
        "shots": "all",
        "numerics": {"tf32": True},
    }
    store.write_trials("s", {"trial_id": ["t"], "key": [LOST]})
    assert view_trial("t", store).settings == {}
