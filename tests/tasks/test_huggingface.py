"""Data sets through the library `datasets`, from local folders in its own layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks import huggingface

datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")
entry = TASKS.get("huggingface")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    huggingface.opened.cache_clear()
    return tmp_path / "cache"


def write_pictures(folder: Path) -> None:
    for split, count in {"train": 10, "test": 4}.items():
        for label, name in enumerate(("cat", "dog")):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (100 * label, number, 0)).save(place / f"{number}.png")


def test_pictures_from_a_local_folder(tmp_path: Path, cache: Path) -> None:
    write_pictures(tmp_path / "pets")
    task = entry(name="pets", dataset=str(tmp_path / "pets"), image="image", size=8)
    assert task.class_names == ("cat", "dog")
    assert task.class_sizes == {"train": (8, 8), "val": (2, 2), "test": (4, 4)}
    for name in task.sizes:
        split = task.split(name)
        assert (split.inputs.bytes()[:, 0, 4, 4] // 100).tolist() == split.labels.tolist()
    assert (cache / "data" / "huggingface").is_dir(), "its cache lies in ours"
    assert str(tmp_path) not in str(task.identity())


def test_texts_with_named_columns_and_splits(tmp_path: Path) -> None:
    folder = tmp_path / "news"
    folder.mkdir()
    for name, count in {"fit": 40, "probe": 10}.items():
        lines = [f'{{"body": "text {n}", "topic": "{"ab"[n % 2]}"}}' for n in range(count)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: fit\n    path: fit.jsonl\n"
        "  - split: probe\n    path: probe.jsonl\n---\n"
    )
    task = entry(name="news", dataset=str(folder), text="body", label="topic", train="fit", test="probe")
    assert task.class_names == ("a", "b") and task.sizes == {"train": 32, "val": 8, "test": 10}
    assert list(task.split("test").inputs)[:2] == ["text 0", "text 1"]
    with pytest.raises(HarnessError, match="no column 'train'"):
        entry(name="news", dataset=str(folder), text="body", label="topic")
    with pytest.raises(HarnessError, match="no column 'label'"):
        entry(name="news", dataset=str(folder), text="body", train="fit")


def test_a_data_set_of_the_hub_must_be_pinned() -> None:
    with pytest.raises(HarnessError, match="needs `revision`"):
        entry(name="x", dataset="somebody/something", text="text")
    with pytest.raises(HarnessError, match="needs `revision`"):
        entry(name="x", dataset="somebody/something", text="text", revision="main")


def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> object:
        raise ConnectionError("the hub is out of reach\nand more")

    monkeypatch.setattr(datasets, "load_dataset", refused)
    with pytest.raises(HarnessError, match="out of reach") as raised:
        entry(name="x", dataset="somebody/something", text="text", revision="0" * 40)
    assert "\n" not in str(raised.value)
    with pytest.raises(HarnessError, match="either `image` or `text`"):
        entry(name="x", dataset=str(tmp_path))


def test_without_the_library_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(HarnessError, match="transfer-harness\\[huggingface\\]"):
        entry(name="x", dataset=str(tmp_path), text="text")
