"""Tasks of the user's own files: what the providers of this kind share.

A provider makes a `Listing`: the classes, and for each split its examples with their labels and where they lie. It is
cheap: names, sizes and labels only. Its digest is the task's identity, so that the same files are the same task
wherever they lie. What is read later must have the same listing, and the same content as when it was read first.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from harness.data.items import Item, Shares, SplitName, divide
from harness.errors import HarnessError
from harness.tasks.base import SPLITS, Split, Task

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from harness.data.decoded import Decoded

Fit = Literal["crop", "squash", "pad"]
"""How a picture becomes a square: its middle, its sides stretched, or white added."""

PICTURE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
SPLIT_NAMES: Final[Mapping[str, SplitName]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One example: a key that holds no path of a machine, its labels (one, unless multi-label), its bytes on disk."""

    key: str
    labels: tuple[int, ...]
    size: int
    read: Callable[[], Any] = field(compare=False, repr=False)
    changed: int = field(default=0, compare=False)
    """When its file was last written, in nanoseconds."""


@dataclass(frozen=True)
class Listing:
    """What a provider found: classes, and the rows of each split that there is."""

    classes: tuple[str, ...]
    splits: Mapping[SplitName, Sequence[Row]]
    multi_label: bool = False
    content: str = ""
    """A digest of content, where the files carry or allow one cheaply."""

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 over splits, keys, labels, sizes and classes."""
        digest = hashlib.sha256(json.dumps([self.classes, self.multi_label, self.content]).encode())
        for split in SPLITS:
            for row in self.splits.get(split, ()):
                digest.update(json.dumps([split, row.key, row.labels, row.size]).encode() + b"\n")
        return digest.hexdigest()

    @functools.cached_property
    def state(self) -> str:
        """The sha256 over when the files were written: content that was read holds while this stays."""
        digest = hashlib.sha256(self.digest.encode())
        for split in SPLITS:
            digest.update(json.dumps([row.changed for row in self.splits.get(split, ())]).encode())
        return digest.hexdigest()

    def class_sizes(self) -> dict[str, tuple[int, ...]]:
        """Return the examples of each class in each split."""
        sizes: dict[str, tuple[int, ...]] = {}
        for split, rows in self.splits.items():
            counts = Counter(label for row in rows for label in row.labels)
            sizes[split] = tuple(counts[label] for label in range(len(self.classes)))
        return sizes


Lister = Callable[[], Listing]


def carve(rows: Sequence[Row], shares: Shares, seed: int = 0) -> dict[SplitName, list[Row]]:
    """Divide rows by the digests of their keys within each class, so that adding a file moves no other."""
    items = [Item(row.key, str(row.labels), row.key) for row in rows]
    places = divide(items, shares, seed)
    made: dict[SplitName, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        made[places[row.key]].append(row)
    return {split: found for split, found in made.items() if found}


def completed(splits: Mapping[SplitName, Sequence[Row]], shares: Shares, seed: int = 0) -> dict[SplitName, list[Row]]:
    """Return splits with those that are missing made of others: a part of train becomes val, val becomes test.

    With train alone, test and val are both carved out of it. Raises HarnessError when there is no train.
    """
    if not splits.get("train"):
        raise HarnessError("there is nothing to train on: no examples in a split named train")
    made = {split: list(rows) for split, rows in splits.items() if rows}
    if "test" not in made and "val" in made:
        made["test"] = made.pop("val")
    if "test" not in made:
        return carve(made["train"], shares, seed)
    if "val" not in made:
        made |= carve(made["train"], Shares(test=0, val=shares.val), seed)
    return {split: made[split] for split in SPLITS if split in made}


def picture_files(
    provider: str,
    name: str,
    lister: Lister,
    *,
    size: int,
    fit: Fit,
    revision: str = "",
    metric: str = "accuracy",
    attributes: Mapping[str, str | int] | None = None,
) -> Task:
    """Make a task of pictures [3, size, size] from 0 to 1 out of what `lister` finds."""
    found = lister()
    spec = {"size": size, "fit": fit, "decoding": _decoding_version()}
    load = functools.partial(load_picture_files, name, lister, found.digest, revision, size, fit)
    shape = (3, size, size)
    return _task(provider, name, found, shape, {"transform": spec}, load, revision, metric, "image", attributes)


def text_files(
    provider: str,
    name: str,
    lister: Lister,
    *,
    revision: str = "",
    metric: str = "accuracy",
    attributes: Mapping[str, str | int] | None = None,
) -> Task:
    """Make a task of texts out of what `lister` finds."""
    found = lister()
    load = functools.partial(load_text_files, name, lister, found.digest)
    return _task(provider, name, found, (), {}, load, revision, metric, "text", attributes)


def load_picture_files(name: str, lister: Lister, digest: str, revision: str, size: int, fit: Fit, split: str) -> Split:
    """Load one split of pictures, decoded on first use.

    Raises HarnessError when the files are no longer those that the task was made of.
    """
    from harness.tasks.inputs import Pictures

    found = _same(name, lister, digest)
    rows = found.splits[cast("SplitName", split)]
    stored = _decoded(name, found, rows, revision, size, fit, split)
    return Split(Pictures(stored.pictures, range(len(rows)), size), _labels(found, rows))


def load_text_files(name: str, lister: Lister, digest: str, split: str) -> Split:
    """Load one split of texts. Raises HarnessError when the files are no longer those the task was made of."""
    from harness.tasks.inputs import Texts

    found = _same(name, lister, digest)
    rows = found.splits[cast("SplitName", split)]
    return Split(Texts([str(row.read()) for row in rows]), _labels(found, rows))


def existing_folder(provider: str, path: str) -> Path:
    """Return a path given by the user as a folder (`~` stands for their home). Raises HarnessError otherwise."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise HarnessError(f"{provider}: {path} is not a folder")
    return folder


