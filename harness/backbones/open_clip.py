"""The image tower of a CLIP model of the open_clip library, with weights from a local file or by their tag."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

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

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_SPREAD: Final = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class OpenClip(Pretrained):
    """An image tower: the embedding of an image beside texts. Layers: `tower`, `head`.

    model: the architecture (`ViT-B-32`).  weights: the tag of weights that the library knows, or a local file.
    """

    model: str
    weights: str
    resolution: int | None = None
    name: ClassVar[str] = "open_clip"

    def __post_init__(self) -> None:
        if self.local is None and self.weights.endswith((".safetensors", ".pt", ".bin")):
            raise HarnessError(f"open_clip: there is no weights file {self.weights!r}")

    @functools.cached_property
    def local(self) -> Path | None:
        """The weights file, when there is one."""
        path = Path(self.weights).expanduser()
        return path if path.is_file() else None

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        return ("tower", HEAD)

    @functools.cached_property
    def settings(self) -> Mapping[str, Any]:
        """What the library says of the architecture."""
        library = optional_module("open_clip", self.name)
        found = library.get_model_config(self.model)
        if found is None:
            raise HarnessError(f"open_clip: there is no model {self.model!r}")
        known: Mapping[str, Any] = found
        return known

    @functools.cached_property
    def expects(self) -> ImageInput:
        """Images of the architecture's size, normalised as CLIP's."""
        return image_input(self.settings["vision_cfg"].get("image_size", 224), CLIP_MEAN, CLIP_SPREAD, self.name)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape, self.resolution or self.expects.size)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Width of the joint space."""
        return int(self.settings["embed_dim"])

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        self.check(input_shape)
        tower = normalised(self.expects, called(self._load().visual, _embedding))
        return with_head([("tower", tower)], self.feature_width(input_shape), n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; a tower has no head of its own."""
        import torch

        size = self.resolution or self.expects.size
        network = self.build(1, (3, size, size), torch.Generator())[:-1]
        return {name: parameter.detach() for name, parameter in network.named_parameters()}

    def identity(self) -> Mapping[str, Any]:
        """Architecture with the tag of its weights, or the digest of the local file; never a path."""
        origin = {"tag": self.weights} if self.local is None else {"sha256": file_sha256(str(self.local))}
        options = {"model": self.model, "weights": origin, "resolution": self.resolution}
        return {"backbone": self.name, "version": self.version, "options": options}

    def _load(self) -> Any:
        library = optional_module("open_clip", self.name)
        size = {} if self.resolution is None else {"force_image_size": self.resolution}
        if self.local is None:
            return library.create_model(self.model, pretrained=self.weights, **size).float().eval()
        model = library.create_model(self.model, pretrained=None, **size)
        missing, _ = model.load_state_dict(load_state(self.local, file_sha256(str(self.local))), strict=False)
        if missing:
            raise HarnessError(f"open_clip: {self.local.name} has no tensor {missing[0]!r}, which {self.model} needs")
        return model.float().eval()


@backbone("open_clip")
def open_clip(model: str, weights: str, resolution: int | None = None) -> Backbone:
    """The image tower of a CLIP model of the open_clip library, with tagged weights or a local file."""
    return OpenClip(model, weights, resolution)


def _embedding(tower: Any, images: Tensor) -> Tensor:
    result: Tensor = tower(images)
    return result
