"""A trial whose tasks are as its backbone reads them."""

from __future__ import annotations

from dataclasses import replace

from harness.methods.base import Trial
from harness.tasks.base import Task, TaskSet
from harness.training.views import all_seen_by, seen_by


def as_seen(trial: Trial) -> Trial:
    """Return the trial with its tasks as the backbone reads them; the same trial where that changes nothing.

    Raises HarnessError when the backbone cannot read one of them.
    """
    target = seen_by(trial.target, trial.backbone)
    source = trial.source
    if isinstance(source, Task):
        source = seen_by(source, trial.backbone)
    elif isinstance(source, TaskSet):
        source = all_seen_by(source, trial.backbone)
    return trial if target is trial.target and source == trial.source else replace(trial, source=source, target=target)
