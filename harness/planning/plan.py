"""The plan: the graph of stages that a study still needs, and why each cell is in, shared, done or excluded."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.graph import Choice, Node, Stage
from harness.graph.code import CodeDigest, CodeDigests
from harness.planning import columns
from harness.planning.cost import Estimate, PastRuns, estimate_bytes, estimate_seconds
from harness.planning.demand import Demand, NoRecords, Records, rerun_after
from harness.planning.gpu_time import GpuTime, gpu_time
from harness.planning.graph import Graph, closure
from harness.planning.trials import PlannedBlock, plan_block

if TYPE_CHECKING:
    from harness.study import Study
    from harness.study.grid import Expansion

CHOICE = "choice"
ON_GPU = "cuda"


class History(Protocol):
    """What a plan asks of the store."""

    def records(self) -> Records:
        """The record that counts, by key."""

    def code_files(self, digest: str, /) -> Mapping[str, str] | None:
        """The files behind a recorded code digest, if they are known."""

    def past_runs(self, device: str = "") -> Mapping[str, PastRuns]:
        """What past runs of each stage kind cost, of those on a device whose name begins so."""


class NothingRecorded:
    """The history of a store that does not exist yet."""

    def records(self) -> Records:
        """No records."""
        return NoRecords()

    def code_files(self, _digest: str, /) -> Mapping[str, str] | None:
        """No files."""
        return None

    def past_runs(self, device: str = "") -> Mapping[str, PastRuns]:
        """No runs."""
        return {}


@dataclass(frozen=True)
class KindCounts:
    """Stages of one kind. ``alone`` is how many calls there would be if every trial computed all it needs itself;
    ``chosen_later`` how many of the needed ones depend on a selection not yet made."""

    kind: str
    needed: int
    done: int
    blocked: int
    alone: int
    chosen_later: int

    @property
    def total(self) -> int:
        """Distinct stage calls that the study names."""
        return self.needed + self.done + self.blocked

    @property
    def saved(self) -> int:
        """Calls that sharing saves."""
        return max(0, self.alone - self.total)


@dataclass(frozen=True)
class StaleGroup:
    """Records of one kind made by other code than today's; ``changed`` names the modules (empty: not known)."""

    kind: str
    count: int
    changed: tuple[str, ...]


