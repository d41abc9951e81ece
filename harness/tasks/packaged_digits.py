"""Hand-written digits: the full MNIST, and the small digits of the University of California as pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from harness.data.items import SPLITS, Item, SplitName
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

if TYPE_CHECKING:
    import numpy as np

DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE: Final = 28
MNIST_SCALE: Final = 256
"""The archive holds bytes divided by this."""

MNIST_PARTS: Final[tuple[tuple[SplitName, int], ...]] = (("train", 50_000), ("val", 10_000), ("test", 10_000))


def read_mnist(folders: Folders) -> Iterator[Item]:
    """Yield the 70,000 digits; the archive's own division into 50,000, 10,000 and 10,000 is kept."""
    from harness.data.arrays import as_array, as_grey, pickled_buffers

    buffers = pickled_buffers(folders["mnist"] / "mnist" / "data" / "mnist.pkl.gz")
    for (split, count), pixels, labels in zip(MNIST_PARTS, buffers[::2], buffers[1::2], strict=True):
        pictures = as_grey(as_array(pixels, "<f4", (count, SIDE, SIDE)), MNIST_SCALE)
        yield from _items(split, pictures, as_array(labels, "<i8", (count,)))


def read_optdigits(folders: Folders) -> Iterator[Item]:
    """Yield the 1,797 digits of 8 x 8 that scikit-learn carries, divided as the `digits_*` tasks divide them."""
    from harness.data.arrays import as_grey
    from harness.tasks.digits import load_domain

    del folders
    for split in SPLITS:
        loaded = load_domain("upright", split)
        yield from _items(split, as_grey(loaded.inputs[:, 0].numpy(), 255), loaded.labels.numpy())


def _items(split: SplitName, pictures: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Iterator[Item]:
    from harness.data.pictures import from_array

    for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
        key = f"{split}/{number:05d}"
        yield Item(key, DIGITS[label], key, draw=functools.partial(from_array, picture), split=split)


MNIST: Final = Rule("mnist", ("mnist",), read_mnist, "the archive's own splits", classes=DIGITS)
OPTDIGITS: Final = Rule("optdigits", (), read_optdigits, "by digest within class", classes=DIGITS)
RULES: Final = (MNIST, OPTDIGITS)


@task("mnist", family="digits", domain="mnist")
def mnist(size: int = DEFAULT_SIZE) -> Task:
    """Hand-written digits: the full MNIST."""
    return picture_task(MNIST, size=size)


@task("optdigits", family="digits", domain="optdigits")
def optdigits(size: int = DEFAULT_SIZE) -> Task:
    """Hand-written digits of 8 x 8 pixels, enlarged; the pictures of `digits_upright`."""
    return picture_task(OPTDIGITS, size=size)
