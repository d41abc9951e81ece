"""What `show` and `store` print, from values made by hand."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import harness.api
from harness.cli import show, store
from harness.store import AttemptRow, Compaction, Finding, MeasurementRow, Pruning, StageRecord, Store
from harness.trial_view import TrialView

KEY = "d" * 32
WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
VIEW = TrialView(
    trial_id="0123456789abcdef",
    studies=("one", "two"),
    key=KEY,
    reason=None,
    settings={"source": "here", "lr": 0.5},
    rows=(),
    stages=(),
    attempts=(),
    candidates=(),
    store=Path("results/store"),
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Print a view with some fields changed; return the lines."""

    def shown(**changes: Any) -> list[str]:
        view = dataclasses.replace(VIEW, **changes)
        monkeypatch.setattr(harness.api, "show", lambda trial, results: view)
        assert show.show(Namespace(trial="0", results="results")) == 0
        return str(capsys.readouterr().out).splitlines()

    return shown


def test_a_pending_trial_is_its_settings(shown: Any) -> None:
    assert shown() == ["trial 0123456789abcdef of one, two: pending", "  source  here", "  lr      0.5"]


def test_an_excluded_cell_has_its_reason(shown: Any) -> None:
    assert shown(key=None, reason="too far")[:2] == [
        "trial 0123456789abcdef of one, two: excluded",
        "excluded: too far",
    ]


def test_candidates_are_counted_and_named(shown: Any) -> None:
    assert "1 candidate: aa" in shown(candidates=("aa",))
    assert "2 candidates: aa, bb" in shown(candidates=("aa", "bb"))


def test_rows_are_a_table(shown: Any) -> None:
    rows = (
        MeasurementRow(KEY, "x", "digits", "test", "accuracy", 0.1 + 0.2, n_eval=40, flags=("early", "short")),
        MeasurementRow(KEY, "x", "digits", "val", "loss", float("nan")),
    )
    lines = shown(rows=rows)
    assert lines[-4:] == [
        "outcome",
        "  task    split  metric    value                examples  flags",
        "  digits  test   accuracy  0.30000000000000004  40        early, short",
        "  digits  val    loss      nan",
    ]


def test_stages_tell_what_they_took_and_leave_out_what_is_not_known(shown: Any) -> None:
    full = StageRecord(
        KEY, "evaluate", seconds=1234.4, memory_bytes=1023 * 2**20, device="cpu", threads=2, width=8, finished_at=WHEN,
        flags=("not_trained",),
    )  # fmt: skip
    bare = StageRecord("e" * 32, "train", status="diverged", finished_at=WHEN)
    *_, head, first, second = [line.split() for line in shown(stages=(full, bare))]
    assert head == ["stage", "key", "status", "seconds", "memory", "device", "threads", "width", "finished", "flags"]
    assert first == ["evaluate", KEY, "ok", "1,234", "1,023", "MiB", "cpu", "2", "8", "2026-03-04", "05:06:07",
                     "not_trained"]  # fmt: skip
    assert second == ["train", "e" * 32, "diverged", "2026-03-04", "05:06:07"]


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"status": "pending"}, []),
        ({"reason": "it fell"}, ["    it fell"]),
        ({"log": "logs/x.txt"}, ["    log: results/store/logs/x.txt"]),
        ({"error": "Traceback:\n  deep\n\n"}, ["    | Traceback:", "    |   deep"]),
        ({"reason": "r", "log": "l", "error": "e"}, ["    r", "    log: results/store/l", "    | e"]),
    ],
)
def test_attempts_tell_reason_log_and_traceback(shown: Any, fields: dict[str, Any], lines: list[str]) -> None:
    attempt = AttemptRow(KEY, "evaluate", "x", **{"status": "failed", "finished_at": WHEN, **fields})
    found = shown(attempts=(attempt,))
    at = found.index("attempts")
    assert found[at + 1] == f"  2026-03-04 05:06:07  evaluate {KEY}: {attempt.status}"
    assert found[at + 2 :] == lines


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"seconds": 0.5}, ": failed after 0.5 s"),
        ({"seconds": 5000.0}, ": failed after 5,000 s"),
        ({"status": "duplicate", "agreed": True}, ": duplicate, equal to what counts"),
        ({"status": "duplicate", "agreed": False, "seconds": 2.0}, ": duplicate after 2 s, other than what counts"),
    ],
)
def test_attempts_tell_how_long_and_whether_they_agreed(shown: Any, fields: dict[str, Any], end: str) -> None:
    attempt = AttemptRow(KEY, "evaluate", "x", **{"status": "failed", "finished_at": WHEN, **fields})
    assert shown(attempts=(attempt,))[-1].endswith(end)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `Store.open` gives in these tests; each notes the folder it was opened with."""
    stand_in = SimpleNamespace(opened=[])

    def opened(results: str, create: bool = False) -> SimpleNamespace:
        stand_in.opened.append((results, create))
        return stand_in

    monkeypatch.setattr(Store, "open", opened)
    return stand_in


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ([], 0, "everything recorded is there and as it was"),
        ([Finding("note", "a/b", "spare")], 0, "everything recorded is there and as it was"),
        ([Finding("error", "a/b", "gone")], 3, "1 error: the next run computes again what is damaged and needed"),
        (
            [Finding("error", "a/b", "gone"), Finding("note", "c", "spare"), Finding("error", "d", "cut")],
            3,
            "2 errors: the next run computes again what is damaged and needed",
        ),
    ],
)
def test_verify_lists_findings_and_fails_on_errors_only(
    stored: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    status: int,
    last: str,
) -> None:
    stored.verify = lambda: findings
    assert store.verify(Namespace(results="there")) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines == [*(f"{item.severity}: {item.where}: {item.message}" for item in findings), last]
    assert stored.opened == [("there", False)], "looking creates no store"


@pytest.mark.parametrize(
    ("done", "lines"),
    [
        (
            Compaction(1200, 7, 0, 1, 1536, 2),
            ["1,200 files before, 7 after", "1 file deleted (1.5 KiB), 2 still read"],
        ),
        (
            Compaction(1, 1, 1, 0, 0, 0),
            [
                "1 file before, 1 after",
                "0 files deleted (0 B), 0 still read",
                "1 row of unfinished commits dropped",
            ],
        ),
    ],
)
def test_compact_says_what_it_did(
    stored: SimpleNamespace, capsys: pytest.CaptureFixture[str], done: Compaction, lines: list[str]
) -> None:
    stored.compact = lambda: done
    assert store.compact(Namespace(results="r")) == 0
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_prune_says_what_went_or_would_go(
    stored: SimpleNamespace, capsys: pytest.CaptureFixture[str], dry: bool, force: bool
) -> None:
    asked = []

    def prune(**options: bool) -> Pruning:
        asked.append(options)
        return Pruning((KEY,), ("a/1", "a/2"), 2048, dry)

    stored.prune = prune
    assert store.prune(Namespace(results="r", dry_run=dry, force=force)) == 0
    assert asked == [{"dry_run": dry, "force": force}]
    verb = "would delete" if dry else "deleted"
    assert capsys.readouterr().out == f"{verb} 2 files (2 KiB) of 1 stage\n  a/1\n  a/2\n"


def test_parts_are_one_a_line(stored: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    stored.parts = lambda: {"records": [Path("r/one"), Path("r/two")], "curves": []}
    assert store.parts(Namespace(results="r")) == 0
    assert capsys.readouterr().out == "records\tr/one\nrecords\tr/two\n"
