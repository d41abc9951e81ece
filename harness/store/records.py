"""The winning record of every key, kept in memory column by column and updated from new parts only.

The winning record of a key is the ``ok`` or ``diverged`` record that no ``withdrawn`` row takes back. Commits are
ordered by compare-and-swap, so there is at most one; should a damaged store hold several, the newest commit counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.store.errors import StoreError
from harness.store.rows import ArtifactRef, StageRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.store.tables import Table

_TRIES = 40
_HEAVY = ("preimage", "inputs")
"""Long texts that planning does not need; read when first asked for."""


class Records(Mapping[str, StageRecord]):
    """A mapping from key to winning record.

    ``records[key]`` builds a full :class:`StageRecord`. Planning over many keys should use :meth:`field`,
    :meth:`column` or the named accessors instead, which build no objects and read no long texts.
    """

    def __init__(self) -> None:
        """Start empty; :meth:`refresh` fills it."""
        self._clear()

    def _clear(self) -> None:
        self._table: Table | None = None
        self._files: list[str] = []
        self._chunks: list[pa.Table] = []
        self._rows = 0
        self._index: dict[str, int] = {}
        self._withdrawn: set[str] = set()
        self._columns: dict[str, list[Any]] = {}
        self._heavy: pa.Table | None = None

    # --- filling --------------------------------------------------------------------------------------------------

    def refresh(self, table: Table) -> None:
        """Read the parts of the records table that were added since the last call.

        Raises:
            StoreError: the table cannot be read.
        """
        for _ in range(_TRIES):
            table.refresh()
            files = table.files()
            known = set(self._files)
            if not known.issubset(files):
                self._clear()
                known = set()
            new = [file for file in files if file not in known]
            self._table = table
            if not new:
                return
            names = [name for name in table.spec.schema.names if name not in _HEAVY]
            try:
                self._add(table.read_files(new, names), new)
                return
            except FileNotFoundError:  # compacted meanwhile
                self._clear()
        raise StoreError(f"table '{table.path}' names parts that do not exist: its directory was changed by hand")

    def _add(self, rows: pa.Table, files: list[str]) -> None:
        first = self._rows
        self._files += files
        self._chunks.append(rows)
        self._rows += rows.num_rows
        status = self._list("status")
        attempts, keys, seq = self._list("attempt"), self._list("key"), self._list("seq")
        for row in range(first, self._rows):
            if status[row] == "withdrawn":
                self._withdrawn.add(attempts[row])
        for row in range(first, self._rows):
            key = keys[row]
            if status[row] == "withdrawn":
                current = self._index.get(key)
                if current is not None and attempts[current] in self._withdrawn:
                    del self._index[key]
            elif attempts[row] not in self._withdrawn:
                current = self._index.get(key)
                if current is None or seq[current] < seq[row]:
                    self._index[key] = row

    def _list(self, name: str) -> list[Any]:
        """Return a column over all rows as a list, extended by the chunks that came since it was last asked for."""
        values = self._columns.setdefault(name, [])
        if len(values) < self._rows:
            at = 0
            for chunk in self._chunks:
                if at >= len(values):
                    values.extend(chunk.column(name).to_pylist())
                at += chunk.num_rows
        return values

    def _texts(self) -> pa.Table:
        """Return the long texts of all rows, read from the parts when first asked for."""
        while self._heavy is None or self._heavy.num_rows < self._rows:
            assert self._table is not None
            try:
                self._heavy = self._table.read_files(self._files, _HEAVY).combine_chunks()
            except FileNotFoundError:  # compacted meanwhile
                table = self._table
                self._clear()
                self.refresh(table)
        return self._heavy

    def _values(self, name: str) -> list[Any]:
        if name not in _HEAVY:
            return self._list(name)
        if self._rows and len(self._columns.get(name, ())) < self._rows:
            self._columns[name] = self._texts().column(name).to_pylist()
        return self._columns.get(name, [])

    # --- looking --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of keys with a winning record."""
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(self._index)

    def __contains__(self, key: object) -> bool:
        """Whether a key has a winning record."""
        return key in self._index

    def __getitem__(self, key: str) -> StageRecord:
        """Return the winning record of a key with all its columns."""
        from harness.store.convert import record

        if key not in self._index:
            raise KeyError(key)
        texts = self._texts()
        row = self._index[key]
        first = 0
        for chunk in self._chunks:
            if row < first + chunk.num_rows:
                return record(chunk.slice(row - first, 1).to_pylist()[0] | texts.slice(row, 1).to_pylist()[0])
            first += chunk.num_rows
        raise KeyError(key)

    def field(self, key: str, name: str) -> Any:
        """Return one column of ``key``'s winning record, or None when the key has none."""
        values = self._values(name)
        row = self._index.get(key)
        return None if row is None else values[row]

    def column(self, name: str) -> list[Any]:
        """Return one column of all winning records, in the order of iteration over the keys."""
        values = self._values(name)
        return [values[row] for row in self._index.values()]

    def status(self, key: str) -> str | None:
        """Return ``ok`` or ``diverged``, or None when the key has no record."""
        row = self._index.get(key)
        return None if row is None else str(self._columns["status"][row])

    def attempt(self, key: str) -> str | None:
        """Return the attempt that won the key, or None."""
        row = self._index.get(key)
        return None if row is None else str(self._columns["attempt"][row])

    def code(self, key: str) -> str | None:
        """Return the code digest of the key's record, or None."""
        value: str | None = self.field(key, "code")
        return value

    def value(self, key: str) -> str | None:
        """Return the JSON text of the key's value, or None."""
        value: str | None = self.field(key, "value")
        return value

    def flags(self, key: str) -> tuple[str, ...]:
        """Return the flags of the key's record; empty when there is none."""
        text: str | None = self.field(key, "flags")
        return tuple(text.split(",")) if text else ()

    def artifact(self, key: str) -> ArtifactRef | None:
        """Return where the key's artifact lies, or None when it left none."""
        location = self.field(key, "location")
        if location is None:
            return None
        return ArtifactRef(location, self.field(key, "name"), self.field(key, "sha256"), self.field(key, "nbytes"))

    def is_withdrawn(self, attempt: str) -> bool:
        """Whether an attempt's record was taken back."""
        return attempt in self._withdrawn


def winning(rows: pa.Table) -> pa.Table:
    """Return the winning rows of a records table (any columns, among them key, attempt, status and seq).

    The vectorised twin of :class:`Records` for readers of the whole table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    withdrawn = pc.equal(rows.column("status"), "withdrawn")
    gone = rows.filter(withdrawn).column("attempt").combine_chunks()
    live = rows.filter(pc.invert(pc.or_(withdrawn, pc.is_in(rows.column("attempt"), value_set=gone))))
    if pc.count_distinct(live.column("key")).as_py() == live.num_rows:
        return live
    numbered = live.append_column("row", pa.array(range(live.num_rows), pa.int64())).sort_by("seq")
    last = numbered.group_by("key", use_threads=False).aggregate([("row", "last")]).column("row_last")
    return live.take(last.sort())
