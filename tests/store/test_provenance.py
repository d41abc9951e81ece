"""Provenance says how, once; who and where can be dropped."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
from pathlib import Path

from harness.store import Store
from harness.store.provenance import git_state, hardware, versions


def test_equal_runs_share_a_row(store: Store, results: Path) -> None:
    study = {"study": "s", "axes": {"größe": [1, 2]}}
    one = store.provenance(study, {"d1": {"a.py": "h1"}})
    assert Store.open(results).provenance(dict(reversed(study.items())), {"d1": {"a.py": "h1"}}) == one
    others = {store.provenance(study), store.provenance(study | {"x": 1}), store.provenance(study, extra={"lr": 1})}
    assert len(others | {one}) == 4
    assert store.table("provenance").read().num_rows == 4


def test_what_is_recorded(store: Store) -> None:
    identifier = store.provenance({"study": "s"}, {"d1": {"a.py": "h1"}, "d2": {"b.py": "h2"}}, {"data": "x"})
    row = store.provenance_of(identifier) or {}
    assert row["study"] == {"study": "s"} and row["extra"] == {"data": "x"} and row["code"]["d2"] == {"b.py": "h2"}
    assert row["host"] == {"host": platform.node(), "user": getpass.getuser(), "pid": os.getpid()}
    assert store.code_files("d1") == {"a.py": "h1"} and store.code_files("d3") is None
    assert store.provenance_of("unknown") is None


def test_versions_without_importing() -> None:
    code = (
        "import sys; from harness.store.provenance import versions; v = versions(); "
        "assert not {'torch', 'ray', 'pandas'} & set(sys.modules); print(v['python'], v['torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import torch

    assert done.stdout.split() == [platform.python_version(), torch.__version__]
    assert versions()["numpy"]


def test_hardware() -> None:
    found = hardware()
    assert found["cores"] == os.cpu_count() and found["memory_bytes"] > 2**28 and found["machine"] == platform.machine()


def test_git_commit_and_changes(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        base = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
        return subprocess.run([*base, *words], capture_output=True, text=True, check=True).stdout.strip()

    assert git_state(tmp_path) is None
    git("init", "-q")
    (tmp_path / "f").write_text("1")
    git("add", "f")
    git("commit", "-q", "-m", "m")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "f").write_text("2")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}


def test_hosts_can_be_dropped_without_a_trace(store: Store, results: Path) -> None:
    ids = [store.provenance({"n": n}) for n in range(3)]
    secret = platform.node().encode()
    assert store.drop_hosts() == 3 and store.drop_hosts() == 0
    for identifier in ids:
        row = Store.open(results).provenance_of(identifier) or {}
        assert row["host"] is None and row["study"]
    assert [store.provenance({"n": n}) for n in range(3)] == ids
    texts = DeltaParts(results).texts()
    assert secret not in texts and f'"pid": {os.getpid()}'.encode() not in texts


class DeltaParts:
    """All bytes of the provenance table, decompressed."""

    def __init__(self, results: Path) -> None:
        self.root = results / "store" / "provenance"

    def texts(self) -> bytes:
        import pyarrow.parquet as pq

        parts = [str(pq.read_table(path).to_pylist()).encode() for path in self.root.glob("part-*.parquet")]
        assert len(parts) == 1
        return b"".join([*parts, *(path.read_bytes() for path in (self.root / "_delta_log").iterdir())])
