"""Pictures in folders: one folder a class, with or without a folder for each split around them.

Either `path/train/<class>/...` (and `val` or `validation`, `test`) or `path/<class>/...`. A split that is missing is
made of another, see `harness.tasks.files.completed`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.data.items import Shares, SplitName
from harness.errors import HarnessError
from harness.tasks.base import Task, task
from harness.tasks.files import (
    PICTURE_ENDINGS,
    SPLIT_NAMES,
    Fit,
    Listing,
    Row,
    completed,
    existing_folder,
    open_file,
    picture_files,
)

SHARES: Final = Shares(test=0.2, val=0.2)


@task("imagefolder", family="files")
def imagefolder(name: str, path: str, size: int = 224, fit: Fit = "crop", revision: str = "") -> Task:
    """Pictures in folders named by class, from a folder of yours."""
    return picture_files(
        "imagefolder", name, functools.partial(list_folder, path), size=size, fit=fit, revision=revision
    )


def list_folder(path: str) -> Listing:
    """List the pictures below a folder. Raises HarnessError when there are none, or a split has an unknown class."""
    base = existing_folder("imagefolder", path)
    folders = _split_folders(base)
    classes = sorted({place.name for folder in folders.values() for place in _subfolders(folder)})
    if not classes:
        raise HarnessError(f"imagefolder: {path} has no folders named by class")
    labels = {name: label for label, name in enumerate(classes)}
    rows = {split: list(_rows(folder, labels)) for split, folder in folders.items()}
    if not any(rows.values()):
        raise HarnessError(f"imagefolder: no pictures below {path} (known endings: {', '.join(PICTURE_ENDINGS)})")
    try:
        return Listing(tuple(classes), completed(rows, SHARES))
    except HarnessError as error:
        raise HarnessError(f"imagefolder: {path}: {error}") from error


def _split_folders(base: Path) -> dict[SplitName, Path]:
    """Return the folder of each split; the whole is for training when no folder is named like a split."""
    named = {SPLIT_NAMES[place.name.lower()]: place for place in _subfolders(base) if place.name.lower() in SPLIT_NAMES}
    return named if "train" in named else {"train": base}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def _rows(folder: Path, labels: Mapping[str, int]) -> Iterator[Row]:
    for place in _subfolders(folder):
        for path in sorted(place.rglob("*")):
            if path.suffix.lower() in PICTURE_ENDINGS and path.is_file():
                state = path.stat()
                key = path.relative_to(folder).as_posix()
                read = functools.partial(open_file, path)
                yield Row(key, (labels[place.name],), state.st_size, read, state.st_mtime_ns)
