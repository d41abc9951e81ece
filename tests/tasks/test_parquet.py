"""Pictures and texts in Parquet files, laid out as data sets are published."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Task

Image = pytest.importorskip("PIL.Image")
NAMES = ["cat", "dog", "emu"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def png(value: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (9, 9), (value, value, value)).save(held, "PNG")
    return held.getvalue()


def declared(schema: pa.Schema) -> pa.Schema:
    features = {"label": {"names": NAMES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_pictures(path: Path, labels: list[int], start: int = 0, struct: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [png(start + number) for number in range(len(labels))]
    column = [{"bytes": cell, "path": None} for cell in cells] if struct else cells
    table = pa.table({"image": column, "label": pa.array(labels, pa.int64())})
    pq.write_table(table.cast(declared(table.schema)), path, row_group_size=4)


def pictures(path: Path, **options: object) -> Task:
    return TASKS.get("parquet")(name="pets", path=str(path), image="image", size=9, **options)


@pytest.mark.parametrize("struct", [True, False], ids=["struct", "bytes"])
def test_pictures_with_declared_classes(tmp_path: Path, struct: bool) -> None:
    write_pictures(tmp_path / "data" / "train-00000-of-00002.parquet", [0, 1, 2] * 5, struct=struct)
    write_pictures(tmp_path / "data" / "train-00001-of-00002.parquet", [2, 1, 0], start=15, struct=struct)
    write_pictures(tmp_path / "data" / "validation-00000-of-00001.parquet", [0, 1, 2], start=40, struct=struct)
    write_pictures(tmp_path / "data" / "test-00000-of-00001.parquet", [1, 1], start=60, struct=struct)
    task = pictures(tmp_path)
    assert task.class_names == tuple(NAMES)
    assert task.class_sizes == {"train": (6, 6, 6), "val": (1, 1, 1), "test": (0, 2, 0)}
    train = task.split("train")
    assert train.inputs.bytes()[:, 0, 4, 4].tolist() == list(range(18)), "rows in order over files and row groups"
    assert train.labels.tolist() == [0, 1, 2] * 5 + [2, 1, 0]
    assert task.split("test").inputs.bytes()[:, 0, 0, 0].tolist() == [60, 61]


def test_texts_with_labels_in_words(tmp_path: Path) -> None:
    table = pa.table({"text": [f"text {n}" for n in range(40)], "topic": ["sport", "art"] * 20})
    pq.write_table(table, tmp_path / "all.parquet")
    task = TASKS.get("parquet")(name="news", path=str(tmp_path / "all.parquet"), text="text", label="topic")
    assert task.class_names == ("art", "sport") and task.input_shape == ()
    assert task.class_sizes == {"train": (12, 12), "val": (4, 4), "test": (4, 4)}
    split = task.split("test")
    for text, label in zip(split.inputs, split.labels.tolist(), strict=True):
        assert (int(text.split()[1]) % 2 == 0) == (task.class_names[label] == "sport")


def test_numbers_without_names_are_their_own_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"] * 30, "label": [7, 3, 11] * 10}), tmp_path / "train.parquet")
    task = TASKS.get("parquet")(name="numbers", path=str(tmp_path), text="text")
    assert task.class_names == ("3", "7", "11")


def test_where_the_files_lie_does_not_matter_and_content_does(tmp_path: Path) -> None:
    write_pictures(tmp_path / "one" / "train.parquet", [0, 1, 2] * 5)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert pictures(tmp_path / "one").identity() == pictures(tmp_path / "two").identity()
    write_pictures(tmp_path / "two" / "train.parquet", [0, 1, 2] * 5, start=1)
    assert pictures(tmp_path / "one").identity() != pictures(tmp_path / "two").identity()


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train.parquet", [0, 1, 2] * 5)
    entry = TASKS.get("parquet")
    with pytest.raises(HarnessError, match="did you mean 'image'"):
        entry(name="x", path=str(tmp_path), image="images")
    with pytest.raises(HarnessError, match="no column 'class'"):
        entry(name="x", path=str(tmp_path), image="image", label="class")
    with pytest.raises(HarnessError, match="either `image` or `text`"):
        entry(name="x", path=str(tmp_path))
    with pytest.raises(HarnessError, match="no Parquet files"):
        entry(name="x", path=str(tmp_path / "nowhere"), text="text")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.parquet").write_bytes(b"nonsense")
    with pytest.raises(HarnessError, match=r"parquet: "):
        entry(name="x", path=str(tmp_path / "bad"), text="text")
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, None]}), tmp_path / "bad" / "train.parquet")
    with pytest.raises(HarnessError, match="no label"):
        entry(name="x", path=str(tmp_path / "bad"), text="text")


def test_a_label_beyond_the_declared_classes_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train.parquet", [0, 1, 3])
    with pytest.raises(HarnessError, match="label 3 is none of the 3 declared"):
        pictures(tmp_path)
