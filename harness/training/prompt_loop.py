"""Training a stack of prompts through one frozen model: members share the tasks and settings, not data order or values.

What a member computes depends on nothing of its neighbours; the state that a step needs is saved when the slot is to
be given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.backbones.clip import Clip
from harness.graph import BatchContext, Diverged, StageContext, Stopped
from harness.tasks.base import Task
from harness.training.data import Order
from harness.training.evaluation import metric
from harness.training.health import NOT_TRAINED, first_bad_step, guessing_loss, not_trained
from harness.training.networks import stack, unstack
from harness.training.numerics import applied, parameter_type
from harness.training.optimisers import StackedOptimiser
from harness.training.prompt_data import PromptData, starts_of
from harness.training.prompt_forward import LaidOut, classifier
from harness.training.prompt_settings import Prompt, PromptBudget, Softmax
from harness.training.rules import CheckpointRule, Numerics
from harness.training.saved_state import Saved, put_back, save_each
from harness.training.settings import Optimiser

if TYPE_CHECKING:
    from torch import Tensor

SAVE_EVERY_SECONDS: Final = 60.0

MOST_BYTES: Final = 2**29
"""Bytes of picture tokens of all members up to which they are computed once; larger ones are computed at each step."""

LARGE_WIDTH: Final = 256
"""Width of a text tower from which a CPU does members one by one; with pictures it always does."""

HIDDEN: Final = -1e4
"""Logit of a class that does not compete: its probability is 0, and 0 times its logarithm is 0 too."""

PIECE: Final = 256
"""Pictures of one member that choose among its prompts at a time."""


@dataclass(frozen=True)
class PromptProgram:
    """What all members of a batch have in common. classes: all tasks' texts, laid out, or their embeddings."""

    prompt: Prompt
    clip: Clip
    tasks: tuple[Task, ...]
    classes: LaidOut | Tensor
    softmax: Softmax
    budget: PromptBudget
    optimiser: Optimiser
    rule: CheckpointRule
    numerics: Numerics

    def criteria(self) -> tuple[str, ...]:
        """By what the best prompt is chosen: the mean over tasks, and each task by itself where there are several."""
        return ("mean", *(task.name for task in self.tasks)) if len(self.tasks) > 1 else ("mean",)


@dataclass(frozen=True)
class PromptMember:
    """One training of a batch."""

    data: PromptData
    initial: Mapping[str, Tensor]
    order: Order
    ctx: StageContext


@dataclass(frozen=True)
class LearnedPrompt:
    """The outcome of one training: for each criterion the prompt's tensors and the steps after which it was kept."""

    kept: Mapping[str, Mapping[str, Tensor]]
    steps: Mapping[str, int]
    flags: tuple[str, ...]


def train_prompts(
    program: PromptProgram, members: Sequence[PromptMember], width: int, ctx: BatchContext
) -> list[LearnedPrompt | Exception]:
    """Train all members and return what became of each, a `Diverged` among them.

    A batch is filled up to `width` with its last member, whose copies leave no trace. Members that were stopped at
    different steps go on in separate batches, and so do members too large to gain from company.
    Raises Stopped when the slot is to be given up; the state of all is saved then.
    """
    saved = [member.ctx.checkpoint.load() for member in members]
    starts = [0 if state is None else int(state[1]["step"]) for state in saved]
    together = _together(program, width, ctx.device)
    results: dict[int, LearnedPrompt | Exception] = {}
    ended: list[_Run] = []
    for start, places in _parts(list(zip(starts, [len(member.data) for member in members], strict=True)), together):
        run = _Run(program, [members[place] for place in places], together, ctx)
        run.restore([saved[place] for place in places])
        try:
            run.go(start)
        except Stopped:
            for other in ended:
                other.save(other.steps)
            raise
        ended.append(run)
        results |= dict(zip(places, run.results(), strict=True))
    return [results[place] for place in range(len(members))]


