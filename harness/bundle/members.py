"""The members of a bundle that hold data: rows as Parquet and CSV, runs, logs, and the artifacts where asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bundle.anonymous import Anonymiser
from harness.bundle.extract import Extract

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.store import Store

_OF_THE_STORE = ("seq", "commit_id", "location", "name", "writer")
"""Columns that only mean something inside a store."""


def write_rows(store: Store, study: str, folder: Path) -> dict[str, int]:
    """Write all tables of a study, each as ``.parquet`` and ``.csv``; return their numbers of rows."""
    from harness.store import outcomes, trial_states

    tables = {
        "outcomes": outcomes(store, study),
        "trials": trial_states(store, study),
        "stages": _plain(store, "records", ["key"]),
        "curves": _plain(store, "curves", ["key"]),
        "attempts": _plain(store, "attempts", ["finished_at", "key", "attempt", "status"]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        _write(table, folder / name)
    return {name: int(table.num_rows) for name, table in tables.items()}


def _plain(store: Store, name: str, order: Iterable[str]) -> pa.Table:
    """Return a table of the store without its bookkeeping, in an order that does not depend on how it was written."""
    import pyarrow as pa

    rows = store.table(name).read()
    rows = rows.select([column for column in rows.column_names if column not in _OF_THE_STORE])
    place = pa.array(range(rows.num_rows), pa.int64())  # points of one curve stay in their order
    ordered = rows.append_column("place", place).sort_by([(column, "ascending") for column in (*order, "place")])
    return ordered.drop_columns(["place"])


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    plain = table.replace_schema_metadata(None).combine_chunks()
    pyarrow.parquet.write_table(plain, path.with_suffix(".parquet"))
    pyarrow.csv.write_csv(plain, path.with_suffix(".csv"))


def write_runs(extract: Extract, folder: Path) -> str:
    """Write how the runs were made, and the versions of the newest as pip wants them; return its Python version."""
    runs = [
        {
            **json.loads(row["content"]),
            "id": row["id"],
            "created_at": row["created_at"].isoformat(),
            "code": json.loads(row["code"]),
            "host": json.loads(row["host"]) if row["host"] else None,
        }
        for row in extract.runs
    ]
    write_json(folder / "provenance.json", runs)
    newest: Mapping[str, Any] = max(runs, key=lambda run: (run["created_at"], run["id"]), default={})
    versions = dict(newest.get("versions", {}))
    python = str(versions.pop("python", ""))
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")
    return python


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_logs(extract: Extract, folder: Path) -> None:
    """Write the ends of the logs of failures."""
    for name, text in extract.logs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_weights(store: Store, extract: Extract, folder: Path, anonymiser: Anonymiser | None) -> int:
    """Write each artifact as a safetensors file with its header in the metadata; return their number.

    Raises:
        ArtifactDamaged: one is not what was recorded.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for outcome in extract.outcomes:
        record = outcome.record
        if record.artifact is None:
            continue
        tensors, header = store.artifacts.get(record.artifact)
        text = json.dumps(header, sort_keys=True, ensure_ascii=False)
        kind = re.sub(r"[^A-Za-z0-9_-]", "_", record.kind)
        metadata = {"header": text if anonymiser is None else anonymiser.text(text)}
        if anonymiser is not None:
            tensors = {anonymiser.name(name): tensor for name, tensor in tensors.items()}
        save_file(tensors, folder / f"{kind}-{record.key}.safetensors", metadata=metadata)
        count += 1
    return count
