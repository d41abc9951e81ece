"""The README's examples, taken out of it and run as they stand."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
EXAMPLES = {"flips.yaml", "my_task.py", "keyhole.yaml", "my_method.py", "halfway.yaml"}


def example_files() -> dict[str, str]:
    """Return every block whose first line is a comment with a file name."""
    found = {}
    for _, text in BLOCKS:
        named = re.match(r"# ([\w.]+\.(?:py|yaml))\n", text)
        if named:
            found[named.group(1)] = text
    return found


def commands() -> list[list[str]]:
    """Return the `harness` commands of the console blocks that name an example, in order."""
    lines = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
    calls = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.startswith("$ harness")]
    return [call[1:] for call in calls if set(call) & EXAMPLES]


def test_each_example_is_there_and_short() -> None:
    files = example_files()
    assert set(files) == EXAMPLES
    for name, text in files.items():
        # A task and a method take some thirty lines of code, blank ones not counted.
        assert sum(1 for line in text.splitlines() if line.strip()) <= 32, name


def test_every_example_is_used_by_some_command() -> None:
    used = {word for call in commands() for word in call}
    assert {name for name in EXAMPLES if name.endswith(".yaml")} <= used


@pytest.mark.slow
def test_the_examples_run_as_written(tmp_path: Path, harness_command: Command) -> None:
    for name, text in example_files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for call in commands():
        if call == ["run", "halfway.yaml"]:
            plan = json.loads(harness_command("plan", "halfway.yaml", "--json").stdout)
            assert plan["stages"]["train"]["needed"] == 0, "the README says that it shares its source trainings"
        # Without Ray: the commands are what is tried here, and a start of Ray each would take most of the time.
        more = ["--in-process"] if call[0] == "run" else []
        done = harness_command(*call, *more)
        assert done.returncode == 0, (call, done.stdout, done.stderr)
    with (tmp_path / "flips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # Two targets, two shots, two seeds, two methods, three sources less one pair; and from scratch.
    assert len(rows) == (3 * 2 - 1) * 2 * 2 * 2 + 2 * 2 * 2
    assert {"study", "trial_id", "shots", "value"} <= set(rows[0])


def test_commands_of_the_table_exist() -> None:
    from harness.cli.parser import build_parser

    named = {word for row in re.findall(r"^\| (`.*?) \|", README, re.MULTILINE) for word in re.findall(r"`(\w+)", row)}
    choices = next(action.choices for action in build_parser()._actions if action.choices and "run" in action.choices)
    assert named - {"verify", "compact", "prune"} == set(choices)


def test_figures_and_links_point_at_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
