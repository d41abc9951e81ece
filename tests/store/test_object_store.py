"""A store in object storage keeps the promises of one on a disk: a real server, two drivers, a killed one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import harness.store.artifacts as artifacts
from harness.store import ArtifactDamaged, Group, NoStoreError, Store, StoreError, outcomes, trial_states
from harness.store.file_cache import FileCache
from harness.store.objects import ObjectPath
from harness.store.tables import Table
from tests.store.samples import key_of, measured, one, record

Start = Callable[..., "subprocess.Popen[str]"]


def keeping(name: str, tensors: dict[str, torch.Tensor], store: Store, **fields: Any) -> Group:
    """Return a group of a record whose artifact is stored."""
    return Group([record(name, artifact=store.artifacts.put(key_of(name), tensors, {"of": name}), **fields)])


def test_what_is_committed_is_seen_elsewhere(remote: Store) -> None:
    other = Store.open(str(remote.results))
    group = one("a", 0.1 + 0.2, flags=("not_trained",))
    assert remote.commit(group).committed == (key_of("a"),)
    assert remote.commit(group).committed == (key_of("a"),), "again changes nothing"
    assert other.refresh().attempt(key_of("a")) == group.records[0].attempt
    assert other.measurements(key_of("a")) == group.measurements
    assert Store.exists(remote.results) and not Store.exists(f"{remote.results}/elsewhere")
    with pytest.raises(NoStoreError, match=f"'{remote.results}/elsewhere'"):
        Store.open(f"{remote.results}/elsewhere")


@pytest.mark.slow
def test_two_drivers_win_every_row_once(remote: Store, other_driver: Start) -> None:
    """The same 28 keys, in different orders, with different values: each stands once, with the value that won."""
    drivers = {value: other_driver("race", remote.results, seed, 28, value) for seed, value in ((1, 0.25), (2, 0.75))}
    won, second = [], []
    for value, driver in drivers.items():
        out, err = driver.communicate(timeout=500)
        assert driver.returncode == 0, err
        won += [(line.split()[1], value) for line in out.splitlines() if line.startswith("won ")]
        second += [line.split()[1] for line in out.splitlines() if line.startswith("second ")]
    expected = {key_of(at) for at in range(28)}
    assert sorted(key for key, _ in won) == sorted(expected) == sorted(second) == sorted(remote.refresh())
    for key, value in won:
        assert [row.value for row in remote.measurements(key)] == [value]
    assert sum(row.status == "duplicate" and row.agreed is False for row in remote.attempts()) == 28
    remote.compact()
    assert [finding for finding in remote.verify() if finding.severity == "error"] == []


@pytest.mark.slow
def test_a_killed_driver_keeps_what_it_acknowledged(remote: Store, other_driver: Start) -> None:
    driver = other_driver("endless", remote.results, "x")
    assert driver.stdout is not None
    said = [driver.stdout.readline().split() for _ in range(24)]  # eight commits, one compaction among them
    driver.kill()
    said += [line.split() for line in driver.stdout.read().splitlines() if line.count(" ") == 3]
    records = remote.refresh()
    for _, key, attempt, value in said:
        assert records.attempt(key) == attempt
        assert [row.value for row in remote.measurements(key)] == [float(value)]
    assert remote.commit(one("after")).committed == (key_of("after"),)
    assert [finding for finding in remote.verify() if finding.severity == "error"] == []


def test_of_two_that_make_one_table_both_find_it(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real, blind = ObjectPath(bucket, "r/store"), ObjectPath.is_dir, iter([False])
    first = Table.open(root, "records")
    monkeypatch.setattr(ObjectPath, "is_dir", lambda self: next(blind, real(self)))
    second = Table.open(root, "records")  # it saw no table, as one that looked just before the other made it
    assert next(blind, None) is None and second.version == first.version == 0


def test_compaction_leaves_one_part_and_nothing_old(remote: Store) -> None:
    for at in range(5):
        remote.commit(one(at))
    before = len(list(remote.root.rglob("*.parquet")))
    done = remote.compact(force=True)
    assert done.parts_after == 2 and done.files_deleted > 5 and len(list(remote.root.rglob("part-*"))) == 2 < before
    assert len(Store.open(str(remote.results)).records()) == 5
    assert {name: len(files) for name, files in remote.parts().items() if files} == {"records": 1, "measurements": 1}
    assert str(remote.parts()["records"][0]).startswith(f"{remote.root}/records/part-")


def test_while_another_is_at_work_superseded_objects_stay(remote: Store) -> None:
    other = Store.open(str(remote.results))
    for at in range(3):
        remote.commit(one(at))
    held = remote.parts()["records"]
    other.commit(one("other"))
    remote.compact()
    assert all(part.exists() for part in held), "an object's age does not say since when it is superseded"
    assert len(other.refresh()) == 4


def test_artifacts_are_packed_verified_and_kept_near(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: {"w": torch.randn(5, 3), "b": torch.arange(4, dtype=torch.int32)} for name in ("a", "b")}
    refs = remote.artifacts.put_many({key_of(name): (value, {"of": name}) for name, value in tensors.items()})
    assert len({ref.location for ref in refs.values()}) == 1 == len(list(remote.artifacts.files()))
    downloads: list[str] = []
    download = ObjectPath.download
    monkeypatch.setattr(
        ObjectPath, "download", lambda self, target: downloads.append(self.name) or download(self, target)
    )
    near = FileCache(remote.artifacts.copies.root / "another node", 2**30)
    for copies, expected in ((remote.artifacts.copies, 0), (near, 1)):
        monkeypatch.setattr(artifacts.ArtifactStore, "copies", property(lambda self, copies=copies: copies))
        for name, value in tensors.items():
            back, header = remote.artifacts.get(refs[key_of(name)])
            assert header == {"of": name} and set(back) == set(value)
            assert all(torch.equal(back[part], value[part]) and back[part].dtype == value[part].dtype for part in value)
        assert len(downloads) == expected, "the writer keeps what it sent; another node fetches each object once"


def test_an_artifact_made_twice_is_stored_once(remote: Store) -> None:
    one_of, other = (remote.artifacts.put(key_of("a"), {"w": torch.ones(3)}) for _ in range(2))
    assert one_of == other and len(list(remote.artifacts.files())) == 1
    assert list(remote.artifacts.drafts()) == []


def test_damage_is_found_and_mended(remote: Store) -> None:
    remote.commit(keeping("a", {"w": torch.ones(3)}, remote))
    ref = remote.records().artifact(key_of("a"))
    assert ref is not None
    place = remote.artifacts.path(ref)
    content = place.read_bytes()
    (remote.artifacts.copies.root / ref.location).write_bytes(b"bad copy")
    assert torch.equal(remote.artifacts.get(ref)[0]["w"], torch.ones(3)), "a bad copy is fetched again"
    assert isinstance(place, ObjectPath)
    place.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    remote.artifacts.copies.drop(ref.location)
    with pytest.raises(ArtifactDamaged, match=rf"in '{place}' is damaged: its bytes do not match"):
        remote.artifacts.get(ref)
    assert [finding.key for finding in remote.verify(repair=True) if finding.severity == "error"] == [key_of("a")]
    assert key_of("a") not in remote.refresh()
    assert remote.artifacts.put(key_of("a"), {"w": torch.ones(3)}, {"of": "a"}) == ref, "made again under its old name"
    assert torch.equal(remote.artifacts.get(ref)[0]["w"], torch.ones(3)) and place.read_bytes() == content
    place.unlink()
    remote.artifacts.copies.drop(ref.location)
    with pytest.raises(ArtifactDamaged, match="the file is missing"):
        remote.artifacts.get(ref)


def test_prune_drops_what_no_plan_reaches(remote: Store) -> None:
    for name in ("kept", "dropped"):
        remote.commit(keeping(name, {"w": torch.full((3,), float(len(name)))}, remote))
    remote.write_trials("s", {"trial_id": ["t"], "key": [key_of("kept")], "plan": ["p"]}, [key_of("kept")])
    assert remote.prune(dry_run=True).records == (key_of("dropped"),) and len(list(remote.artifacts.files())) == 2
    assert remote.prune().records == (key_of("dropped"),)
    assert len(list(remote.artifacts.files())) == 1 and list(remote.refresh()) == [key_of("kept")]


def test_reading_and_writing_plans(remote: Store) -> None:
    row = record("a")
    remote.commit(Group([row], [measured(row, 0.5)]))
    columns = {"trial_id": ["t", "u"], "role": ["outcome"] * 2, "source": ["x", "y"], "key": [row.key, key_of("b")]}
    assert remote.write_trials("s", {**columns, "plan": ["p"] * 2})
    assert not remote.write_trials("s", {**columns, "plan": ["p"] * 2})
    assert remote.studies() == ["s"]
    assert outcomes(str(remote.results), "s").column("value").to_pylist() == [0.5]
    assert trial_states(Path(str(remote.results)), "s").column("state").to_pylist() == ["done", "pending"]


def test_no_credentials_are_kept(remote: Store, object_server: dict[str, str]) -> None:
    remote.provenance({"study": "s"})
    remote.commit(keeping("a", {"w": torch.ones(3)}, remote))
    secret = object_server["AWS_SECRET_ACCESS_KEY"].encode()
    everything = [path.read_bytes() for path in remote.root.rglob("*")]
    everything.append(remote.table("provenance").read().to_pandas().to_csv().encode())
    everything += [path.read_bytes() for path in remote.artifacts.copies.root.rglob("*") if path.is_file()]
    assert len(everything) > 8 and not any(secret in content for content in everything)


def test_an_unreachable_service_is_one_sentence(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import harness.store.objects as objects

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    objects._client.cache_clear()
    with pytest.raises(StoreError, match="the results cannot be read: s3://"):
        Store.open(str(remote.results))


def test_without_obstore_the_user_is_told_what_to_install(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreError, match=r"transfer-harness\[s3\]"):
        Store.open(f"s3://{bucket}/r", create=True)
