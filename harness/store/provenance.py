"""How a run was made: versions, git commit, hardware, resolved study, code. Content-addressed, one row a distinct run.

Who ran it and where (host name, user name, process id) stands in the column ``host`` alone, outside the identifier, so
that it can be dropped before results are passed on.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store.errors import StoreWriteError
from harness.store.rows import utc_now

if TYPE_CHECKING:
    from harness.store.store import Store

_DISTRIBUTIONS = (
    "transfer-harness", "torch", "ray", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "deltalake",
    "safetensors", "torchvision", "timm", "transformers", "datasets",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that can change results, without importing them."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(directory: Path | None = None) -> dict[str, Any] | None:
    """Return the commit of the git work tree around ``directory`` and whether it has changes, or None outside one."""
    base = ["git", "-C", str(directory or Path.cwd())]
    try:
        commit = _output([*base, "rev-parse", "HEAD"])
        changes = _output([*base, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory in bytes, and graphics cards if torch is already imported."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return found


def host() -> dict[str, Any]:
    """Return host name, user name and process id of this process."""
    import getpass

    try:
        user: str | None = getpass.getuser()
    except (OSError, KeyError):
        user = None
    return {"host": platform.node(), "user": user, "pid": os.getpid()}


def record_provenance(
    store: Store,
    study: Mapping[str, Any] | None,
    code: Mapping[str, Mapping[str, str]] | None,
    extra: Mapping[str, Any] | None,
) -> str:
    """Append a provenance row unless an equal one is there; return its identifier."""
    content = _canonical(
        {
            "versions": versions(),
            "git": git_state(),
            "hardware": hardware(),
            "study": dict(study or {}),
            "extra": dict(extra or {}),
        }
    )
    files = _canonical({digest: dict(names) for digest, names in (code or {}).items()})
    identifier = hashlib.sha256(f"{content}\n{files}".encode()).hexdigest()[:32]
    if identifier not in store.table("provenance").read(["id"]).column("id").to_pylist():
        _append(store, identifier, content, files)
    return identifier


def read_provenance(store: Store, identifier: str) -> dict[str, Any] | None:
    """Return the content of a provenance row, with ``id``, ``created_at``, ``code`` and ``host``."""
    from harness.store.reading import Where

    rows = store.table("provenance").read(where=Where("id", [identifier])).to_pylist()
    if not rows:
        return None
    row = rows[0]
    content: dict[str, Any] = json.loads(row["content"])
    return content | {
        "id": identifier,
        "created_at": row["created_at"],
        "code": json.loads(row["code"]),
        "host": json.loads(row["host"]) if row["host"] else None,
    }


def code_files(store: Store, digest: str) -> dict[str, str] | None:
    """Return the files behind a code digest, from whichever run recorded it."""
    for text in store.table("provenance").read(["code"]).column("code").to_pylist():
        files: dict[str, dict[str, str]] = json.loads(text)
        if digest in files:
            return files[digest]
    return None


def drop_hosts(store: Store) -> int:
    """Rewrite the provenance without the column ``host`` and delete the parts that held it."""
    import pyarrow as pa

    from harness.store.compaction import clean
    from harness.store.schemas import LAYOUT
    from harness.store.tables import TRIES, Conflict

    table = store.table("provenance")
    for _ in range(TRIES):
        rows = table.read()
        files, layout = table.files(), table.number(LAYOUT)
        held = rows.num_rows - rows.column("host").null_count
        if held:
            blank = rows.set_column(rows.column_names.index("host"), "host", pa.nulls(rows.num_rows, pa.string()))
            add = table.write_part(blank)
            try:
                if not table.replace(files, [add], store.writer, layout):
                    continue
            except Conflict:
                table.discard([add.path])
                table.refresh()
                continue
        clean(table, retention=0.0)
        return int(held)
    raise StoreWriteError("the provenance could not be rewritten: other drivers keep changing it")


def _append(store: Store, identifier: str, content: str, files: str) -> None:
    import pyarrow as pa

    from harness.store.schemas import PROVENANCE

    row = {"id": identifier, "created_at": utc_now(), "content": content, "code": files, "host": json.dumps(host())}
    store.table("provenance").append(pa.Table.from_pylist([row], schema=PROVENANCE.schema), store.writer)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _memory() -> int | None:
    """Return the bytes of memory of this machine, if the system says."""
    try:
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return pages * page
