"""Small pictures made on the spot: blobs in places that depend on the class."""

from __future__ import annotations

import functools

import torch

from harness.tasks.base import Split, Task

SIZES = {"train": 40, "val": 20, "test": 30}


def load_blobs(name: str, side: int, split: str) -> Split:
    """Noise with a bright square, one place a class, [n, 1, side, side]; another draw for each name and split."""
    seed = sum(map(ord, name)) * 10 + list(SIZES).index(split)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(SIZES[split]).remainder(4)
    images = 0.3 * torch.rand(len(labels), 1, side, side, generator=generator)
    half = side // 2
    for place, label in enumerate(labels.tolist()):
        top, left = half * (label // 2), half * (label % 2)
        images[place, 0, top : top + half, left : left + half] += 0.5
    return Split(images, labels)


def blobs(name: str = "blobs", side: int = 16) -> Task:
    """A task of four classes of pictures."""
    return Task(
        name=name,
        n_classes=4,
        class_names=tuple(f"{name}{label}" for label in range(4)),
        input_shape=(1, side, side),
        sizes=SIZES,
        data={"blobs": name, "side": side},
        load=functools.partial(load_blobs, name, side),
    )