@dataclass
class Plan:
    """A study's trials and the state of every stage behind them."""

    study: Study
    blocks: list[PlannedBlock]
    graph: Graph
    demand: Demand
    code: CodeDigests
    stale: list[StaleGroup]
    stale_keys: frozenset[str]
    past: Mapping[str, PastRuns]
    past_gpu: Mapping[str, PastRuns] = field(default_factory=dict)
    terminals: dict[str, Node] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)

    @property
    def needed(self) -> dict[str, Stage]:
        """The stages to run, inputs first; without what depends on a selection not yet made."""
        return self.demand.needed

    @property
    def choices(self) -> dict[str, Choice]:
        """Choices whose outcome is not yet recorded."""
        return self.demand.choices

    @property
    def blocked(self) -> dict[str, str]:
        """Stages and choices that cannot run, with the reason."""
        return self.demand.blocked

    def resolve(self, choice: Choice, index: int) -> list[Stage]:
        """Say which option a selector chose; return the stages that are needed because of it, inputs first."""
        self.chosen[choice.key] = index
        before = len(self.demand.needed)
        self.demand.want(choice.options[index])
        return list(self.demand.needed.values())[before:]

    def code_of(self, stage: Stage) -> CodeDigest:
        """The code behind a stage: its module's, and that of the tasks and backbones among its arguments."""
        kind = stage.kind
        return self._code_of(kind.module, tuple(id(stage.values[i]) for i in kind.identified_positions), stage)

    def _code_of(self, module: str, identified: tuple[int, ...], stage: Stage) -> CodeDigest:
        known = self._digests.get((module, identified))
        if known is None:
            modules = [name for item in stage.identified() for name in item.modules()]
            known = self._digests[module, identified] = self.code.of((module, *modules))
        return known

    @functools.cached_property
    def _digests(self) -> dict[tuple[str, tuple[int, ...]], CodeDigest]:
        return {}

    # --- what is told to the user ---------------------------------------------------------------------------------

    @property
    def trials(self) -> int:
        """Number of trials, baselines and estimator scores included; candidates and excluded cells are not."""
        return sum(len(block.ids) for block in self.blocks)

    @property
    def trials_done(self) -> int:
        """Number of trials whose outcome is recorded."""
        states = self.demand.states
        return sum(states.get(node.key) in ("done", "diverged") for block in self.blocks for node in block.terminals)

    @property
    def candidates(self) -> int:
        """Number of candidate rows, over all trials with ``tune``."""
        return sum(len(block.candidates) for block in self.blocks)

    @property
    def excluded(self) -> dict[str, int]:
        """Number of excluded cells by reason."""
        found: Counter[str] = Counter()
        for block in self.blocks:
            for group in block.block.excluded:
                found[group.reason] += len(group.rows)
        return dict(found)

    @functools.cached_property
    def later(self) -> dict[str, Stage]:
        """Stages that stand for those that selections not yet made will ask for: each choice's first option."""
        found: dict[str, Stage] = {}
        for choice in self.demand.choices.values():
            for node in closure(choice.options[0]) if choice.key not in self.chosen else ():
                if isinstance(node, Stage) and self.demand.states.get(node.key) is None:
                    found[node.key] = node
        return found

    @functools.cached_property
    def counts(self) -> list[KindCounts]:
        """Counts by stage kind, in the order in which kinds first appear."""
        states: dict[str, Counter[str]] = {}
        for node in self.graph.stages():
            states.setdefault(node.kind.name, Counter())[self._state(node.key)] += 1
        alone = self.graph.naive_counts()
        return [
            KindCounts(
                kind,
                needed=count["needed"] + count["later"],
                done=count["done"] + count["diverged"],
                blocked=count["blocked"],
                alone=alone.get(kind, 0),
                chosen_later=count["later"],
            )
            for kind, count in states.items()
        ]

    def _state(self, key: str) -> str:
        known = self.demand.states.get(key)
        if known is not None:
            return known
        if key in self.later:
            return "later"
        return "optional" if self.demand.status(key) is None else "done"

    @property
    def stages_needed(self) -> int:
        """Number of stage calls still to run."""
        return sum(count.needed for count in self.counts)

    @property
    def stages_done(self) -> int:
        """Number of stage calls already recorded."""
        return sum(count.done for count in self.counts)

    @property
    def cost(self) -> Estimate:
        """Seconds of work still to do, learned from past runs."""
        return estimate_seconds({count.kind: count.needed for count in self.counts}, self.past)

    @functools.cached_property
    def gpu_time(self) -> GpuTime:
        """Hours of a GPU that the stages still to run would take: an estimate."""
        return gpu_time([*self.demand.needed.values(), *self.later.values()], self.past_gpu)

    @property
    def bytes_needed(self) -> int | None:
        """Bytes of artifacts still to be written, learned from past runs; None when not known."""
        kept = {stage.kind.name for stage in self.graph.stages() if stage.kind.result == "artifact"}
        return estimate_bytes({count.kind: count.needed for count in self.counts if count.kind in kept}, self.past)

    @property
    def bytes_done(self) -> int:
        """Bytes of the artifacts of this study that are already there."""
        known = (key for key in self.graph.nodes if self.demand.status(key) is not None)
        return sum(found.nbytes for key in known if (found := self.demand.records.artifact(key)) is not None)

    def trial_columns(self) -> dict[str, list[Any]]:
        """The columns of the trials table: one row a trial, a candidate, or an excluded cell."""
        return columns.trial_columns(self.blocks, self.fingerprint)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of all rows of the trials table: two plans with the same one are the same plan."""
        digest = hashlib.sha256(json.dumps([self.study.name, columns.FORMAT]).encode())
        for block in self.blocks:
            terminals = (node.key for node in block.terminals)
            digest.update("".join(text for pair in zip(block.ids, terminals, strict=True) for text in pair).encode())
            for row in block.candidates:
                digest.update(f"{row.id}{row.terminal.key}".encode())
            for group, (ids, _) in zip(block.block.excluded, block.excluded_ids, strict=True):
                digest.update(f"{group.reason}{''.join(ids)}".encode())
        return digest.hexdigest()[:32]


def build_plan(
    study: Study,
    expansion: Expansion,
    history: History | None = None,
    *,
    plugins: Iterable[str] = (),
    rerun_stale: bool = False,
) -> Plan:
    """Work out what a study still needs.

    ``history`` is what the store knows (nothing when None); ``plugins`` the names of the plugin modules, whose code
    counts; with ``rerun_stale``, records made by other code than today's, and all made from them, count as not done.
    Raises PlanError when a recipe refuses a trial.
    """
    history = history or NothingRecorded()
    blocks = [plan_block(block) for block in expansion.blocks]
    graph = Graph()
    terminals: dict[str, Node] = {}
    for block in blocks:
        for position, node in enumerate(block.terminals):
            block.terminals[position] = terminals.setdefault(node.key, node)
            graph.add_trial(node)
        for row in block.candidates:
            terminals[row.terminal.key] = graph.add(row.terminal)
    code = CodeDigests(plugins)
    plan = Plan(study, blocks, graph, Demand(NoRecords()), code, [], frozenset(), history.past_runs(),
                history.past_runs(device=ON_GPU), terminals)  # fmt: skip
    records = history.records()
    plan.stale_keys, plan.stale = _find_stale(plan, records, history)
    again = rerun_after(graph.nodes.values(), plan.stale_keys) if rerun_stale else set()
    plan.demand = Demand(records, again, skip_untrained=study.on_untrained_source == "skip")
    for node in terminals.values():
        plan.demand.want_trial(node)
    for choice in list(plan.demand.choices.values()):
        _resolve_known(plan, choice)
    return plan


def _find_stale(plan: Plan, records: Records, history: History) -> tuple[frozenset[str], list[StaleGroup]]:
    keys: list[str] = []
    groups: Counter[tuple[str, str, str]] = Counter()
    digests: dict[str, CodeDigest] = {}
    for stage in plan.graph.stages():
        code = records.code(stage.key)
        if not code or records.kind(stage.key) != stage.kind.name:
            continue  # weights named by their key were made by a stage of another kind
        today = plan.code_of(stage)
        if code != today.digest:
            keys.append(stage.key)
            digests[today.digest] = today
            groups[stage.kind.name, code, today.digest] += 1
    found: dict[tuple[str, tuple[str, ...]], int] = {}
    for (kind, code, digest), count in groups.items():
        earlier = history.code_files(code)
        changed = () if earlier is None else tuple(digests[digest].changed_since(earlier))
        found[kind, changed] = found.get((kind, changed), 0) + count
    return frozenset(keys), [StaleGroup(kind, count, changed) for (kind, changed), count in found.items()]


def _resolve_known(plan: Plan, choice: Choice) -> None:
    """Ask for the chosen option where an earlier run has already selected."""
    selector = choice.selector.key
    value = plan.demand.records.value(selector) if plan.demand.status(selector) is not None else None
    if value is not None:
        plan.resolve(choice, int(json.loads(value)["index"]))
