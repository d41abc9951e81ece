"""The jobs that were submitted for a study, and what Slurm says of them: one question for all."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from harness.errors import HarnessError

FORGOTTEN: Final = "ended (Slurm has forgotten how)"
"""What is said of a job that Slurm does not know any more: it keeps ended ones for some minutes only."""

_OVER: Final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")


class NoAnswerError(HarnessError):
    """A command of Slurm did not end in time: what it was asked for may have been done or not."""


@dataclass(frozen=True)
class Job:
    """One submission.  what: `study`, `shared` or `shards 1-8`.  script: relative to the study's results folder."""

    number: str
    what: str
    script: str
    submitted: str


def jobs_file(folder: Path) -> Path:
    """Return where the jobs of a study are written down; folder: the study's own under the results."""
    return folder / "jobs.jsonl"


def note_job(folder: Path, job: Job) -> None:
    """Write a job down: one line, appended by one write."""
    line = json.dumps(asdict(job)) + "\n"
    descriptor = os.open(jobs_file(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def jobs_of(folder: Path) -> list[Job]:
    """Return the jobs of a study, oldest first; a line that is none is passed over."""
    try:
        lines = jobs_file(folder).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            job = Job(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if all(isinstance(value, str) for value in asdict(job).values()):
            found.append(job)
    return found


def states_of(jobs: Iterable[Job]) -> dict[str, dict[str, int]]:
    """Return for each job how many of its elements are in which state, as Slurm names states.

    Raises HarnessError when Slurm cannot be asked.
    """
    numbers = [job.number for job in jobs]
    known = _from_queue(numbers)
    missing = [number for number in numbers if number not in known]
    if missing:
        known.update(_from_accounting(missing))
    return {number: known.get(number, {FORGOTTEN: 1}) for number in numbers}


def over(states: Mapping[str, int]) -> bool:
    """Say whether nothing of a job is waiting or running any more."""
    return all(state == FORGOTTEN or state.startswith(_OVER) for state in states)


def _from_queue(numbers: Sequence[str]) -> dict[str, dict[str, int]]:
    """Ask for all of this user's jobs at once: naming one that is forgotten would make the whole question fail."""
    answer = ask(["squeue", "--noheader", "--me", "--states=all", "--array", "--format=%F %T"])
    return _counted((line.split(None, 1) for line in answer.splitlines()), numbers)


def _from_accounting(numbers: Sequence[str]) -> dict[str, dict[str, int]]:
    """Ask the accounting database, which many clusters have and some have not."""
    command = ["sacct", "--noheader", "--allocations", "--parsable2", "--array", "--format=JobID,State"]
    try:
        answer = ask([*command, f"--jobs={','.join(numbers)}"])
    except HarnessError:
        return {}
    pairs = (line.split("|", 1) for line in answer.splitlines())
    return _counted(((re.split(r"[_.]", pair[0])[0], *pair[1:]) for pair in pairs), numbers)


def _counted(pairs: Iterable[Sequence[str]], numbers: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for pair in pairs:
        if len(pair) == 2 and pair[0] in numbers:
            states = found.setdefault(pair[0], {})
            state = pair[1].strip()
            states[state] = states.get(state, 0) + 1
    return found


def ask(command: Sequence[str]) -> str:
    """Run one of Slurm's commands and return what it printed.

    Raises HarnessError with what it complained of, or when it is not installed, and NoAnswerError when it says nothing.
    """
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False)
    except FileNotFoundError:
        raise HarnessError(f"{command[0]} is not installed here: is this a login node of a Slurm cluster?") from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]} does not answer: Slurm's controller may be down") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise HarnessError(f"{command[0]} refused: {said}")
    return done.stdout
