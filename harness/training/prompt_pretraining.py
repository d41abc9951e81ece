"""The stage that trains a tiny CLIP on pictures and their names (Radford et al. 2021), tokeniser included.

Every batch draws one of the names of each picture, sometimes in a short sentence, and shows the picture shifted,
scaled, mirrored, inverted or grey. Pictures of one batch with the same text are each other's positives.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.backbones.base import Backbone
from harness.backbones.clip import TOKENISER, Clip, TinyClip
from harness.backbones.clip_texts import END, START, Texts
from harness.backbones.clip_towers import encode_picture_tokens, encode_text_embeddings, token_embeddings
from harness.backbones.optional import optional_module
from harness.errors import HarnessError
from harness.graph import Diverged, StageContext, Stopped, Weights, derive_seed, stage
from harness.tasks.pairs import PairSet
from harness.training.data import Order
from harness.training.numerics import applied
from harness.training.optimisers import StackedOptimiser
from harness.training.rules import STANDARD_NUMERICS, Numerics
from harness.training.settings import Optimiser
from harness.training.waiting import Waiting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SENTENCES: Final = ("{}.", "{}.", "{}.", "a {}.", "a picture of a {}.", "this is a drawing of a {}.")
LARGEST_SCALE: Final = math.log(100.0)
WARM_UP: Final = 100
SAVE_EVERY_SECONDS: Final = 60.0
LOOKS: Final = 50
"""Points of the curve of the loss."""


@stage(version=1, keep="durable")
def pretrain_clip(
    backbone: Backbone, pairs: PairSet, numerics: Numerics = STANDARD_NUMERICS, *, ctx: StageContext
) -> Weights:
    """Train a `tiny_clip` as its options say; the weights carry the tokeniser, the header the text losses ended with.

    Raises Diverged when the loss is not finite, Stopped when the slot is to be given up.
    """
    if not isinstance(backbone, TinyClip):
        raise HarnessError(f"{backbone.name} comes with weights; only tiny_clip is trained from nothing")
    clock = Waiting()
    with clock:
        pictures, names = pairs.load()
    tokeniser = train_tokeniser((name for some in names for name in some), backbone.vocabulary)
    training = _Pretraining(backbone, pictures, names, backbone.texts(tokeniser), pairs.name, ctx, clock)
    with applied(numerics, ctx.device):
        training.go()
    ctx.waited(clock.share())
    weights = {name: tensor.detach().cpu().clone() for name, tensor in training.clip.model.state_dict().items()}
    import torch

    weights[TOKENISER] = torch.tensor(list(tokeniser.encode()), dtype=torch.uint8)
    header = {"task": pairs.name, "pairs": len(names), "loss": training.recent_loss(), "flags": []}
    return Weights(weights, header)


def train_tokeniser(texts: Iterable[str], vocabulary: int) -> str:
    """Return a byte-pair tokeniser trained on texts, as JSON; the same texts in any order give the same one."""
    library = optional_module("tokenizers", TinyClip.name)
    made = library.Tokenizer(library.models.BPE())
    made.normalizer = library.normalizers.Sequence([library.normalizers.NFC(), library.normalizers.Lowercase()])
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[START, END],
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sorted(texts), trainer)
    return json.dumps(json.loads(made.to_str()), sort_keys=True, ensure_ascii=False)


class _Pretraining:
    """One training from where it stands to its end."""

    def __init__(
        self,
        backbone: TinyClip,
        pictures: Tensor,
        names: Sequence[Sequence[str]],
        texts: Texts,
        serves: str,
        ctx: StageContext,
        clock: Waiting,
    ) -> None:
        import torch

        model = backbone.fresh_model(ctx.generator("initialisation", backbone.seed, backbone.name)).to(ctx.device)
        self.backbone, self.ctx, self.serves, self.names = backbone, ctx, serves, names
        self.pictures, self.clock = pictures, clock
        self.clip = Clip(model.train(), texts, backbone.expects)
        self.parameters = dict(model.named_parameters())
        stacked = {name: _one_row(parameter.data) for name, parameter in self.parameters.items()}
        self.stacked = stacked
        settings = Optimiser("adam", backbone.lr, weight_decay=backbone.weight_decay, clip=1.0)
        self.optimiser = StackedOptimiser(stacked, [settings])
        self.order = Order(len(names), min(backbone.batch, len(names)), backbone.seed, serves)
        self.losses = torch.zeros(backbone.steps, dtype=torch.float64)
        self._saved_at = time.monotonic()

    def go(self) -> None:
        """Do the steps that are still to be done."""
        steps, every = self.backbone.steps, max(1, self.backbone.steps // LOOKS)
        for step in range(self._restored(), steps):
            if self.ctx.should_stop():
                self._save(step)
                raise Stopped(f"stopped after {step} of {steps} steps")
            self._step(step)
            if (step + 1) % every == 0:
                self.ctx.progress(step + 1, steps)
                self.ctx.curve("train/loss", step + 1, float(self.losses[step + 1 - every : step + 1].mean()))
                if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
                    self._save(step + 1)

    def recent_loss(self) -> float:
        """Mean loss of the last fiftieth of the training, in nats."""
        return float(self.losses[-max(1, len(self.losses) // LOOKS) :].mean())

    def _step(self, step: int) -> None:
        import torch

        generator = torch.Generator().manual_seed(derive_seed(self.backbone.seed, "augmentation", self.serves, step))
        chosen = self.order.at(step)
        with self.clock:
            sentences = [_sentence(self.names[place], generator) for place in chosen]
            pictures = varied(self.pictures[chosen].float() / 255, generator).to(self.ctx.device)
        loss = contrastive_loss(self.clip, pictures, sentences)
        if not bool(loss.isfinite()):
            raise Diverged(f"{self.serves}: the training loss is not finite at step {step + 1}")
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        warm = min(1.0, (step + 1) / WARM_UP)
        rate = warm * 0.5 * (1 + math.cos(math.pi * step / self.backbone.steps))
        self.optimiser.step(self.stacked, [_one_row(gradient) for gradient in gradients], step, rate)
        self.parameters["logit_scale"].data.clamp_(max=LARGEST_SCALE)
        self.losses[step] = loss.item()

    def _state(self) -> dict[str, Tensor]:
        own = {f"parameters/{name}": tensor for name, tensor in self.stacked.items()}
        return {**own, **self.optimiser.state, "losses": self.losses}

    def _save(self, step: int) -> None:
        self.ctx.checkpoint.save({name: tensor.cpu() for name, tensor in self._state().items()}, {"step": step})
        self._saved_at = time.monotonic()

    def _restored(self) -> int:
        saved = self.ctx.checkpoint.load()
        if saved is None:
            return 0
        for name, tensor in self._state().items():
            tensor.copy_(saved[0][name])
        return int(saved[1]["step"])


def contrastive_loss(clip: Clip, pictures: Tensor, sentences: Sequence[str]) -> Tensor:
    """Cross-entropy from pictures to texts and back, in nats; equal texts share the probability that is asked for."""
    import torch

    unit = torch.nn.functional.normalize
    tokens, ends = (item.to(pictures.device) for item in clip.texts.whole(sentences))
    seen = unit(encode_picture_tokens(clip.model, clip.tokens_of(pictures)), dim=1)
    said = unit(encode_text_embeddings(clip.model, token_embeddings(clip.model, tokens), ends), dim=1)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(sentences))}
    group = torch.tensor([numbers[text] for text in sentences], device=pictures.device)
    same = (group[:, None] == group[None, :]).to(seen.dtype)
    wanted = same / same.sum(1, keepdim=True)
    logits = clip.scale * seen @ said.T
    entropy = torch.nn.functional.cross_entropy
    return (entropy(logits, wanted) + entropy(logits.T, wanted)) / 2


def _one_row(tensor: Tensor) -> Tensor:
    """View a tensor as the only member of a stack; a scalar gets a dimension of its own."""
    return tensor.view(1, *(tensor.shape or (1,)))


def _sentence(names: Sequence[str], generator: torch.Generator) -> str:
    """One of a picture's names, the first as often as all others together, in one of the sentences."""
    import torch

    draws = torch.rand(3, generator=generator).tolist()
    name = names[0] if len(names) == 1 or draws[0] < 0.5 else names[1 + int(draws[1] * (len(names) - 1))]
    return SENTENCES[int(draws[2] * len(SENTENCES))].format(name)


def varied(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return pictures [n, 3, s, s] from 0 to 1, each at random shifted, scaled, mirrored, inverted or made grey."""
    import torch

    count = len(pictures)
    draws: Mapping[str, Any] = {
        name: torch.rand(count, generator=generator) for name in ("size", "across", "down", "mirror", "invert", "grey")
    }
    zoom = 0.85 + 0.4 * draws["size"]
    move = torch.zeros(count, 2, 3)
    move[:, 0, 0] = torch.where(draws["mirror"] < 0.3, -zoom, zoom)
    move[:, 1, 1] = zoom
    move[:, 0, 2], move[:, 1, 2] = 0.3 * (draws["across"] - 0.5), 0.3 * (draws["down"] - 0.5)
    grid = torch.nn.functional.affine_grid(move, list(pictures.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    grey = moved.mean(1, keepdim=True).expand_as(moved)
    moved = torch.where((draws["grey"] < 0.3)[:, None, None, None], grey, moved)
    return torch.where((draws["invert"] < 0.3)[:, None, None, None], 1 - moved, moved)
