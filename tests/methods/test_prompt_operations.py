"""Operations of prompt stages: counted by hand for one task, and for the twenty tasks of ELEVATER against a count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.backbones.clip import ClipFolder
from harness.backbones.clip_operations import KNOWN, towers_of
from harness.backbones.small import Mlp
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.coop import coop
from harness.methods.prompt_operations import examples, forwards
from harness.methods.upt import upt
from harness.methods.vpt import vpt
from harness.methods.zero_shot import zero_shot
from harness.tasks.base import Task
from harness.tasks.elevater import KNOWN as ELEVATER
from harness.training.prompt_settings import Prompt, PromptBudget
from harness.training.rules import CheckpointRule
from tests.training.prompt_toys import squares, tiny

TRIAL = Trial(None, squares(), tiny(), checkpoint=CheckpointRule("best"))
TOWERS = towers_of(tiny())
assert TOWERS is not None


def stages(terminal: Stage) -> dict[str, list[Stage]]:
    found: dict[str, list[Stage]] = {}
    waiting, seen = [terminal], set()
    while waiting:
        stage = waiting.pop()
        if stage.key not in seen:
            seen.add(stage.key)
            found.setdefault(stage.kind.name, []).append(stage)
            waiting += stage.inputs
    return found


def operations(stage: Stage) -> float:
    counted = stage.kind.operations(stage.arguments)
    assert counted is not None
    return counted


def test_vpt_by_hand() -> None:
    """3 classes of 5 shots: one of each kept, 12 learned from in batches of 6: 2 steps a pass, 4 passes."""
    (learned,) = stages(vpt(TRIAL, visual=2, shots=5, epochs=4, batch_size=6))["learn_prompt"]
    picture = TOWERS.picture(2)
    assert operations(learned) == pytest.approx(4 * (2 * 2 * 6 + 3) * picture)


def test_coop_by_hand_reads_texts_only() -> None:
    found = stages(coop(TRIAL, context=4, shots=5, epochs=4, batch_size=6))
    assert operations(found["learn_prompt"][0]) == pytest.approx(4 * (2 * 2 + 1) * 3 * TOWERS.text(4))
    assert operations(found["evaluate_prompt"][0]) == pytest.approx(3 * TOWERS.text(4))
    pictures = sum(operations(stage) for stage in found["picture_features"])
    assert pictures == pytest.approx((24 + 24) * TOWERS.picture()), "train and test, once"


def test_upt_does_both_and_the_last_prompt_is_not_chosen() -> None:
    last = replace(TRIAL, checkpoint=CheckpointRule())
    (learned,) = stages(upt(last, context=4, visual=2, shots=5, epochs=4, batch_size=6))["learn_prompt"]
    step = 6 * TOWERS.picture(2) + 3 * TOWERS.text(4)
    assert operations(learned) == pytest.approx(2 * 8 * step)


def test_cocoop_reads_every_text_for_every_picture() -> None:
    prompt = Prompt("cocoop", context=4)
    assert forwards(TOWERS, prompt, 6, 3) == pytest.approx(18 * TOWERS.text(4))


def test_other_stages() -> None:
    found = stages(zero_shot(TRIAL, template="a photo of a {}."))
    assert operations(found["class_features"][0]) == pytest.approx(3 * TOWERS.text(4))
    assert found["evaluate_zero_shot"][0].kind.operations({}) is None
    of_weights = stages(zero_shot(TRIAL))["pretrain_clip"][0]
    backbone = tiny()
    assert operations(of_weights) == pytest.approx(
        3 * backbone.steps * backbone.batch * (TOWERS.picture() + TOWERS.text())
    )


def test_nothing_is_said_of_a_model_that_is_not_here() -> None:
    (learned,) = stages(vpt(TRIAL))["learn_prompt"]
    for other in (ClipFolder("some/model", "0" * 40), Mlp()):
        assert learned.kind.operations(learned.arguments | {"backbone": other}) is None


def test_classes_of_few_examples_give_what_they_have() -> None:
    few = task_of("few", 2, 7, class_sizes={"train": (1, 6)})
    assert examples((few,), ("train",), 5, 0.2) == (1 + 4, 1 + 1), "a class of one serves both"
    assert examples((few,), ("train",), "all", 0.0) == (7, 0)


def task_of(name: str, classes: int, train: int, **more: Any) -> Task:
    names = tuple(map(str, range(classes)))
    return Task(name, classes, names, (3, 224, 224), {"train": train}, data={}, load=squares().load, **more)


def elevater_tasks() -> list[Task]:
    """The twenty tasks with their published sizes."""
    return [task_of(name.replace("-", "_"), known.classes, known.train) for name, known in ELEVATER.items()]


def test_steps_of_the_twenty_tasks() -> None:
    """110,800 steps of 32 at 20 shots and 200 passes over the twenty tasks, as they were counted for the released way,
    but for classes that lack examples; CoOp on cached pictures then takes about 3.1 EFLOP for 400 pairs and 3 seeds."""
    budget, towers = PromptBudget(200, 32), KNOWN["openai/clip-vit-base-patch16"]
    steps, texts = 0, 0.0
    for task in elevater_tasks():
        learned, _ = examples((task,), ("train",), 20, 0.2)
        own = budget.steps_for(learned)
        steps += own
        texts += (2 * own + 200) * forwards(towers, Prompt("coop", context=16), 0, task.n_classes)
    assert steps == pytest.approx(110_800, rel=0.05)
    assert 60 * texts == pytest.approx(3.1e18, rel=0.1)
