"""Changes of pictures at random while a network is trained on them, each found from seed, task and step alone.

Every change draws from a generator of its own, derived from the seed, the task, the step and the change's name. So a
training that goes on at some step sees what it would have seen, no member of a batch sees another, methods and sources
see the same pictures, and one more change leaves the draws of the others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HarnessError
from harness.graph import derive_seed
from harness.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Augmentation = Literal["random_crop", "random_resized_crop", "horizontal_flip", "brightness", "colour_jitter"]

PADDING: Final = 8
"""`random_crop` pads each side by one part in this many: 4 pixels of 32."""

LEAST_AREA: Final = 0.08
LARGEST_RATIO: Final = 4 / 3
JITTER: Final = 0.4
GREY: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def check_augment(task: Task, names: tuple[Augmentation, ...]) -> None:
    """Raise HarnessError when pictures are to be changed and the task has none, or when a change is named twice."""
    if not names:
        return
    if len(task.input_shape) != 3:
        raise HarnessError(f"augment changes pictures; {task.name} has inputs of shape {task.input_shape}")
    if len(set(names)) != len(names):
        raise HarnessError(f"augment names a change twice: {', '.join(names)}")


def augmented(pictures: Tensor, names: tuple[Augmentation, ...], seed: int, task: str, step: int) -> Tensor:
    """Return pictures [n, c, h, w] from 0 to 1 changed by each of `names` in turn, every picture on its own."""
    import torch

    for name in names:
        generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation", task, step, name))
        pictures = _CHANGES[name](pictures, generator)
    return pictures


def random_crop(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pad with black by an eighth of each side and cut the size out again somewhere (He et al., 2016, section 4.2)."""
    import torch

    height, width = pictures.shape[-2:]
    tall, wide = (max(1, round(side / PADDING)) for side in (height, width))
    padded = torch.nn.functional.pad(pictures, (wide, wide, tall, tall))
    drawn = torch.rand(2, len(pictures), generator=generator)
    tops, lefts = (drawn[0] * (2 * tall + 1)).long().tolist(), (drawn[1] * (2 * wide + 1)).long().tolist()
    cut = [
        picture[:, top : top + height, left : left + width]
        for picture, top, left in zip(padded, tops, lefts, strict=True)
    ]
    return torch.stack(cut)


def random_resized_crop(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Cut out a box of 8 to 100 % of the area, its sides at 3:4 to 4:3, and stretch it to the size, bilinearly.

    Szegedy et al. (2015), section 6. A box that is longer than the picture is cut to it.
    """
    import torch

    height, width = pictures.shape[-2:]
    tops, lefts, talls, wides = boxes(len(pictures), height, width, generator)
    stretched = torch.empty_like(pictures)
    for place, (top, left, tall, wide) in enumerate(zip(tops, lefts, talls, wides, strict=True)):
        cut = pictures[place : place + 1, :, top : top + tall, left : left + wide]
        stretched[place] = torch.nn.functional.interpolate(cut, (height, width), mode="bilinear", align_corners=False)[
            0
        ]
    return stretched


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> tuple[list[int], ...]:
    """Draw a box for each of `count` pictures: tops, lefts, heights and widths, in pixels."""
    import torch

    drawn = torch.rand(4, count, generator=generator, dtype=torch.float64)
    area = height * width * (LEAST_AREA + (1 - LEAST_AREA) * drawn[0])
    ratio = torch.exp((2 * drawn[1] - 1) * math.log(LARGEST_RATIO))
    talls = (area / ratio).sqrt().round().clamp(1, height)
    wides = (area * ratio).sqrt().round().clamp(1, width)
    tops, lefts = drawn[2] * (height - talls + 1), drawn[3] * (width - wides + 1)
    return tuple(numbers.long().tolist() for numbers in (tops, lefts, talls, wides))


def horizontal_flip(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror left and right, one picture in two."""
    import torch

    mirrored = torch.rand(len(pictures), 1, 1, 1, generator=generator) < 0.5
    return torch.where(mirrored, pictures.flip(-1), pictures)


def brightness(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply by .6 to 1.4, cut at white."""
    return (pictures * _factor(pictures, generator)).clamp(0, 1)


def colour_jitter(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, then contrast, then saturation by factors of .6 to 1.4 (Krizhevsky, 2014; hue stays).

    Contrast is about the mean of the grey picture, saturation about the grey picture; pictures of one channel are grey.
    """
    bright = brightness(pictures, generator)
    # Row by row: a mean over a whole picture would be added up in another order with other numbers of threads.
    level = _grey(bright).mean(-1, keepdim=True).mean(-2, keepdim=True)
    contrasted = _blend(bright, level, _factor(pictures, generator))
    return _blend(contrasted, _grey(contrasted), _factor(pictures, generator))


_CHANGES: Final[Mapping[Augmentation, Callable[[Tensor, torch.Generator], Tensor]]] = {
    "random_crop": random_crop,
    "random_resized_crop": random_resized_crop,
    "horizontal_flip": horizontal_flip,
    "brightness": brightness,
    "colour_jitter": colour_jitter,
}


def _factor(pictures: Tensor, generator: torch.Generator) -> Tensor:
    import torch

    return 1 + JITTER * (2 * torch.rand(len(pictures), 1, 1, 1, generator=generator) - 1)


def _blend(pictures: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (other + (pictures - other) * factor).clamp(0, 1)


def _grey(pictures: Tensor) -> Tensor:
    """Pictures [n, 1 or 3, h, w] as [n, 1, h, w]."""
    if pictures.shape[1] != len(GREY):
        return pictures[:, :1]
    red, green, blue = pictures[:, 0:1], pictures[:, 1:2], pictures[:, 2:3]
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue
