"""UPT: one small network makes both the context of class names and the tokens beside patches (Zang et al. 2022)."""

from __future__ import annotations

import functools
from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.prompt_recipes import of_source, prompt_training, transferred
from harness.tasks.base import TaskSet
from harness.training.prompt_settings import Prompt

PROMPT = functools.lru_cache(maxsize=256)(Prompt)
"""Equal settings give one object, so that its part of the keys is worked out once."""


@method("upt")
def upt(
    trial: Trial,
    *,
    context: int = 4,
    visual: int = 4,
    position: Literal["end", "middle"] = "end",
    mixing: Literal["cross_token", "per_token"] = "cross_token",
    width: int = 128,
    shots: int | Literal["all"] = 20,
    carve: float = 0.2,
    epochs: int = 200,
    batch_size: int = 32,
    lr: float = 0.002,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    warm_up: int = 1,
    warm_up_lr: float = 1e-5,
    softmax: Literal["union", "per_task"] = "union",
    transfer_mode: Literal["init_then_adapt", "zero_shot", "joint_pair"] = "init_then_adapt",
    select_by: Literal["mean", "target"] = "mean",
    group: TaskSet | None = None,
    source_shots: int | Literal["all"] | None = None,
    source_epochs: int | None = None,
    source_lr: float | None = None,
) -> Stage:
    """Learn prompts of both towers through a shared network; on a set of source tasks this is MUPT.

    carve: share of the sample kept for choosing among the prompts of a training.  transfer_mode: see
    :func:`harness.methods.prompt_recipes.transferred`; `group`, `select_by`, `softmax` are for several tasks at once.
    """
    prompt = PROMPT("upt", context=context, visual=visual, position=position, mixing=mixing, width=width)
    how = prompt_training(shots, carve, epochs, batch_size, lr, momentum, weight_decay, warm_up, warm_up_lr, softmax)
    source = of_source(how, source_shots, source_epochs, source_lr)
    return transferred(trial, prompt, how, source, transfer_mode, group, select_by)
