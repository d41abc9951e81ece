"""Stacks of prompts: which members share a program, what chooses among passes, what is flagged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.graph import Diverged
from harness.tasks.base import Split, Task
from harness.training.data import Order
from harness.training.health import NOT_TRAINED
from harness.training.prompt_data import gather
from harness.training.prompt_features import class_features
from harness.training.prompt_forward import initial, lay_out
from harness.training.prompt_loop import LearnedPrompt, PromptMember, PromptProgram, _parts, _together, train_prompts
from harness.training.prompt_settings import Prompt, PromptBudget
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Optimiser
from tests.training.places import Place, Together
from tests.training.prompt_toys import clip, random_weights, squares, tiny

COOP = Prompt("coop", context=2)
VPT = Prompt("vpt", visual=2, template="{}.")
CLIP = clip()


def program(
    prompt: Prompt = VPT,
    tasks: tuple[Task, ...] = (),
    budget: PromptBudget | None = None,
    lr: float = 0.05,
    rule: CheckpointRule | None = None,
) -> PromptProgram:
    tasks = tasks or (squares(),)
    names = [name for task in tasks for name in task.class_names]
    texts = class_features(tuple(names), "{}.", tiny(), random_weights(), ctx=Place()).tensors["features"]
    classes: Any = lay_out(CLIP, names, prompt) if prompt.of_text else texts
    settings = Optimiser("sgd", lr, 0.9, 0.0, "constant")
    return PromptProgram(
        prompt,
        CLIP,
        tasks,
        classes,
        "union",
        budget or PromptBudget(epochs=2, batch_size=6),
        settings,
        rule or CheckpointRule(),
        Numerics(),
    )


def member(
    one: PromptProgram, seed: int = 0, *, carve: float = 0.0, shots: int = 4, watch: str | None = None
) -> PromptMember:
    place = Place()
    data = gather(one.tasks, (), ("train",), shots, carve, watch, seed, place)
    classes = sum(task.n_classes for task in one.tasks)
    drawn = initial(one.prompt, CLIP, classes, torch.Generator().manual_seed(seed))
    return PromptMember(data, drawn, Order(len(data), one.budget.batch_of(len(data)), seed, "order"), place)


def run(one: PromptProgram, members: list[PromptMember], width: int = 4) -> list[LearnedPrompt | Exception]:
    return train_prompts(one, members, width, Together([Place() for _ in range(width)]))


def prompt_of(found: LearnedPrompt | Exception, criterion: str = "mean") -> torch.Tensor:
    assert isinstance(found, LearnedPrompt)
    return next(iter(found.kept[criterion].values()))


# --- which members share a program ----------------------------------------------------------------------------------


def test_members_at_one_step_with_as_many_examples_go_together() -> None:
    alike = [(0, 8), (3, 8), (0, 8), (0, 9), (0, 8)]
    assert list(_parts(alike, 2)) == [(0, [0, 2]), (0, [4]), (0, [3]), (3, [1])]
    assert sorted(place for _, places in _parts(alike, 10) for place in places) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("prompt", "device", "together"), [(COOP, "cpu", 10), (VPT, "cpu", 1), (COOP, "cuda:0", 10), (VPT, "cuda:0", 10)]
)
def test_on_a_cpu_what_is_computed_for_pictures_is_computed_one_by_one(
    prompt: Prompt, device: str, together: int
) -> None:
    assert _together(program(prompt), 10, device) == together


def load_several(split: str) -> Split:
    pictures = squares().split(split)
    memberships = torch.nn.functional.one_hot(pictures.labels, 3)
    memberships[::2, 0] = 1
    return Split(pictures.inputs, memberships)


def several() -> Task:
    plain = squares()
    return Task(
        "several",
        3,
        plain.class_names,
        (3, 8, 8),
        plain.sizes,
        {"several": True},
        load_several,
        multi_label=True,
        metric="map_11",
    )


def test_samples_of_different_sizes_end_as_they_do_alone() -> None:
    """Where a picture has several classes, equal shots give unequal numbers of pictures."""
    one = program(COOP, (several(),))
    members = [member_with_embeddings(one, seed) for seed in range(8)]
    assert len({len(each.data) for each in members}) > 1
    for each, together in zip(members, run(one, members, 8), strict=True):
        (alone,) = run(one, [each], 8)
        assert torch.equal(prompt_of(together), prompt_of(alone))


def member_with_embeddings(one: PromptProgram, seed: int) -> PromptMember:
    made = member(one, seed, shots=3)
    embedded = torch.nn.functional.normalize(made.data.inputs.flatten(1)[:, : CLIP.joint], dim=1)
    return PromptMember(
        type(made.data)(embedded, *list(vars(made.data).values())[1:]), made.initial, made.order, made.ctx
    )


# --- what chooses ---------------------------------------------------------------------------------------------------


def test_without_choosing_the_last_prompt_is_kept_and_nothing_is_looked_at() -> None:
    one = program()
    made = member(one)
    (found,) = run(one, [made])
    assert isinstance(found, LearnedPrompt) and found.steps == {"mean": 4}
    place = made.ctx
    assert isinstance(place, Place) and set(place.curves) == {"train/loss"}


def test_another_split_chooses_where_nothing_is_kept_for_it() -> None:
    one = program(rule=CheckpointRule("best", on="val", every=1))
    made = member(one, watch="val")
    (found,) = run(one, [made])
    place = made.ctx
    assert isinstance(place, Place) and isinstance(found, LearnedPrompt)
    seen = place.curves["chosen by/mean"]
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    best = max(value for _, value in seen)
    assert found.steps["mean"] == next(step for step, value in seen if value == best)


def test_a_metric_of_which_less_is_better_keeps_the_least() -> None:
    one = program(rule=CheckpointRule("best", on="val", metric="loss", every=1))
    made = member(one, watch="val")
    (found,) = run(one, [made])
    place = made.ctx
    assert isinstance(place, Place) and isinstance(found, LearnedPrompt)
    seen = dict(place.curves["chosen by/mean"])
    assert seen[found.steps["mean"]] == min(seen.values())


def test_tokens_of_pictures_are_kept_only_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.prompt_loop.PIECE", 5)
    one = program(rule=CheckpointRule("best", on="val"))
    (kept,) = run(one, [member(one, watch="val")])
    monkeypatch.setattr("harness.training.prompt_loop.MOST_BYTES", 100)
    (again,) = run(one, [member(one, watch="val")])
    torch.testing.assert_close(prompt_of(again), prompt_of(kept), rtol=1e-5, atol=1e-6)


# --- what is flagged ------------------------------------------------------------------------------------------------


def test_a_rate_that_is_far_too_large_is_a_divergence_of_that_training() -> None:
    wild = program(budget=PromptBudget(epochs=30, batch_size=6, warm_up=0), lr=1e38)
    (found,) = run(wild, [member(wild)])
    assert isinstance(found, Diverged) and "squares" in str(found)


def test_a_prompt_that_never_moved_is_flagged() -> None:
    still = program(lr=0.0)
    made = member(still)
    (found,) = run(still, [made])
    place = made.ctx
    assert isinstance(found, LearnedPrompt) and isinstance(place, Place)
    assert NOT_TRAINED in found.flags and place.flags == [NOT_TRAINED]
    assert torch.equal(prompt_of(found), made.initial["visual"])


def test_no_step_is_no_curve_and_no_flag() -> None:
    none = program(budget=PromptBudget(epochs=0), rule=CheckpointRule("best"))
    made = member(none, carve=0.2)
    (found,) = run(none, [made])
    place = made.ctx
    assert isinstance(found, LearnedPrompt) and isinstance(place, Place)
    assert found.steps == {"mean": 0} and found.flags == () and place.curves == {}


def test_several_tasks_have_a_prompt_by_each_ones_choice() -> None:
    both = program(tasks=(squares("one"), squares("two", 2)), rule=CheckpointRule("best"))
    assert both.criteria() == ("mean", "one", "two") and program().criteria() == ("mean",)
    (found,) = run(both, [member(both, carve=0.25)])
    assert isinstance(found, LearnedPrompt) and set(found.kept) == {"mean", "one", "two"}
    (last,) = run(program(tasks=(squares("one"), squares("two", 2))), [member(both, carve=0.25)])
    assert torch.equal(prompt_of(last, "one"), prompt_of(last, "mean")), "without choosing there is one prompt"
