"""The state of a batch of trainings, saved member by member and put back, so that each can go on beside any others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.graph import StageContext
from harness.training.networks import unstack

if TYPE_CHECKING:
    from torch import Tensor

Saved = tuple[Mapping[str, "Tensor"], Mapping[str, Any]]
"""What a stage's checkpoint gives back: tensors by name, and a header with the number of steps that are done."""


def save_each(state: Mapping[str, Tensor], contexts: Iterable[StageContext], step: int) -> None:
    """Save the part of stacked tensors, [width, ...] by name, that is each member's own: `step` steps are done."""
    tensors = {name: tensor.cpu() for name, tensor in state.items()}
    for place, ctx in enumerate(contexts):
        ctx.checkpoint.save(unstack(tensors, place), {"step": step})


def put_back(state: Mapping[str, Tensor], saved: Sequence[Saved | None], width: int) -> None:
    """Write what members have saved (all of them or none) over their part of stacked tensors; the last fills up."""
    known = [one[0] for one in saved if one is not None]
    known += known[-1:] * (width - len(known))
    if known:
        for name, tensor in state.items():
            for place, own in enumerate(known):
                tensor[place] = own[name].to(tensor.device)