def open_file(path: Path) -> Image.Image:
    """Decode a picture file."""
    from harness.data.pictures import from_bytes

    return from_bytes(path.read_bytes())


def open_content(content: bytes) -> Image.Image:
    """Decode the bytes of a picture file."""
    from harness.data.pictures import from_bytes

    return from_bytes(content)


def open_member(archive: Path, member: str) -> Image.Image:
    """Decode a picture file inside a zip file."""
    from harness.data.pictures import from_zip

    return from_zip(archive, member, 0)


def zip_sizes(archive: Path) -> dict[str, int]:
    """Return the size of each file in a zip file. Raises HarnessError when it is none."""
    try:
        with zipfile.ZipFile(io.FileIO(archive)) as file:
            return {member.filename: member.file_size for member in file.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise HarnessError(f"{archive} cannot be read as a zip file: {error}") from error


def _same(name: str, lister: Lister, digest: str) -> Listing:
    found = lister()
    if found.digest != digest:
        raise HarnessError(f"the files of task {name!r} are no longer those that it was planned with: plan again")
    return found


def _labels(found: Listing, rows: Sequence[Row]) -> Tensor:
    import torch

    if not found.multi_label:
        return torch.tensor([row.labels[0] for row in rows], dtype=torch.int64)
    labels = torch.zeros(len(rows), len(found.classes), dtype=torch.int64)
    for position, row in enumerate(rows):
        labels[position, list(row.labels)] = 1
    return labels


def _decoded(name: str, found: Listing, rows: Sequence[Row], revision: str, size: int, fit: Fit, split: str) -> Decoded:
    """Return the decoded pictures, after comparing them with those first read under the same identity."""
    from harness.data.decoded import decoded

    def items() -> list[tuple[Item, int]]:
        return [
            (Item(row.key, "", row.key, draw=functools.partial(_drawn, row)), row.labels[0] if row.labels else -1)
            for row in rows
        ]

    spec = json.dumps([found.digest, revision, size, fit, _decoding_version()])
    state = hashlib.sha256(f"{spec} {found.state}".encode()).hexdigest()
    stored = decoded(f"files-{size}", state, split, items, size, _fits()[fit])
    _remember(name, hashlib.sha256(f"{spec} {split}".encode()).hexdigest(), stored.sha256)
    return stored


def _drawn(row: Row, size: int) -> Image.Image:
    """Read a picture always as RGB, so that grey and coloured files may be mixed."""
    from harness.data.pictures import WHITE, on_background

    del size
    return on_background(row.read(), WHITE)


def _remember(name: str, identity: str, content: str) -> None:
    """Compare content with what was first read under an identity, and write it down.

    Raises HarnessError when it differs: names, sizes and labels of the files are the same, their bytes are not.
    """
    from harness.data.locations import data_root, publish, work_folder

    place = data_root() / "digests" / identity
    if place.is_file():
        if place.read_text(encoding="ascii") != content:
            raise HarnessError(
                f"the pictures of task {name!r} have changed although their names and sizes have not: "
                "give the task another `revision`"
            )
        return
    with work_folder("digest") as folder:
        (folder / "digest").write_text(content, encoding="ascii")
        publish(folder / "digest", place)


def _fits() -> Mapping[Fit, Callable[[Image.Image, int], Image.Image]]:
    from harness.data.pictures import centre_crop, square, squash

    return {"crop": centre_crop, "squash": squash, "pad": square}


def _decoding_version() -> int:
    from harness.data.pictures import DECODING_VERSION

    return DECODING_VERSION


def _task(
    provider: str,
    name: str,
    found: Listing,
    shape: tuple[int, ...],
    more: Mapping[str, Any],
    load: Callable[[str], Split],
    revision: str,
    metric: str,
    kind: str,
    attributes: Mapping[str, str | int] | None,
) -> Task:
    return Task(
        name=name,
        n_classes=len(found.classes),
        class_names=found.classes,
        input_shape=shape,
        sizes={split: len(rows) for split, rows in found.splits.items()},
        class_sizes=found.class_sizes(),
        data={"provider": provider, "listing": found.digest, **({"revision": revision} if revision else {}), **more},
        load=load,
        attributes={"kind": kind, "licence": "as given with the files", **(attributes or {})},
        metric=metric,
        multi_label=found.multi_label,
        code=(__name__,),
    )
