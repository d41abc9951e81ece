"""Layer transfer: the first layers of a network come from another, the rest are learnt anew (Yosinski et al. 2014).

Source and target, and whether the copied layers stay as they are, tell treatments apart: copied from a network of the
target itself and frozen, or from another's; or trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.backbones.base import Untrained
from harness.backbones.pretrained import Pretrained
from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.sources import Training, refuse_peeking, source_weights, trained, training
from harness.methods.views import as_seen
from harness.training.augmentation import Augmentation, check_augment
from harness.training.features import extract_features
from harness.training.networks import layers_below
from harness.training.rules import Watch
from harness.training.scores import score_curve
from harness.training.settings import Schedule
from harness.training.transfer import adapt_layers


@method("layer_transfer")
def layer_transfer(
    trial: Trial,
    *,
    layers: int = 1,
    frozen: bool = True,
    preserve: int = 0,
    cache: bool = True,
    nested: bool = True,
    evaluate_every: int | None = None,
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
    milestones: tuple[float, ...] = (),
    decay: float = 0.1,
    clip: float | None = None,
    bias_lr: float = 1.0,
    decay_biases: bool = True,
    augment: tuple[Augmentation, ...] = (),
    source_evaluate_every: int | None = None,
    source_shots: int | Literal["all"] = "all",
    source_steps: int = 200,
    source_epochs: int | None = None,
    source_flops: float | None = None,
    source_batch_size: int = 64,
    source_optimiser: Literal["sgd", "adam"] = "sgd",
    source_lr: float = 0.1,
    source_momentum: float = 0.9,
    source_weight_decay: float = 0.0,
    source_schedule: Schedule = "cosine",
    source_milestones: tuple[float, ...] = (),
    source_decay: float = 0.1,
    source_clip: float | None = None,
    source_bias_lr: float = 1.0,
    source_decay_biases: bool = True,
    source_augment: tuple[Augmentation, ...] = (),
) -> Stage:
    """Copy the first `layers` layers from the source, frozen or trained on; draw the layers above anew, and train.

    preserve: how many layers above the frozen ones are copied too, but trained on.  cache: compute what the frozen
    layers put out once instead of at every step, which gives the same training; not where `augment` changes the
    pictures at every step, which outcomes are then flagged with (`uncached`).  nested: go on from what the layer
    below put out.  evaluate_every: steps between evaluations, whose curve gives further scores; None evaluates after
    the last step alone. With an equal source_evaluate_every a source is the baseline of its own task, trained once.
    Without a source, or with no layer copied, the network is trained from nothing.
    """
    trial = as_seen(trial)
    how = training(
        shots,
        steps,
        epochs,
        batch_size,
        optimiser,
        lr,
        momentum,
        weight_decay,
        schedule,
        clip,
        flops=flops,
        milestones=milestones,
        decay=decay,
        bias_lr=bias_lr,
        decay_biases=decay_biases,
        augment=augment,
    )
    source_how = training(
        source_shots,
        source_steps,
        source_epochs,
        source_batch_size,
        source_optimiser,
        source_lr,
        source_momentum,
        source_weight_decay,
        source_schedule,
        source_clip,
        flops=source_flops,
        milestones=source_milestones,
        decay=source_decay,
        bias_lr=source_bias_lr,
        decay_biases=source_decay_biases,
        augment=source_augment,
    )
    source_watch = None if source_evaluate_every is None else Watch(("test",), source_evaluate_every)
    cut = Cut(layers, frozen, preserve, cache and frozen and not augment, nested)
    return _described(trial, how, source_how, Watch(trial.eval_splits, evaluate_every), source_watch, cut)


@dataclass(frozen=True)
class Cut:
    """Which layers are copied, and what becomes of them.

    kept: whether what the frozen layers put out is computed once.  nested: each layer's from that of the layer below.
    """

    layers: int
    frozen: bool
    preserve: int
    kept: bool
    nested: bool


def _described(
    trial: Trial, how: Training, source_how: Training, watch: Watch, source_watch: Watch | None, cut: Cut
) -> Stage:
    if trial.source is None or not cut.layers:
        net = trained(trial, trial.target, how, trial.fit_splits, trial.seed, watch)
        return score_curve.bind(task=trial.target, weights=net)
    init = source_weights(trial, source_how, source_watch)
    assert init is not None
    layers_below(trial.backbone, cut.layers + cut.preserve)
    refuse_peeking(trial, trial.fit_splits)
    check_augment(trial.target, how.augment)
    return score_curve.bind(task=trial.target, weights=_adapted(trial, init, how, watch, cut))


def _adapted(trial: Trial, init: Stage, how: Training, watch: Watch, cut: Cut) -> Stage:
    prefix = _Prefix(trial, init, cut.layers, cut.nested) if cut.kept else None
    given: dict[str, object] = {}
    if prefix is not None:
        given["features"] = tuple(prefix.on(split) for split in trial.fit_splits)
        given["watched"] = tuple(prefix.on(split) for split in watch.splits)
        if trial.checkpoint.keep == "best":
            given["choosing"] = prefix.on(trial.checkpoint.on)
    return adapt_layers.bind(
        task=trial.target,
        init=init,
        backbone=trial.backbone,
        copied=cut.layers + cut.preserve,
        frozen=cut.layers if cut.frozen else 0,
        budget=how.budget,
        optimiser=how.optimiser,
        shots=how.shots,
        splits=trial.fit_splits,
        watch=watch,
        rule=trial.checkpoint,
        numerics=trial.numerics,
        seed=trial.seed,
        augment=how.augment,
        **given,
    )


@dataclass(frozen=True)
class _Prefix:
    """The frozen layers of a trial: what they put out for a split is described once and shared by all that read it."""

    trial: Trial
    init: Stage
    layers: int
    nested: bool

    def on(self, split: str) -> Stage:
        """Describe what the last frozen layer puts out; from what the layer below puts out when nested."""
        made: Stage | None = None
        for number in range(1 if self.nested else self.layers, self.layers + 1):
            made = self._layer(split, number, made)
        assert made is not None
        return made

    def _layer(self, split: str, number: int, below: Stage | None) -> Stage:
        trial = self.trial
        return extract_features.bind(
            task=trial.target,
            split=split,
            weights=None if self._published else self.init,
            backbone=trial.backbone,
            layer=trial.backbone.layers[number - 1],
            below=below,
            dtype="float64" if trial.numerics.precision == "float64" else "float32",
            numerics=trial.numerics,
        )

    @property
    def _published(self) -> bool:
        """Whether the layers are those that the backbone comes with, which are one network whatever the seed."""
        backbone = self.trial.backbone
        known = isinstance(backbone, Pretrained) and backbone.options.get("weights") != "none"
        return known and isinstance(self.trial.source, Untrained)
