"""Convolutional networks of the torchvision library by name, which the literature on model selection ranks.

Names, sizes and widths are known here, so that a study of them can be planned where the library is not installed and
there is no network. Batch norm stands in its form for inference (:mod:`harness.backbones.fixed_norm`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from harness.backbones.base import HEAD, Backbone, backbone, file_sha256
from harness.backbones.fixed_norm import with_fixed_norms
from harness.backbones.heads import with_head
from harness.backbones.inputs import ImageInput
from harness.backbones.optional import optional_module
from harness.backbones.pretrained import Pretrained, load_state
from harness.backbones.vision_towers import normalised
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

MEAN: Final = (0.485, 0.456, 0.406)
SPREAD: Final = (0.229, 0.224, 0.225)


class Known(NamedTuple):
    """Features before the last layer, the image size that the weights were evaluated at, where the last layer is."""

    width: int
    size: int = 224
    last: str = "fc"


MODELS: Final[Mapping[str, Known]] = {
    "resnet18": Known(512),
    "resnet34": Known(512),
    "resnet50": Known(2048),
    "resnet101": Known(2048),
    "resnet152": Known(2048),
    "densenet121": Known(1024, last="classifier"),
    "densenet169": Known(1664, last="classifier"),
    "densenet201": Known(1920, last="classifier"),
    "mnasnet1_0": Known(1280, last="classifier.1"),
    "mobilenet_v2": Known(1280, last="classifier.1"),
    "googlenet": Known(1024),
    "inception_v3": Known(2048, 299),
}

WITH_SIDE_HEADS: Final = ("googlenet", "inception_v3")
"""Networks that were trained with heads half way up, which their weights still hold, and on inputs in -1..1."""


@dataclass(frozen=True)
class Torchvision(Pretrained):
    """A network of torchvision. Layers: `tower` (all below its last layer), `head`.

    model: its name there.  weights: the name of its published weights there; they are downloaded by the library when
    the network is first built.  file: weights of the same shapes in a local file instead.
    """

    model: str
    weights: str = "IMAGENET1K_V1"
    file: str | None = None
    resolution: int | None = None
    name: ClassVar[str] = "torchvision"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise HarnessError(f"torchvision: no network {self.model!r} is known here{suggest(self.model, MODELS)}")
        if self.file is not None and not Path(self.file).expanduser().is_file():
            raise HarnessError(f"torchvision: there is no weights file {self.file!r}")

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        return ("tower", HEAD)

    @property
    def expects(self) -> ImageInput:
        """What the weights were trained on."""
        return ImageInput(MODELS[self.model].size, MEAN, SPREAD)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape, self.resolution or self.expects.size)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Inputs of the network's last layer."""
        self.check(input_shape)
        return MODELS[self.model].width

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        from torch import nn

        self.check(input_shape)
        model, known = self._load(), MODELS[self.model]
        parent, _, last = known.last.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Identity())
        tower = normalised(self.expects, with_fixed_norms(model))
        return with_head([("tower", tower)], known.width, n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; with the head of the ImageNet classes, where the weights hold it."""
        import torch

        size = self.resolution or self.expects.size
        body = self.build(1, (3, size, size), torch.Generator())[:-1]
        found = {name: parameter.detach() for name, parameter in body.named_parameters()}
        state, last = self._state(), MODELS[self.model].last
        own = {f"{HEAD}.{part}": state[f"{last}.{part}"] for part in ("weight", "bias") if f"{last}.{part}" in state}
        return found | own

    def identity(self) -> Mapping[str, Any]:
        """Names of network and weights, or the digest of the local file; never a path."""
        origin: Any = self.weights if self.file is None else {"sha256": file_sha256(str(Path(self.file).expanduser()))}
        options = {"model": self.model, "weights": origin, "resolution": self.resolution}
        return {"backbone": self.name, "version": self.version, "options": options}

    def _load(self) -> Any:
        """The library's network with its weights; of a file that lacks the last layer, all but this."""
        library = optional_module("torchvision.models", self.name)
        more = {"aux_logits": False, "init_weights": False, "transform_input": True}
        model = library.get_model(self.model, weights=None, **(more if self.model in WITH_SIDE_HEADS else {}))
        last = MODELS[self.model].last
        missing, _ = model.load_state_dict(self._state(), strict=False)
        lacking = [one for one in missing if not one.startswith(f"{last}.") and not one.endswith("num_batches_tracked")]
        if lacking:
            raise HarnessError(f"torchvision: the weights of {self.model} have no tensor {lacking[0]!r}")
        return model.float().eval()

    def _state(self) -> Mapping[str, Tensor]:
        if self.file is not None:
            path = Path(self.file).expanduser()
            return load_state(path, file_sha256(str(path)))
        return _published_state(self.model, self.weights)


@functools.lru_cache(maxsize=1)
def _published_state(model: str, weights: str) -> Mapping[str, Tensor]:
    library = optional_module("torchvision.models", "torchvision")
    try:
        known = library.get_model_weights(model)[weights]
    except KeyError as error:
        raise HarnessError(f"torchvision: {model} has no published weights {weights!r}") from error
    state: Mapping[str, Tensor] = known.get_state_dict(progress=False, check_hash=True)
    return state


@backbone("torchvision")
def torchvision(
    model: str, weights: str = "IMAGENET1K_V1", file: str | None = None, resolution: int | None = None
) -> Backbone:
    """A convolutional network of the torchvision library, with its published weights or those of a local file."""
    return Torchvision(model, weights, file, resolution)
