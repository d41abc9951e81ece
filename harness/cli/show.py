"""``harness show TRIAL``: config, rows, stages, attempts, traceback and log path of one trial."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.cli.text import columns, number, plural, size

if TYPE_CHECKING:
    from harness.store import AttemptRow, StageRecord
    from harness.trial_view import TrialView


def show(arguments: argparse.Namespace) -> int:
    """Print all that the results know about one trial."""
    import harness.api

    if getattr(arguments, "cell", None):
        from harness.cli.analyses import show_cell

        return show_cell(arguments)
    print("\n".join(trial_lines(harness.api.show(arguments.trial, arguments.results))))
    return 0


def trial_lines(view: TrialView) -> Iterator[str]:
    """What is known of a trial, line by line."""
    yield f"trial {view.trial_id} of {', '.join(view.studies)}: {view.state}"
    if view.reason:
        yield f"excluded: {view.reason}"
    yield columns([(name, str(value)) for name, value in view.settings.items()], indent="  ")
    if view.candidates:
        yield f"\n{plural(len(view.candidates), 'candidate')}: {', '.join(view.candidates)}"
    if view.rows:
        yield "\noutcome"
        head = ("task", "split", "metric", "value", "examples", "flags")
        rows = [
            (row.task, row.split, row.metric, f"{row.value}", f"{row.n_eval or ''}", ", ".join(row.flags))
            for row in view.rows
        ]
        yield columns([head, *rows], indent="  ")
    if view.stages:
        yield "\nstages, the last first"
        yield columns([_STAGE_HEAD, *(_stage(stage) for stage in view.stages)], indent="  ")
    if view.attempts:
        yield "\nattempts"
        for attempt in view.attempts:
            yield from _attempt(attempt, view)


_STAGE_HEAD = ("stage", "key", "status", "seconds", "memory", "device", "threads", "width", "finished", "flags")


def _stage(stage: StageRecord) -> tuple[str, ...]:
    return (
        stage.kind,
        stage.key,
        stage.status,
        "" if stage.seconds is None else number(stage.seconds),
        "" if stage.memory_bytes is None else size(stage.memory_bytes),
        stage.device or "",
        f"{stage.threads or ''}",
        f"{stage.width or ''}",
        f"{stage.finished_at:%Y-%m-%d %H:%M:%S}",
        ", ".join(stage.flags),
    )


def _attempt(attempt: AttemptRow, view: TrialView) -> Iterator[str]:
    took = "" if attempt.seconds is None else f" after {number(attempt.seconds)} s"
    agreed = "" if attempt.agreed is None else f", {'equal to' if attempt.agreed else 'other than'} what counts"
    yield f"  {attempt.finished_at:%Y-%m-%d %H:%M:%S}  {attempt.kind} {attempt.key}: {attempt.status}{took}{agreed}"
    if attempt.reason:
        yield f"    {attempt.reason}"
    if attempt.log:
        yield f"    log: {view.store / attempt.log}"
    if attempt.error:
        yield from (f"    | {line}" for line in attempt.error.rstrip().splitlines())
