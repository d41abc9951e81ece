"""Training on above layers that were copied from another network, which stay as they are or are trained on too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from harness.backbones.base import Backbone
from harness.backbones.pretrained import Pretrained
from harness.graph import BatchContext, Features, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import Alone, one_by_one, only, without_padding
from harness.training.augmentation import Augmentation
from harness.training.calls import Call, group, run_calls
from harness.training.rules import KEEP_LAST, STANDARD_NUMERICS, CheckpointRule, Numerics, Watch
from harness.training.settings import STANDARD_BUDGET, STANDARD_OPTIMISER, Budget, Optimiser

WIDTH: Final = 8


@stage(version=1, keep="transient", needs_trained=("init", "features", "watched", "choosing"), accumulates=True)
def adapt_layers(
    task: Task,
    init: Weights,
    backbone: Backbone,
    copied: int,
    frozen: int = 0,
    features: tuple[Features, ...] | None = None,
    watched: tuple[Features, ...] | None = None,
    choosing: Features | None = None,
    budget: Budget = STANDARD_BUDGET,
    optimiser: Optimiser = STANDARD_OPTIMISER,
    shots: int | Literal["all"] = "all",
    splits: tuple[str, ...] = ("train",),
    watch: Watch | None = None,
    rule: CheckpointRule = KEEP_LAST,
    numerics: Numerics = STANDARD_NUMERICS,
    seed: int = 0,
    augment: tuple[Augmentation, ...] = (),
    *,
    ctx: StageContext,
) -> Weights:
    """Train a network whose first `copied` layers come from `init` and whose first `frozen` layers stay as they are.

    The layers above the copied ones are drawn from the seed alone, so that every source, and freezing or not, begins
    from the same. Returns the layers that were trained.  features, watched, choosing: what the frozen layers put out
    for each of `splits`, each watched split, and the split that chooses; without them they are computed at every step,
    as they must be when `augment` changes the pictures, which is flagged `uncached`.
    Raises HarnessError when more layers are frozen than copied, or none is left to learn; Diverged, Stopped as `train`.
    """
    call = Call(
        task,
        backbone,
        budget,
        optimiser,
        shots,
        splits,
        rule,
        numerics,
        seed,
        init=init,
        watch=watch,
        copied=copied,
        frozen=frozen,
        features=features,
        watched=watched,
        choosing=choosing,
        augment=augment,
    )
    return only(run_calls([call], Alone(ctx)))


@adapt_layers.batched(width=WIDTH, group=group)
def adapt_layers_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Train several at once, none of which sees another; whole pre-trained networks, which fill a slot, one by one."""
    first = members[0]
    if isinstance(first["backbone"], Pretrained) and not first["frozen"]:
        return one_by_one(adapt_layers, members, ctx)
    return run_calls([Call(**member) for member in members[: without_padding(members)]], ctx)
