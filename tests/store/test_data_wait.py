"""How long trainings waited for data: a column of the records, absent in stores from before it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest

from harness.store import Group, Store, convert, schemas
from tests.store.samples import key_of, record


def test_it_is_read_as_it_was_written(store: Store) -> None:
    store.commit(Group([record("a", data_wait=0.25), record("b")]))
    records = Store.open(store.results).records()
    assert (records[key_of("a")].data_wait, records[key_of("b")].data_wait) == (0.25, None)
    assert records.field(key_of("a"), "data_wait") == 0.25
    found = store.table("records").read(["key", "seconds", "data_wait"]).to_pylist()
    assert sorted((row["key"], row["data_wait"]) for row in found) == sorted([(key_of("a"), 0.25), (key_of("b"), None)])


def test_a_store_from_before_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = schemas.TABLES["records"]
    columns = [column for column in whole.schema if column.name != "data_wait"]
    before = dataclasses.replace(whole, schema=pa.schema(columns))
    with monkeypatch.context() as earlier:
        earlier.setitem(schemas.TABLES, "records", before)
        earlier.setattr(convert, "RECORDS", before)
        old = Store.open(tmp_path, create=True)
        old.commit(Group([record("a")]))
        assert "data_wait" not in old.table("records").read().column_names
    store = Store.open(tmp_path)
    store.commit(Group([record("b", data_wait=0.5)]))
    for _ in range(2):
        records = Store.open(tmp_path).records()
        assert (records[key_of("a")].data_wait, records[key_of("b")].data_wait) == (None, 0.5)
        store.compact()
