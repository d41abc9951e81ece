"""The tasks of ELEVATER, in the layout in which they are published."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Measurement
from harness.methods.base import Trial
from harness.methods.fine_tune import fine_tune
from harness.methods.from_scratch import from_scratch
from harness.methods.linear_probe import linear_probe
from harness.registry import TASKS
from harness.tasks import elevater
from harness.tasks.base import Task
from tests.training.places import run_stages

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def png(value: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (10, 6), (value, 0, 0)).save(held, "PNG")
    return held.getvalue()


def write(
    root: Path, folder: str, classes: list[str], splits: dict[str, list[str]], labels: str = "labels.txt"
) -> Path:
    """Write one task: `splits` holds the labels of each picture as they stand in the index."""
    place = root / "classification" / folder
    place.mkdir(parents=True)
    (place / labels).write_text("\n".join(classes) + "\n")
    for split, found in splits.items():
        with zipfile.ZipFile(place / f"{split}.zip", "w") as file:
            for number in range(len(found)):
                file.writestr(f"pictures of {split}/{number}.png", png(number))
        lines = [f"{split}.zip@pictures of {split}/{number}.png {label}" for number, label in enumerate(found)]
        (place / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return place


def known(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> None:
    monkeypatch.setattr(elevater, "KNOWN", {**elevater.KNOWN, name: replace(elevater.KNOWN[name], **changes)})


def made(root: Path, task: str, **options: object) -> Task:
    return TASKS.get("elevater")(task=task, root=str(root), size=12, **options)


def test_the_twenty_are_the_published_ones() -> None:
    assert len(elevater.KNOWN) == 20
    assert sum(entry.classes for entry in elevater.KNOWN.values()) == 1151
    assert sum(entry.test for entry in elevater.KNOWN.values()) == 192_677


def test_a_task_with_all_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, "dtd", classes=2, train=6, val=2, test=4)
    write(
        tmp_path,
        "dtd_20211007",
        ["banded, striped", "dotted"],
        {"train": list("010101"), "val": ["0", "1"], "test": list("1100")},
    )
    task = made(tmp_path, "dtd")
    assert task.class_names == ("banded", "dotted"), "the first synonym"
    assert task.sizes == {"train": 6, "val": 2, "test": 4} and task.name == "elevater/dtd"
    test = task.split("test")
    assert test.labels.tolist() == [1, 1, 0, 0]
    assert test.inputs.bytes()[:, 0, 5, 5].tolist() == [0, 1, 2, 3], "squashed, so no border is seen"


def test_without_val_a_part_of_train_is_carved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, "mnist", classes=2, train=20, test=3)
    write(tmp_path, "mnist_20211008", ["0", "1"], {"train": ["0", "1"] * 10, "test": list("011")})
    task = made(tmp_path, "mnist")
    assert task.class_sizes == {"train": (8, 8), "val": (2, 2), "test": (1, 2)}


def test_several_classes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, "voc-2007-classification", classes=3, train=3, val=1, test=2)
    write(
        tmp_path,
        "voc2007_20211007",
        ["cat", "dog", "emu"],
        {"train": ["0,2", "1", "0"], "val": ["2"], "test": ["0,1,2", "1"]},
    )
    task = made(tmp_path, "voc-2007-classification")
    assert task.metric == "map_11" and task.multi_label
    assert task.split("test").labels.tolist() == [[1, 1, 1], [0, 1, 0]]


def test_counts_are_checked_unless_told(tmp_path: Path) -> None:
    write(tmp_path, "cifar_10_20211007", list("abcdefghij"), {"train": list("0123456789"), "test": ["0"]})
    with pytest.raises(HarnessError, match="10 pictures in train where 50,000 are published"):
        made(tmp_path, "cifar-10")
    assert made(tmp_path, "cifar-10", check=False).sizes["test"] == 1


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "cifar_10_20211007", ["a"], {"train": ["0"], "test": ["0"]})
    with pytest.raises(HarnessError, match="1 classes where 10"):
        made(tmp_path, "cifar-10")


def test_files_may_be_named_otherwise(tmp_path: Path) -> None:
    place = write(tmp_path, "cifar_10_20211007", ["a", "b"], {"train": list("01") * 5, "test": ["0"]}, "names.txt")
    (place / "train.txt").rename(place / "train_images.txt")
    entry = {"name": "cifar-10", "train": {"index_path": "train_images.txt"}, "labelmap": "names.txt"}
    (tmp_path / "vision_datasets.json").write_text(json.dumps([entry]))
    assert made(tmp_path, "cifar-10", check=False).class_names == ("a", "b")


def test_pictures_may_lie_beside_the_index(tmp_path: Path) -> None:
    place = write(tmp_path, "mnist_20211008", ["a"], {"train": ["0"] * 5, "test": ["0"]})
    (place / "one.png").write_bytes(png(7))
    (place / "test.txt").write_text("one.png 0\n")
    assert made(tmp_path, "mnist", check=False).split("test").inputs.bytes()[0, 0, 0, 0] == 7


def test_metric_and_name_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, "hateful_memes_20211014", ["no", "yes"], {"train": list("01") * 5, "test": ["0", "1"]})
    assert made(tmp_path, "hateful-memes", check=False).metric == "auroc"
    other = made(tmp_path, "hateful-memes", check=False, metric="accuracy", name="memes")
    assert other.metric == "accuracy" and other.name == "memes"


def test_a_metric_that_there_is_not_or_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "mnist_20211008", ["a", "b"], {"train": list("01") * 5, "test": ["0", "1"]})
    with pytest.raises(HarnessError, match="unknown metric 'acuracy' \\(did you mean 'accuracy'"):
        made(tmp_path, "mnist", check=False, metric="acuracy")
    known(monkeypatch, "voc-2007-classification", classes=2)
    write(tmp_path, "voc2007_20211007", ["a", "b"], {"train": ["0", "0,1"], "test": ["1"]})
    with pytest.raises(HarnessError, match="cannot be measured by accuracy; use one of: map_11, auroc, loss"):
        made(tmp_path, "voc-2007-classification", check=False, metric="accuracy")


def test_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, "mnist_20211008", ["crane, bird", "crane, machine"], {"train": list("01") * 5, "test": ["0"]})
    assert made(tmp_path, "mnist", check=False).class_names == ("crane (0)", "crane (1)")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train.zip@pictures of train/0.png x", r"train\.txt:1: not"),
        ("train.zip@pictures of train/0.png 5", "labels 5 of 2"),
        ("train.zip@pictures of train/0.png 0,1", "labels 0,1"),
        ("train.zip@gone.png 0", "holds no gone.png"),
        ("gone.zip@0.png 0", r"gone\.zip is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    place = write(tmp_path, "mnist_20211008", ["a", "b"], {"train": ["0"], "test": ["0"]})
    (place / "train.txt").write_text(line + "\n")
    with pytest.raises(HarnessError, match=message):
        made(tmp_path, "mnist", check=False)


def test_unknown_names_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean 'cifar-10"):
        made(tmp_path, "cifar-11")
    with pytest.raises(HarnessError, match="no folder mnist_20211008"):
        made(tmp_path, "mnist")
    with pytest.raises(HarnessError, match="not a folder"):
        made(tmp_path / "nowhere", "mnist")


# --- trained and measured, end to end ---------------------------------------------------------------------------------


def coloured(values: tuple[int, int, int]) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), values).save(held, "PNG")
    return held.getvalue()


def write_coloured(root: Path, folder: str, classes: list[str], splits: dict[str, list[str]]) -> None:
    """Write a task whose pictures show their classes: class 0 red, 1 green, 2 blue; several, several colours."""
    place = write(root, folder, classes, splits)
    for split, found in splits.items():
        with zipfile.ZipFile(place / f"{split}.zip", "w") as file:
            for number, written in enumerate(found):
                shown = {int(label) for label in written.split(",")}
                noise = number * 7 % 40
                bright = [180 + noise if channel in shown else noise for channel in range(3)]
                file.writestr(f"pictures of {split}/{number}.png", coloured((bright[0], bright[1], bright[2])))


ONE = {"train": list("0120120120120"), "val": list("012012"), "test": list("00000120")}
SEVERAL = {"train": ["0", "1", "0,1", "2", "1,2", "0,2"] * 3, "val": ["0", "1,2"], "test": ["0,1", "2", "1", "0"]}


@pytest.mark.parametrize(
    ("name", "splits", "metric"),
    [
        ("oxford-flower-102", ONE, "mean_per_class"),
        ("dtd", ONE, "accuracy"),
        ("hateful-memes", {split: ["01"[label != "0"] for label in found] for split, found in ONE.items()}, "auroc"),
        ("voc-2007-classification", SEVERAL, "map_11"),
    ],
)
def test_every_kind_of_task_is_trained_and_measured(
    tmp_path: Path, name: str, splits: dict[str, list[str]], metric: str
) -> None:
    folder = elevater.KNOWN[name].folder
    classes = ["red", "green", "blue"][: 1 + max(int(label) for row in splits["train"] for label in row.split(","))]
    write_coloured(tmp_path, folder, classes, splits)
    task = TASKS.get("elevater")(task=name, root=str(tmp_path), size=8, check=False)
    trial = Trial(source=None, target=task, backbone=Mlp(hidden=16), eval_splits=("val", "test"))
    terminal = from_scratch(trial, steps=80, optimiser="adam", lr=0.01)
    rows: tuple[Measurement, ...] = run_stages([terminal])[terminal.key].rows
    assert [(row.metric, row.split, row.n_eval) for row in rows] == [
        (metric, "val", len(splits["val"])),
        (metric, "test", len(splits["test"])),
    ]
    assert rows[1].value == pytest.approx(1.0), "the colours say it all"


def test_a_source_of_several_classes_goes_on_to_a_task_of_one(tmp_path: Path) -> None:
    write_coloured(tmp_path, "voc2007_20211007", ["red", "green", "blue"], SEVERAL)
    write_coloured(tmp_path, "dtd_20211007", ["red", "green", "blue"], ONE)
    several, one = (
        TASKS.get("elevater")(task=name, root=str(tmp_path), size=8, check=False)
        for name in ("voc-2007-classification", "dtd")
    )
    trial = Trial(source=several, target=one, backbone=Mlp(hidden=16))
    tuned = fine_tune(trial, steps=60, lr=0.05, source_steps=40, shots=4, augment=("horizontal_flip",))
    probed = linear_probe(trial, source_steps=40, shots=9, l2=1e-4)
    results = run_stages([tuned, probed])
    (row,) = results[tuned.key].rows
    assert row.value == 1.0 and row.flags == ()
    (row,) = results[probed.key].rows
    assert row.value == 1.0 and row.flags == ("fewer_than_shots",), "4 pictures of two classes, 5 of one"
