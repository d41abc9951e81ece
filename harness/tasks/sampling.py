"""Few-shot samples: n examples of each class, chosen by a generator that knows nothing of method or source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Shots = int | Literal["all"]


FEWER_THAN_SHOTS: Final = "fewer_than_shots"
"""Flag of what was learnt from all examples of a class because it has fewer than were asked for."""


def few_shot(
    labels: Tensor,
    shots: Shots,
    generator: torch.Generator,
    n_classes: int | None = None,
    *,
    fewer: Literal["refuse", "take_all"] = "refuse",
) -> Tensor:
    """Return the positions in `labels` [n] of `shots` examples of each class, or of all.

    They come in rounds, one of each class, so that with generators of the same seed a smaller sample is the beginning
    of a larger one. n_classes: the classes there should be; those that occur when None.  fewer: what becomes of a class
    with too few examples; `take_all` takes all it has and leaves it out of the later rounds.
    Raises HarnessError when a class has too few examples, or none, and that is to be refused; and when an example may
    have several classes, or numbers.
    """
    import torch

    if shots == "all":
        return torch.arange(labels.shape[0])
    if shots < 1:
        raise HarnessError(f"shots must be at least 1 or 'all', not {shots}")
    if labels.ndim != 1:
        raise HarnessError("few-shot samples are of examples of one class each; here an example may have several")
    chosen = []
    for label in sorted(set(labels.tolist())) if n_classes is None else range(n_classes):
        members = (labels == label).nonzero().flatten()
        if members.shape[0] < shots and fewer == "refuse":
            raise HarnessError(f"{shots} shots asked for, but class {label} has {members.shape[0]} examples")
        chosen.append(members[torch.randperm(members.shape[0], generator=generator)[:shots]])
    longest = max((len(members) for members in chosen), default=0)
    rounds = [torch.stack([members[place] for members in chosen if place < len(members)]) for place in range(longest)]
    return torch.cat(rounds) if rounds else torch.zeros(0, dtype=torch.int64)


def sample_size(class_sizes: Sequence[int], shots: int) -> int:
    """Return how many examples `few_shot` gives of classes of these sizes when it takes all of small ones."""
    return sum(min(size, shots) for size in class_sizes)
