"""The commands that take a study: run, plan, prepare, check, status, export, report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness.api
from harness.cli.lookup import find, find_file
from harness.cli.text import columns, number, plural, size
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.execution import RunSummary
    from harness.study import Study

DONE = 0
WITH_FAILURES = 3


def run(arguments: argparse.Namespace) -> int:
    """Run what a study still needs; status 3 when trials failed, 128 + signal when interrupted."""
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("workers", "address", "in_process", "dashboard", "stale", "spare_head")
    }
    if arguments.on_failure is not None:
        options["on_failure"] = arguments.on_failure
    summary = harness.api.run(_study(arguments), arguments.results, shard=_shard(arguments), **options)
    print(_outcome(summary))
    return summary.exit_status


def _shard(arguments: argparse.Namespace) -> tuple[int, Path] | None:
    if (arguments.shards is None) != (arguments.shard is None):
        raise HarnessError("--shards FILE and --shard K go together")
    return None if arguments.shards is None else (arguments.shard, Path(arguments.shards))


def plan(arguments: argparse.Namespace) -> int:
    """Print what a run would do."""
    from harness.planning import plan_json, plan_text

    study = _study(arguments)
    planned = harness.api.plan(study, arguments.results)
    shared = harness.api.known_leakage(study, arguments.results)
    print(json.dumps(plan_json(planned, shared), indent=2) if arguments.json else plan_text(planned, shared))
    return DONE


def prepare(arguments: argparse.Namespace) -> int:
    """Read all data and weights, look for shared examples, and print where the lock file is."""
    from harness.planning.render import leakage_lines

    study = _study(arguments)
    path = harness.api.prepare(study, arguments.results, lambda sentence: print(sentence, file=sys.stderr))
    content = json.loads(path.read_text(encoding="utf-8"))
    counts = ", ".join(plural(len(content[kind]), kind[:-1]) for kind in ("tasks", "backbones", "checkpoints"))
    print(f"locked {counts} in {path}")
    print("\n".join(leakage_lines(harness.api.known_leakage(study, arguments.results))))
    return DONE


def check(arguments: argparse.Namespace) -> int:
    """Run two steps of each kind of stage; status 3 when one fails."""
    found = harness.api.check(_study(arguments), arguments.results)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(item) for item in found], indent=2))
    else:
        head = ("stage", "method", "backbone", "seconds", "memory", "")
        rows = [
            (
                item.stage,
                item.method,
                item.backbone,
                "" if item.seconds is None else number(item.seconds),
                "" if item.memory_bytes is None else size(item.memory_bytes),
                item.error or "ok",
            )
            for item in found
        ]
        print(columns([head, *rows]))
    return WITH_FAILURES if any(item.error for item in found) else DONE


def status(arguments: argparse.Namespace) -> int:
    """Print the number of trials by state."""
    described = _described(arguments)
    counts = harness.api.status(described, arguments.results)
    jobs, problem = _jobs(harness.api.study_name(described), arguments.results)
    if problem:
        print(problem, file=sys.stderr)
    if arguments.json:
        print(json.dumps({**counts, "jobs": jobs} if jobs else counts))
        return DONE
    print(columns([(state, f"{count:,}") for state, count in counts.items()]))
    if jobs:
        rows = [(job["job"], job["what"], job["state"]) for job in jobs]
        print("\n" + columns([("job", "what", "Slurm says"), *rows]))
    return DONE


def _jobs(name: str, results: str) -> tuple[list[dict[str, str]], str]:
    """Return the jobs that were submitted for a study with their states, asked once for all; why they are unknown."""
    from harness.cluster import jobs_of, states_of
    from harness.store import local_folder

    jobs = jobs_of(local_folder(results) / name)
    if not jobs:
        return [], ""
    problem = ""
    try:
        known = {number: _tally(states) for number, states in states_of(jobs).items()}
    except HarnessError as error:
        problem, known = str(error), dict.fromkeys((job.number for job in jobs), "unknown")
    return [{"job": job.number, "what": job.what, "state": known[job.number]} for job in jobs], problem


def _tally(states: Mapping[str, int]) -> str:
    return ", ".join(state if count == 1 else f"{count:,} {state}" for state, count in states.items())


def export(arguments: argparse.Namespace) -> int:
    """Write the long table and say how many rows it has."""
    rows = harness.api.export(_described(arguments), arguments.to, arguments.results)
    print(f"{plural(rows, 'row')} in {arguments.to}")
    return DONE


def report(arguments: argparse.Namespace) -> int:
    """Draw the report and print where its page is."""
    paths = harness.api.report(_described(arguments), arguments.results)
    for problem in paths.problems:
        print(f"not drawn: {problem}", file=sys.stderr)
    print(f"report: {paths.html}")
    return DONE


def _study(arguments: argparse.Namespace) -> Study:
    """Load the study that the command line names, changed by ``--set`` and cut by ``--only``."""
    file = find_file(arguments.study, arguments.results)
    return harness.api.load_study(file, arguments.sets, arguments.only)


def _described(arguments: argparse.Namespace) -> Path | str:
    """Return the file of a study, or its name when only the results know it."""
    found = find(arguments.study, arguments.results)
    return found.file if found.file is not None else found.name


def _outcome(summary: RunSummary) -> str:
    """Say what came of a run in one line."""
    counts = [(name, getattr(summary, name)) for name in ("failed", "diverged", "skipped", "pending")]
    parts = [f"{summary.done:,} done", *(f"{count:,} {name}" for name, count in counts if count)]
    line = f"{', '.join(parts)}; {plural(summary.stages_run, 'new stage')} in {summary.seconds:.1f} s"
    if summary.stopped is not None:
        line += f"; stopped: {summary.stopped}"
    if summary.interrupted is not None:
        line += "; interrupted, the next run goes on from here"
    return line
