"""What is learned as a prompt, and for how long; these settings are in keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import HarnessError

Kind = Literal["coop", "cocoop", "vpt", "upt"]
Position = Literal["end", "middle"]
Mixing = Literal["cross_token", "per_token"]
Softmax = Literal["union", "per_task"]

PHOTO: Final = "a photo of a {}."


@dataclass(frozen=True)
class Prompt:
    """The learned part of a vision-language model.

    kind: `coop` context of class names (Zhou et al. 2022), `cocoop` context that a small network shifts for each
    picture (Zhou et al. 2022), `vpt` tokens beside the patches (Jia et al. 2022), `upt` both, made by one small network
    (Zang et al. 2022).
    context: tokens of context, half of them behind the name where `position` is middle; one set for all classes, or
    `class_specific`.  visual: tokens beside the patches, at the first block or, `deep`, at each.
    mixing: whether the network of `upt` mixes tokens, as its paper describes, or acts on each by itself, as MVLPT's
    release does.  width: of the small network of `upt`; that of `cocoop` is a sixteenth of the joint space.
    template: the sentence that stands for a class where texts are not learned.
    """

    kind: Kind
    context: int = 16
    position: Position = "end"
    class_specific: bool = False
    visual: int = 16
    deep: bool = True
    mixing: Mixing = "cross_token"
    width: int = 128
    template: str = PHOTO

    def __post_init__(self) -> None:
        if self.context < 1 or self.visual < 1 or self.width < 1:
            raise HarnessError("a prompt has at least one token, and a width of at least 1")
        if "{}" not in self.template:
            raise HarnessError(f"template {self.template!r} has no {{}} for the class name")

    @property
    def of_text(self) -> bool:
        """Whether texts depend on what is learned."""
        return self.kind != "vpt"

    @property
    def of_pictures(self) -> bool:
        """Whether embeddings of pictures depend on what is learned; otherwise they are computed once."""
        return self.kind in ("vpt", "upt")


@dataclass(frozen=True)
class PromptBudget:
    """How long a prompt is trained: passes over the examples, none to leave it as it begins; and the batch size.

    The learning rate is `warm_up_lr` for the first `warm_up` passes, then falls as a cosine of the passes done.
    """

    epochs: int = 200
    batch_size: int = 32
    warm_up: int = 1
    warm_up_lr: float = 1e-5

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.warm_up < 0 or self.batch_size < 1 or self.warm_up_lr < 0:
            raise HarnessError("epochs, warm_up and warm_up_lr must not be negative, batch_size at least 1")

    def batch_of(self, examples: int) -> int:
        """Return the examples in one batch: never more than there are."""
        return min(self.batch_size, examples)

    def steps_a_pass(self, examples: int) -> int:
        """Return the steps of one pass; one that ends within a batch counts the whole batch."""
        return math.ceil(examples / self.batch_of(examples))

    def steps_for(self, examples: int) -> int:
        """Return the number of steps on so many examples."""
        return self.epochs * self.steps_a_pass(examples)

    def rate(self, step: int, examples: int, lr: float) -> float:
        """Return what a learning rate of `lr` is multiplied by at `step` (from 0)."""
        done = step // self.steps_a_pass(examples)
        if done < self.warm_up:
            return self.warm_up_lr / lr if lr else 0.0
        return 0.5 * (1.0 + math.cos(math.pi * done / self.epochs))
