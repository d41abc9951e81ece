"""Pictures decoded once: uint8 tensors on disk, memory-mapped read-only by every process of a machine.

A folder ``decoded/<name>-<digest>/<split>`` holds ``pictures.npy`` [n, c, s, s] uint8 and ``rows.json`` (key, label,
domain and caption of each), and gets its name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.items import Item
from harness.data.locations import decoded_folder, one_at_a_time, publish, work_folder
from harness.data.node_copies import local_copy
from harness.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

PICTURES: Final = "pictures.npy"
ROWS: Final = "rows.json"

Fit = Callable[["Image.Image", int], "Image.Image"]


@dataclass(frozen=True)
class Decoded:
    """One split on disk: the file of its pictures, and key, label, domain and caption of each."""

    pictures: Path
    keys: tuple[str, ...]
    labels: tuple[int, ...]
    domains: tuple[str, ...]
    captions: tuple[str, ...]
    sha256: str


def decoded(
    name: str,
    digest: str,
    split: str,
    items: Callable[[], Sequence[tuple[Item, int]]],
    size: int,
    fit: Fit,
) -> Decoded:
    """Return a split from disk, decoding it first when it is not there.

    items: gives each item with its label, called only when they must be decoded; size: side of the pictures;
    fit: brings a drawn picture to that size (mode RGB, or L when all are grey).
    Raises HarnessError naming the first picture that cannot be decoded.
    """
    folder = decoded_folder() / f"{name}-{digest[:16]}" / split
    if not (folder / ROWS).is_file():
        with one_at_a_time(f"{name}-{digest[:16]}-{split}"):
            if not (folder / ROWS).is_file():
                with work_folder("decode") as work:
                    made = work / split
                    made.mkdir()
                    _write(made, items(), size, fit)
                    publish(made, folder)
    return _read(local_copy(folder, check=_check))


def _check(folder: Path) -> None:
    """Raise HarnessError unless the pictures of a split are those that were decoded."""
    pictures = open_pictures(folder / PICTURES)
    if hashlib.sha256(pictures.data).hexdigest() != _read(folder).sha256:
        raise HarnessError(f"the decoded pictures copied to {folder} are damaged: remove them from the cache")


def _write(folder: Path, items: Sequence[tuple[Item, int]], size: int, fit: Fit) -> None:
    import numpy as np

    if not items:
        raise HarnessError("a split without any picture cannot be decoded")
    grey = _drawn(items[0][0], size, fit).mode == "L"
    shape = (len(items), 1 if grey else 3, size, size)
    pictures = np.lib.format.open_memmap(folder / PICTURES, mode="w+", dtype=np.uint8, shape=shape)
    digest = hashlib.sha256()
    for index, (item, _) in enumerate(items):
        image = _drawn(item, size, fit)
        array = np.asarray(image.convert("L" if grey else "RGB"))
        pictures[index] = array[None] if grey else array.transpose(2, 0, 1)
        digest.update(pictures[index].tobytes())
    pictures.flush()
    rows: dict[str, Any] = {
        "keys": [item.key for item, _ in items],
        "labels": [label for _, label in items],
        "domains": [item.domain for item, _ in items],
        "captions": [item.caption for item, _ in items],
        "sha256": digest.hexdigest(),
    }
    (folder / ROWS).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _drawn(item: Item, size: int, fit: Fit) -> Image.Image:
    if item.draw is None:
        raise HarnessError(f"{item.key} is no picture")
    try:
        return fit(item.draw(size), size)
    except HarnessError as error:
        raise HarnessError(f"{item.key}: {error}") from error


def _read(folder: Path) -> Decoded:
    rows = json.loads((folder / ROWS).read_text(encoding="utf-8"))
    return Decoded(
        pictures=folder / PICTURES,
        keys=tuple(rows["keys"]),
        labels=tuple(rows["labels"]),
        domains=tuple(rows["domains"]),
        captions=tuple(rows["captions"]),
        sha256=rows["sha256"],
    )


def open_pictures(path: Path) -> np.ndarray[Any, Any]:
    """Return decoded pictures [n, c, s, s] uint8, memory-mapped read-only."""
    import numpy as np

    try:
        pictures: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HarnessError(f"decoded pictures {path} cannot be read ({error}): delete {path.parent}") from error
    return pictures
