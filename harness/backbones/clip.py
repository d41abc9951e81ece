"""Vision-language backbones: CLIP (Radford et al. 2021) through the transformers library, by name, by folder, or tiny.

The same code runs all of them. `clip` comes with weights; `tiny_clip` is small enough to be trained on a processor and
gets its weights, and its tokeniser, from a stage.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.clip_texts import END, START, Texts
from harness.backbones.clip_towers import depth, encode_picture_tokens, picture_tokens
from harness.backbones.folders import ModelFolder, read_json
from harness.backbones.heads import with_head
from harness.backbones.inputs import ImageInput, normalise_module
from harness.backbones.open_clip import CLIP_MEAN, CLIP_SPREAD
from harness.backbones.optional import optional_module
from harness.backbones.pretrained import Pretrained
from harness.backbones.vision_towers import image_input
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

KNOWN: Final[Mapping[str, int]] = {
    "openai/clip-vit-base-patch32": 512,
    "openai/clip-vit-base-patch16": 512,
    "openai/clip-vit-large-patch14": 768,
}
"""OpenAI's models on the hub by name, all for pictures of 224 pixels, with the width of their joint space: a study of
them is planned without fetching anything."""

KNOWN_SIZE: Final = 224

TOKENISER: Final = "tokeniser"
"""Name of the tensor that holds a tokeniser among the weights of a model trained here: its JSON as bytes."""

LAYERS: Final = ("tower", HEAD)


@dataclass(frozen=True)
class Clip:
    """A CLIP model ready to run: the library's `CLIPModel`, its texts, and the pictures that it expects."""

    model: Any
    texts: Texts
    expects: ImageInput

    @property
    def text_width(self) -> int:
        """Width of a token of text."""
        return int(self.model.config.text_config.hidden_size)

    @property
    def vision_width(self) -> int:
        """Width of a token of a picture."""
        return int(self.model.config.vision_config.hidden_size)

    @property
    def vision_depth(self) -> int:
        """Number of blocks of the vision tower."""
        return depth(self.model.vision_model)

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.model.config.vision_config.patch_size)

    @property
    def joint(self) -> int:
        """Width of the space in which pictures and texts meet."""
        return int(self.model.config.projection_dim)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by."""
        scale: Tensor = self.model.logit_scale.exp()
        return scale

    def tokens_of(self, pictures: Tensor) -> Tensor:
        """Return what enters the first block for pictures [n, 1 or 3, s, s] from 0 to 1: [n, 1 + patches, width]."""
        return picture_tokens(self.model, normalise_module()(self.expects)(pictures))


class VisionLanguage(Backbone):
    """A CLIP model. As a network of layers it is its vision tower and a head: `tower`, `head`."""

    @property
    @abstractmethod
    def expects(self) -> ImageInput:
        """The pictures that the model reads."""

    @property
    @abstractmethod
    def resolution_used(self) -> int:
        """The side of the pictures that it is shown, in pixels."""

    @property
    def known_here(self) -> bool:
        """Whether what it expects is known without fetching anything."""
        return True

    @abstractmethod
    def load(self, weights: Mapping[str, Tensor] | None) -> Clip:
        """Return the model, its weights frozen; `weights` are those of a stage, for a backbone that has none."""

    @property
    def layers(self) -> tuple[str, ...]:
        """See the class."""
        return LAYERS

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the flags of pictures of this shape; raises HarnessError for what the model does not read."""
        return self.expects.check(self.name, input_shape, self.resolution_used)

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this backbone."""
        return (__name__, encode_picture_tokens.__module__, Texts.__module__)


@dataclass(frozen=True)
class ClipFolder(VisionLanguage, Pretrained):
    """A CLIP model by local folder or hub name, safetensors only."""

    model: str
    revision: str | None = None
    name: ClassVar[str] = "clip"

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
        """What the model's preprocessing file says; OpenAI's means and deviations where there is none."""
        if self.model in KNOWN:
            return ImageInput(KNOWN_SIZE, CLIP_MEAN, CLIP_SPREAD)
        seen = read_json(self.place.fetch(self.name) / "preprocessor_config.json")
        size = self.config.get("vision_config", {}).get("image_size", KNOWN_SIZE)
        mean, spread = seen.get("image_mean", CLIP_MEAN), seen.get("image_std", CLIP_SPREAD)
        return image_input(size, mean, spread, self.name)

    @property
    def known_here(self) -> bool:
        """For a folder, and for models that are known by name."""
        return self.place.local or self.model in KNOWN

    @property
    def resolution_used(self) -> int:
        """The model's own."""
        return self.expects.size

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Width of the joint space."""
        return KNOWN[self.model] if self.model in KNOWN else int(self.config.get("projection_dim", 512))

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the vision tower with a head; see :meth:`Backbone.build`."""
        self.check(input_shape)
        loaded = self.load(None)
        return with_head([("tower", _tower(loaded.model, self.expects))], loaded.joint, n_classes, generator)

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; a tower has no head of its own."""
        tower = _tower(self.load(None).model, self.expects)
        return {f"tower.{name}": parameter.detach() for name, parameter in tower.named_parameters()}

    def identity(self) -> Mapping[str, Any]:
        """The model's own identity; never a path."""
        return {"backbone": self.name, "version": self.version, "model": self.place.identity()}

    def load(self, weights: Mapping[str, Tensor] | None) -> Clip:
        """See :meth:`VisionLanguage.load`. Raises HarnessError when the folder holds no such model."""
        library = optional_module("transformers", self.name)
        folder = self.place.fetch(self.name)
        try:
            model = library.CLIPModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise HarnessError(f"{self.name}: the model cannot be loaded: {str(error).splitlines()[0]}") from error
        tokeniser = _tokeniser(folder, library)
        text = model.config.text_config
        start, end = (_number(tokeniser, token) for token in (START, END))
        return Clip(_frozen(model), Texts(tokeniser, start, end, int(text.max_position_embeddings)), self.expects)


