"""Results on a folder that many nodes share, NFS say: no locks, few listings, few files, and nothing mapped."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from deltalake.exceptions import CommitFailedError

import harness.store.tables as tables
from harness.execution.context import Checkpoint
from harness.store import ArtifactStore, Store
from tests.store.samples import key_of, one

ROOT = Path(__file__).parents[2]
STUDY = """
study: many
sources: [digits_upright, digits_noise]
targets: [digits_upright, digits_noise]
backbones: [mlp]
methods: [noop_chain]
seeds: [0]
axes: {index: INDICES}
"""
CALLS = "getdents64,flock,fcntl,link,linkat,mmap"


def watched(folder: Path, trials: int) -> tuple[list[tuple[str, str]], Path]:
    """Run a study of so many trials in one process under strace; return its calls on the results, (call, file)."""
    folder.mkdir()
    (folder / "many.yaml").write_text(STUDY.replace("INDICES", str(list(range(trials // 4)))))
    command = ["strace", "-f", "-q", "-y", "--seccomp-bpf", f"--trace={CALLS}", "--output=calls"]
    command += [sys.executable, "-m", "harness", "run", "many.yaml", "--in-process"]
    more = {"PYTHONPATH": str(ROOT), "HARNESS_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=500)
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip("this process may not be traced")
    assert done.returncode == 0 and f"{trials} done" in done.stdout, done.stdout + done.stderr
    results = folder / "results"
    found = []
    for line in (folder / "calls").read_text(errors="replace").splitlines():
        call = re.match(r"\d+ +(\w+)\(", line)
        named = re.findall(re.escape(f"{results}/") + r"([^>\"]+)", line)
        if call and named:
            found.append((call[1], named[-1]))
    return found, results


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_calls_that_a_run_makes_do_not_grow_with_its_trials(tmp_path: Path) -> None:
    listed, files, commits = {}, {}, {}
    for trials in (16, 256):
        calls, results = watched(tmp_path / str(trials), trials)
        assert [where for call, where in calls if call in ("flock", "fcntl")] == [], "no locks"
        assert [where for call, where in calls if call == "mmap"] == [], "nothing is mapped"
        folders = [where for call, where in calls if call == "getdents64"]
        listed[trials] = Counter("log" if where.endswith("_delta_log") else "other" for where in folders)
        commits[trials] = sum(call in ("link", "linkat") and where.endswith(".json") for call, where in calls)
        files[trials] = sum(path.is_file() for path in results.rglob("*"))
    assert listed[256]["other"] == listed[16]["other"], "outside the logs, only the end of a run lists folders"
    for trials in listed:  # a listing takes two calls; Delta Lake lists its log at each look
        assert listed[trials]["log"] <= 30 * commits[trials], (listed, commits)
    assert files[256] == files[16] < 40


def test_what_was_read_stays_when_the_file_goes(tmp_path: Path) -> None:
    """Mapped, a file that another node deletes or cuts short kills who looks at it."""
    artifacts = ArtifactStore(tmp_path)
    ref = artifacts.put(key_of("a"), {"w": torch.arange(100_000)})
    tensors, _ = artifacts.get(ref)
    Checkpoint(tmp_path / "state", "1").save({"w": torch.arange(100_000)}, {})
    loaded = Checkpoint(tmp_path / "state", "1").load()
    assert loaded is not None
    mapped = Path("/proc/self/maps").read_text()
    for path in tmp_path.rglob("*.safetensors"):
        assert str(path) not in mapped
        with path.open("r+b") as file:
            file.truncate(8)
    assert torch.equal(tensors["w"], torch.arange(100_000)) and torch.equal(loaded[0]["w"], torch.arange(100_000))


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_artifacts_need_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    artifacts = ArtifactStore(tmp_path)
    ref = artifacts.put(key_of("a"), {"w": torch.ones(3)})
    assert torch.equal(artifacts.get(ref)[0]["w"], torch.ones(3)) and list(artifacts.drafts()) == []


def test_a_link_whose_answer_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server linked, its answer did not come, the client asked again and hears that the name exists."""
    link = os.link

    def lost(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", lost)
    artifacts = ArtifactStore(tmp_path)
    ref = artifacts.put(key_of("a"), {"w": torch.ones(3)})
    assert torch.equal(artifacts.get(ref)[0]["w"], torch.ones(3)) and list(artifacts.drafts()) == []


def test_a_commit_whose_answer_was_lost_stands_once(store: Store, results: Path, monkeypatch) -> None:
    """The service made the log entry, the client heard nothing, asked again and met itself."""
    commit, lost = tables.Table._commit, []

    def unheard(self: tables.Table, *arguments: object) -> None:
        commit(self, *arguments)  # type: ignore[arg-type]  # passed on as they came
        if self.name not in lost:
            lost.append(self.name)
            raise CommitFailedError("the log entry exists")

    monkeypatch.setattr(tables.Table, "_commit", unheard)
    assert store.commit(one("a", 0.5)).committed == (key_of("a"),)
    assert {"records", "measurements"} <= set(lost)
    fresh = Store.open(results)
    assert len(fresh.records()) == 1 and [row.value for row in fresh.measurements(key_of("a"))] == [0.5]
    assert [finding for finding in fresh.verify() if finding.severity == "error"] == []


def test_a_stale_listing_is_waited_for_more_than_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of NFS may for up to a minute (acdirmax) not see the commit that is in the way of its own."""
    commit, waited = tables.Table._commit, []

    def in_the_way(self: tables.Table, *arguments: object) -> None:
        if sum(waited) < 60:
            raise CommitFailedError("the log entry exists")
        commit(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(tables.time, "sleep", waited.append)
    monkeypatch.setattr(tables.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(tables.Table, "_commit", in_the_way)
    assert store.commit(one("a")).committed == (key_of("a"),)
    assert 60 <= sum(waited) < 65 and waited[0] < 0.05, "short at first, for plain collisions"
