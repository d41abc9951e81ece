"""`parts`, `verify` and `prune` say what is, and drop only what nobody needs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from harness.store import Finding, Group, Store, StoreError
from harness.store.convert import measurements_table, records_table
from tests.store.samples import key_of, one, record


def trained(store: Store, name: str, *inputs: str, pack: tuple[str, ...] = ()) -> None:
    """Commit a stage that left an artifact (packed with those of ``pack``) and was made from ``inputs``."""
    batch = {
        key_of(one_name): ({"w": torch.full((100,), float(len(one_name)))}, {"of": one_name})
        for one_name in (name, *pack)
    }
    refs = store.artifacts.put_many(batch)
    texts = json.dumps({key_of(one_input): "x" for one_input in inputs})
    rows = [record(one_name, artifact=refs[key_of(one_name)], inputs=texts) for one_name in (name, *pack)]
    store.commit(Group(rows))


def evaluated(store: Store, name: str, *inputs: str) -> None:
    group = one(name, inputs=json.dumps({key_of(one_input): "x" for one_input in inputs}))
    store.commit(group)


def trials(store: Store, study: str, *names: str, stages: list[str] | None = None) -> None:
    keys = [key_of(name) for name in names]
    store.write_trials(study, {"trial_id": list(names), "key": keys}, stages and [key_of(name) for name in stages])


def errors(store: Store, **options: bool) -> list[Finding]:
    return [finding for finding in store.verify(**options) if finding.severity == "error"]


def test_parts_are_plain_parquet(store: Store) -> None:
    for name in range(3):
        store.commit(one(name))
    trials(store, "s", "0", "1")
    found = store.parts()
    assert {name: len(paths) for name, paths in found.items() if paths} == {
        "records": 3,
        "measurements": 3,
        "trials": 1,
    }
    assert sum(pq.read_table(path).num_rows for path in found["records"]) == 3
    store.compact()
    assert [len(store.parts()[name]) for name in ("records", "measurements")] == [1, 1]


def test_a_whole_store_has_no_findings(store: Store) -> None:
    trained(store, "train", pack=("other",))
    evaluated(store, "eval", "train")
    trials(store, "s", "eval")
    store.compact()
    assert store.verify() == []


def test_damaged_artifacts_are_found_and_withdrawn(store: Store) -> None:
    for name in ("whole", "cut", "gone", "swapped"):
        trained(store, name)
    paths = {
        name: store.artifacts.path(store.records().artifact(key_of(name)))
        for name in ("whole", "cut", "gone", "swapped")
    }  # type: ignore[arg-type]  # they have one
    paths["cut"].write_bytes(paths["cut"].read_bytes()[:-7])
    paths["gone"].unlink()
    paths["swapped"].write_bytes(paths["whole"].read_bytes())
    found = errors(store)
    assert {finding.key for finding in found} == {key_of(name) for name in ("cut", "gone", "swapped")}
    assert all(finding.where.startswith("artifacts/") and "damaged" in finding.message for finding in found)
    assert len(errors(store, repair=True)) == 3
    assert set(store.records()) == {key_of("whole")} and errors(store) == []


def test_broken_tables_are_found(store: Store) -> None:
    for name in range(3):
        store.commit(one(name))
    cut, gone, short = store.parts()["records"]
    cut.write_bytes(cut.read_bytes()[:-50])
    gone.unlink()
    pq.write_table(pq.read_table(short).slice(0, 0), short)
    messages = {finding.where: finding.message for finding in errors(store)}
    assert set(messages) == {f"records/{path.name}" for path in (cut, gone, short)}
    assert (
        "missing" in messages[f"records/{gone.name}"]
        and "0 rows where the log says 1" in messages[f"records/{short.name}"]
    )


def test_doubled_rows_are_found(store: Store) -> None:
    group = one("a")
    store.commit(group)
    commit_id = store.records().field(key_of("a"), "commit_id")
    store.table("measurements").append(measurements_table(group.measurements, commit_id), "w")
    store.table("records").append(records_table([record("a")], "w", 9, "x"), "w")
    found = {finding.where: finding.message for finding in errors(store)}
    assert found == {"records": "the key has 2 standing records"} or "measurements" in found


def test_leftovers_are_only_notes(store: Store, results: Path) -> None:
    trained(store, "a")
    store.artifacts.put(key_of("nobody"), {"w": torch.ones(1)})
    (results / "store" / "artifacts" / "drafts" / "half").write_text("x")
    store.table("records").write_part(records_table([record("x")], "w", 1, "c"))
    found = store.verify()
    assert [finding.severity for finding in found] == ["note"] * 3
    assert {finding.where.split("/")[0] for finding in found} == {"artifacts", "records"}


def test_prune_keeps_what_any_newest_plan_reaches(store: Store, results: Path) -> None:
    trained(store, "shared")
    trained(store, "only-one", "shared")
    trained(store, "packed-kept", pack=("packed-dropped",))
    trained(store, "unused")
    evaluated(store, "eval-one", "only-one")
    evaluated(store, "eval-two", "shared")
    evaluated(store, "eval-packed", "packed-kept")
    trials(store, "one", "eval-one")
    trials(store, "two", "eval-two", "eval-packed")
    plan = store.prune(dry_run=True)
    assert set(plan.records) == {key_of("packed-dropped"), key_of("unused")} and len(plan.files) == 1 and plan.dry_run
    assert plan.nbytes == (results / "store" / plan.files[0]).stat().st_size
    assert len(store.refresh()) == 8
    done = store.prune()
    assert (done.records, done.files, done.nbytes) == (plan.records, plan.files, plan.nbytes)
    assert not (results / "store" / done.files[0]).exists()
    assert len(Store.open(results).records()) == 6 and errors(store) == []

    trials(store, "one", "eval-two")  # a newer plan of study one no longer needs eval-one
    assert set(store.prune(keep=[key_of("only-one")]).records) == {key_of("eval-one")}
    assert set(store.prune().records) == {key_of("only-one")}
    assert key_of("shared") in Store.open(results).records()
    store.compact()
    assert errors(store) == [] and store.measurements(key_of("eval-two"))


def test_prune_keeps_what_an_unfinished_study_needs(store: Store) -> None:
    trained(store, "train")
    trained(store, "unused")
    trials(store, "s", "eval-to-come")
    with pytest.raises(StoreError, match="study 's' is unfinished"):
        store.prune()
    trials(store, "s", "eval-to-come", stages=["train", "eval-to-come"])
    assert store.prune().records == (key_of("unused"),)
    trials(store, "s", "eval-to-come", stages=["eval-to-come"])
    assert store.prune().records == (key_of("train"),)


def test_prune_by_force(store: Store) -> None:
    trained(store, "train")
    trials(store, "s", "eval-to-come")
    assert store.prune(force=True, dry_run=True).records == (key_of("train"),)


def test_prune_spares_files_whose_record_is_still_to_come(store: Store) -> None:
    ref = store.artifacts.put(key_of("flying"), {"w": torch.ones(1)})
    assert store.prune().files == ()
    os.utime(store.artifacts.path(ref), (1, 1))
    assert store.prune().files == (ref.location,)
