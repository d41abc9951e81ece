"""Data sets of the Hugging Face hub, or folders in any layout that its library `datasets` reads.

A data set of the hub needs a pinned `revision`: the 40 digits of a commit. It is downloaded into the cache root when
the task is made for the first time (`harness prepare` does that), and read from there without a network afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from harness.data.items import Shares, SplitName
from harness.errors import HarnessError
from harness.tasks.base import Task, task
from harness.tasks.columns import class_names, find_column, label_numbers, picture_bytes, table_rows
from harness.tasks.files import SPLIT_NAMES, Fit, Listing, completed, open_content, picture_files, text_files

SHARES: Final = Shares(test=0.2, val=0.2)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@task("huggingface", family="files")
def huggingface(
    name: str,
    dataset: str,
    config: str | None = None,
    revision: str = "",
    image: str | None = None,
    text: str | None = None,
    label: str = "label",
    train: str = "train",
    val: str | None = None,
    test: str | None = None,
    size: int = 224,
    fit: Fit = "crop",
) -> Task:
    """A data set by name or local path through `datasets`; give the column `image` or `text`, and the splits' names."""
    if (image is None) == (text is None):
        raise HarnessError(f"huggingface: {name} needs either `image` or `text`, the column that holds the examples")
    if not Path(dataset).expanduser().exists() and not _COMMIT.fullmatch(revision):
        raise HarnessError(
            f"huggingface: {dataset} of the hub needs `revision`, the 40 digits of the commit to use, "
            "so that it is the same data for ever"
        )
    wanted = tuple((split, given) for split, given in (("train", train), ("val", val), ("test", test)) if given)
    lister = functools.partial(list_dataset, dataset, config, revision, wanted, str(image or text), label, bool(image))
    if image is not None:
        return picture_files("huggingface", name, lister, size=size, fit=fit, revision=revision)
    return text_files("huggingface", name, lister, revision=revision)


def list_dataset(
    dataset: str,
    config: str | None,
    revision: str,
    wanted: tuple[tuple[str, str], ...],
    column: str,
    label: str,
    pictures: bool,
) -> Listing:
    """List the rows of a data set. Raises HarnessError for a data set, split or column that is not there."""
    try:
        whole = opened(dataset, config, revision)
        splits = _splits(whole, dict(wanted))
        for found in splits.values():
            find_column("examples", column, found.column_names)
            find_column("labels", label, found.column_names)
        declared = getattr(next(iter(splits.values())).features[label], "names", None)
        columns = {split: list(found[label]) for split, found in splits.items()}
        names = class_names(columns, declared)
        rows = {
            split: table_rows(
                split,
                label_numbers(columns[split], names, declared is not None),
                _reader(found, column, pictures),
                0,
            )
            for split, found in splits.items()
        }
        return Listing(names, completed(rows, SHARES), content=_content(dataset, config, revision))
    except HarnessError as error:
        raise HarnessError(f"huggingface: {dataset}: {error}") from error


@functools.lru_cache(maxsize=16)
def opened(dataset: str, config: str | None, revision: str) -> Any:
    """Return the data set as the library gives it, all splits; its cache lies in ours.

    Raises HarnessError in one sentence when the library is missing or cannot find the data.
    """
    try:
        import datasets
    except ImportError:
        raise HarnessError("this provider needs the package datasets: install transfer-harness[huggingface]") from None
    from harness.data.locations import data_root

    place = Path(dataset).expanduser()
    source = str(place) if place.exists() else dataset
    cache = str(data_root() / "huggingface")
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(source, config, revision=revision or None, cache_dir=cache)
    except Exception as error:
        first = str(error).strip().split("\n")[0] or type(error).__name__
        raise HarnessError(f"the library datasets cannot load it: {first}") from error


def _splits(whole: Any, wanted: Mapping[str, str]) -> dict[SplitName, Any]:
    """Return the wanted splits; those not named are found by their usual names."""
    found: dict[SplitName, Any] = {}
    for split, name in wanted.items():
        found[SPLIT_NAMES[split]] = whole[find_column(f"split {split}", name, list(whole))]
    for name in whole:
        usual = SPLIT_NAMES.get(str(name).lower())
        if usual is not None and usual not in found:
            found[usual] = whole[name]
    return found


def _reader(found: Any, column: str, pictures: bool) -> Callable[[int], Any]:
    """Return what gives the example at a position; pictures are decoded by us, like those of all providers."""
    import datasets

    if pictures and isinstance(found.features[column], datasets.Image):
        found = found.cast_column(column, datasets.Image(decode=False))
    return functools.partial(_cell, found, column, pictures)


def _cell(found: Any, column: str, pictures: bool, number: int) -> Any:
    cell = found[number][column]
    if pictures:
        return open_content(picture_bytes(cell))
    if not isinstance(cell, str):
        raise HarnessError(f"row {number} of column {column!r} holds no text")
    return cell


def _content(dataset: str, config: str | None, revision: str) -> str:
    """Return what says which data these are: the pinned commit, or names and sizes of a folder's files."""
    place = Path(dataset).expanduser()
    if not place.exists():
        return json.dumps([dataset, config, revision])
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    lines = [f"{file.relative_to(place).as_posix()} {file.stat().st_size}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
