"""Silhouettes of real animals."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

ANIMALS: Final = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
COUNT: Final = 10_000
SIDE: Final = 28


def read_silhouettes(folders: Folders) -> Iterator[Item]:
    """Yield the 10,000 silhouettes; equal pictures are one group."""
    import hashlib

    from harness.data.arrays import as_array, pickled_buffers
    from harness.data.pictures import from_array

    base = folders["animal_mnist"] / "animal_mnist" / "data" / "Animal_MNIST"
    (pixels,) = pickled_buffers(base / "animal_data_version_3.gz")
    (numbers,) = pickled_buffers(base / "animal_label_version_3.gz")
    pictures = as_array(pixels, "u1", (COUNT, SIDE, SIDE))
    labels = as_array(numbers, "<i8", (COUNT,)).tolist()
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        group = hashlib.sha256(picture.tobytes()).hexdigest()
        yield Item(f"{number:05d}", ANIMALS[label], group, draw=functools.partial(from_array, picture))


SILHOUETTES: Final = Rule(
    "animal_mnist", ("animal_mnist",), read_silhouettes, "equal pictures together", classes=ANIMALS
)
RULES: Final = (SILHOUETTES,)


@task("animal_mnist", family="silhouettes", domain="animal_mnist")
def animal_mnist(size: int = DEFAULT_SIZE) -> Task:
    """Silhouettes of animals."""
    return picture_task(SILHOUETTES, size=size)
