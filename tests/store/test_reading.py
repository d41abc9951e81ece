"""Reading parts, against pyarrow's own reading of the same files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.store.reading import Where, partition_of, read_parts
from harness.store.schemas import TableSpec

SPEC = TableSpec(
    "things",
    pa.schema([("study", pa.string()), ("key", pa.string()), ("n", pa.int64()), ("late", pa.float64())]),
    partition="study",
)
FLAT = TableSpec("flat", pa.schema([("key", pa.string()), ("n", pa.int64())]))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three parts of two studies; the oldest lacks a column and has narrower numbers."""
    parts = {
        "study=one/part-1.parquet": pa.table({"n": pa.array([1, 2], pa.int32()), "key": ["a", "b"]}),
        "study=two/part-2.parquet": pa.table({"key": ["a", "c"], "n": [3, 4], "late": [0.5, None]}),
        "study=one/part-3.parquet": pa.table({"key": ["b"], "n": [5], "late": [1.5], "unknown": ["x"]}),
    }
    for name, table in parts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / name)
    return list(parts)


ROWS = [
    ("one", "a", 1, None),
    ("one", "b", 2, None),
    ("two", "a", 3, 0.5),
    ("two", "c", 4, None),
    ("one", "b", 5, 1.5),
]


def read(root: Path, files: list[str], names: list[str], where: Where | None = None) -> list[tuple]:
    table = read_parts(root, files, SPEC, names, where)
    assert table.schema == pa.schema([SPEC.schema.field(name) for name in names])
    return [tuple(row.values()) for row in table.to_pylist()]


def test_all_columns_in_the_order_of_the_parts(tmp_path: Path, files: list[str]) -> None:
    assert read(tmp_path, files, SPEC.schema.names) == ROWS
    assert read(tmp_path, files[::-1], ["n"]) == [(5,), (3,), (4,), (1,), (2,)]


@pytest.mark.parametrize("names", [["study"], ["late"], ["late", "study"], ["key", "study"], ["n", "key"]])
def test_some_columns_in_the_order_asked_for(tmp_path: Path, files: list[str], names: list[str]) -> None:
    at = [SPEC.schema.names.index(name) for name in names]
    for chosen in (files, files[:1]):
        expected = ROWS if chosen is files else ROWS[:2]
        assert read(tmp_path, chosen, names) == [tuple(row[i] for i in at) for row in expected]


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (Where("study", ["one"]), lambda row: row[0] == "one"),
        (Where("study", []), lambda row: False),
        (Where("study", ["none"]), lambda row: False),
        (Where("key", {"a", "c"}), lambda row: row[1] in "ac"),
        (Where("key", {"a": 1, "z": 2}), lambda row: row[1] == "a"),
        (Where("key", []), lambda row: False),
    ],
)
@pytest.mark.parametrize("names", [SPEC.schema.names, ["n"], ["late"]])
def test_only_rows_of_some_values(tmp_path: Path, files: list[str], where: Where, wanted, names: list[str]) -> None:
    at = [SPEC.schema.names.index(name) for name in names]
    expected = [tuple(row[i] for i in at) for row in ROWS if wanted(row)]
    assert read(tmp_path, files, names, where) == expected


def test_no_part_is_an_empty_table_of_the_columns_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path, [], ["late", "n"]) == []


def test_a_table_without_partition(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["x", "y"], "n": [1, None]}), tmp_path / "part-1.parquet")
    found = read_parts(tmp_path, ["part-1.parquet"], FLAT, ["n", "key"], Where("key", ["y"]))
    assert found.to_pylist() == [{"n": None, "key": "y"}]


def test_a_part_that_is_gone_or_broken(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / files[1]).write_bytes(b"PAR1 no")
    with pytest.raises((pa.ArrowInvalid, OSError)):
        read(tmp_path, files, ["n"])
    (tmp_path / files[1]).unlink()
    with pytest.raises(FileNotFoundError):
        read(tmp_path, files, ["n"])
    assert read(tmp_path, files, ["n"], Where("study", ["one"])) == [(1,), (2,), (5,)], "other studies are not opened"


@pytest.mark.parametrize(
    ("file", "value"),
    [("study=a/part-1.parquet", "a"), ("study=a%20b/part-1.parquet", "a b"), ("study=a=b/x/part-1.parquet", "a=b")],
)
def test_the_folder_states_the_partition(file: str, value: str) -> None:
    assert partition_of(file) == value
