"""The 20 tasks of ELEVATER (image classification), from a copy of its data that you have.

Below `root` each task has a folder (`classification/<folder>` as published) with `train.txt`, `test.txt` and, for some,
`val.txt`: one line a picture, `train.zip@name.jpg 3`, or `3,7` for several classes. `labels.txt` has one class a line,
synonyms divided by commas. A `vision_datasets.json` below `root` may name these files otherwise.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.data.items import SPLITS, Shares, SplitName
from harness.errors import HarnessError, suggest
from harness.tasks.base import Task, task
from harness.tasks.files import (
    Fit,
    Listing,
    Row,
    carve,
    existing_folder,
    open_file,
    open_member,
    picture_files,
    zip_sizes,
)
from harness.tasks.metrics import METRICS


@dataclass(frozen=True)
class Known:
    """What is published of one task: its folder, classes, pictures in each split (0: no such split), and metric."""

    folder: str
    classes: int
    train: int
    val: int
    test: int
    metric: str = "accuracy"


KNOWN: Final[Mapping[str, Known]] = {
    "caltech-101": Known("caltech_101_20211007", 102, 3060, 0, 6084, "mean_per_class"),
    "cifar-10": Known("cifar_10_20211007", 10, 50000, 0, 10000),
    "cifar-100": Known("cifar100_20200721", 100, 50000, 0, 10000),
    "country211": Known("country211_20210924", 211, 31650, 10550, 21100),
    "dtd": Known("dtd_20211007", 47, 1880, 1880, 1880),
    "eurosat_clip": Known("eurosat_clip_20210930", 10, 5000, 5000, 5000),
    "fer-2013": Known("fer_2013_20211008", 7, 28709, 3589, 3589),
    "fgvc-aircraft-2013b-variants102": Known(
        "fgvc_aircraft_2013b_variants102_20211007", 100, 3334, 3333, 3333, "mean_per_class"
    ),
    "food-101": Known("food_101_20211007", 101, 75750, 0, 25250),
    "gtsrb": Known("gtsrb_20210923", 43, 26640, 12569, 12630),
    "hateful-memes": Known("hateful_memes_20211014", 2, 8500, 0, 500, "auroc"),
    "kitti-distance": Known("kitti_distance_20210923", 4, 6347, 423, 711),
    "mnist": Known("mnist_20211008", 10, 60000, 0, 10000),
    "oxford-flower-102": Known("oxford_flower_102_20211007", 102, 1020, 1020, 6149, "mean_per_class"),
    "oxford-iiit-pets": Known("oxford_iiit_pets_20211007", 37, 3680, 0, 3669, "mean_per_class"),
    "patch-camelyon": Known("patch_camelyon_20211007", 2, 262144, 32768, 32768),
    "rendered-sst2": Known("rendered_sst2_20210924", 2, 6920, 827, 1821),
    "resisc45_clip": Known("resisc45_clip_20210924", 45, 3150, 3150, 25200),
    "stanford-cars": Known("stanford_cars_20211007", 196, 8144, 0, 8041),
    "voc-2007-classification": Known("voc2007_20211007", 20, 2501, 2510, 4952, "map_11"),
}

MULTI_LABEL: Final = "map_11"
VAL: Final = Shares(test=0, val=0.2)
"""What is carved out of train where there is no val, by digest within class."""

USUAL: Final = {"train": "train.txt", "val": "val.txt", "test": "test.txt", "labels": "labels.txt"}


@task("elevater", family="elevater")
def elevater(
    task: str,
    root: str,
    name: str | None = None,
    size: int = 224,
    fit: Fit = "squash",
    metric: str | None = None,
    check: bool = True,
) -> Task:
    """A task of ELEVATER by its published name, from your copy of its data; counts are checked unless `check` is off.

    metric: another than the published one (hateful-memes was scored by AUROC and by accuracy).
    """
    known = KNOWN.get(task)
    if known is None:
        raise HarnessError(f"elevater: unknown task {task!r}{suggest(task, KNOWN)}")
    if metric is not None and metric not in METRICS:
        raise HarnessError(f"elevater: unknown metric {metric!r}{suggest(metric, METRICS)}")
    return picture_files(
        "elevater",
        name or f"elevater/{task}",
        functools.partial(list_task, task, root, check),
        size=size,
        fit=fit,
        metric=metric or known.metric,
        attributes={"domain": task},
    )


def list_task(name: str, root: str, check: bool) -> Listing:
    """List the pictures of a task. Raises HarnessError for missing files, and for counts other than the published."""
    known = KNOWN[name]
    folder = _folder(root, known)
    files = {**USUAL, **_registered(Path(root).expanduser(), name)}
    try:
        classes = _class_names(folder / files["labels"])
        multi = known.metric == MULTI_LABEL
        splits: dict[SplitName, list[Row]] = {}
        for split in SPLITS:
            index = folder / files[split]
            if index.is_file():
                splits[split] = list(_rows(folder, index, len(classes), multi))
        if check:
            _check(known, len(classes), {split: len(rows) for split, rows in splits.items()})
        if not splits.get("train") or not splits.get("test"):
            raise HarnessError(f"{folder} has no pictures for train or for test")
    except HarnessError as error:
        raise HarnessError(f"elevater: {name}: {error}") from error
    if "val" not in splits:
        splits |= carve(splits["train"], VAL)
    return Listing(classes, {split: splits[split] for split in SPLITS if split in splits}, multi)


def _folder(root: str, known: Known) -> Path:
    base = existing_folder("elevater", root)
    for place in (base / "classification" / known.folder, base / known.folder):
        if place.is_dir():
            return place
    raise HarnessError(f"elevater: there is no folder {known.folder} or classification/{known.folder} below {root}")


def _registered(base: Path, name: str) -> dict[str, str]:
    """Return the names of a task's files in `vision_datasets.json`, where there is one."""
    path = base / "vision_datasets.json"
    if not path.is_file():
        return {}
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HarnessError(f"elevater: {path} is not JSON: {error}") from error
    found: dict[str, str] = {}
    for entry in entries:
        if entry.get("name") == name:
            found |= {split: entry[split]["index_path"] for split in ("train", "val", "test") if split in entry}
            if "labelmap" in entry:
                found["labels"] = entry["labelmap"]
    return found


