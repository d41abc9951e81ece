"""Text encoders of the transformers library (BERT, RoBERTa and their like), from a local folder or by hub name.

What flows between layers is [n, length, width] with rows of zeros where there is no token, so that an activation says
by itself what is padding and the rest of the network can be run from it.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.folders import ModelFolder, read_json
from harness.backbones.heads import with_head
from harness.backbones.inputs import TextInput
from harness.backbones.optional import optional_module
from harness.backbones.pretrained import Pretrained
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Pooling = Literal["mean", "first"]

STANDARD_LENGTH: Final = 128

_OWN_POSITIONS = ("roberta", "xlm-roberta", "camembert")
"""Model types that count positions from the tokens themselves."""


class TextBackbone(Pretrained):
    """A text encoder: `embeddings`, `layer1`, ..., `pool` (one vector a text), `head`. Inputs are token numbers.

    length: the tokens of a text that it is shown; longer texts are cut.
    """

    expects: ClassVar[TextInput]
    length: int

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of encoder layers."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of features of a text."""

    @property
    @abstractmethod
    def summary_rule(self) -> tuple[Pooling, bool]:
        """How a text's vector is made of its tokens', and whether it is brought to length 1."""

    @property
    @abstractmethod
    def padding(self) -> int:
        """The number that stands where a text has no token."""

    @abstractmethod
    def folder(self) -> Path:
        """Return the folder with the model's files, verified.

        Raises HarnessError when they are not there or are not the ones meant.
        """

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        return ("embeddings", *(f"layer{number + 1}" for number in range(self.depth)), "pool", HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Width of the encoder."""
        return self.width

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape)

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """Return token numbers [n, length] int64: texts cut after `length` tokens, or filled up with padding."""
        import torch

        library = optional_module("transformers", self.name)
        tokenizer = library.AutoTokenizer.from_pretrained(str(self.folder()), local_files_only=True)
        coded = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length)
        return torch.tensor(coded["input_ids"], dtype=torch.int64).view(-1, length)

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        self.check(input_shape)
        model = _load_model(self.folder(), self.name)
        parts = _parts()
        pooling, unit_length = self.summary_rule
        layers: list[tuple[str, nn.Module]] = [
            ("embeddings", parts.embeddings(model.embeddings, model.config)),
            *((f"layer{number + 1}", parts.layer(layer)) for number, layer in enumerate(model.encoder.layer)),
            ("pool", parts.pool(pooling, unit_length)),
        ]
        return with_head(layers, self.width, n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; an encoder has no head of its own."""
        import torch

        network = self.build(1, (self.length,), torch.Generator())[:-1]
        return {name: parameter.detach() for name, parameter in network.named_parameters()}

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this backbone."""
        return (*super().modules(), __name__)


@dataclass(frozen=True)
class TransformersText(TextBackbone):
    """A text encoder by local path or hub name."""

    model: str
    revision: str | None = None
    pooling: Pooling = "mean"
    unit_length: bool = False
    length: int = STANDARD_LENGTH
    name: ClassVar[str] = "transformers_text"

    @functools.cached_property
    def place(self) -> ModelFolder:
        """Where the model is."""
        return ModelFolder(self.model, self.revision)

    def folder(self) -> Path:
        """See :meth:`TextBackbone.folder`."""
        return self.place.fetch(self.name)

    @functools.cached_property
    def config(self) -> Mapping[str, Any]:
        """The model's config file."""
        return read_json(self.folder() / "config.json")

    @property
    def depth(self) -> int:
        """As the config says."""
        return int(self._configured("num_hidden_layers"))

    @property
    def width(self) -> int:
        """As the config says."""
        return int(self._configured("hidden_size"))

    @property
    def padding(self) -> int:
        """As the config says."""
        return int(self._configured("pad_token_id"))

    @property
    def summary_rule(self) -> tuple[Pooling, bool]:
        """As the options say."""
        return self.pooling, self.unit_length

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Compare the length of the texts with the positions that the model knows."""
        return TextInput(int(self._configured("max_position_embeddings"))).check(self.name, input_shape)

    def identity(self) -> Mapping[str, Any]:
        """The model's own identity and how texts are pooled; never a path."""
        options = {"pooling": self.pooling, "unit_length": self.unit_length, "length": self.length}
        return {"backbone": self.name, "version": self.version, "model": self.place.identity(), "options": options}

    def _configured(self, key: str) -> Any:
        if key not in self.config:
            raise HarnessError(f"{self.name}: the config of {self.model!r} does not say {key}")
        return self.config[key]


@backbone("transformers_text")
def transformers_text(
    model: str,
    revision: str | None = None,
    pooling: Literal["mean", "first"] = "mean",
    unit_length: bool = False,
    length: int = STANDARD_LENGTH,
) -> Backbone:
    """A BERT-like text encoder of the transformers library, by local path or by hub name and revision."""
    made = TransformersText(model, revision, pooling, unit_length, length)
    made.place.identity()
    return made


def _load_model(folder: Path, wanted_by: str) -> Any:
    """Load an encoder from safetensors in a local folder. Raises HarnessError for an architecture without layers."""
    library = optional_module("transformers", wanted_by)
    try:
        model = library.AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, attn_implementation="eager"
        )
    except (OSError, ValueError) as error:
        raise HarnessError(f"{wanted_by}: the model cannot be loaded: {str(error).splitlines()[0]}") from error
    if not hasattr(model, "embeddings") or not hasattr(getattr(model, "encoder", None), "layer"):
        raise HarnessError(f"{wanted_by} reads encoders with embeddings and encoder.layer, not {type(model).__name__}")
    return model.float().eval()