def _parts(alike: Sequence[tuple[int, int]], together: int) -> Iterator[tuple[int, list[int]]]:
    """Cut the places of a batch into parts of at most `together` with the same first step and number of examples.

    Where examples have several classes, samples of equal shots differ in size.
    """
    for one in sorted(set(alike)):
        places = [place for place, other in enumerate(alike) if other == one]
        for first in range(0, len(places), together):
            yield one[0], places[first : first + together]


def _together(program: PromptProgram, width: int, device: str) -> int:
    """How many members make one tensor program: on a CPU large work gains nothing and padding would be paid.

    Decided by shapes alone, never by how many members there are, so that a result does not depend on its neighbours.
    """
    large = program.prompt.of_pictures or program.clip.text_width >= LARGE_WIDTH
    return 1 if device == "cpu" and large else width


class _Run:
    """One batch from where it stands to its end. State tensors are [width, ...], by name."""

    def __init__(self, program: PromptProgram, members: Sequence[PromptMember], width: int, ctx: BatchContext) -> None:
        import torch

        self.program, self.ctx, self.real = program, ctx, len(members)
        self.members = list(members) + [members[-1]] * (width - len(members))
        self.kind = parameter_type(program.numerics)
        self.examples = len(members[0].data)
        self.steps = program.budget.steps_for(self.examples)
        self.parameters = {
            name: tensor.to(ctx.device, self.kind)
            for name, tensor in stack([member.initial for member in self.members]).items()
        }
        self.optimiser = StackedOptimiser(self.parameters, [program.optimiser] * width)
        self.inputs = self._prepared()
        self.wanted = torch.stack([member.data.wanted for member in self.members]).to(ctx.device, self.kind)
        self.hidden = self._hidden()
        every = program.rule.every or program.budget.steps_a_pass(self.examples)
        looks = sorted({*range(every, self.steps + 1, every), self.steps} - {0})
        self.look_at = {step: place for place, step in enumerate(looks)}
        criteria = program.criteria() if self._chooses else ()
        self.history = {
            "losses": torch.zeros(width, self.steps, dtype=torch.float64, device=ctx.device),
            **{f"seen/{name}": torch.zeros(width, len(looks), dtype=torch.float64).to(ctx.device) for name in criteria},
        }
        self.best = {
            f"best/{one}/{name}": tensor.clone() for one in criteria for name, tensor in self.parameters.items()
        }
        self.best_look = {f"look/{one}": torch.zeros(width, dtype=torch.int64, device=ctx.device) for one in criteria}
        self._saved_at = time.monotonic()

    @property
    def _chooses(self) -> bool:
        return self.program.rule.keep == "best"

    def go(self, start: int) -> None:
        """Do the steps from `start` on."""
        program = self.program
        with applied(program.numerics, self.ctx.device):
            for step in range(start, self.steps):
                if self.ctx.should_stop():
                    self.save(step)
                    raise Stopped(f"stopped after {step} of {self.steps} steps")
                losses, gradients = self._gradients(step)
                self.history["losses"][:, step] = losses
                rate = program.budget.rate(step, self.examples, program.optimiser.lr)
                self.optimiser.step(self.parameters, gradients, step, rate)
                if step + 1 in self.look_at:
                    self._look(step + 1)

    def _prepared(self) -> list[Tensor] | None:
        """Inputs of each member on the device, as the first block sees them; None where they are too many to keep."""
        if not self.program.prompt.of_pictures:
            return [member.data.inputs.to(self.ctx.device, self.kind) for member in self.members]
        patches = (self.program.clip.expects.size // self.program.clip.patch) ** 2
        numbers = len(self.members) * self.examples * (1 + patches) * self.program.clip.vision_width
        if 4 * numbers > MOST_BYTES:
            return None
        made = [self._tokens(member.data.inputs) for member in self.members[: self.real]]
        return made + made[-1:] * (len(self.members) - self.real)

    def _tokens(self, pictures: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            starts = range(0, len(pictures), PIECE)
            some = (pictures[start : start + PIECE].to(self.ctx.device, self.kind) for start in starts)
            return torch.cat([self.program.clip.tokens_of(each) for each in some])

    def _hidden(self) -> Tensor | None:
        """Which classes [tasks, classes] an example of each task does not compete with, under one softmax a task."""
        import torch

        tasks, starts = self.program.tasks, starts_of(self.program.tasks)
        if self.program.softmax == "union" or len(tasks) == 1:
            return None
        hidden = torch.ones(len(tasks), starts[-1], dtype=torch.bool, device=self.ctx.device)
        for number, task in enumerate(tasks):
            hidden[number, starts[number] : starts[number] + task.n_classes] = False
        return hidden

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs [width, batch, ...], and wanted and hidden classes [width, batch, classes] of one step."""
        import torch

        places = [member.order.at(step) for member in self.members]
        if self.inputs is not None:
            rows = [inputs[chosen] for inputs, chosen in zip(self.inputs, places, strict=True)]
        else:
            rows = [
                self._tokens(member.data.inputs[chosen]) for member, chosen in zip(self.members, places, strict=True)
            ]
        index = torch.tensor(places, device=self.ctx.device)
        hidden = None
        if self.hidden is not None:
            tasks = torch.stack([member.data.task_of for member in self.members]).to(self.ctx.device)
            hidden = self.hidden[tasks.gather(1, index)]
        wanted = torch.stack([own[chosen] for own, chosen in zip(self.wanted, index, strict=True)])
        return torch.stack(rows), wanted, hidden

    def _gradients(self, step: int) -> tuple[Tensor, list[Tensor]]:
        """Mean loss of each member on its batch, [width], and its gradients, summed over micro-batches if asked."""
        import torch

        inputs, wanted, hidden = self._batch(step)
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()}
        examples = wanted.shape[1]
        total: Tensor | None = None
        gradients: list[Tensor] = []
        for some in torch.arange(examples).tensor_split(min(self.ctx.micro_batches, examples)):
            cut = slice(int(some[0]), int(some[-1]) + 1)
            classify = classifier(self.program.prompt, self.program.clip, leaves, self.program.classes)
            scores = classify(inputs[:, cut]).to(self.kind)
            if hidden is not None:
                scores = scores.masked_fill(hidden[:, cut], HIDDEN)
            losses = -(wanted[:, cut] * scores.log_softmax(-1)).sum((1, 2)) / examples
            piece = torch.autograd.grad(losses.sum(), list(leaves.values()))
            gradients = [a + b for a, b in zip(gradients, piece, strict=True)] if gradients else list(piece)
            total = losses.detach() if total is None else total + losses.detach()
        assert total is not None
        return total, gradients

    def _look(self, done: int) -> None:
        for member in self.members[: self.real]:
            member.ctx.progress(done, self.steps)
        if self._chooses:
            self._choose(done)
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS and done < self.steps:
            self.save(done)
            self._saved_at = time.monotonic()

    def _choose(self, done: int) -> None:
        """Measure what chooses and keep the prompts of those members that are better than ever before."""
        import torch

        seen = self._seen()
        rule, tasks = self.program.rule, self.program.tasks
        more_is_better = metric(rule.metric or tasks[0].metric)[1]
        look, sign = self.look_at[done], 1.0 if more_is_better else -1.0
        for one in self.program.criteria():
            value = torch.stack(seen).mean(0) if one == "mean" else seen[[task.name for task in tasks].index(one)]
            history, best_look = self.history[f"seen/{one}"], self.best_look[f"look/{one}"]
            history[:, look] = value
            past = history.gather(1, (best_look - 1).clamp_min(0).unsqueeze(1)).squeeze(1)
            better = (best_look == 0) | (sign * value > sign * past)
            self.best_look[f"look/{one}"] = torch.where(better, look + 1, best_look)
            for name, tensor in self.parameters.items():
                kept = self.best[f"best/{one}/{name}"]
                mask = better.view(-1, *(1,) * (tensor.ndim - 1))
                self.best[f"best/{one}/{name}"] = torch.where(mask, tensor, kept)

    def _seen(self) -> list[Tensor]:
        """The metric of each task on what chooses, [width] each; a task's scores are among its own classes."""
        import torch

        program, starts = self.program, starts_of(self.program.tasks)
        measured = []
        with torch.no_grad():
            classify = classifier(program.prompt, program.clip, self.parameters, program.classes)
            for number, task in enumerate(program.tasks):
                parts = [member.data.watched[number] for member in self.members]
                inputs = torch.stack([part.inputs for part in parts])
                labels = torch.stack([part.labels for part in parts]).to(self.ctx.device)
                scores = [
                    classify(self._ready(inputs[:, cut : cut + PIECE])) for cut in range(0, inputs.shape[1], PIECE)
                ]
                own = torch.cat(scores, dim=1)[:, :, starts[number] : starts[number + 1]]
                measured.append(metric(program.rule.metric or task.metric)[0](own, labels))
        return measured

    def _ready(self, inputs: Tensor) -> Tensor:
        """Inputs [width, n, ...] as the classifier takes them."""
        if not self.program.prompt.of_pictures:
            return inputs.to(self.ctx.device, self.kind)
        tokens = self._tokens(inputs.flatten(0, 1))
        return tokens.view(*inputs.shape[:2], *tokens.shape[1:])

    def _state(self) -> dict[str, Tensor]:
        own = {f"parameters/{name}": tensor for name, tensor in self.parameters.items()}
        return {**own, **self.best, **self.best_look, **self.optimiser.state, **self.history}

    def save(self, step: int) -> None:
        """Save every member's own state: `step` steps are done."""
        save_each(self._state(), [member.ctx for member in self.members[: self.real]], step)

    def restore(self, saved: Sequence[Saved | None]) -> None:
        """Put back the state of members that have one (all of them or none)."""
        put_back(self._state(), saved, len(self.members))

    def results(self) -> list[LearnedPrompt | Exception]:
        """What became of each member; its curves and flags are told to its context."""
        return [self._result(place) for place in range(self.real)]

    def _result(self, place: int) -> LearnedPrompt | Exception:
        member, losses = self.members[place], self.history["losses"][place].cpu()
        self._draw(place, losses)
        name = self.program.tasks[0].name
        bad = first_bad_step(losses)
        if bad is not None:
            return Diverged(f"{name}: the training loss is not finite from step {bad + 1} on")
        looks = list(self.look_at)
        chosen = self._chooses and bool(looks)
        kept = {one: self._tensors(one if chosen else None, place) for one in self.program.criteria()}
        if not all(bool(tensor.isfinite().all()) for tensors in kept.values() for tensor in tensors.values()):
            return Diverged(f"{name}: a part of the prompt is not finite after the last step")
        steps = {one: looks[int(self.best_look[f"look/{one}"][place]) - 1] if chosen else self.steps for one in kept}
        flags = list(member.data.flags)
        classes = self.program.tasks[0].n_classes if self.hidden is not None else starts_of(self.program.tasks)[-1]
        if self.steps and not_trained(losses, guessing_loss(member.data.wanted.argmax(1), classes)):
            member.ctx.flag(NOT_TRAINED)
            flags.append(NOT_TRAINED)
        return LearnedPrompt(kept, steps, tuple(flags))

    def _tensors(self, criterion: str | None, place: int) -> dict[str, Tensor]:
        chosen = {
            name: tensor if criterion is None else self.best[f"best/{criterion}/{name}"]
            for name, tensor in self.parameters.items()
        }
        return {name: tensor.cpu() for name, tensor in unstack(chosen, place).items()}

    def _draw(self, place: int, losses: Tensor) -> None:
        """Record the mean loss since the last look, and what was seen, at each look."""
        ctx, before = self.members[place].ctx, 0
        for step, look in self.look_at.items():
            ctx.curve("train/loss", step, float(losses[before:step].mean()))
            for one in self.program.criteria() if self._chooses else ():
                ctx.curve(f"chosen by/{one}", step, float(self.history[f"seen/{one}"][place, look]))
            before = step
