"""The training loop: a batch of networks, each on its own data, with its own settings, as one tensor program.

Nothing is computed across members. The state that a step needs is saved when the slot is to be given up, so that a
training that goes on later, with whatever neighbours, ends with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.backbones.base import Backbone
from harness.graph import BatchContext, Diverged, StageContext, Stopped, derive_seed
from harness.tasks.base import Split, Task
from harness.training.augmentation import Augmentation, augmented
from harness.training.data import Order
from harness.training.evaluation import cross_entropy, metric, piece_size, predict
from harness.training.health import NOT_TRAINED, first_bad_step, guessing_loss, not_trained
from harness.training.networks import StackedNetwork, shape_above, stack, stacked_network, unstack
from harness.training.numerics import applied, parameter_type
from harness.training.optimisers import StackedOptimiser
from harness.training.rules import CheckpointRule, Numerics, Watch
from harness.training.saved_state import Saved, put_back, save_each
from harness.training.schedule import factor
from harness.training.settings import Optimiser
from harness.training.streaming import Batches, loaders_for

if TYPE_CHECKING:
    from torch import Tensor

LOOKS: Final = 10
"""Points of a curve, and looks at the watched split, unless the checkpoint rule says how often."""

SAVE_EVERY_SECONDS: Final = 60.0

EVALUATED: Final = 256
"""Examples of each member that are measured at a time: what layers make of them stays in a processor's caches."""

LARGE_STEP: Final = 3e7
"""Floating-point operations of one member's forward pass on one batch from which a CPU does members one by one."""

LARGE_GPU_STEP: Final = 1e11
"""The same on a GPU: a network of this size keeps it busy alone, and several would need several times the memory."""


