"""Few-shot samples: n examples of each class, chosen by a generator that knows nothing of method or source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Shots = int | Literal["all"]


def few_shot(labels: Tensor, shots: Shots, generator: torch.Generator, n_classes: int | None = None) -> Tensor:
    """Return the positions in `labels` [n] of `shots` examples of each class, or of all.

    They come in rounds, one of each class, so that with generators of the same seed a smaller sample is the beginning
    of a larger one. n_classes: the classes there should be; those that occur when None.
    Raises HarnessError when a class has too few examples, or none, and when an example may have several classes.
    """
    import torch

    if shots == "all":
        return torch.arange(labels.shape[0])
    if shots < 1:
        raise HarnessError(f"shots must be at least 1 or 'all', not {shots}")
    if labels.ndim != 1:
        raise HarnessError("few-shot samples are of examples of one class each; here an example may have several")
    rounds = []
    for label in sorted(set(labels.tolist())) if n_classes is None else range(n_classes):
        members = (labels == label).nonzero().flatten()
        if members.shape[0] < shots:
            raise HarnessError(f"{shots} shots asked for, but class {label} has {members.shape[0]} examples")
        rounds.append(members[torch.randperm(members.shape[0], generator=generator)[:shots]])
    return torch.stack(rounds, dim=1).flatten()
