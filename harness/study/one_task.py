"""The task that a single reference means, outside of any study."""

from __future__ import annotations

from harness.errors import HarnessError
from harness.study.document import Document
from harness.study.names import Failed, Names
from harness.study.problems import Place
from harness.study.structure import Reporter
from harness.tasks.base import Task


def task_named(reference: str) -> Task:
    """Return the task of a reference, ``mnist`` or ``half(of=mnist, split=0, side=a)``, read as a study reads it.

    Raises HarnessError with one sentence, and the nearest name or argument, when it means none.
    """
    reporter = Reporter(Document({}, {(): Place("", 0)}))
    try:
        return Names(reporter).task(reference, ())
    except Failed:
        raise HarnessError("; ".join(problem.message for problem in reporter.problems)) from None
