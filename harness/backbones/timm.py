"""Image networks of the timm library, by name (weights from its hub) or with weights from a local file."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.backbones.base import HEAD, Backbone, backbone, file_sha256
from harness.backbones.heads import with_head
from harness.backbones.inputs import ImageInput
from harness.backbones.optional import optional_module
from harness.backbones.pretrained import Pretrained, load_state
from harness.backbones.vision_towers import called, image_input, normalised
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Timm(Pretrained):
    """A network of timm. Layers: `tower` (its feature map), `pool`, `head`.

    model: its name there, with the tag that pins its weights (`resnet18.a1_in1k`).  weights: a local file instead.
    """

    model: str
    weights: str | None = None
    resolution: int | None = None
    name: ClassVar[str] = "timm"

    def __post_init__(self) -> None:
        if self.weights is None and "." not in self.model:
            raise HarnessError(f"timm: {self.model!r} needs the tag of its weights (name.tag), to stay the same")
        if self.weights is not None and not Path(self.weights).expanduser().is_file():
            raise HarnessError(f"timm: there is no weights file {self.weights!r}")

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        return ("tower", "pool", HEAD)

    @functools.cached_property
    def expects(self) -> ImageInput:
        """What the library says of the model's images."""
        library = optional_module("timm", self.name)
        settings = library.get_pretrained_cfg(self.model)
        if settings is None:
            raise HarnessError(f"timm: there is no model {self.model!r} with pre-trained weights")
        return image_input(settings.input_size, settings.mean, settings.std, self.name)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape, self.resolution or self.expects.size)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """As the library says, without loading weights."""
        library = optional_module("timm", self.name)
        return int(library.create_model(self.model, pretrained=False, num_classes=0).num_features)

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        self.check(input_shape)
        model = self._load()
        layers: list[tuple[str, nn.Module]] = [
            ("tower", normalised(self.expects, called(model, _feature_map))),
            ("pool", called(model, _pooled)),
        ]
        return with_head(layers, int(model.num_features), n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; the library's head is left out."""
        import torch

        size = self.resolution or self.expects.size
        network = self.build(1, (3, size, size), torch.Generator())[:-1]
        return {name: parameter.detach() for name, parameter in network.named_parameters()}

    def identity(self) -> Mapping[str, Any]:
        """The tagged name, or the digest of the local file; never a path."""
        path = None if self.weights is None else str(Path(self.weights).expanduser())
        origin = {"hub": True} if path is None else {"sha256": file_sha256(path)}
        options = {"model": self.model, "weights": origin, "resolution": self.resolution}
        return {"backbone": self.name, "version": self.version, "options": options}

    def _load(self) -> Any:
        library = optional_module("timm", self.name)
        if self.weights is None:
            return library.create_model(self.model, pretrained=True, num_classes=0).float().eval()
        model = library.create_model(self.model, pretrained=False, num_classes=0)
        path = Path(self.weights).expanduser()
        state = load_state(path, file_sha256(str(path)))
        missing, _ = model.load_state_dict(state, strict=False)
        if missing:
            raise HarnessError(f"timm: {path.name} has no tensor {missing[0]!r}, which {self.model} needs")
        return model.float().eval()


@backbone("timm")
def timm(model: str, weights: str | None = None, resolution: int | None = None) -> Backbone:
    """An image network of the timm library, by tagged name or with weights from a local file."""
    return Timm(model, weights, resolution)


def _feature_map(model: Any, images: Tensor) -> Tensor:
    result: Tensor = model.forward_features(images)
    return result


def _pooled(model: Any, feature_map: Tensor) -> Tensor:
    result: Tensor = model.forward_head(feature_map, pre_logits=True)
    return result
