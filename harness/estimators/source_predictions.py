"""What a source's network with its own head says of the target's examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.backbones.base import HEAD, Backbone, Untrained
from harness.backbones.pretrained import Pretrained
from harness.backbones.transformers_text import TextBackbone
from harness.errors import HarnessError
from harness.graph import Predictions, Stage, StageContext, Weights, stage
from harness.methods.base import Trial
from harness.tasks.base import Task
from harness.training.data import load_split
from harness.training.features import run_frozen
from harness.training.networks import transplant
from harness.training.numerics import applied, parameter_type
from harness.training.rules import STANDARD_NUMERICS, Numerics

if TYPE_CHECKING:
    from torch import Tensor


def predictions_of(trial: Trial, weights: Stage | None, split: str, name: str) -> Stage:
    """Describe the source's logits on one split of the target.

    A pre-trained backbone that was not trained further has the head that it was published with. Raises HarnessError
    for a source that never learnt any classes; `name` is who asks.
    """
    described = {"task": trial.target, "split": split, "backbone": trial.backbone, "numerics": trial.numerics}
    if isinstance(trial.source, Untrained) and isinstance(trial.backbone, Pretrained):
        return predict_source.bind(**described)
    if weights is None or isinstance(trial.source, Untrained):
        raise HarnessError(f"{name} needs a source that has learnt classes, not {trial.source or 'none'}")
    return predict_source.bind(weights=weights, **described)


@stage(version=1, keep="cache", needs_trained=("weights",))
def predict_source(
    task: Task,
    split: str,
    backbone: Backbone,
    weights: Weights | None = None,
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Predictions:
    """Return the logits of a network's own head on one split of another task: `logits` [n, Cs], and its `labels`.

    weights: None means those that the backbone was published with.
    Raises HarnessError when the weights have no head, or are of another network.
    """
    import torch

    tensors, origin = _tensors(backbone, weights)
    head = tensors.get(f"{HEAD}.weight")
    if head is None:
        raise HarnessError(f"the weights of {origin} have no head, so that they predict no classes")
    data = load_split(task, split, ctx)
    generator = torch.Generator().manual_seed(0)
    network = backbone.build(int(head.shape[0]), task.input_shape, generator).requires_grad_(False)
    network = network.to(ctx.device, parameter_type(numerics)).eval()
    own = dict(network.named_parameters())
    placed = transplant(tensors, own, head=True, origin=origin)
    parameters = {name: tensor.to(own[name].device) for name, tensor in placed.items()}
    texts = backbone.padding if isinstance(backbone, TextBackbone) else None
    with applied(numerics, ctx.device):
        logits = run_frozen(network, data.inputs, parameters, ctx, numerics, texts=texts)
    flags = [] if weights is None else list(weights.header.get("flags", ()))
    flags += list(backbone.check(task.input_shape)) if isinstance(backbone, Pretrained) else []
    header: dict[str, Any] = {"task": task.name, "split": split, "flags": flags}
    return Predictions({"logits": logits, "labels": data.labels}, header)


def _tensors(backbone: Backbone, weights: Weights | None) -> tuple[Mapping[str, Tensor], str]:
    """The network's tensors by name, and whose they are."""
    if weights is not None:
        return weights.tensors, str(weights.header.get("task", "the source"))
    if not isinstance(backbone, Pretrained):
        raise HarnessError(f"{backbone.name} comes without weights: name a source that gives it some")
    return backbone.published(), backbone.name
