"""How many floating-point operations the stages of prompt methods take, for plans: counted from sizes, not measured.

Learning a prompt goes through the frozen towers once forwards and once backwards for the gradients of activations: no
weight has a gradient. What is encoded once for all trials counts in its own stage. Sharing the beginning of texts is
not taken off, so that where it applies less is done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.backbones.clip_operations import Towers, towers_of
from harness.tasks.base import Task
from harness.training.prompt_features import class_features, picture_features
from harness.training.prompt_pretraining import pretrain_clip
from harness.training.prompt_settings import Prompt
from harness.training.prompt_stages import adapt_prompt, evaluate_prompt, learn_prompt

BOTH_WAYS: Final = 2
"""Operations of a step through frozen weights over those of going forwards."""
WITH_WEIGHTS: Final = 3
"""The same where the weights have gradients too."""


@learn_prompt.counted
@adapt_prompt.counted
def learning(arguments: Mapping[str, Any]) -> float | None:
    """Operations of learning one prompt: steps on batches, and what chooses after each pass."""
    towers = towers_of(arguments["backbone"])
    if towers is None:
        return None
    tasks, budget, prompt = arguments["tasks"], arguments["budget"], arguments["prompt"]
    learned, kept = examples(tasks, arguments["splits"], arguments["shots"], arguments["carve"])
    classes = sum(task.n_classes for task in tasks)
    steps = budget.steps_for(learned)
    done: float = BOTH_WAYS * steps * forwards(towers, prompt, budget.batch_of(learned), classes)
    rule = arguments["rule"]
    if rule.keep != "best":
        return done
    if not arguments["carve"]:
        kept = sum(task.sizes.get(rule.on, 0) for task in tasks)
    looks: int = math.ceil(steps / rule.every) if rule.every else budget.epochs
    return done + looks * forwards(towers, prompt, kept, classes)


def forwards(towers: Towers, prompt: Prompt, pictures: int, classes: int) -> float:
    """Operations of the logits of so many pictures: the pictures, the classes, or both, as the prompt changes them."""
    of_pictures = pictures * towers.picture(prompt.visual) if prompt.of_pictures else 0.0
    texts = classes * (pictures if prompt.kind == "cocoop" else 1) if prompt.of_text else 0
    return of_pictures + texts * towers.text(prompt.context)


def examples(tasks: Sequence[Task], splits: Sequence[str], shots: Any, carve: float) -> tuple[int, int]:
    """Examples that a prompt is learned from, and those kept to choose by."""
    learned = kept = 0
    for task in tasks:
        for split in splits:
            whole = task.sizes.get(split, 0)
            sizes = task.class_sizes.get(split) or (math.ceil(whole / task.n_classes),) * task.n_classes
            for size in sizes:
                own = size if shots == "all" else min(size, int(shots))
                cut = math.ceil(carve * own)
                kept += cut
                learned += own - cut if cut < own else own
    return max(learned, 1), kept


@evaluate_prompt.counted
def evaluating(arguments: Mapping[str, Any]) -> float | None:
    """Operations of the logits of the splits that are measured."""
    towers, task = towers_of(arguments["backbone"]), arguments["task"]
    if towers is None:
        return None
    pictures = sum(task.sizes.get(split, 0) for split in arguments["splits"])
    return forwards(towers, arguments["prompt"], pictures, task.n_classes)


@picture_features.counted
def encoding_pictures(arguments: Mapping[str, Any]) -> float | None:
    """Operations of encoding the pictures of a split."""
    towers = towers_of(arguments["backbone"])
    return None if towers is None else arguments["task"].sizes.get(arguments["split"], 0) * towers.picture()


@class_features.counted
def encoding_texts(arguments: Mapping[str, Any]) -> float | None:
    """Operations of encoding class names in a sentence."""
    towers = towers_of(arguments["backbone"])
    words = len(str(arguments["template"]).split()) - 1
    return None if towers is None else len(arguments["names"]) * towers.text(words)


@pretrain_clip.counted
def pretraining(arguments: Mapping[str, Any]) -> float | None:
    """Operations of training the small model: batches of pictures and names, weights included."""
    backbone = arguments["backbone"]
    towers = towers_of(backbone)
    if towers is None:
        return None
    return float(WITH_WEIGHTS * backbone.steps * backbone.batch * (towers.picture() + towers.text()))
