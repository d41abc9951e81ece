"""Selection within a cell: candidates measured on validation, one chosen, and only the chosen one tested.

Candidates are ordinary stages. The choice is a node of the graph, so that a plan stays static: for each trial the
final stage of *every* candidate is described, and only the chosen one's is run. Without refitting, that final stage
shares the candidate's own training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.graph import Choice, Node, Stage
from harness.graph.canonical import canonical_json
from harness.methods.base import Trial
from harness.planning.selection import select
from harness.planning.trials import Candidate, PlanError, describe_stage, read_trials
from harness.tasks.base import Task

if TYPE_CHECKING:
    from harness.study.grid import Block, Settings
    from harness.study.tuning import TuneRule

SOURCE_PREFIX = "source_"
SEED_AXES = ("seed", "source_seed")


@dataclass(frozen=True)
class _Row:
    """One trial with its arguments and, for each candidate, the stages that measure it and that would test it."""

    trial: Trial
    keywords: Mapping[str, Any]
    rule: TuneRule
    scores: list[Stage]
    finals: list[Stage]


def plan_tuned(block: Block, ids: Sequence[str], params: Sequence[str]) -> tuple[list[Node], list[Candidate]]:
    """Return the terminal node of each row of a block with ``tune``, and its candidate rows."""
    rows = [_describe(block, index, trial, keywords) for index, trial, keywords in read_trials(block)]
    selectors = _selectors(block, rows)
    terminals: list[Node] = [Choice(selector, row.finals) for row, selector in zip(rows, selectors, strict=True)]
    candidates = [
        candidate
        for index, row in enumerate(rows)
        for candidate in _candidate_rows(index, ids[index], params[index], row)
    ]
    return terminals, candidates


def _describe(block: Block, index: int, trial: Trial, keywords: Mapping[str, Any]) -> _Row:
    settings: Settings = block.settings[int(block.setting[index])]
    rule = settings.tune
    assert rule is not None
    scores, finals = [], []
    for assignment in rule.candidates:
        changed = {**keywords, **assignment}
        scores.append(_score_stage(block, trial, changed, rule))
        fit = ("train", "val") if rule.refit == "train+val" else ("train",)
        final = dataclasses.replace(trial, fit_splits=fit, eval_splits=("test",))
        finals.append(describe_stage(block.recipe, block.method, final, changed))
    return _Row(trial, keywords, rule, scores, finals)


def _score_stage(block: Block, trial: Trial, keywords: Mapping[str, Any], rule: TuneRule) -> Stage:
    """What a candidate is judged by: its validation score, on the target or on the source task itself."""
    measured = dataclasses.replace(trial, fit_splits=("train",), eval_splits=("val",))
    if rule.scope == "target":
        return describe_stage(block.recipe, block.method, measured, keywords)
    if isinstance(trial.source_seed, tuple):
        raise PlanError("tune with scope source cannot be combined with weight-averaged source seeds")
    alone = dataclasses.replace(measured, source=None, target=_judged_on(trial, rule), seed=trial.source_seed)
    own = {name: value for name, value in keywords.items() if not name.startswith(SOURCE_PREFIX)}
    source = {name[len(SOURCE_PREFIX) :]: value for name, value in keywords.items() if name.startswith(SOURCE_PREFIX)}
    return describe_stage(block.recipe, block.method, alone, {**own, **source})


def _judged_on(trial: Trial, rule: TuneRule) -> Task:
    """The task whose validation split decides. Raises PlanError when that would be a source that is no task."""
    if rule.scope == "target":
        return trial.target
    if not isinstance(trial.source, Task):
        raise PlanError(f"tune with scope source needs a source task, not {trial.source}")
    return trial.source


def _selectors(block: Block, rows: Sequence[_Row]) -> list[Stage]:
    """One selector for each group of rows that share a choice; returned for each row."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(_group(block, index, row.rule), []).append(index)
    found: dict[int, Stage] = {}
    for members in groups.values():
        first = rows[members[0]]
        task = _judged_on(first.trial, first.rule)
        scores = [rows[i].scores[c] for c in range(len(first.rule.candidates)) for i in members]
        selector = select.bind(
            scores=tuple(scores),
            candidates=len(first.rule.candidates),
            metric=first.rule.metric or task.metric,
            higher_is_better=task.higher_is_better,
        )
        found.update(dict.fromkeys(members, selector))
    return [found[index] for index in range(len(rows))]


def _group(block: Block, index: int, rule: TuneRule) -> tuple[Any, ...]:
    names = [axis.name for axis in block.axes] if rule.per is None else list(rule.per)
    if rule.seeds == "mean":
        names = [name for name in names if name not in SEED_AXES]
    elif rule.per is not None:
        names += [name for name in SEED_AXES if name not in names]
    same_rule = next(i for i, settings in enumerate(block.settings) if settings.tune == rule)
    return (
        same_rule,
        *(int(block.rows[index, i]) for i, axis in enumerate(block.axes) if axis.name in names),
    )


def _candidate_rows(index: int, parent: str, params: str, row: _Row) -> list[Candidate]:
    rows = []
    shared = json.loads(params)
    for assignment, score, final in zip(row.rule.candidates, row.scores, row.finals, strict=True):
        text = canonical_json({**shared, **assignment})
        for terminal in (score, final) if row.rule.audit else (score,):
            identifier = hashlib.sha256(f"{parent}{text}{terminal.key}".encode()).hexdigest()[:16]
            rows.append(Candidate(index, identifier, text, terminal))
    return rows