@dataclass(frozen=True)
class TinyClip(VisionLanguage):
    """A CLIP of a few hundred thousand parameters.

    width, depth: of the vision tower; text_width, text_depth: of the other; joint: of the space in which they meet.
    vocabulary: tokens at most; length: the longest text in tokens, learned context included.
    steps, batch, lr, weight_decay, seed: of the training on pictures and their names that gives it its weights.
    """

    resolution: int = 32
    patch: int = 8
    width: int = 64
    depth: int = 4
    text_width: int = 64
    text_depth: int = 2
    heads: int = 4
    joint: int = 64
    vocabulary: int = 2000
    length: int = 32
    steps: int = 1000
    batch: int = 256
    lr: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0
    name: ClassVar[str] = "tiny_clip"

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1:
            raise HarnessError("tiny_clip: steps and batch must be at least 1")
        if self.resolution % self.patch:
            raise HarnessError(f"tiny_clip: {self.resolution} pixels are no whole number of patches of {self.patch}")
        if self.width % self.heads or self.text_width % self.heads:
            raise HarnessError(f"tiny_clip: the widths must be multiples of the {self.heads} heads")

    @property
    def expects(self) -> ImageInput:
        """Pictures of its resolution, with CLIP's means and deviations."""
        return ImageInput(self.resolution, CLIP_MEAN, CLIP_SPREAD)

    @property
    def resolution_used(self) -> int:
        """As its option says."""
        return self.resolution

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Width of the joint space."""
        return self.joint

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the vision tower, untrained, with a head; see :meth:`Backbone.build`."""
        self.check(input_shape)
        tower = _tower(self.fresh_model(generator), self.expects)
        return with_head([("tower", tower)], self.joint, n_classes, generator)

    def fresh_model(self, generator: torch.Generator) -> Any:
        """Return a `CLIPModel` with initial weights drawn as the library draws them."""
        import torch

        library = optional_module("transformers", self.name)
        common = {"num_attention_heads": self.heads, "projection_dim": self.joint}
        config = library.CLIPConfig(
            text_config={
                **common,
                "hidden_size": self.text_width,
                "intermediate_size": 4 * self.text_width,
                "num_hidden_layers": self.text_depth,
                "vocab_size": self.vocabulary,
                "max_position_embeddings": self.length,
                "bos_token_id": 0,
                "eos_token_id": 1,
                "pad_token_id": 1,
            },
            vision_config={
                **common,
                "hidden_size": self.width,
                "intermediate_size": 4 * self.width,
                "num_hidden_layers": self.depth,
                "image_size": self.resolution,
                "patch_size": self.patch,
            },
            projection_dim=self.joint,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return library.CLIPModel(config)

    def load(self, weights: Mapping[str, Tensor] | None) -> Clip:
        """See :meth:`VisionLanguage.load`. Raises HarnessError without weights, or for those of another shape."""
        import torch

        if weights is None or TOKENISER not in weights:
            raise HarnessError("tiny_clip comes without weights: they are what `pretrain_clip` trains")
        model = self.fresh_model(torch.Generator())
        try:
            model.load_state_dict({name: tensor for name, tensor in weights.items() if name != TOKENISER})
        except RuntimeError as error:
            raise HarnessError(f"these are not the weights of this tiny_clip: {str(error).splitlines()[0]}") from error
        return Clip(_frozen(model), self.texts(bytes(weights[TOKENISER].tolist()).decode()), self.expects)

    def texts(self, tokeniser: str) -> Texts:
        """Return the texts of a tokeniser given as JSON."""
        library = optional_module("tokenizers", self.name)
        found = library.Tokenizer.from_str(tokeniser)
        return Texts(found, _number(found, START), _number(found, END), self.length)


@backbone("clip")
def clip(model: str, revision: str | None = None) -> Backbone:
    """A CLIP model of the transformers library, by local folder or by hub name and revision; safetensors only."""
    made = ClipFolder(model, revision)
    made.place.identity()
    return made


@backbone("tiny_clip")
def tiny_clip(
    resolution: int = 32,
    patch: int = 8,
    width: int = 64,
    depth: int = 4,
    text_width: int = 64,
    text_depth: int = 2,
    heads: int = 4,
    joint: int = 64,
    vocabulary: int = 2000,
    length: int = 32,
    steps: int = 1000,
    batch: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    seed: int = 0,
) -> Backbone:
    """A CLIP of a few hundred thousand parameters, trained by a stage on packaged pictures and their names."""
    return TinyClip(
        resolution,
        patch,
        width,
        depth,
        text_width,
        text_depth,
        heads,
        joint,
        vocabulary,
        length,
        steps,
        batch,
        lr,
        weight_decay,
        seed,
    )


def with_weights(loaded: Clip, kind: torch.dtype, device: str) -> Clip:
    """Return the model on a device, its weights of type `kind`."""
    return dataclasses.replace(loaded, model=loaded.model.to(device, kind))


def _frozen(model: Any) -> Any:
    return model.float().eval().requires_grad_(False)


def _tower(model: Any, expects: ImageInput) -> nn.Module:
    """Return the vision tower of a model as one module from pictures to embeddings, with no state but parameters."""
    made: nn.Module = _tower_class()(model, expects)
    return made


@functools.cache
def _tower_class() -> Any:
    from torch import nn

    class VisionTower(nn.Module):
        """Pictures [n, 1 or 3, s, s] from 0 to 1 to embeddings [n, joint], not of length 1."""

        def __init__(self, model: Any, expects: ImageInput) -> None:
            super().__init__()
            self.vision_model, self.visual_projection = model.vision_model, model.visual_projection
            self.vision_model.embeddings.position_ids = None  # 0, 1, 2, ...: all of them are always used
            self.normalise = normalise_module()(expects)

        def forward(self, pictures: Tensor) -> Tensor:
            return encode_picture_tokens(self, picture_tokens(self, self.normalise(pictures)))

    return VisionTower


def _tokeniser(folder: Path, library: Any) -> Any:
    """Return the tokeniser of a model folder, from its own file or from the vocabulary that stands for one.

    Raises HarnessError when the folder has neither; the library would make an empty one.
    """
    if (folder / "tokenizer.json").is_file():
        return optional_module("tokenizers", ClipFolder.name).Tokenizer.from_file(str(folder / "tokenizer.json"))
    if not all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        raise HarnessError(f"the model folder {folder.name} has no tokeniser: no tokenizer.json, no vocabulary")
    return library.CLIPTokenizerFast.from_pretrained(str(folder), local_files_only=True).backend_tokenizer


def _number(tokeniser: Any, token: str) -> int:
    number = tokeniser.token_to_id(token)
    if number is None:
        raise HarnessError(f"the tokeniser has no token {token}")
    return int(number)
