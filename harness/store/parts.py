"""Writing one Parquet part of a table; it becomes visible only when the log names it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from harness.store.errors import StoreWriteError
from harness.store.objects import ObjectPath
from harness.store.places import Place
from harness.store.schemas import TableSpec


def reason(error: BaseException) -> str:
    """Return the plain cause of an error of the file system or of the Delta library, in one line."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    lines = [line.strip().removeprefix("\x1b[31m↳\x1b[0m").strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)


class PartWriter:
    """Writes one part piece by piece; leaves no file behind when that fails.

    An object is gathered in memory and sent as a whole.
    """

    ROWS_PER_GROUP = 131_072

    def __init__(self, root: Place, spec: TableSpec, name: str) -> None:
        """Prepare to write part ``name`` (a path relative to ``root``) of the table of that ``spec``."""
        self.name = name
        self.rows = 0
        self.path = root / name
        self._state = 0, 0
        self._schema = pa.schema([column for column in spec.schema if column.name != spec.partition])
        self._pending: list[pa.Table] = []
        self._gathered: pa.BufferOutputStream | None = None
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> PartWriter:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Finish the file, or delete it after an error."""
        if kind is None:
            self._guarded(self._finish)
        else:
            self._abandon()

    def write(self, rows: pa.Table) -> None:
        """Add rows; they are gathered into large row groups, which read faster."""
        self._pending.append(rows.cast(self._schema))
        self.rows += rows.num_rows
        if sum(piece.num_rows for piece in self._pending) >= self.ROWS_PER_GROUP:
            self._guarded(self._flush)

    def action(self, values: Mapping[str, str | None]) -> AddAction:
        """Return the log entry that makes the finished part live."""
        size, stamp = self._state
        return AddAction(self.name, size, dict(values), stamp, True, json.dumps({"numRecords": self.rows}))

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink(), self._schema, compression="zstd")
        pieces, self._pending = self._pending, []
        self._writer.write_table(pa.concat_tables(pieces), row_group_size=self.ROWS_PER_GROUP)

    def _finish(self) -> None:
        if self._pending or self._writer is None:
            self._pending = self._pending or [self._schema.empty_table()]
            self._flush()
        cast(Any, self._writer).close()
        if isinstance(self.path, ObjectPath):
            content: bytes = cast(Any, self._gathered).getvalue().to_pybytes()
            self.path.write_bytes(content)
            self._state = len(content), int(time.time() * 1000)
        else:
            state = self.path.stat()
            self._state = state.st_size, state.st_mtime_ns // 1_000_000

    def _sink(self) -> Any:
        if isinstance(self.path, ObjectPath):
            self._gathered = pa.BufferOutputStream()
            return self._gathered
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._abandon()
            raise StoreWriteError(
                f"'{self.path}' could not be written ({reason(error)}); what was committed before is intact"
            ) from error

    def _abandon(self) -> None:
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        with suppress(OSError):
            self.path.unlink()
