"""What the adapters to image libraries share: normalised images into one tower, features out of it, a fresh head.

A tower from a library may keep state beside its parameters (batch norm does): it is then used as it is, frozen, and
never trained on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from harness.backbones.inputs import ImageInput, normalise_module
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor, nn

STANDARD_MEAN: Final = (0.5, 0.5, 0.5)
STANDARD_SPREAD: Final = (0.5, 0.5, 0.5)


def image_input(size: Any, mean: Any, spread: Any, name: str) -> ImageInput:
    """Return what a library says of a model's images: size (a number, or height and width), means, deviations.

    Raises HarnessError when it says it in a way that is not known here.
    """
    if isinstance(size, Mapping):
        size = size.get("height", size.get("shortest_edge"))
    if isinstance(size, (list, tuple)):
        size = size[-1]
    if not isinstance(size, int) or len(mean) != 3 or len(spread) != 3:
        raise HarnessError(f"{name}: image size {size!r}, mean {mean!r} and deviation {spread!r} cannot be understood")
    return ImageInput(
        size, (float(mean[0]), float(mean[1]), float(mean[2])), (float(spread[0]), float(spread[1]), float(spread[2]))
    )


def normalised(expects: ImageInput, first: nn.Module) -> nn.Module:
    """Return a layer that normalises images from 0 to 1 and hands them to `first`."""
    from torch import nn

    return nn.Sequential(normalise_module()(expects), first)


def called(module: nn.Module, how: Callable[[Any, Any], Any]) -> nn.Module:
    """Return a layer that holds `module` and computes `how(module, inputs)`."""
    made: nn.Module = _called_class()(module, how)
    return made


@functools.cache
def _called_class() -> Callable[..., nn.Module]:
    from torch import nn

    class Called(nn.Module):
        """A module of a library, called in its own way."""

        def __init__(self, inner: nn.Module, how: Callable[[Any, Any], Any]) -> None:
            super().__init__()
            self.inner, self.how = inner, how

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = self.how(self.inner, inputs)
            return result

    return Called
