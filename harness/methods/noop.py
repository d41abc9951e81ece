"""Methods that do nothing, to measure what the engine itself costs."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from harness.backbones.base import Backbone, Checkpoint, Untrained
from harness.graph import BatchContext, Measurement, Measurements, Stage, Value, stage
from harness.methods.base import Trial, method
from harness.tasks.base import Task, TaskSet

WIDTH: Final = 128


@method("noop")
def noop(trial: Trial, *, index: int = 0) -> Stage:
    """One stage that computes nothing; `index` is there to make as many different trials as wanted."""
    return noop_outcome.bind(
        source=trial.source,
        target=trial.target,
        backbone=trial.backbone,
        seed=trial.seed,
        source_seed=trial.source_seed,
        index=index,
        splits=trial.eval_splits,
    )


@method("noop_chain")
def noop_chain(trial: Trial, *, index: int = 0, source_index: int = 0) -> Stage:
    """Three stages that compute nothing: a source shared by its targets, an adaptation, an evaluation."""
    base = noop_source.bind(source=trial.source, backbone=trial.backbone, seed=trial.source_seed, index=source_index)
    adapted = noop_adapt.bind(init=base, target=trial.target, seed=trial.seed, index=index)
    return noop_evaluate.bind(adapted=adapted, target=trial.target, splits=trial.eval_splits)


def _all_alike(_arguments: Mapping[str, Any]) -> Hashable:
    return None


def _number(*parts: object) -> float:
    """A number from 0 to 1 that its arguments decide, for tests to compare."""
    return zlib.crc32("|".join(map(str, parts)).encode()) / 2**32


def _outcome(target: Task, splits: tuple[str, ...], *parts: object) -> Measurements:
    return Measurements(
        tuple(Measurement(target.metric, _number(*parts, split), split, target.name, n_eval=0) for split in splits)
    )


@stage(version=1)
def noop_outcome(
    source: Task | TaskSet | Checkpoint | Untrained | None,
    target: Task,
    backbone: Backbone,
    seed: int,
    source_seed: int | tuple[int, ...],
    index: int = 0,
    splits: tuple[str, ...] = ("test",),
) -> Measurements:
    """Measure nothing: the value is a checksum of the arguments."""
    return _outcome(target, splits, source, target.name, backbone.name, seed, source_seed, index)


@noop_outcome.batched(width=WIDTH, group=_all_alike)
def noop_outcome_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements]:
    """Measure nothing, many times in one call."""
    return [noop_outcome(**member) for member in members]


@stage(version=1)
def noop_source(
    source: Task | TaskSet | Checkpoint | Untrained | None,
    backbone: Backbone,
    seed: int | tuple[int, ...],
    index: int = 0,
) -> Value:
    """Stand for the training of a source."""
    return Value({"number": _number(source, backbone.name, seed, index)})


@noop_source.batched(width=WIDTH, group=_all_alike)
def noop_source_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Value]:
    """Stand for the training of many sources."""
    return [noop_source(**member) for member in members]


@stage(version=1)
def noop_adapt(init: Value, target: Task, seed: int, index: int = 0) -> Value:
    """Stand for the adaptation of a source to a target."""
    return Value({"number": _number(init.data["number"], target.name, seed, index)})


@noop_adapt.batched(width=WIDTH, group=_all_alike)
def noop_adapt_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Value]:
    """Stand for many adaptations."""
    return [noop_adapt(**member) for member in members]


@stage(version=1)
def noop_evaluate(adapted: Value, target: Task, splits: tuple[str, ...] = ("test",)) -> Measurements:
    """Stand for the evaluation of an adapted network."""
    return _outcome(target, splits, adapted.data["number"])


@noop_evaluate.batched(width=WIDTH, group=_all_alike)
def noop_evaluate_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements]:
    """Stand for many evaluations."""
    return [noop_evaluate(**member) for member in members]
