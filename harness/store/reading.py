"""Reading Parquet parts of a table.

Not by ``pyarrow.dataset``: importing that imports pandas, which planning must not wait for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.store.places import Place, readable
from harness.store.schemas import TableSpec

THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Where:
    """A condition on rows: ``column`` is one of ``values``."""

    column: str
    values: Collection[str]


def partition_of(file: str) -> str:
    """Return the value of the partition column that a part's path states (``study=<value>/...``)."""
    return unquote(file.split("/", 1)[0].split("=", 1)[1])


def read_parts(
    root: Place, files: Sequence[str], spec: TableSpec, names: Sequence[str], where: Where | None = None
) -> pa.Table:
    """Return the columns ``names`` of parts, in order. A column that a part lacks is null in its rows.

    Raises:
        FileNotFoundError: a part is gone.
        pyarrow.ArrowInvalid, OSError: a part is not a readable Parquet file.
    """
    schema = pa.schema([spec.schema.field(name) for name in names])
    if where is not None and where.column == spec.partition:
        files = [file for file in files if partition_of(file) in where.values]
        where = None
    if not files:
        return schema.empty_table()

    def read(file: str) -> pa.Table:
        return _read_part(root, file, spec, schema, where)

    if len(files) == 1:
        return read(files[0])
    with ThreadPoolExecutor(THREADS) as pool:
        return pa.concat_tables(pool.map(read, files))


def _read_part(root: Place, file: str, spec: TableSpec, schema: pa.Schema, where: Where | None) -> pa.Table:
    wanted = {*schema.names, *([where.column] if where is not None else ())}
    with pq.ParquetFile(readable(root / file)) as part:
        stored = [name for name in part.schema_arrow.names if name in wanted]
        # Without a column to read there would be no rows to count either.
        rows = part.read(columns=stored or part.schema_arrow.names[:1])
    if where is not None:
        values = pa.array(list(where.values), rows.column(where.column).type)
        rows = rows.filter(pc.is_in(rows.column(where.column), value_set=values))
    columns = []
    for field in schema:
        if field.name == spec.partition:
            columns.append(pa.repeat(pa.scalar(partition_of(file), field.type), rows.num_rows))
        elif field.name in stored:
            columns.append(rows.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(rows.num_rows, field.type))
    return pa.table(columns, schema=schema)