def _class_names(path: Path) -> tuple[str, ...]:
    """Return the first synonym of each class; two classes of one name are told apart by their numbers."""
    if not path.is_file():
        raise HarnessError(f"{path} is missing")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = [line.split(",")[0].strip() for line in lines]
    return tuple(name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names))


def _rows(folder: Path, index: Path, n_classes: int, multi: bool) -> Iterator[Row]:
    archives: dict[Path, tuple[dict[str, int], int]] = {}
    for number, line in enumerate(index.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        place, _, written = line.strip().rpartition(" ")
        try:
            labels = tuple(sorted({int(label) for label in written.split(",")}))
        except ValueError:
            raise HarnessError(f"{index.name}:{number}: not `picture label[,label...]`: {line!r}") from None
        if not all(0 <= label < n_classes for label in labels) or (len(labels) != 1 and not multi):
            raise HarnessError(f"{index.name}:{number}: labels {written} of {n_classes} classes")
        yield _row(folder, place, labels, archives, f"{index.name}:{number}")


def _row(
    folder: Path, place: str, labels: tuple[int, ...], archives: dict[Path, tuple[dict[str, int], int]], where: str
) -> Row:
    archive, marked, member = place.partition("@")
    path = folder / archive
    if not path.is_file():
        raise HarnessError(f"{where}: {path} is missing")
    if not marked:
        state = path.stat()
        return Row(place, labels, state.st_size, functools.partial(open_file, path), state.st_mtime_ns)
    if path not in archives:
        archives[path] = (zip_sizes(path), path.stat().st_mtime_ns)
    sizes, changed = archives[path]
    if member not in sizes:
        raise HarnessError(f"{where}: {archive} holds no {member}")
    return Row(place, labels, sizes[member], functools.partial(open_member, path, member), changed)


def _check(known: Known, classes: int, sizes: Mapping[SplitName, int]) -> None:
    wanted: dict[SplitName, int] = {"train": known.train, "val": known.val, "test": known.test}
    if classes != known.classes:
        raise HarnessError(f"{classes} classes where {known.classes} are published")
    for split, count in wanted.items():
        found = sizes.get(split, 0)
        if count and found != count:
            raise HarnessError(f"{found:,} pictures in {split} where {count:,} are published (check=false to go on)")