@dataclass(frozen=True)
class Program:
    """What all members of a batch have in common.

    watch: what is measured on the way, by the metric `score`.  below: how many layers are not trained; a member's data
    are what the last of them puts out, or what its `before` makes that of.
    """

    backbone: Backbone
    n_classes: int
    input_shape: tuple[int, ...]
    steps: int
    metric: str
    rule: CheckpointRule
    numerics: Numerics
    watch: Watch | None = None
    score: str = "accuracy"
    below: int = 0

    @property
    def every(self) -> int:
        """Steps between looks."""
        return self.rule.every or max(1, self.steps // LOOKS)

    def looks(self) -> list[int]:
        """Numbers of steps done at which the training is looked at; the last step is among them.

        What chooses the best weights, and what is watched, are both measured at each, so that the score of the weights
        that are kept is known.
        """
        chosen = range(self.every, self.steps + 1, self.every)
        if self.watch is None:
            return sorted({*chosen, self.steps})
        return sorted({*self.watched(), *(chosen if self.rule.keep == "best" else ())})

    def watched(self) -> list[int]:
        """Numbers of steps done at which the curves of what is watched have a point; the last step is among them."""
        every = None if self.watch is None else self.watch.every
        return sorted({*range(every or self.steps, self.steps + 1, every or self.steps), self.steps})

    def network(self) -> StackedNetwork:
        """The function of the layers that are trained."""
        return stacked_network(self.backbone, self.input_shape, self.n_classes, self.numerics.compile, self.below)

    def operations(self) -> int:
        """Floating-point operations of the trained layers' pass forward on one example."""
        return self.network().operations(shape_above(self.backbone, self.input_shape, self.below))


@dataclass(frozen=True)
class Member:
    """One training of a batch. watched: the split that chooses the best weights; None keeps the last.

    scored: what is measured on the way, by split.  before: what runs frozen layers on inputs [n, ...] as the data have
    them; None where the data are what the trained layers read.  augment: how pictures are changed at every step.
    """

    task: Task
    data: Split
    watched: Split | None
    initial: Mapping[str, Tensor]
    optimiser: Optimiser
    order: Order
    ctx: StageContext
    scored: Mapping[str, Split] = field(default_factory=dict)
    before: Callable[[Tensor], Tensor] | None = None
    augment: tuple[Augmentation, ...] = ()

    def read(self, step: int) -> tuple[Tensor, Tensor]:
        """Read the inputs and labels of one step; of all examples in their own order where a batch holds all."""
        chosen = slice(None) if self.order.whole else self.order.at(step)
        inputs = augmented(self.data.inputs[chosen], self.augment, self.order.seed, self.order.task, step)
        return inputs, self.data.labels[chosen]

    @property
    def streams(self) -> bool:
        """Whether making a batch is work: pictures are changed, or read from where they are kept."""
        import torch

        return bool(self.augment) or not isinstance(self.data.inputs, torch.Tensor)


@dataclass(frozen=True)
class Trained:
    """The outcome of one training: parameters by name, the number of steps after which they were kept, flags.

    curves: what was watched, by split, as [step, value]; kept: its values at the step that was kept.
    """

    parameters: Mapping[str, Tensor]
    kept_step: int
    flags: tuple[str, ...]
    curves: Mapping[str, list[list[float]]] = field(default_factory=dict)
    kept: Mapping[str, float] = field(default_factory=dict)


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
    """How many members make one tensor program: large networks gain nothing, and padding would be paid.

    Decided by shapes alone, never by how many members there are, so that a result does not depend on its neighbours.
    """
    large = LARGE_STEP if device == "cpu" else LARGE_GPU_STEP
    return 1 if width > 1 and program.operations() * batch > large else width


class _Run:
    """One batch from where it stands to its end. State tensors are [width, ...], by name."""

    def __init__(self, program: Program, members: Sequence[Member], width: int, ctx: BatchContext) -> None:
        import torch

        self.program = program
        self.real = len(members)
        self.members = list(members) + [members[-1]] * (width - len(members))
        self.ctx = ctx
        self.kind = parameter_type(program.numerics)
        self.network = program.network()
        initial = stack([member.initial for member in self.members])
        self.parameters = {name: tensor.to(ctx.device, self.kind) for name, tensor in initial.items()}
        self.optimiser = StackedOptimiser(self.parameters, [member.optimiser for member in self.members])
        looks = program.looks()
        history = {"losses": torch.zeros(width, program.steps), "seen": torch.zeros(width, len(looks))}
        history |= {f"scored/{split}": torch.zeros(width, len(looks)) for split in members[0].scored}
        self.history = {name: tensor.to(ctx.device, torch.float64) for name, tensor in history.items()}
        self.look_at = {step: place for place, step in enumerate(looks)}
        self.best = {name: tensor.clone() for name, tensor in self.parameters.items()} if self._chooses else {}
        self.best_look = torch.zeros(width, dtype=torch.int64, device=ctx.device)
        still = all(member.order.whole and not member.augment for member in members)
        self._whole = self._stack(self._read(0)) if still else None
        self._waited = 0.0
        self._saved_at = time.monotonic()

    @property
    def _chooses(self) -> bool:
        return self.program.rule.keep == "best"

    def go(self, start: int) -> None:
        """Do the steps from `start` on."""
        optimiser = self.members[0].optimiser
        with applied(self.program.numerics, self.ctx.device), self._batches(start) as batches:
            for step in range(start, self.program.steps):
                if self.ctx.should_stop():
                    self.save(step)
                    raise Stopped(f"stopped after {step} of {self.program.steps} steps")
                batch = self._whole or self._stack(batches.take())
                losses, gradients = self._gradients(*batch, self._kept(step, batch[1].shape[1]))
                self.history["losses"][:, step] = losses
                self.optimiser.step(self.parameters, gradients, step, factor(optimiser, step, self.program.steps))
                if step + 1 in self.look_at:
                    self._look(step + 1)
            self._waited = batches.share_waited()

    def _batches(self, start: int) -> Batches[list[tuple[Tensor, Tensor]]]:
        """What gives the batches from `start` on; made ahead of the step where making them is work."""
        members = self.members[: self.real]
        ahead = self._whole is None and any(member.streams for member in members)
        workers = loaders_for(members[0].ctx.loaders, self.ctx.threads) if ahead else 0
        nbytes = 4 * self.real * members[0].order.batch * math.prod(members[0].data.inputs.shape[1:])
        return Batches(self._read, start, self.program.steps, workers, nbytes)

    def _read(self, step: int) -> list[tuple[Tensor, Tensor]]:
        """Inputs and labels of one step of each member, on the CPU; may be called by several threads."""
        return [member.read(step) for member in self.members[: self.real]]

    def _stack(self, read: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Inputs [width, batch, ...] and labels [width, batch], copies of the last member filling up."""
        import torch

        inputs = [self._ready(member, given) for member, (given, _) in zip(self.members, read, strict=False)]
        labels = [found for _, found in read]
        missing = len(self.members) - self.real
        inputs, labels = inputs + inputs[-1:] * missing, labels + labels[-1:] * missing
        return torch.stack(inputs), torch.stack(labels).to(self.ctx.device)

    def _kept(self, step: int, examples: int) -> dict[str, Tensor]:
        """Which inputs layers with dropout see, [width, examples, units] by name; from seed, task and step alone."""
        import torch

        if not self.network.dropouts:
            return {}
        drawn: list[dict[str, Tensor]] = []
        for member in self.members[: self.real]:
            seed = derive_seed(member.order.seed, "dropout", member.order.task, step)
            generator = torch.Generator(self.ctx.device).manual_seed(seed)
            drawn.append(
                {
                    name: torch.rand(examples, units, generator=generator, device=self.ctx.device) >= rate
                    for name, (units, rate) in self.network.dropouts.items()
                }
            )
        return stack(drawn + drawn[-1:] * (len(self.members) - self.real))

    def _gradients(self, inputs: Tensor, labels: Tensor, kept: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Mean loss of each member on its batch, [width], and its gradients, summed over micro-batches if asked."""
        import torch

        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()}
        examples = labels.shape[1]
        parts = min(self.ctx.micro_batches, examples)
        total: Tensor | None = None
        gradients: list[Tensor] = []
        for part, (some, theirs) in enumerate(
            zip(inputs.tensor_split(parts, 1), labels.tensor_split(parts, 1), strict=True)
        ):
            seen = {name: mask.tensor_split(parts, 1)[part] for name, mask in kept.items()}
            losses = cross_entropy(self.network(leaves, some, seen), theirs).sum(1) / examples
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
        for split in self.members[0].scored:
            self._score(split, done)
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS and done < self.program.steps:
            self.save(done)
            self._saved_at = time.monotonic()

    def _measure(self, name: str, splits: Sequence[Split]) -> Tensor:
        """Measure each member on its split by a metric, [width]; a piece of the examples is read at a time."""
        import torch

        pieces, size = [], min(EVALUATED, piece_size(splits[0].inputs.shape))
        for start in range(0, len(splits[0]), size):
            read = [
                self._ready(member, split.inputs[start : start + size])
                for member, split in zip(self.members, splits, strict=True)
            ]
            pieces.append(predict(self.network, self.parameters, torch.stack(read)))
        labels = torch.stack([split.labels for split in splits]).to(self.ctx.device)
        measure, _ = metric(name)
        return measure(torch.cat(pieces, 1), labels)

    def _ready(self, member: Member, inputs: Tensor) -> Tensor:
        """Bring inputs of one member to the device, and through the layers that are not trained."""
        ready = inputs.to(self.ctx.device, self.kind)
        return ready if member.before is None else member.before(ready)

    def _score(self, split: str, done: int) -> None:
        """Measure a split that is watched."""
        seen = self._measure(self.program.score, [member.scored[split] for member in self.members])
        self.history[f"scored/{split}"][:, self.look_at[done]] = seen

    def _choose(self, done: int) -> None:
        """Measure the split that chooses and keep the weights of those members that are better than ever before."""
        import torch

        watched = [member.watched for member in self.members]
        seen = self._measure(self.program.metric, [split for split in watched if split is not None])
        _, more_is_better = metric(self.program.metric)
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
        save_each(self._state(), [member.ctx for member in self.members[: self.real]], step)

    def restore(self, saved: Sequence[Saved | None]) -> None:
        """Put back the state of members that have one (all of them or none)."""
        put_back(self._state(), saved, len(self.members))

    def results(self) -> list[Trained | Exception]:
        """What became of each member; its curves and flags are told to its context."""
        return [self._result(place) for place in range(self.real)]

    def _result(self, place: int) -> Trained | Exception:
        member, losses = self.members[place], self.history["losses"][place].cpu()
        member.ctx.waited(self._waited)
        self._draw(place, losses)
        bad = first_bad_step(losses)
        if bad is not None:
            return Diverged(f"{member.task.name}: the training loss is not finite from step {bad + 1} on")
        parameters = unstack(self.best if self._chooses else self.parameters, place)
        if not all(bool(tensor.isfinite().all()) for tensor in parameters.values()):
            return Diverged(f"{member.task.name}: a parameter is not finite after the last step")
        flags: tuple[str, ...] = ()
        if not_trained(losses, guessing_loss(member.data.labels, self.program.n_classes)):
            member.ctx.flag(NOT_TRAINED)
            flags = (NOT_TRAINED,)
        kept = self.program.looks()[int(self.best_look[place]) - 1] if self._chooses else self.program.steps
        curves = {split: self._curve(place, split) for split in member.scored}
        at_kept = {split: float(self.history[f"scored/{split}"][place, self.look_at[kept]]) for split in curves}
        return Trained({name: tensor.cpu() for name, tensor in parameters.items()}, kept, flags, curves, at_kept)

    def _curve(self, place: int, split: str) -> list[list[float]]:
        values = self.history[f"scored/{split}"][place]
        return [[step, float(values[self.look_at[step]])] for step in self.program.watched()]

    def _draw(self, place: int, losses: Tensor) -> None:
        """Record the mean loss since the last look, and what was seen, at each look."""
        ctx, before = self.members[place].ctx, 0
        for step, look in self.look_at.items():
            ctx.curve("train/loss", step, float(losses[before:step].mean()))
            if self._chooses:
                seen = float(self.history["seen"][place, look])
                ctx.curve(f"{self.program.rule.on}/{self.program.metric}", step, seen)
            before = step
