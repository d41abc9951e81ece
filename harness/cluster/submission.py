"""From a study to jobs: the script, its head written anew, and `sbatch`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.cluster.jobs import Job, NoAnswerError, ask, note_job
from harness.errors import HarnessError
from harness.store import local_folder, place_of

if TYPE_CHECKING:
    from harness.study import Study

_END_OF_HEAD: Final = "# --- end of the head ---\n"
_SAFE: Final = re.compile(r"[\w.,:=+/@%\[\]-]+")
_NUMBER: Final = re.compile(r"(?:Submitted batch job )?([0-9]+)(?:;.*)?")

DEFAULT_MAX_ARRAY: Final = 1001
"""Slurm's own default of MaxArraySize: indices go up to one less."""


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm.

    nodes: of one allocation.  array: shards, each an element of an array on a node of its own; None: one allocation.
    cores, gpus, memory: of each node.  time: as Slurm writes it, e.g. 04:00:00.  notice: seconds before the end at
    which the run is told.  more: further options of sbatch, as typed.
    """

    nodes: int = 1
    array: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    cores: int | None = None
    gpus: int | None = None
    memory: str | None = None
    notice: int = 120
    more: tuple[str, ...] = ()

    def options(self, name: str, log: str) -> list[str]:
        """Return the options of sbatch. Raises HarnessError when a value would break out of its line."""
        fields: list[tuple[str, object]] = [
            ("job-name", name), ("nodes", 1 if self.array else self.nodes), ("ntasks-per-node", 1),
            ("cpus-per-task", self.cores), ("gpus-per-node", self.gpus), ("mem", self.memory), ("time", self.time),
            ("partition", self.partition), ("account", self.account), ("qos", self.qos),
            ("signal", f"B:USR1@{self.notice}"), ("open-mode", "append"), ("output", log),
        ]  # fmt: skip
        found = [f"--{key}={value}" for key, value in fields if value is not None]
        found += ["--requeue", *self.more]
        for option in found:
            if not option.startswith("--") or _SAFE.fullmatch(option[2:]) is None:
                raise HarnessError(
                    f"{option!r} is no option of sbatch that can stand in a script: "
                    "write it as --NAME=VALUE, without blanks and quotes"
                )
        return found


@dataclass(frozen=True)
class Submission:
    """One script and how it is submitted; `after`: it waits for the end, good or bad, of the submission before it."""

    what: str
    script: str
    arguments: tuple[str, ...] = ()
    after: bool = False


def plan_submission(
    study: Study, file: Path, results: Path, request: Request, run_options: Sequence[str]
) -> list[Submission]:
    """Write the scripts for a study; for an array, cut its shards too (written to the results).

    Empty when there is nothing to run. Raises HarnessError when a value cannot stand in a script.
    """
    from harness.api import plan

    planned = plan(study, results)
    if not planned.stages_needed:
        return []
    words = [str(file), "--results", str(place_of(results)), *run_options]
    folder = local_folder(results) / study.name
    if request.array is None:
        log = _log(folder, "slurm-%j.log")
        script = render("run_study.sbatch", request.options(f"harness-{study.name}", log), words)
        return [Submission("study", script)]
    from harness.planning import cut

    shards = cut(planned, request.array)
    to = folder / f"shards-{shards.plan[:8]}-{len(shards)}.json"
    shards.write(to)
    return _array(study.name, to, len(shards), bool(shards.shared), folder, request, words)


def _array(
    name: str, shards: Path, number: int, shared: bool, folder: Path, request: Request, words: Sequence[str]
) -> list[Submission]:
    log = _log(folder, "slurm-%A-%a.log")
    options = request.options(f"harness-{name}", log)
    found = []
    if shared:
        script = render("run_array.sbatch", options, [str(shards), "0", *words])
        found.append(Submission("shared", script, ("--array=0",)))
    step = max_array_size() - 1
    for start in range(0, number, step):
        last = min(step, number - start)
        script = render("run_array.sbatch", options, [str(shards), str(start), *words])
        what = f"shards {start + 1}-{start + last}"
        found.append(Submission(what, script, (f"--array=1-{last}",), after=shared))
    return found


def _log(folder: Path, name: str) -> str:
    """Return a job's log as sbatch wants it, which takes % for the beginning of a number that it knows."""
    if _SAFE.fullmatch(str(folder)) is None:
        raise HarnessError(
            f"no log of a job can lie in '{folder}': choose results whose path has no blanks and quotes to submit"
        )
    return str(folder).replace("%", "%%") + f"/{name}"


def render(template: str, options: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the text of a script of the folder `slurm` with another head and its arguments set."""
    text = files("harness.cluster").joinpath(template).read_text(encoding="utf-8")
    _, _, body = text.partition(_END_OF_HEAD)
    command = shlex.join([sys.executable, "-m", "harness"])
    head = "".join(f"#SBATCH {option}\n" for option in options)
    body = body.replace('"${HARNESS:-harness}"', command)
    return f"#!/usr/bin/env bash\n{head}\nset -- {shlex.join(arguments)}\n{body}"


def submit(study_name: str, results: Path, submissions: Sequence[Submission]) -> list[Job]:
    """Hand scripts to sbatch, in order; return the jobs, which are written down beside the study's results.

    Raises HarnessError with sbatch's own words when it refuses; what was submitted before stays, and is named.
    """
    folder = local_folder(results) / study_name
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[Job] = []
    first: str | None = None
    now = datetime.now(UTC)
    for place, submission in enumerate(submissions):
        script = folder / f"submitted-{now:%Y%m%d-%H%M%S}-{place}.sbatch"
        script.write_text(submission.script, encoding="utf-8")
        arguments = list(submission.arguments)
        if submission.after and first is not None:
            arguments.append(f"--dependency=afterany:{first}")
        try:
            number = _number(["sbatch", "--parsable", *arguments, str(script)])
        except HarnessError as error:
            raise HarnessError(f"{error}{_already(jobs)}") from None
        first = first or number
        job = Job(number, submission.what, script.name, now.isoformat(timespec="seconds"))
        note_job(folder, job)
        jobs.append(job)
    return jobs


def _number(command: Sequence[str]) -> str:
    """Submit a script and return the job's number, which sites may let a greeting precede."""
    look = "; a job may have been submitted: `squeue --me` shows it"
    try:
        answer = ask(command).strip()
    except NoAnswerError as error:
        raise HarnessError(f"{error}{look}") from None
    match = _NUMBER.fullmatch(answer.rpartition("\n")[2].strip())
    if match is None:
        raise HarnessError(f"sbatch gave no job number but {answer!r}{look}")
    return match[1]


def _already(jobs: Sequence[Job]) -> str:
    if not jobs:
        return ""
    what = ", ".join(f"{job.number} ({job.what})" for job in jobs)
    return f"; submitted before that: {what}, to be ended by `scancel {' '.join(job.number for job in jobs)}`"


def max_array_size() -> int:
    """Return Slurm's MaxArraySize, or its default where Slurm cannot be asked."""
    try:
        answer = ask(["scontrol", "show", "config"])
    except HarnessError:
        return DEFAULT_MAX_ARRAY
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer, re.MULTILINE)
    return max(2, int(match[1])) if match else DEFAULT_MAX_ARRAY
