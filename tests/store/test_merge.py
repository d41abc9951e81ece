"""Merging stores: nothing lost, nothing doubled, nothing overwritten; whatever dies or writes meanwhile."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.store import AttemptRow, CurveRow, Group, Store, StoreError, new_id, outcomes
from harness.store.merge import Merged, merge
from harness.store.trials import stage_keys

from .samples import key_of, measured, one, record

SCRIPT = Path(__file__).with_name("merging_process.py")


def content(store: Store) -> dict[str, Any]:
    """Everything that a reader may see, read row by row and independent of how it is stored."""
    records = store.refresh()
    return {
        "records": {
            key: (row.attempt, row.status, row.value, row.artifact and row.artifact.sha256, row.flags, row.provenance)
            for key, row in records.items()
        },
        "measurements": {key: [(m.metric, repr(m.value)) for m in store.measurements(key)] for key in records},
        "curves": {key: [(c.name, c.step, c.value) for c in store.curves(key)] for key in records},
        "attempts": sorted((a.key, a.attempt, a.status, a.reason) for a in store.attempts()),
        "provenance": sorted(store.table("provenance").read(["id"]).column("id").to_pylist()),
        "studies": {study: store.trials(study).to_pylist() for study in store.studies()},
        "stages": stage_keys(store),
    }


def trials(names: list[str], plan: str = "p") -> dict[str, list[Any]]:
    return {
        "trial_id": [f"trial-{name}" for name in names],
        "key": [key_of(name) for name in names],
        "params": ["{}"] * len(names),
        "plan": [plan] * len(names),
    }


def filled(folder: Path, names: list[str], study: str = "s") -> Store:
    """A store in which each name is a stage with a measurement, a curve and an artifact, under one study."""
    store = Store.open(folder, create=True)
    run = store.provenance({"study": study}, extra={"folder": folder.name})
    group = Group()
    refs = store.artifacts.put_many({key_of(n): ({"w": torch.full((3,), float(len(n)))}, {"of": n}) for n in names})
    for place, name in enumerate(names):
        row = record(name, artifact=refs[key_of(name)], provenance=run, writer="w")
        group.records.append(row)
        group.measurements.append(measured(row, place / 8))
        group.curves.append(CurveRow(row.key, row.attempt, "train/loss", place, 1.0 / (place + 1)))
    group.attempts.append(AttemptRow(key_of(f"failed in {folder}"), "train", new_id(), "failed", "it broke"))
    store.commit(group)
    store.write_trials(study, trials(names), [key_of("inner"), *map(key_of, names)])
    return store


def again(source: Store, folder: Path, value: float, **changed: Any) -> Store:
    """A store in which another execution of the first stage of ``source`` measured ``value``."""
    store = Store.open(folder, create=True)
    key, old = next(iter(source.records().items()))
    row = record("unused", artifact=old.artifact, **changed)
    row.key = key
    curve = [CurveRow(key, row.attempt, "train/loss", 0, 1.0)]
    if old.artifact is not None and not changed.get("artifact"):
        tensors, header = source.artifacts.get(old.artifact)
        row.artifact = store.artifacts.put(key, tensors, header)
    store.commit(Group([row], [measured(row, value)], curve))
    return store


def test_everything_of_the_other_store_arrives_once(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x", "y"], "first"), filled(tmp_path / "b", ["u", "v", "w"], "second")
    mine, theirs = content(a), content(b)
    done = merge(a, b)
    assert (done.added, done.present, done.equal, done.conflicts, done.damaged) == (3, 0, 0, [], [])
    assert (done.artifacts, done.nbytes, done.attempts, done.runs) == (3, 3 * 12, 1, 1)
    assert done.studies == ["second"]
    merged = content(Store.open(tmp_path / "a"))
    for part in ("records", "measurements", "curves", "studies", "stages"):
        assert merged[part] == {**mine[part], **theirs[part]}
    for part in ("attempts", "provenance"):
        assert merged[part] == sorted([*mine[part], *theirs[part]])
    assert content(b) == theirs, "the other store is only read"
    assert not [finding for finding in a.verify() if finding.severity == "error"]
    assert outcomes(a, "second").column("value").to_pylist() == [0.0, 0.125, 0.25]
    tensors, header = a.artifacts.get(a.records()[key_of("w")].artifact or pytest.fail("no artifact"))
    assert tensors["w"].tolist() == [1.0] * 3 and header == {"of": "w"}


def test_merging_again_adds_nothing(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x"], "first"), filled(tmp_path / "b", ["u", "v"], "second")
    merge(a, b)
    once = content(a)
    done = merge(a, b)
    assert done == Merged(present=2)
    assert content(a) == once


def test_equal_outcomes_of_two_executions_are_counted_and_told_apart_from_others(tmp_path: Path) -> None:
    a = filled(tmp_path / "a", ["x"])
    before = content(a)["measurements"]
    equal, other = again(a, tmp_path / "b", 0.0), again(a, tmp_path / "c", math.nextafter(0.0, 1.0))
    assert merge(a, equal).equal == 1
    done = merge(a, other)
    assert (done.added, done.equal, len(done.conflicts)) == (0, 0, 1)
    conflict = done.conflicts[0]
    assert (conflict.what, conflict.name, conflict.kind) == ("stage", key_of("x"), "evaluate")
    assert conflict.differs == "accuracy on digits/test"
    assert (conflict.ours, conflict.theirs) == ("0.0", "5e-324")
    assert content(a)["measurements"] == before, "what differs is not taken over"
    said = [(row.status, row.agreed) for row in a.attempts([key_of("x")])]
    assert said == [("duplicate", True), ("duplicate", False)]
    assert merge(a, other).conflicts == done.conflicts, "it is reported each time"
    assert len(a.attempts([key_of("x")])) == 2, "and written down once"


def test_an_artifact_or_a_curve_that_differs_is_a_conflict(tmp_path: Path) -> None:
    a = filled(tmp_path / "a", ["x"])
    b = Store.open(tmp_path / "b", create=True)
    ref = b.artifacts.put(key_of("x"), {"w": torch.zeros(3)}, {"of": "x"})
    row = record("x", artifact=ref)
    b.commit(Group([row], [measured(row, 0.0)], [CurveRow(row.key, row.attempt, "train/loss", 0, 1.0)]))
    assert [conflict.differs for conflict in merge(a, b).conflicts] == ["artifact"]
    c = Store.open(tmp_path / "c", create=True)
    row = record("x", artifact=None)  # one of them kept no artifact: no disagreement
    c.commit(Group([row], [measured(row, 0.0)], [CurveRow(row.key, row.attempt, "train/loss", 0, 1.5)]))
    (conflict,) = merge(a, c).conflicts
    assert (conflict.differs, conflict.ours, conflict.theirs) == ("curve train/loss at step 0", "1.0", "1.5")


def test_a_plan_that_differs_is_reported_and_its_stages_arrive(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x", "y"]), filled(tmp_path / "b", ["y", "z", "u"])
    b.write_trials("s", trials(["y", "z", "u"], "q"))
    plan = a.trials("s").to_pylist()
    done = merge(a, b)
    (stage, conflict) = sorted(done.conflicts, key=lambda one: one.what, reverse=True)
    assert (stage.what, stage.name) == ("stage", key_of("y"))
    assert (conflict.what, conflict.name) == ("plan", "s")
    assert (conflict.ours, conflict.theirs) == ("2 trials, 1 only here", "3 trials, 2 only here")
    assert a.trials("s").to_pylist() == plan
    assert {key_of("z"), key_of("u")} <= set(a.records())


def test_the_same_plan_under_another_fingerprint_is_the_same(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x"]), Store.open(tmp_path / "b", create=True)
    b.write_trials("s", trials(["x"], "another"))
    assert merge(a, b).conflicts == []


def test_a_damaged_artifact_stays_away_with_its_stage(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x"], "first"), filled(tmp_path / "b", ["u"], "second")
    path = b.artifacts.path(b.records()[key_of("u")].artifact or pytest.fail("no artifact"))
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    done = merge(a, b)
    assert [finding.key for finding in done.damaged] == [key_of("u")]
    assert key_of("u") not in a.records() and done.added == 0
    path.write_bytes(sound)
    assert merge(a, b).added == 1


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a", ["x", "y"], "first"), filled(tmp_path / "b", ["y", "z"], "second")
    before = content(a)
    files = sorted(path for path in (tmp_path / "a").rglob("*") if "_delta_log" not in path.parts)
    said = merge(a, b, dry_run=True)
    assert content(a) == before
    assert sorted(path for path in (tmp_path / "a").rglob("*") if "_delta_log" not in path.parts) == files
    assert merge(a, b) == said
    assert said.added == 1 and len(said.conflicts) == 1


def test_what_was_withdrawn_here_does_not_come_back(tmp_path: Path) -> None:
    a, b = Store.open(tmp_path / "a", create=True), filled(tmp_path / "b", ["u", "v"])
    merge(a, b)
    a.withdraw([key_of("u")], "damaged")
    done = merge(a, b)
    assert (done.taken_back, done.present, done.added) == (1, 1, 0)
    assert key_of("u") not in a.records()


def test_logs_come_along_but_only_from_inside_the_store(tmp_path: Path) -> None:
    a, b = Store.open(tmp_path / "a", create=True), Store.open(tmp_path / "b", create=True)
    (b.root / "logs" / "run").mkdir(parents=True)
    (b.root / "logs" / "run" / "worker-1.log").write_text("it broke here")
    (tmp_path / "secret.log").write_text("not to be copied")
    when = datetime(2026, 1, 1, tzinfo=UTC)
    for log in ("logs/run/worker-1.log", "logs/gone.log", "../../secret.log", str(tmp_path / "secret.log")):
        row = AttemptRow(key_of(log), "train", new_id(), "failed", "broke", log=log, finished_at=when)
        b.commit(Group(attempts=[row]))
    assert merge(a, b).attempts == 4
    assert (a.root / "logs" / "run" / "worker-1.log").read_text() == "it broke here"
    assert [path.name for path in tmp_path.rglob("*.log")].count("secret.log") == 1


def test_a_store_is_not_merged_with_itself(tmp_path: Path) -> None:
    store = filled(tmp_path / "a", ["x"])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(StoreError, match="cannot be merged with itself"):
        merge(store, Store.open(tmp_path / "link"))


@pytest.mark.slow
def test_a_merge_killed_anywhere_goes_on_where_it_stopped(tmp_path: Path) -> None:
    names = [f"name {place}" for place in range(40)]
    other = filled(tmp_path / "other", names)
    filled(tmp_path / "whole", ["x"], "first")
    filled(tmp_path / "broken", ["x"], "first")
    merge(Store.open(tmp_path / "whole"), other)
    dice = random.Random(0)
    for _ in range(4):  # each time the process gets a little further, or not
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path / "broken"), str(tmp_path / "other")],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env={"PYTHONPATH": "."},
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 6)):
            process.stdout.readline()
        process.kill()
        process.communicate()
    broken = Store.open(tmp_path / "broken")
    assert 0 < len(broken.records()) <= 41
    done = merge(broken, other)
    assert done.added + done.present == 40
    assert not [finding for finding in broken.verify() if finding.severity == "error"]
    ours, expected = content(broken), content(Store.open(tmp_path / "whole"))
    for part in ("measurements", "curves", "studies", "stages"):
        names_of_first = {"first"}  # the receiving stores differ in what they had: random attempts, folders
        assert {k: v for k, v in ours[part].items() if k not in names_of_first | {key_of("x")}} == {
            k: v for k, v in expected[part].items() if k not in names_of_first | {key_of("x")}
        }
    assert {k: v for k, v in ours["records"].items() if k != key_of("x")} == content(other)["records"]
    assert set(content(other)["attempts"]) <= set(ours["attempts"])


@pytest.mark.slow
def test_another_driver_may_commit_meanwhile(
    tmp_path: Path, other_driver: Callable[..., subprocess.Popen[str]]
) -> None:
    """The driver commits the names 0 to 99 with the value 1; so has the other store, but 5 of them with the value 2."""
    b = Store.open(tmp_path / "b", create=True)
    for at in range(100):
        b.commit(one(at, 2.0 if at < 5 else 1.0))
    a = Store.open(tmp_path / "a", create=True)
    driver = other_driver("race", tmp_path / "a", 0, 100, 1.0)
    assert driver.stdout is not None and driver.stdout.readline() == "ready\n"
    done = merge(a, b)
    said = driver.communicate(timeout=120)[0].split("\n")
    won, second = ({line.split()[1] for line in said if line.startswith(word)} for word in ("won", "second"))
    assert len(won) + len(second) == 100, "the driver noticed nothing but keys that were taken"
    records = a.refresh()
    assert len(records) == 100
    theirs = {key for key in records if records.attempt(key) == b.records().attempt(key)}
    assert theirs == second and not theirs & won
    assert done.added == len(theirs)
    assert {conflict.name for conflict in done.conflicts} == {key_of(at) for at in range(5)} - theirs
    assert done.added + done.equal + len(done.conflicts) == 100
    assert not [finding for finding in a.verify() if finding.severity == "error"]
    for key in records:
        assert len(a.measurements(key)) == 1
