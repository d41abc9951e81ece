"""A study whose results lie in object storage, from the command line: the same numbers as on a disk, bit for bit."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from harness.execution.worker import Worker, WorkerSetup
from harness.store import Store, local_folder, outcomes
from harness.store.objects import ObjectPath
from tests.store.samples import key_of

STUDY = str(Path(__file__).parents[2] / "studies" / "quickstart.yaml")
CUT = ("--only", "source=digits_upright,digits_noise", "--only", "target=digits_upright")
CUT = (*CUT, "--set", "seeds=[0]", "--set", "params.steps=8", "--set", "params.source.steps=8")


def values(results: str) -> dict[tuple[str, ...], str]:
    """Return every value, exactly, by what it is of."""
    rows = outcomes(results, "quickstart").to_pylist()
    names = ("trial_id", "role", "task", "split", "metric")
    return {tuple(str(row[name]) for name in names): repr(row["value"]) for row in rows}


@pytest.mark.slow
def test_a_study_from_plan_to_report(
    bucket: str, tmp_path: Path, harness_in: Callable[..., CompletedProcess[str]]
) -> None:
    remote = f"s3://{bucket}/team/results"

    def harness(*words: str, status: int = 0) -> str:
        done = harness_in(tmp_path, *words, timeout=500)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    assert "10 trials, 0 done" in harness("plan", STUDY, *CUT, "--results", remote)
    assert not list(ObjectPath.parse(remote).rglob("*")), "planning writes nothing"
    for results in (remote, str(tmp_path / "disk")):
        assert "10 done" in harness("run", STUDY, *CUT, "--results", results, "--in-process")
    found = values(remote)
    assert len(found) >= 10 and found == values(str(tmp_path / "disk"))

    assert "0 new stages" in harness("run", STUDY, *CUT, "--results", remote, "--in-process")
    assert "10 trials, 10 done" in harness("plan", STUDY, *CUT, "--results", remote)
    assert json.loads(harness("status", "quickstart", "--results", remote, "--json"))["done"] == 10
    page = Path(harness("report", STUDY, "--results", remote).split("report: ")[1].strip())
    assert page.is_relative_to(local_folder(remote)) and "accuracy" in page.read_text()
    assert (ObjectPath.parse(remote) / "quickstart" / page.name).read_text() == page.read_text(), "and in the bucket"
    assert "everything recorded is there" in harness("store", "verify", "--results", remote)
    assert all(line.split("\t")[1].startswith(f"{remote}/store/") for line in harness(
        "store", "parts", "--results", remote).splitlines())  # fmt: skip
    assert "deleted 0 files" in harness("store", "prune", "--results", remote)
    harness("store", "compact", "--results", remote)
    harness("export", "quickstart", "--to", "all.csv", "--results", remote)
    assert len((tmp_path / "all.csv").read_text().splitlines()) == len(found) + 1
    assert not (tmp_path / "s3:").exists() and not (tmp_path / "results").exists()


@pytest.mark.slow
def test_stores_on_disk_and_elsewhere_are_merged_both_ways_and_bundled(
    bucket: str, tmp_path: Path, harness_in: Callable[..., CompletedProcess[str]]
) -> None:
    """Half of a study each; status 3 says that of two plans one is kept."""
    stores = (f"s3://{bucket}/half", str(tmp_path / "half"))
    for source, results in zip(("digits_upright", "digits_noise"), stores, strict=True):
        cut = ("--only", f"source={source}", *CUT[2:])
        done = harness_in(tmp_path, "run", STUDY, *cut, "--results", results, "--in-process", timeout=500)
        assert done.returncode == 0, done.stderr
    for into, other in (stores, stores[::-1]):
        done = harness_in(tmp_path, "store", "merge", into, other)
        assert done.returncode == 3 and "their trials" in done.stdout, done.stdout + done.stderr
        done = harness_in(tmp_path, "run", STUDY, *CUT, "--results", into, "--in-process", timeout=500)
        assert "10 done; 0 new stages" in done.stdout, done.stdout + done.stderr
    assert values(stores[0]) == values(stores[1])
    file = str(tmp_path / "all.zip")
    assert harness_in(tmp_path, "bundle", "quickstart", "--results", stores[0], "--to", file).returncode == 0
    assert "all as they were packed" in harness_in(tmp_path, "bundle", "--verify", file).stdout


def test_a_worker_elsewhere_writes_its_artifacts_there(remote: Store, tmp_path: Path) -> None:
    """What a worker is told comes to it pickled; its logs and states are files of its own node."""
    setup = WorkerSetup("", tmp_path / "node", artifacts=remote.root)
    worker = Worker(pickle.loads(pickle.dumps(setup)))  # noqa: S301
    ref = worker.artifacts.put(key_of("a"), {"w": torch.ones(3)})
    assert worker.place.scratch.is_relative_to(tmp_path / "node")
    assert remote.artifacts.path(ref).exists() and torch.equal(remote.artifacts.get(ref)[0]["w"], torch.ones(3))
    assert remote.local == local_folder(str(remote.results)) / "store" != remote.root


@pytest.mark.slow
def test_a_lock_file_holds_on_other_machines(
    bucket: str, tmp_path: Path, harness_in: Callable[..., CompletedProcess[str]]
) -> None:
    remote = f"s3://{bucket}/results"
    cut = ("--only", "source=digits_upright", "--only", "target=digits_upright", "--set", "seeds=[0]")
    assert harness_in(tmp_path, "prepare", STUDY, *cut, "--results", remote).returncode == 0
    lock = ObjectPath.parse(remote) / "quickstart" / "study.lock.json"
    content = json.loads(lock.read_text())
    for identity in content["tasks"].values():
        identity["version"] = "another"
    lock.write_text(json.dumps(content))
    other = {"HARNESS_CACHE": str(tmp_path / "another machine")}
    done = harness_in(tmp_path, "run", STUDY, *cut, "--results", remote, "--in-process", **other)
    assert done.returncode == 2 and "is no longer what" in done.stderr, done.stdout + done.stderr
