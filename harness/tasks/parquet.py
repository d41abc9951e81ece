"""Parquet files with a column of pictures or texts and one of labels, as data sets are commonly published.

`path` is a file, or a folder with `train-*.parquet`, `validation-*.parquet`, `test-*.parquet` (anywhere below).
Pictures are bytes, or structs of `bytes` and `path`. Class names are taken from the metadata of the files.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.data.items import Shares, SplitName
from harness.errors import HarnessError
from harness.tasks.base import Task, task
from harness.tasks.columns import class_names, find_column, label_numbers, picture_bytes, table_rows
from harness.tasks.files import SPLIT_NAMES, Fit, Listing, Row, completed, open_content, picture_files, text_files

SHARES: Final = Shares(test=0.2, val=0.2)
TAIL: Final = 1 << 20
"""Bytes at the end of a file that enter its identity: the footer holds sizes and statistics of every column."""


@task("parquet", family="files")
def parquet(
    name: str,
    path: str,
    image: str | None = None,
    text: str | None = None,
    label: str = "label",
    size: int = 224,
    fit: Fit = "crop",
    revision: str = "",
) -> Task:
    """Pictures or texts in Parquet files of yours; give the column `image` or `text`."""
    if (image is None) == (text is None):
        raise HarnessError(f"parquet: {name} needs either `image` or `text`, the column that holds the examples")
    lister = functools.partial(list_tables, path, str(image or text), label, image is not None)
    if image is not None:
        return picture_files("parquet", name, lister, size=size, fit=fit, revision=revision)
    return text_files("parquet", name, lister, revision=revision)


def list_tables(path: str, column: str, label: str, pictures: bool) -> Listing:
    """List the rows of Parquet files. Raises HarnessError for missing files, columns or labels."""
    try:
        files = split_files(path)
        declared = declared_names(next(iter(files.values()))[0], label)
        columns = {split: _label_column(found, column, label) for split, found in files.items()}
        names = class_names(columns, declared)
        rows = {
            split: _rows(split, files[split], label_numbers(labels, names, declared is not None), column, pictures)
            for split, labels in columns.items()
        }
        content = hashlib.sha256("".join(_tail_digest(file) for found in files.values() for file in found).encode())
        return Listing(names, completed(rows, SHARES), content=content.hexdigest())
    except (HarnessError, OSError, ValueError) as error:
        raise HarnessError(f"parquet: {path}: {error}") from error


def split_files(path: str) -> dict[SplitName, list[Path]]:
    """Return the files of each split, by the first word of their names. Raises HarnessError when there are none."""
    base = Path(path).expanduser()
    if base.is_file():
        return {"train": [base]}
    found = sorted(base.rglob("*.parquet")) if base.is_dir() else []
    if not found:
        raise HarnessError("there are no Parquet files")
    splits: dict[SplitName, list[Path]] = {}
    for file in found:
        word = file.stem.split("-")[0].split(".")[0].lower()
        if word not in SPLIT_NAMES:
            word = file.parent.name.lower()
        splits.setdefault(SPLIT_NAMES.get(word, "train"), []).append(file)
    return splits


def declared_names(file: Path, label: str) -> list[str] | None:
    """Return the class names in a file's metadata, or None when it has none."""
    metadata = _parquet().read_schema(file).metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    except ValueError:
        return None
    names = features.get(label, {}).get("names")
    if isinstance(names, Mapping):
        names = [names[key] for key in sorted(names, key=int)]
    return [str(name) for name in names] if isinstance(names, list) else None


def _parquet() -> Any:
    import pyarrow.parquet

    return pyarrow.parquet


def _label_column(files: Sequence[Path], column: str, label: str) -> list[Any]:
    labels: list[Any] = []
    for file in files:
        columns = _parquet().read_schema(file).names
        find_column("examples", column, columns)
        find_column("labels", label, columns)
        labels += _parquet().read_table(file, columns=[label]).column(label).to_pylist()
    return labels


def _rows(split: str, files: Sequence[Path], labels: Sequence[int], column: str, pictures: bool) -> list[Row]:
    changed = max(file.stat().st_mtime_ns for file in files)
    read = functools.partial(read_cell, tuple(files), column, pictures)
    return table_rows(split, labels, read, changed)


def read_cell(files: tuple[Path, ...], column: str, pictures: bool, number: int) -> Any:
    """Return one picture or text, by its number over all files of a split."""
    for file in files:
        starts = _group_starts(file)
        if number < starts[-1]:
            group = max(index for index, start in enumerate(starts[:-1]) if start <= number)
            cell = _group(file, group, column)[number - starts[group]].as_py()
            if pictures:
                return open_content(picture_bytes(cell))
            if not isinstance(cell, str):
                raise HarnessError(f"parquet: row {number} of {file.name} holds no text")
            return cell
        number -= starts[-1]
    raise HarnessError(f"parquet: there is no row {number} in {files[-1].name}")


@functools.lru_cache(maxsize=64)
def _group_starts(file: Path) -> list[int]:
    """Return the number of the first row of each row group, and the number of rows."""
    metadata = _parquet().read_metadata(file)
    starts = [0]
    for index in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(index).num_rows)
    return starts


@functools.lru_cache(maxsize=2)
def _group(file: Path, group: int, column: str) -> Any:
    return _parquet().ParquetFile(file).read_row_group(group, columns=[column]).column(column)


def _tail_digest(file: Path) -> str:
    with open(file, "rb") as opened:
        size = file.stat().st_size
        opened.seek(max(0, size - TAIL))
        return f"{size} {hashlib.sha256(opened.read()).hexdigest()}\n"
