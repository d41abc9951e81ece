"""What a pre-trained network expects to see, and what happens when it is shown something else.

Images come as [n, channels, height, width] from 0 to 1; the network's first layer brings them to the range that it
was trained on, so no study can forget to. Texts come as token numbers [n, length], 0 where there is none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor, nn

OFF_SIZE: Final = "off_size"
"""Flag of what was measured at another image size than the network was trained on."""

OFF_LENGTH: Final = "off_length"
"""Flag of what was measured on more tokens than the network was trained on."""


@dataclass(frozen=True)
class ImageInput:
    """Square RGB images of `size` pixels, normalised to (pixel - mean) / spread, pixels from 0 to 1."""

    size: int
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]

    def check(self, name: str, input_shape: tuple[int, ...], resolution: int) -> tuple[str, ...]:
        """Compare a task's images with what the network `name` is used at; return the flags that rows should bear.

        resolution: the size at which the study says it uses the network. Raises HarnessError when the images are no
        square images of that size with one or three channels.
        """
        if len(input_shape) != 3 or input_shape[0] not in (1, 3):
            raise HarnessError(f"{name} reads images with one or three channels, not inputs of shape {input_shape}")
        height, width = input_shape[1:]
        if (height, width) != (resolution, resolution):
            hint = f"say `{{backbone: {name}, resolution: {height}}}` to use it there"
            way_out = hint if height == width else "the images must be square"
            sizes = f"is used at {resolution} × {resolution}, the images are {height} × {width}"
            raise HarnessError(f"{name} {sizes}: {way_out}")
        return () if resolution == self.size else (OFF_SIZE,)


@dataclass(frozen=True)
class TextInput:
    """Texts of at most `length` tokens."""

    length: int

    def check(self, name: str, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Compare a task's token numbers with what the network `name` was trained on; return flags for the rows.

        Raises HarnessError when they are no rows of token numbers.
        """
        if len(input_shape) != 1:
            raise HarnessError(f"{name} reads texts as rows of token numbers, not inputs of shape {input_shape}")
        return () if input_shape[0] <= self.length else (OFF_LENGTH,)


@functools.cache
def normalise_module() -> Callable[[ImageInput], nn.Module]:
    """The class of the layer that normalises images; made on first use because this module must not import torch."""
    import torch
    from torch import nn

    class Normalise(nn.Module):
        """Images from 0 to 1 to what a network was trained on; one channel is shown as three. Learns nothing."""

        def __init__(self, expects: ImageInput) -> None:
            super().__init__()
            self.expects = expects

        def forward(self, images: Tensor) -> Tensor:
            mean, spread = (
                torch.tensor(values, dtype=images.dtype, device=images.device).view(3, 1, 1)
                for values in (self.expects.mean, self.expects.spread)
            )
            return (images - mean) / spread

    return Normalise
