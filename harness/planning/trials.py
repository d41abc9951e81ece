"""From blocks of index rows to trials: their ids, their labels, and what their recipes describe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.graph import Node, Stage
from harness.graph.canonical import canonical_json
from harness.methods.base import Trial

if TYPE_CHECKING:
    import numpy as np

    from harness.study.grid import Block, Excluded, Settings

STANDARD_AXES = ("source", "target", "backbone", "seed", "source_seed")
"""The axes with a column and a Trial attribute of their own; every other axis is a parameter of the recipe."""


class PlanError(HarnessError):
    """A study that is well-formed but cannot be planned."""


@dataclass(frozen=True)
class Candidate:
    """A row of ``role=candidate``: one setting tried for the trial ``parent``, measured by ``terminal``."""

    parent: int
    id: str
    params: str
    terminal: Node


@dataclass
class PlannedBlock:
    """A block with the id and the terminal node of each of its rows."""

    block: Block
    ids: list[str]
    terminals: list[Node]
    params: list[str]
    excluded_ids: list[tuple[list[str], list[str]]]
    candidates: list[Candidate] = field(default_factory=list)


class BlockReader:
    """Columns of a block's rows as plain lists, with everything that repeats computed once."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._standard = {axis.name: i for i, axis in enumerate(block.axes) if axis.name in STANDARD_AXES}
        self._named = [i for i, axis in enumerate(block.axes) if axis.name not in STANDARD_AXES]
        self._combinations: dict[tuple[int, ...], tuple[dict[str, Any], str]] = {}

    def values(self, name: str, rows: np.ndarray) -> list[Any]:
        """The resolved objects of a standard axis for each row; None where the block has no such axis."""
        position = self._standard.get(name)
        if position is None:
            return [None] * len(rows)
        values = self.block.axes[position].values
        return [values[i] for i in rows[:, position].tolist()]

    def parameters(self, rows: np.ndarray, setting: Sequence[int]) -> list[tuple[dict[str, Any], str]]:
        """For each row the recipe's keyword arguments and the canonical JSON of their labels."""
        columns = [rows[:, i].tolist() for i in self._named]
        known = self._combinations
        found = []
        for combination in zip(setting, *columns, strict=True):
            pair = known.get(combination)
            if pair is None:
                pair = known[combination] = self._combine(combination)
            found.append(pair)
        return found

    def _combine(self, combination: tuple[int, ...]) -> tuple[dict[str, Any], str]:
        settings = self.block.settings[combination[0]]
        arguments = dict(settings.params)
        labels: dict[str, Any] = {**settings.labels, **_engine_labels(settings)}
        for position, index in zip(self._named, combination[1:], strict=True):
            axis = self.block.axes[position]
            arguments[axis.name] = axis.values[index]
            if axis.labels[index] is not None:
                labels[axis.name] = axis.labels[index]
        return arguments, canonical_json(labels)


def _engine_labels(settings: Settings) -> dict[str, Any]:
    """Numerics and checkpoint rule are told where they are not the default."""
    labels: dict[str, Any] = {}
    for name, given in (("numerics", settings.numerics), ("checkpoint", settings.checkpoint)):
        default = type(given)()
        changed = {key: value for key, value in vars_of(given).items() if value != getattr(default, key)}
        if changed:
            labels[name] = changed
    return labels


def vars_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, with or without slots."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def read_trials(block: Block) -> Iterator[tuple[int, Trial, dict[str, Any]]]:
    """Yield (row, trial, the recipe's keyword arguments) for each row of a block."""
    reader = BlockReader(block)
    rows = block.rows
    setting = block.setting.tolist()
    arguments = reader.parameters(rows, setting)
    columns = zip(*(reader.values(name, rows) for name in STANDARD_AXES), setting, arguments, strict=True)
    tied = "source_seed" not in reader._standard
    for row, (source, target, backbone, seed, source_seed, index, (keywords, _)) in enumerate(columns):
        settings = block.settings[index]
        trial = Trial(
            source=source,
            target=target,
            backbone=backbone,
            seed=seed,
            source_seed=seed if tied else source_seed,
            numerics=settings.numerics,
            checkpoint=settings.checkpoint,
        )
        yield row, trial, keywords


def describe_stage(recipe: Callable[..., Any], method: str, trial: Trial, keywords: Mapping[str, Any]) -> Stage:
    """Call a recipe. Raises PlanError, naming the cell, when it refuses it or returns no terminal stage."""
    try:
        terminal = recipe(trial, **keywords)
    except HarnessError as error:
        raise PlanError(f"{_cell(method, trial)}: {error}") from error
    if not isinstance(terminal, Stage) or terminal.kind.result != "measurements":
        raise PlanError(f"{_cell(method, trial)}: the recipe must return a stage that returns Measurements")
    return terminal


def _cell(method: str, trial: Trial) -> str:
    source = "none" if trial.source is None else trial.source
    return f"method {method!r}, source {source}, target {trial.target}"


def trial_ids(block: Block, rows: np.ndarray, setting: np.ndarray) -> list[str]:
    """Return the trial ids (16 hex digits): they depend on role, method and labels, never on order or study."""
    from harness.study.grid import block_ids

    text = json.dumps([block.role, block.baseline, block.method])
    head = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return [f"{(number + head) % 2**64:016x}" for number in block_ids(block, rows, setting)[:, 0].tolist()]


def plan_block(block: Block) -> PlannedBlock:
    """Give every row of a block its id and its terminal node, candidates included."""
    from harness.planning.tuning import plan_tuned

    reader = BlockReader(block)
    params = [text for _, text in reader.parameters(block.rows, block.setting.tolist())]
    ids = trial_ids(block, block.rows, block.setting)
    excluded = [_excluded_ids(reader, group) for group in block.excluded]
    if any(settings.tune is not None for settings in block.settings):
        terminals, candidates = plan_tuned(block, ids, params)
        return PlannedBlock(block, ids, terminals, params, excluded, candidates)
    plain: list[Node] = [
        describe_stage(block.recipe, block.method, trial, keywords) for _, trial, keywords in read_trials(block)
    ]
    return PlannedBlock(block, ids, plain, params, excluded)


def _excluded_ids(reader: BlockReader, group: Excluded) -> tuple[list[str], list[str]]:
    params = [text for _, text in reader.parameters(group.rows, group.setting.tolist())]
    return trial_ids(reader.block, group.rows, group.setting), params
