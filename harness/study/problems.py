"""What is wrong with a study: every problem with its file, its line and one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import HarnessError


@dataclass(frozen=True)
class Place:
    """Where something was written: a file as the user named it and a line from 1 (0: it came from no line)."""

    file: str
    line: int


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, said in one sentence."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class StudyError(HarnessError):
    """All problems of a study at once, ordered by file and line; ``str()`` has one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = list(dict.fromkeys(problems))
        files = list(dict.fromkeys(problem.file for problem in unique))
        self.problems = sorted(unique, key=lambda problem: (files.index(problem.file), problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))
