"""Lists of tasks, methods, backbones and estimators, and what is said of one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from harness.cli.catalogue import type_name
from harness.cli.parser import build_parser

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    arguments = build_parser().parse(list(words))
    assert arguments.handler(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "name"),
    [("tasks", "digits_upright"), ("methods", "linear_probe"), ("backbones", "mlp"), ("methods", "from_scratch")],
)
def test_lists_name_and_explain(capsys: pytest.CaptureFixture[str], kind: str, name: str) -> None:
    lines = printed(capsys, kind).splitlines()
    words = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert words[name].endswith(".")
    assert list(words) == sorted(words)


def test_a_task_is_described_by_its_classes_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "tasks", "digits_flip")
    assert "family: digits" in text
    assert "10 classes: 0, 1, 2" in text
    assert "1x8x8" in text


def test_parameters_are_named_as_studies_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in printed(capsys, "methods", "fine_tune").splitlines()]
    assert ["steps", "whole", "number", "default", "200"] in lines
    assert ["source:", "steps", "whole", "number", "default", "200"] in lines
    assert ["epochs", "whole", "number", "or", "null", "default", "null"] in lines
    half = printed(capsys, "tasks", "half")
    assert "required" in half and '"a" or "b"' in half


def test_an_unknown_name_gets_the_nearest(harness_command: Command) -> None:
    done = harness_command("tasks", "digit_flip")
    assert done.returncode == 2
    assert done.stderr == "harness: unknown task 'digit_flip' (did you mean 'digits_flip'?)\n"


def test_a_plugin_is_listed(harness_command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness.graph import Stage\nfrom harness.methods.base import Trial, method\n\n\n"
        '@method("mine")\ndef mine(trial: Trial, *, depth: int = 3) -> Stage:\n'
        '    """Digs."""\n    raise NotImplementedError\n',
        encoding="utf-8",
    )
    done = harness_command("methods", "mine", "--plugin", "./mine.py")
    assert done.returncode == 0, done.stderr
    assert "method mine: Digs." in done.stdout
    assert "depth  whole number  default 3" in done.stdout
    missing = harness_command("methods", "--plugin", "./absent.py")
    assert missing.returncode == 2 and "does not exist" in missing.stderr


def test_studies_of_a_folder(harness_command: Command, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "small.yaml").write_text("study: small\n", encoding="utf-8")
    assert harness_command("studies").stdout.split() == ["small", "studies/small.yaml"]
    done = harness_command("studies", "smal")
    assert done.returncode == 2 and "did you mean 'small'?" in done.stderr


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (int | Literal["all"], 'whole number or "all"'),
        (float | None, "number or null"),
        (tuple[int, ...], "list of whole number"),
        (bool, "true or false"),
        (Path, "path"),
    ],
)
def test_types_are_said_in_words(annotation: object, said: str) -> None:
    assert type_name(annotation) == said