class _Parts(NamedTuple):
    embeddings: Any
    layer: Any
    pool: Any


@functools.cache
def _parts() -> _Parts:
    """The classes of the layers; made on first use because importing this module must not import torch."""
    import torch
    from torch import nn

    def known(hidden: Tensor) -> Tensor:
        """Where there is a token, [n, length]: a real token's vector is never all zeros after a layer norm's shift."""
        return hidden.ne(0).any(-1)

    class Embeddings(nn.Module):
        """Token numbers [n, length], of any type that holds them exactly, to vectors; zeros where there is none."""

        def __init__(self, inner: nn.Module, config: Any) -> None:
            super().__init__()
            inner._buffers.clear()  # positions and types are given with every call, so the network is its parameters
            self.inner = inner
            self.padding = int(config.pad_token_id)
            self.own_positions = config.model_type in _OWN_POSITIONS

        def forward(self, tokens: Tensor) -> Tensor:
            numbers = tokens.long()
            positions = None if self.own_positions else torch.arange(tokens.shape[1], device=tokens.device)[None]
            types = torch.zeros_like(numbers)
            hidden: Tensor = self.inner(input_ids=numbers, token_type_ids=types, position_ids=positions)
            return hidden * numbers.ne(self.padding).unsqueeze(-1)

    class Layer(nn.Module):
        """One encoder layer that attends to tokens only."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, hidden: Tensor) -> Tensor:
            there = known(hidden)
            away = (~there).to(hidden.dtype) * torch.finfo(hidden.dtype).min
            result = self.inner(hidden, attention_mask=away[:, None, None, :])
            vectors: Tensor = result[0] if isinstance(result, tuple) else result
            return vectors * there.unsqueeze(-1)

    class Pool(nn.Module):
        """One vector a text: the mean of its tokens' vectors or that of the first; brought to length 1 if asked."""

        def __init__(self, pooling: Pooling, unit_length: bool) -> None:
            super().__init__()
            self.pooling, self.unit_length = pooling, unit_length

        def forward(self, hidden: Tensor) -> Tensor:
            if self.pooling == "first":
                vectors = hidden[:, 0]
            else:
                vectors = hidden.sum(1) / known(hidden).sum(1, keepdim=True).clamp_min(1)
            return nn.functional.normalize(vectors, dim=-1) if self.unit_length else vectors

    return _Parts(Embeddings, Layer, Pool)
