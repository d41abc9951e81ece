"""Texts for CLIP: a tokeniser, and class names laid out between learned context tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

Position = Literal["end", "middle"]

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
FULL_STOP: Final = "."


@dataclass(frozen=True)
class Texts:
    """A tokeniser of the tokenizers library, the numbers of the tokens that start and end a text, the longest text."""

    tokeniser: Any
    start: int
    end: int
    longest: int

    def numbers(self, text: str) -> list[int]:
        """Return a text's token numbers without start and end."""
        found: list[int] = self.tokeniser.encode(text, add_special_tokens=False).ids
        return found

    def whole(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token numbers [n, length] with start and end, cut to what is allowed, and where each one ends [n].

        The length is the longest text's; shorter ones are filled up with the end.
        """
        import torch

        rows = [[self.start, *self.numbers(text)[: self.longest - 2], self.end] for text in texts]
        length = max(len(row) for row in rows)
        tokens = torch.tensor([row + [self.end] * (length - len(row)) for row in rows])
        return tokens, torch.tensor([len(row) - 1 for row in rows])


@dataclass(frozen=True)
class ClassTexts:
    """Texts of classes with room for learned context.

    tokens: [classes, length], the end where there is context; place: [classes, length, context] of zeros and ones,
    which context token stands where; ends: [classes]; shared: tokens at the start that no class name stands before.
    """

    tokens: Tensor
    place: Tensor
    ends: Tensor
    shared: int


def class_texts(texts: Texts, names: Sequence[str], context: int, position: Position) -> ClassTexts:
    """Lay out class names among context tokens V as CoOp does (Zhou et al. 2022): length is the longest text's.

    end: start, V_1 .. V_M, name, full stop, end.  middle: half of the context stands behind the name.
    Raises HarnessError when a text is too long for the model.
    """
    import torch

    ahead = context if position == "end" else context // 2
    stop = texts.numbers(FULL_STOP)
    named = [texts.numbers(readable(name)) for name in names]
    lengths = [1 + context + len(name) + len(stop) + 1 for name in named]
    if max(lengths) > texts.longest:
        worst = names[lengths.index(max(lengths))]
        raise HarnessError(f"{worst!r} with {context} context tokens is longer than the model's {texts.longest}")
    tokens = torch.full((len(named), max(lengths)), texts.end)
    place = torch.zeros(len(named), max(lengths), context)
    tokens[:, 0] = texts.start
    for row, name in enumerate(named):
        after = 1 + ahead + len(name)
        tokens[row, 1 + ahead : after] = torch.tensor(name, dtype=tokens.dtype)
        behind = after + context - ahead
        tokens[row, behind : behind + len(stop)] = torch.tensor(stop, dtype=tokens.dtype)
        where = [*range(1, 1 + ahead), *range(after, behind)]
        place[row, where, range(context)] = 1.0
    return ClassTexts(tokens, place, torch.tensor(lengths) - 1, 1 + ahead)


def readable(name: str) -> str:
    """Return a class name as words."""
    return " ".join(name.replace("_", " ").split())
