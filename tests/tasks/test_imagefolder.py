"""Pictures in folders named by class."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Task

Image = pytest.importorskip("PIL.Image")
COLOURS = {"cat": (200, 0, 0), "dog": (0, 0, 200)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def write(folder: Path, counts: dict[str, int], ending: str = "png") -> None:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (12, 10 + number), COLOURS[name]).save(folder / name / f"{number}.{ending}")


def folder_task(path: Path, **options: object) -> Task:
    return TASKS.get("imagefolder")(name="pets", path=str(path), **{"size": 16, **options})


def test_given_splits_are_kept(tmp_path: Path) -> None:
    for split, count in {"train": 6, "validation": 2, "test": 3}.items():
        write(tmp_path / "pets" / split, {"cat": count, "dog": count + 1})
    task = folder_task(tmp_path / "pets")
    assert task.class_names == ("cat", "dog") and task.name == "pets"
    assert task.class_sizes == {"train": (6, 7), "val": (2, 3), "test": (3, 4)}
    for name in task.sizes:
        split = task.split(name)
        for picture, label in zip(split.inputs.bytes(), split.labels.tolist(), strict=True):
            assert tuple(picture[:, 8, 8].tolist()) == COLOURS[task.class_names[label]]


def test_without_splits_they_are_carved(tmp_path: Path) -> None:
    write(tmp_path / "pets", {"cat": 20, "dog": 10}, "jpg")
    task = folder_task(tmp_path / "pets")
    assert task.class_sizes == {"train": (12, 6), "val": (4, 2), "test": (4, 2)}
    assert len(task.split("test")) == 6


def test_where_the_folder_lies_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "one", {"cat": 9, "dog": 9})
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere" / "two")
    assert folder_task(tmp_path / "one").identity() == folder_task(tmp_path / "elsewhere" / "two").identity()
    assert folder_task(tmp_path / "one").identity() != folder_task(tmp_path / "one", size=24).identity()
    assert folder_task(tmp_path / "one").identity() != folder_task(tmp_path / "one", fit="pad").identity()
    (tmp_path / "one" / "cat" / "0.png").unlink()
    assert folder_task(tmp_path / "one").identity() != folder_task(tmp_path / "elsewhere" / "two").identity()


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "pets", {"cat": 5, "dog": 5})
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("x")
    (tmp_path / "pets" / ".hidden").mkdir()
    assert sum(folder_task(tmp_path / "pets").sizes.values()) == 10


def test_a_picture_that_is_broken_is_named(tmp_path: Path) -> None:
    write(tmp_path / "pets", {"cat": 5, "dog": 5})
    for path in (tmp_path / "pets" / "dog").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(HarnessError, match=r"dog/\d\.png: a picture cannot be decoded"):
        folder_task(tmp_path / "pets").split("train")


def test_a_split_only_task_fits_a_picture_by_its_middle_or_whole(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            image = Image.new("RGB", (30, 10), (255, 255, 255))
            image.paste((0, 0, 0), (10, 0, 20, 10))
            image.save(tmp_path / "pets" / name / f"{number}.png")
    dark = {
        fit: 1 - float(folder_task(tmp_path / "pets", fit=fit).split("test").inputs[0].mean())
        for fit in ("crop", "squash", "pad")
    }
    assert dark["crop"] > 0.95 and 0.25 < dark["squash"] < 0.4 and 0.05 < dark["pad"] < 0.2


@pytest.mark.parametrize("path", ["missing", "empty", "no pictures"])
def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no pictures" / "cat").mkdir(parents=True)
    with pytest.raises(HarnessError, match="imagefolder"):
        folder_task(tmp_path / path)
