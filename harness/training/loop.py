"""The training loop: a batch of networks, each on its own data, with its own settings, as one tensor program.

Nothing is computed across members. The state that a step needs is saved when the slot is to be given up, so that a
training that goes on later, with whatever neighbours, ends with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.backbones.base import Backbone
from harness.graph import BatchContext, Diverged, StageContext, Stopped
from harness.tasks.base import Split, Task
from harness.training.data import Order
from harness.training.evaluation import cross_entropy, metric, predict
from harness.training.health import NOT_TRAINED, first_bad_step, not_trained
from harness.training.networks import stack, stacked_network, unstack
from harness.training.numerics import applied, parameter_type
from harness.training.optimisers import StackedOptimiser
from harness.training.rules import CheckpointRule, Numerics
from harness.training.schedule import factor
from harness.training.settings import Optimiser

if TYPE_CHECKING:
    from torch import Tensor

LOOKS: Final = 10
"""Points of a curve, and looks at the watched split, unless the checkpoint rule says how often."""

SAVE_EVERY_SECONDS: Final = 60.0

LARGE_STEP: Final = 1e8
"""Floating-point operations of one member's forward pass on one batch from which a CPU does members one by one."""


@dataclass(frozen=True)
class Program:
    """What all members of a batch have in common."""

    backbone: Backbone
    n_classes: int
    input_shape: tuple[int, ...]
    steps: int
    metric: str
    rule: CheckpointRule
    numerics: Numerics

    @property
    def every(self) -> int:
        """Steps between looks."""
        return self.rule.every or max(1, self.steps // LOOKS)

    def looks(self) -> list[int]:
        """Numbers of steps done at which the training is looked at; the last step is among them."""
        return sorted({*range(self.every, self.steps + 1, self.every), self.steps})


@dataclass(frozen=True)
class Member:
    """One training of a batch. watched: the split that chooses the best weights; None keeps the last."""

    task: Task
    data: Split
    watched: Split | None
    initial: Mapping[str, Tensor]
    optimiser: Optimiser
    order: Order
    ctx: StageContext


@dataclass(frozen=True)
class Trained:
    """The outcome of one training: parameters by name, the number of steps after which they were kept, flags."""

    parameters: Mapping[str, Tensor]
    kept_step: int
    flags: tuple[str, ...]


def train_members(
    program: Program, members: Sequence[Member], width: int, ctx: BatchContext
) -> list[Trained | Exception]:
    """Train all members and return what became of each, a `Diverged` among them.

    A batch is filled up to `width` with its last member, whose copies leave no trace. Members that were stopped at
    different steps go on in separate batches, and so do members too large to gain from company.
    Raises Stopped when the slot is to be given up; the state of all is saved then.
    """
    saved = [member.ctx.checkpoint.load() for member in members]
    starts = [0 if state is None else int(state[1]["step"]) for state in saved]
    together = _together(program, members[0].order.batch, width, ctx.device)
    ended: list[tuple[list[int], _Run]] = []
    for start, places in _parts(starts, together):
        run = _Run(program, [members[place] for place in places], together, ctx)
        run.restore([saved[place] for place in places])
        try:
            run.go(start)
        except Stopped:
            for _, other in ended:
                other.save(program.steps)
            raise
        ended.append((places, run))
    results = {place: result for places, run in ended for place, result in zip(places, run.results(), strict=True)}
    return [results[place] for place in range(len(members))]


def _parts(starts: Sequence[int], together: int) -> Iterator[tuple[int, list[int]]]:
    """Cut the places of a batch into parts of at most `together` that start at the same step."""
    for start in sorted(set(starts)):
        places = [place for place, begun in enumerate(starts) if begun == start]
        for first in range(0, len(places), together):
            yield start, places[first : first + together]


def _together(program: Program, batch: int, width: int, device: str) -> int:
    """How many members make one tensor program: on a CPU large networks gain nothing and padding would be paid.

    Decided by shapes alone, never by how many members there are, so that a result does not depend on its neighbours.
    """
    if device != "cpu" or width == 1:
        return width
    network = stacked_network(program.backbone, program.input_shape, program.n_classes, program.numerics.compile)
    return 1 if network.operations(program.input_shape) * batch > LARGE_STEP else width


class _Run:
    """One batch from where it stands to its end. State tensors are [width, ...], by name."""

    def __init__(self, program: Program, members: Sequence[Member], width: int, ctx: BatchContext) -> None:
        import torch

        self.program = program
        self.real = len(members)
        self.members = list(members) + [members[-1]] * (width - len(members))
        self.ctx = ctx
        self.kind = parameter_type(program.numerics)
        self.network = stacked_network(
            program.backbone, program.input_shape, program.n_classes, program.numerics.compile
        )
        initial = stack([member.initial for member in self.members])
        self.parameters = {name: tensor.to(ctx.device, self.kind) for name, tensor in initial.items()}
        self.optimiser = StackedOptimiser(self.parameters, [member.optimiser for member in self.members])
        looks = program.looks()
        history = {"losses": torch.zeros(width, program.steps), "seen": torch.zeros(width, len(looks))}
        self.history = {name: tensor.to(ctx.device, torch.float64) for name, tensor in history.items()}
        self.look_at = {step: place for place, step in enumerate(looks)}
        self.best = {name: tensor.clone() for name, tensor in self.parameters.items()} if self._chooses else {}
        self.best_look = torch.zeros(width, dtype=torch.int64, device=ctx.device)
        self._whole = self._stack(None) if all(member.order.whole for member in members) else None
        self._saved_at = time.monotonic()

    @property
    def _chooses(self) -> bool:
        return self.program.rule.keep == "best"

    def go(self, start: int) -> None:
        """Do the steps from `start` on."""
        schedule = self.members[0].optimiser.schedule
        with applied(self.program.numerics, self.ctx.device):
            for step in range(start, self.program.steps):
                if self.ctx.should_stop():
                    self.save(step)
                    raise Stopped(f"stopped after {step} of {self.program.steps} steps")
                losses, gradients = self._gradients(*self._batch(step))
                self.history["losses"][:, step] = losses
                self.optimiser.step(self.parameters, gradients, step, factor(schedule, step, self.program.steps))
                if step + 1 in self.look_at:
                    self._look(step + 1)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        if self._whole is not None:
            return self._whole
        return self._stack(step)

    def _stack(self, step: int | None) -> tuple[Tensor, Tensor]:
        """Inputs [width, batch, ...] and labels [width, batch] of one step; of all examples when step is None."""
        import torch

        inputs, labels = [], []
        for member in self.members:
            chosen = slice(None) if step is None else member.order.at(step)
            inputs.append(member.data.inputs[chosen])
            labels.append(member.data.labels[chosen])
        return torch.stack(inputs).to(self.ctx.device, self.kind), torch.stack(labels).to(self.ctx.device)

    def _gradients(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Mean loss of each member on its batch, [width], and its gradients, summed over micro-batches if asked."""
        import torch

        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()}
        examples = labels.shape[1]
        parts = min(self.ctx.micro_batches, examples)
        total: Tensor | None = None
        gradients: list[Tensor] = []
        for some, theirs in zip(inputs.tensor_split(parts, 1), labels.tensor_split(parts, 1), strict=True):
            losses = cross_entropy(self.network(leaves, some), theirs).sum(1) / examples
            piece = torch.autograd.grad(losses.sum(), list(leaves.values()))
            gradients = [a + b for a, b in zip(gradients, piece, strict=True)] if gradients else list(piece)
            total = losses.detach() if total is None else total + losses.detach()
        assert total is not None
        return total, gradients

    def _look(self, done: int) -> None:
        for member in self.members[: self.real]:
            member.ctx.progress(done, self.program.steps)
        if self._chooses:
            self._choose(done)
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS and done < self.program.steps:
            self.save(done)
            self._saved_at = time.monotonic()

    def _choose(self, done: int) -> None:
        """Measure the watched split and keep the weights of those members that are better than ever before."""
        import torch

        watched = [member.watched for member in self.members]
        splits = [split for split in watched if split is not None]
        inputs = torch.stack([split.inputs for split in splits]).to(self.ctx.device, self.kind)
        labels = torch.stack([split.labels for split in splits]).to(self.ctx.device)
        measure, more_is_better = metric(self.program.metric)
        seen = measure(predict(self.network, self.parameters, inputs), labels)
        look = self.look_at[done]
        self.history["seen"][:, look] = seen
        sign = 1.0 if more_is_better else -1.0
        past = self.history["seen"].gather(1, (self.best_look - 1).clamp_min(0).unsqueeze(1)).squeeze(1)
        better = (self.best_look == 0) | (sign * seen > sign * past)
        self.best_look = torch.where(better, look + 1, self.best_look)
        for name, kept in self.best.items():
            mask = better.view(-1, *(1,) * (kept.ndim - 1))
            self.best[name] = torch.where(mask, self.parameters[name], kept)

    def _state(self) -> dict[str, Tensor]:
        return {
            **{f"parameters/{name}": tensor for name, tensor in self.parameters.items()},
            **{f"best/{name}": tensor for name, tensor in self.best.items()},
            **self.optimiser.state,
            **self.history,
            "best_look": self.best_look,
        }

    def save(self, step: int) -> None:
        """Save every member's own state: `step` steps are done."""
        state = {name: tensor.cpu() for name, tensor in self._state().items()}
        for place, member in enumerate(self.members[: self.real]):
            member.ctx.checkpoint.save(unstack(state, place), {"step": step})

    def restore(self, saved: Sequence[tuple[Mapping[str, Tensor], Mapping[str, Any]] | None]) -> None:
        """Put back the state of members that have one (all of them or none)."""
        known = [state[0] for state in saved if state is not None]
        known += known[-1:] * (len(self.members) - len(known))
        if known:
            for name, tensor in self._state().items():
                for place, state in enumerate(known):
                    tensor[place] = state[name].to(tensor.device)

    def results(self) -> list[Trained | Exception]:
        """What became of each member; its curves and flags are told to its context."""
        return [self._result(place) for place in range(self.real)]

    def _result(self, place: int) -> Trained | Exception:
        member, losses = self.members[place], self.history["losses"][place].cpu()
        self._draw(place, losses)
        bad = first_bad_step(losses)
        if bad is not None:
            return Diverged(f"{member.task.name}: the training loss is not finite from step {bad + 1} on")
        parameters = unstack(self.best if self._chooses else self.parameters, place)
        if not all(bool(tensor.isfinite().all()) for tensor in parameters.values()):
            return Diverged(f"{member.task.name}: a parameter is not finite after the last step")
        flags: tuple[str, ...] = ()
        if not_trained(losses, self.program.n_classes):
            member.ctx.flag(NOT_TRAINED)
            flags = (NOT_TRAINED,)
        kept = self.program.looks()[int(self.best_look[place]) - 1] if self._chooses else self.program.steps
        return Trained({name: tensor.cpu() for name, tensor in parameters.items()}, kept, flags)

    def _draw(self, place: int, losses: Tensor) -> None:
        """Record the mean loss since the last look, and what was seen, at each look."""
        ctx, before = self.members[place].ctx, 0
        for step, look in self.look_at.items():
            ctx.curve("train/loss", step, float(losses[before:step].mean()))
            if self._chooses:
                seen = float(self.history["seen"][place, look])
                ctx.curve(f"{self.program.rule.on}/{self.program.metric}", step, seen)
            before = step
