"""Learning prompts: against a loop with torch's own optimiser; batches, stops, choices, several tasks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.graph import Diverged, Stage, Stopped, Weights
from harness.tasks.base import Task
from harness.training.data import Order
from harness.training.prompt_data import gather
from harness.training.prompt_features import class_features, fingerprint, load_clip, picture_features
from harness.training.prompt_forward import initial, lay_out, logits
from harness.training.prompt_settings import Prompt, PromptBudget
from harness.training.prompt_stages import (
    WIDTH,
    adapt_prompt,
    evaluate_prompt,
    evaluate_zero_shot,
    learn_batch,
    learn_prompt,
)
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Optimiser
from tests.training.places import Place, Together
from tests.training.prompt_toys import clip, random_weights, squares, tiny

BUDGET = PromptBudget(epochs=3, batch_size=8)
SGD = Optimiser("sgd", 0.05, 0.9, 5e-4, "constant")
COOP = Prompt("coop", context=2)
VPT = Prompt("vpt", visual=2, template="{}.")
UPT = Prompt("upt", context=2, visual=2, width=8)
KINDS = [COOP, Prompt("cocoop", context=2), VPT, UPT]


def cached(
    prompt: Prompt, tasks: tuple[Task, ...], splits: tuple[str, ...] = ("train", "val", "test")
) -> dict[str, Any]:
    """The embeddings that a prompt leaves as they are."""
    images = tuple(
        picture_features(task, split, tiny(), random_weights(), ctx=Place()) for task in tasks for split in splits
    )
    texts = tuple(class_features(task.class_names, "{}.", tiny(), random_weights(), ctx=Place()) for task in tasks)
    return {"images": None if prompt.of_pictures else images, "texts": None if prompt.of_text else texts}


def arguments(prompt: Prompt, tasks: tuple[Task, ...] = (), **changes: Any) -> dict[str, Any]:
    tasks = tasks or (squares(),)
    plain = {
        "tasks": tasks, "prompt": prompt, "backbone": tiny(), "clip": random_weights(), "shots": 8,
        "splits": ("train",), "carve": 0.2, "budget": BUDGET, "optimiser": SGD, "softmax": "union",
        "rule": CheckpointRule(), "numerics": Numerics(), "seed": 0, **cached(prompt, tasks),
    }  # fmt: skip
    return {**plain, **changes}


def learn(prompt: Prompt, tasks: tuple[Task, ...] = (), ctx: Place | None = None, **changes: Any) -> Weights:
    return learn_prompt(**arguments(prompt, tasks, **changes), ctx=ctx or Place())


def same_bits(one: Weights, two: Weights) -> bool:
    assert set(one.tensors) == set(two.tensors)
    return all(torch.equal(tensor, two.tensors[name]) for name, tensor in one.tensors.items())


def measured(weights: Weights, prompt: Prompt, task: Task, **changes: Any) -> float:
    rows = evaluate_prompt(
        task, weights, prompt, tiny(), random_weights(), **cached(prompt, (task,)), ctx=Place(), **changes
    ).rows
    return rows[0].value


# --- against torch's own optimiser ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", KINDS, ids=lambda prompt: prompt.kind)
def test_training_is_torchs_sgd_on_the_mean_cross_entropy(prompt: Prompt) -> None:
    task, model = squares(), clip()
    data = gather((task,), cached(prompt, (task,))["images"] or (), ("train",), 8, 0.2, None, 0, Place())
    shape = (prompt.context, prompt.visual, 16, 16, 2)
    drawn = initial(prompt, model, 3, Place().generator("initialisation", 0, "prompt", *shape))
    own = {name: torch.nn.Parameter(tensor[None].clone()) for name, tensor in drawn.items()}
    optimiser = torch.optim.SGD(own.values(), lr=1.0, momentum=0.9, weight_decay=5e-4)
    order = Order(len(data), 8, 0, task.name)
    texts = cached(prompt, (task,))["texts"]
    classes: Any = lay_out(model, task.class_names, prompt) if texts is None else texts[0].tensors["features"]
    inputs = model.tokens_of(data.inputs) if prompt.of_pictures else data.inputs
    for step in range(BUDGET.steps_for(len(data))):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * BUDGET.rate(step, len(data), 0.05)
        chosen = order.at(step)
        scores = logits(prompt, model, own, inputs[chosen][None], classes)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(scores[0], data.wanted[chosen].argmax(1)).backward()
        optimiser.step()
    found = learn(prompt)
    for name, tensor in found.tensors.items():
        torch.testing.assert_close(tensor, own[name][0].detach(), rtol=1e-4, atol=1e-6)
        assert not torch.equal(tensor, drawn[name])


# --- computed once, or again each time ------------------------------------------------------------------------------


def test_embeddings_computed_once_give_the_logits_of_those_computed_again() -> None:
    """What CoOp reads from the cache is what the tower gives for the pictures, to 1e-5."""
    task = squares()
    stored = picture_features(task, "test", tiny(), random_weights(), ctx=Place()).tensors["features"]
    library: Any = clip().model
    mean, spread = (torch.tensor(item)[:, None, None] for item in (clip().expects.mean, clip().expects.spread))
    with torch.no_grad():
        fresh: Any = library.get_image_features(pixel_values=(task.split("test").inputs - mean) / spread)
        fresh = fresh if isinstance(fresh, Tensor) else fresh.pooler_output
        fresh = torch.nn.functional.normalize(fresh, dim=-1)
        laid, prompts = lay_out(clip(), task.class_names, COOP), {"context": torch.randn(1, 2, 16)}
        again, once = (logits(COOP, clip(), prompts, seen[None], laid) for seen in (fresh, stored))
    torch.testing.assert_close(once, again, rtol=1e-5, atol=1e-5)


def test_tokens_of_pictures_computed_at_each_step_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = learn(VPT)
    monkeypatch.setattr("harness.training.prompt_loop.MOST_BYTES", 0)
    again = learn(VPT)
    for name, tensor in kept.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor, rtol=1e-5, atol=1e-6)


def test_texts_that_are_constant_are_those_of_the_template() -> None:
    one = class_features(("red", "dots"), "{}.", tiny(), random_weights(), ctx=Place())
    other = class_features(("red", "dots"), "a photo of a {}.", tiny(), random_weights(), ctx=Place())
    model: Any = clip().model
    tokens, _ = clip().texts.whole(["red.", "dots."])
    with torch.no_grad():
        expected = model.get_text_features(input_ids=tokens)
        expected = expected if isinstance(expected, Tensor) else expected.pooler_output
    torch.testing.assert_close(one.tensors["features"], torch.nn.functional.normalize(expected, dim=-1))
    assert not torch.allclose(one.tensors["features"], other.tensors["features"], atol=1e-3)


# --- batches --------------------------------------------------------------------------------------------------------


def batch(calls: list[dict[str, Any]], places: list[Place] | None = None) -> list[Weights | Exception]:
    """Calls as the engine runs them: filled up to the declared width with the last."""
    contexts = list(places or [Place() for _ in calls])
    missing = WIDTH - len(calls)
    members = calls + calls[-1:] * missing
    return list(learn_batch(members, Together(contexts + [Place() for _ in range(missing)])))[: len(calls)]


@pytest.mark.parametrize("prompt", KINDS, ids=lambda prompt: prompt.kind)
def test_a_member_of_a_batch_ends_with_the_same_bits_whoever_its_neighbours_are(prompt: Prompt) -> None:
    calls = [arguments(prompt, seed=seed) for seed in range(4)]
    together, turned, alone = batch(calls), batch(calls[::-1]), batch(calls[2:3])
    for one in (together[2], turned[1], alone[0]):
        assert isinstance(one, Weights) and isinstance(together[2], Weights)
        assert same_bits(one, together[2])
    assert isinstance(together[0], Weights) and isinstance(together[1], Weights)
    assert not same_bits(together[0], together[1])


@pytest.mark.parametrize("prompt", KINDS, ids=lambda prompt: prompt.kind)
def test_a_member_of_a_batch_is_the_training_alone(prompt: Prompt) -> None:
    calls = [arguments(prompt, seed=seed, rule=CheckpointRule("best")) for seed in range(3)]
    for call, together in zip(calls, batch(calls), strict=True):
        alone = learn_prompt(**call, ctx=Place())
        assert isinstance(together, Weights)
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(together.tensors[name], tensor, rtol=1e-4, atol=1e-5)


def test_one_that_is_no_number_leaves_the_others_as_they_were() -> None:
    good = [arguments(COOP, seed=seed, init=learn(COOP)) for seed in range(2)]
    broken = Weights({"context": torch.full((2, 16), torch.nan)}, {"task": "broken"})
    expected = adapt_all(good)
    found = adapt_all([good[0], {**good[1], "init": broken}, good[1]])
    assert isinstance(found[1], Diverged)
    for one, two in ((found[0], expected[0]), (found[2], expected[1])):
        assert isinstance(one, Weights) and isinstance(two, Weights)
        assert same_bits(one, two)


def adapt_all(calls: list[dict[str, Any]]) -> list[Weights | Exception]:
    rule = adapt_prompt.batch
    assert rule is not None
    members = calls + calls[-1:] * (rule.width - len(calls))
    return list(rule.function(members, Together([Place() for _ in members])))[: len(calls)]


@pytest.mark.parametrize("prompt", [COOP, VPT], ids=lambda prompt: prompt.kind)
@pytest.mark.parametrize("stop", [1, 4])
def test_a_training_that_was_stopped_ends_with_the_same_bits(prompt: Prompt, stop: int) -> None:
    calls = [arguments(prompt, seed=seed, rule=CheckpointRule("best")) for seed in range(2)]
    straight = batch(calls)
    places = [Place(stop_after=stop), Place()]
    with pytest.raises(Stopped):
        batch(calls, places)
    places[0].stop_after = None
    for one, two in zip(batch(calls, places), straight, strict=True):
        assert isinstance(one, Weights) and isinstance(two, Weights)
        assert same_bits(one, two)


def test_parts_of_a_batch_add_up_to_it() -> None:
    whole, parts = learn(COOP), learn(COOP, ctx=Place(micro_batches=3))
    torch.testing.assert_close(parts.tensors["context"], whole.tensors["context"], rtol=1e-4, atol=1e-6)


def described(seed: int = 0, **changes: Any) -> Stage:
    plain = {"tasks": (squares(),), "prompt": COOP, "backbone": tiny(), "budget": BUDGET, "seed": seed}
    return learn_prompt.bind(**{**plain, **changes})


def test_seeds_and_sources_share_a_program_and_nothing_else_does() -> None:
    assert described(0).group() == described(1).group()
    for change in (
        {"tasks": (squares("other"),)}, {"prompt": VPT}, {"budget": PromptBudget(4)}, {"shots": 3}, {"carve": 0.0},
        {"rule": CheckpointRule("best")}, {"optimiser": SGD}, {"softmax": "per_task"}, {"backbone": tiny(steps=3)},
        {"numerics": Numerics("float64")},
    ):  # fmt: skip
        assert described(**change).group() != described().group()
    onto = {"tasks": (squares(),), "prompt": COOP, "backbone": tiny()}
    one = adapt_prompt.bind(**onto, init=described(0))
    assert one.group() == adapt_prompt.bind(**onto, init=described(1), seed=2).group()


# --- choosing -------------------------------------------------------------------------------------------------------


def test_the_earliest_of_the_best_is_kept() -> None:
    place = Place()
    found = learn(COOP, ctx=place, rule=CheckpointRule("best"), budget=PromptBudget(epochs=6, batch_size=8))
    seen = place.curves["chosen by/mean"]
    values = [value for _, value in seen]
    assert [step for step, _ in seen] == [3, 6, 9, 12, 15, 18], "looked at after each pass"
    assert found.header["kept_step"] == seen[values.index(max(values))][0]


def test_the_kept_prompt_is_the_one_of_its_step() -> None:
    long = PromptBudget(epochs=6, batch_size=8, warm_up=6, warm_up_lr=0.05)  # a constant rate: a prefix is a training
    found = learn(COOP, rule=CheckpointRule("best"), budget=long)
    passes = found.header["kept_step"] // 3
    short = learn(COOP, budget=PromptBudget(epochs=passes, batch_size=8, warm_up=6, warm_up_lr=0.05))
    assert same_bits(found, short)


def test_no_pass_leaves_the_prompt_as_it_begins() -> None:
    source = learn(COOP, (squares("source"),))
    nothing = arguments(COOP, budget=PromptBudget(epochs=0), rule=CheckpointRule("best"))
    adapted = adapt_prompt(**nothing, init=source, ctx=Place())
    assert same_bits(adapted, Weights({"context": source.tensors["context"]}))
    assert adapted.header["kept_step"] == 0
    assert measured(adapted, COOP, squares()) == measured(source, COOP, squares())


def test_going_on_begins_where_the_source_ended() -> None:
    source = learn(COOP, (squares("source"),))
    from_source = adapt_prompt(**arguments(COOP), init=source, ctx=Place())
    from_other = adapt_prompt(**arguments(COOP), init=learn(COOP, (squares("another"),)), ctx=Place())
    assert not same_bits(from_source, from_other) and not same_bits(from_source, learn(COOP))


# --- several tasks --------------------------------------------------------------------------------------------------


def joint_loss(softmax: str, prompt: Prompt, tasks: tuple[Task, ...]) -> float:
    """The loss of the first step, worked out by hand from the logits."""
    data = gather(tasks, cached(prompt, tasks)["images"], ("train",), 8, 0.2, None, 0, Place())
    model = clip()
    names = [name for task in tasks for name in task.class_names]
    drawn = initial(prompt, model, 5, Place().generator("initialisation", 0, "prompt", 2, 16, 16, 16, 2))
    chosen = Order(len(data), 8, 0, " + ".join(task.name for task in tasks)).at(0)
    prompts = {name: tensor[None] for name, tensor in drawn.items()}
    with torch.no_grad():
        scores = logits(prompt, model, prompts, data.inputs[chosen][None], lay_out(model, names, prompt))[0]
    losses = []
    for row, place in zip(scores, chosen, strict=True):
        own = (0, 3) if int(data.task_of[place]) == 0 else (3, 5)
        first, last = own if softmax == "per_task" else (0, 5)
        losses.append(-row[first:last].log_softmax(0)[int(data.wanted[place].argmax()) - first])
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("softmax", ["union", "per_task"])
def test_classes_compete_over_all_tasks_or_within_their_own(softmax: str) -> None:
    tasks, place = (squares("one", 3), squares("two", 2)), Place()
    once = PromptBudget(epochs=1, batch_size=8)
    learn(COOP, tasks, ctx=place, softmax=softmax, budget=once, rule=CheckpointRule(every=1))
    assert place.curves["train/loss"][0][1] == pytest.approx(joint_loss(softmax, COOP, tasks), rel=1e-5)


def test_the_two_softmaxes_learn_different_prompts() -> None:
    tasks = (squares("one", 3), squares("two", 2))
    assert not same_bits(learn(COOP, tasks, softmax="union"), learn(COOP, tasks, softmax="per_task"))


def test_a_prompt_of_several_tasks_is_measured_among_each_tasks_own_classes() -> None:
    tasks = (squares("one", 3), squares("two", 2))
    joint = learn(COOP, tasks)
    plain = Weights({"context": joint.tensors["context"]}, {})
    for task in tasks:
        images = picture_features(task, "test", tiny(), random_weights(), ctx=Place())
        with torch.no_grad():
            laid = lay_out(clip(), task.class_names, COOP)
            scores = logits(COOP, clip(), {"context": plain.tensors["context"][None]},
                            images.tensors["features"][None], laid)[0]  # fmt: skip
        expected = float((scores.argmax(1) == images.tensors["labels"]).float().mean())
        assert measured(joint, COOP, task) == pytest.approx(expected)


def test_each_task_may_choose_by_itself_and_the_mean_is_over_tasks() -> None:
    tasks, place = (squares("one", 3), squares("two", 2)), Place()
    long = PromptBudget(epochs=6, batch_size=8)
    joint = learn(COOP, tasks, ctx=place, rule=CheckpointRule("best"), budget=long)
    curves = [[value for _, value in place.curves[f"chosen by/{name}"]] for name in ("one", "two", "mean")]
    assert [(a + b) / 2 for a, b in zip(curves[0], curves[1], strict=True)] == pytest.approx(curves[2])
    for task in tasks:
        own = Weights({"context": joint.tensors[f"{task.name}/chosen_by/context"]}, {})
        assert measured(joint, COOP, task, chosen_by_task=True) == measured(own, COOP, task)
    assert joint.header["kept_step"] == place.curves["chosen by/mean"][curves[2].index(max(curves[2]))][0]


# --- measuring, and what is refused ---------------------------------------------------------------------------------


def test_zero_shot_takes_the_nearest_sentence() -> None:
    task = squares()
    given = cached(COOP, (task,), ("test",))["images"]
    texts = class_features(task.class_names, "{}.", tiny(), random_weights(), ctx=Place())
    found = evaluate_zero_shot(task, given, texts, ctx=Place()).rows[0]
    nearest = (given[0].tensors["features"] @ texts.tensors["features"].T).argmax(1)
    assert found.value == pytest.approx(float((nearest == given[0].tensors["labels"]).float().mean()))
    assert (found.split, found.task, found.n_eval) == ("test", "squares", 24)


def test_a_prompt_of_another_shape_is_refused_with_a_sentence() -> None:
    specific = Prompt("coop", context=2, class_specific=True)
    source = learn(specific, (squares("source", 4),))
    with pytest.raises(HarnessError, match="equal numbers of classes only"):
        adapt_prompt(**arguments(specific), init=source, ctx=Place())
    with pytest.raises(HarnessError, match="has no 'visual'"):
        adapt_prompt(**arguments(VPT), init=source, ctx=Place())


def test_weights_are_told_apart_by_what_is_in_them() -> None:
    assert fingerprint(random_weights(0)) == fingerprint(random_weights(0)) != fingerprint(random_weights(1))
    one, two = (load_clip(tiny(), random_weights(seed), Numerics(), "cpu", Place()) for seed in (0, 1))
    assert not torch.equal(one.model.visual_projection.weight, two.model.visual_projection.weight)


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_precision_is_that_of_the_computation(precision: Any) -> None:
    plain, other = learn(COOP), learn(COOP, numerics=Numerics(precision))
    difference = float((plain.tensors["context"] - other.tensors["context"].float()).abs().max())
    assert 0 < difference < (1e-5 if precision == "float64" else 0.05)


def test_every_member_says_how_long_it_waited_for_its_data() -> None:
    both = [arguments(COOP, seed=seed) for seed in (0, 1)]
    ctx = Together([Place(), Place()])
    learn_batch(both, ctx)
    assert all(len(own.waits) == 1 and 0 < own.waits[0] < 1 for own in ctx.members)
    place = Place()
    learn_prompt(**both[0], ctx=place)
    assert len(place.waits) == 1
