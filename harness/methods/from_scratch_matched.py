"""Training on the target alone for as long as source and target training take together.

The control for transfers of a whole network: what they gain over training from nothing may be the longer training.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.from_scratch import from_scratch
from harness.training.augmentation import Augmentation
from harness.training.settings import Schedule

Number = TypeVar("Number", int, float)


@method("from_scratch_matched", reads=("target", "backbone", "seed"))
def from_scratch_matched(
    trial: Trial,
    *,
    shots: int | Literal["all"] = "all",
    steps: int = 200,
    epochs: int | None = None,
    flops: float | None = None,
    batch_size: int = 64,
    optimiser: Literal["sgd", "adam"] = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Schedule = "cosine",
    clip: float | None = None,
    milestones: tuple[float, ...] = (),
    decay: float = 0.1,
    bias_lr: float = 1.0,
    decay_biases: bool = True,
    evaluate_every: int | None = None,
    augment: tuple[Augmentation, ...] = (),
    source_steps: int = 200,
    source_epochs: int | None = None,
    source_flops: float | None = None,
) -> Stage:
    """Train from nothing for the budgets of source and target together; reads no source.

    Milestones and the cosine stretch with the budget. Raises HarnessError when the two budgets are not in one unit.
    """
    return from_scratch.recipe(
        trial,
        shots=shots,
        steps=steps + source_steps,
        epochs=_added("epochs", epochs, source_epochs),
        flops=_added("flops", flops, source_flops),
        batch_size=batch_size,
        optimiser=optimiser,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        clip=clip,
        milestones=milestones,
        decay=decay,
        bias_lr=bias_lr,
        decay_biases=decay_biases,
        evaluate_every=evaluate_every,
        augment=augment,
    )


def _added(unit: str, own: Number | None, other: Number | None) -> Number | None:
    if own is None and other is None:
        return None
    if own is None or other is None:
        raise HarnessError(f"budgets of source and target can be added only when both or neither are in {unit}")
    return own + other
