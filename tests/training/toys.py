"""Small tasks made on the spot: clouds of points, one a class."""

from __future__ import annotations

import functools

import torch

from harness.tasks.base import Split, Task

SIZES = {"train": 24, "val": 12, "test": 24}


def load_cloud(name: str, classes: int, width: int, split: str) -> Split:
    """Points around one centre a class, [n, width]; another draw for each name and split."""
    seed = sum(map(ord, name)) * 10 + list(SIZES).index(split)
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(classes, width, generator=torch.Generator().manual_seed(sum(map(ord, name))))
    labels = torch.arange(SIZES[split]).remainder(classes)
    return Split(centres[labels] + torch.randn(len(labels), width, generator=generator), labels)


def cloud(name: str = "cloud", classes: int = 3, width: int = 5) -> Task:
    """A task of as many points in each class, of shape [width]."""
    return Task(
        name=name,
        n_classes=classes,
        class_names=tuple(f"{name}{label}" for label in range(classes)),
        input_shape=(width,),
        sizes=SIZES,
        class_sizes={split: (size // classes,) * classes for split, size in SIZES.items()},
        data={"cloud": name, "classes": classes, "width": width},
        load=functools.partial(load_cloud, name, classes, width),
    )


def load_poison(split: str) -> Split:
    """Points of which one is not a number."""
    good = load_cloud("poison", 3, 5, split)
    inputs = good.inputs.clone()
    inputs[0] = torch.nan
    return Split(inputs, good.labels)


def poison() -> Task:
    """A task on which every training diverges."""
    good = cloud("poison")
    return Task("poison", 3, good.class_names, (5,), SIZES, {"poison": True}, load_poison)
