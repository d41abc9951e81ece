"""Image encoders of the transformers library, from a local folder or by hub name.

Those built like ViT (embeddings, encoder.layer, layernorm) are taken apart into their layers; of any other the whole
encoder is one layer.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.folders import ModelFolder, read_json
from harness.backbones.heads import with_head
from harness.backbones.inputs import ImageInput
from harness.backbones.optional import optional_module
from harness.backbones.pretrained import Pretrained
from harness.backbones.vision_towers import STANDARD_MEAN, STANDARD_SPREAD, called, image_input, normalised
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_LAYERED = ("vit", "deit")
"""Model types that are taken apart."""


@dataclass(frozen=True)
class TransformersVision(Pretrained):
    """An image encoder by local path or hub name. Layers: `embeddings`, `layer1`, ..., `pool`; or `tower`; `head`."""

    model: str
    revision: str | None = None
    resolution: int | None = None
    name: ClassVar[str] = "transformers_vision"

    @functools.cached_property
    def place(self) -> ModelFolder:
        """Where the model is."""
        return ModelFolder(self.model, self.revision)

    @functools.cached_property
    def config(self) -> Mapping[str, Any]:
        """The model's config file."""
        return read_json(self.place.fetch(self.name) / "config.json")

    @functools.cached_property
    def expects(self) -> ImageInput:
        """What the model's preprocessing file says, or mean and deviation .5 where there is none."""
        seen = read_json(self.place.fetch(self.name) / "preprocessor_config.json")
        size = seen.get("crop_size", seen.get("size", self.config.get("image_size")))
        mean, spread = seen.get("image_mean", STANDARD_MEAN), seen.get("image_std", STANDARD_SPREAD)
        return image_input(size, mean, spread, self.name)

    @property
    def layered(self) -> bool:
        """Whether the model is taken apart into its layers."""
        return self.config.get("model_type") in _LAYERED

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        if not self.layered:
            return ("tower", HEAD)
        depth = int(self.config["num_hidden_layers"])
        return ("embeddings", *(f"layer{number + 1}" for number in range(depth)), "pool", HEAD)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape, self.resolution or self.expects.size)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """As the config says."""
        sizes = self.config.get("hidden_sizes")
        width = sizes[-1] if sizes else self.config.get("hidden_size", self.config.get("num_features"))
        if width is None:
            raise HarnessError(f"{self.name}: the config of {self.model!r} does not say how many features it gives")
        return int(width)

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        self.check(input_shape)
        model = self._load()
        width = self.feature_width(input_shape)
        if not self.layered:
            tower = called(model, _whole)
            return with_head([("tower", normalised(self.expects, tower))], width, n_classes, generator)
        fitted = self.resolution is not None and self.resolution != self.config.get("image_size")
        embeddings = called(model.embeddings, _stretched if fitted else _plain)
        layers: list[tuple[str, nn.Module]] = [
            ("embeddings", normalised(self.expects, embeddings)),
            *((f"layer{number + 1}", called(layer, _plain)) for number, layer in enumerate(_blocks(model))),
            ("pool", called(model.layernorm, _first_token)),
        ]
        return with_head(layers, width, n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; an encoder has no head of its own."""
        import torch

        size = self.resolution or self.expects.size
        network = self.build(1, (3, size, size), torch.Generator())[:-1]
        return {name: parameter.detach() for name, parameter in network.named_parameters()}

    def identity(self) -> Mapping[str, Any]:
        """The model's own identity and the resolution; never a path."""
        options = {"resolution": self.resolution}
        return {"backbone": self.name, "version": self.version, "model": self.place.identity(), "options": options}

    def _load(self) -> Any:
        library = optional_module("transformers", self.name)
        folder = str(self.place.fetch(self.name))
        try:
            model = library.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise HarnessError(f"{self.name}: the model cannot be loaded: {str(error).splitlines()[0]}") from error
        tower = getattr(model, "vision_model", model)
        return tower.float().eval()


@backbone("transformers_vision")
def transformers_vision(model: str, revision: str | None = None, resolution: int | None = None) -> Backbone:
    """An image encoder of the transformers library, by local path or by hub name and revision."""
    made = TransformersVision(model, revision, resolution)
    made.place.identity()
    return made


def _blocks(model: Any) -> Any:
    """The transformer blocks in order: before version 5 the library kept them inside an encoder."""
    return model.encoder.layer if hasattr(model, "encoder") else model.layers


def _plain(module: Any, inputs: Tensor) -> Tensor:
    result = module(inputs)
    hidden: Tensor = result[0] if isinstance(result, tuple) else result
    return hidden


def _stretched(module: Any, inputs: Tensor) -> Tensor:
    """Embeddings at another size than the model's own: position embeddings are interpolated, as the library does."""
    hidden: Tensor = module(inputs, interpolate_pos_encoding=True)
    return hidden


def _first_token(norm: Any, hidden: Tensor) -> Tensor:
    vector: Tensor = norm(hidden)[:, 0]
    return vector


def _whole(model: Any, images: Tensor) -> Tensor:
    result = model(pixel_values=images)
    pooled: Tensor | None = getattr(result, "pooler_output", None)
    return (result.last_hidden_state.mean(1) if pooled is None else pooled).flatten(1)
