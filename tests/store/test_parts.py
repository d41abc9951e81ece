"""Parts are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.store import StoreWriteError
from harness.store.parts import PartWriter
from harness.store.schemas import STAGES, TRIALS, TableSpec

SPEC = TableSpec("numbers", pa.schema([("n", pa.int64()), ("word", pa.string())]))


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": values, "word": [str(value) for value in values]})


def test_pieces_become_large_row_groups(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(PartWriter, "ROWS_PER_GROUP", 100)
    with PartWriter(tmp_path, SPEC, "part-x.parquet") as part:
        for at in range(0, 250, 10):
            part.write(numbers(*range(at, at + 10)))
    file = pq.ParquetFile(tmp_path / "part-x.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [100, 100, 50]
    assert file.read().column("n").to_pylist() == list(range(250)) and part.rows == 250
    action = part.action({})
    assert action.path == "part-x.parquet" and action.size == (tmp_path / "part-x.parquet").stat().st_size
    assert action.stats == '{"numRecords": 250}'


def test_a_part_without_rows_is_still_a_part(tmp_path: Path) -> None:
    with PartWriter(tmp_path, SPEC, "part-x.parquet") as part:
        pass
    assert pq.read_table(tmp_path / "part-x.parquet").schema.equals(SPEC.schema) and part.rows == 0


def test_an_exception_in_between_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(PartWriter, "ROWS_PER_GROUP", 2)
    with pytest.raises(RuntimeError), PartWriter(tmp_path, SPEC, "part-x.parquet") as part:
        part.write(numbers(1, 2, 3))
        assert (tmp_path / "part-x.parquet").exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["write_table", "close"])
def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch, step: str) -> None:
    real, pending = getattr(pq.ParquetWriter, step), [OSError(28, "No space left on device")]

    def fail(*arguments, **more) -> None:
        if pending:
            raise pending.pop()
        real(*arguments, **more)

    monkeypatch.setattr(pq.ParquetWriter, step, fail)
    with (
        pytest.raises(StoreWriteError, match=r"part-x.parquet' could not be written \(No space left on device\)"),
        PartWriter(tmp_path, SPEC, "part-x.parquet") as part,
    ):
        part.write(numbers(1))
    assert list(tmp_path.iterdir()) == []


def test_the_partition_column_is_not_in_the_file(tmp_path: Path) -> None:
    with PartWriter(tmp_path, STAGES, "study=s/part-x.parquet") as part:
        part.write(pa.table({"key": ["k"]}))
    assert pq.ParquetFile(tmp_path / "study=s" / "part-x.parquet").schema_arrow.names == ["key"]
    assert part.action({"study": "s"}).partition_values == {"study": "s"}
    assert TRIALS.partition == "study"
