"""Lists of tasks, methods, backbones and estimators, and what is said of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
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
    [("methods", "linear_probe"), ("backbones", "mlp"), ("methods", "from_scratch"), ("estimators", "knn")],
)
def test_lists_name_and_explain(capsys: pytest.CaptureFixture[str], kind: str, name: str) -> None:
    lines = printed(capsys, kind).splitlines()
    # Methods that other tests have registered in this process may have no summary.
    words = {name: summary for name, _, summary in (line.partition(" ") for line in lines)}
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


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (type(None), "null"),
        (Sequence[int], "list of whole number"),
        (list[float | None], "list of number or null"),
        (Mapping[str, int], "mapping to whole number"),
        (dict[str, float], "mapping to number"),
        (Literal[3, "all", True], '3 or "all" or True'),
        (str | list[str], "text or list of text"),
    ],
)
def test_more_types_in_words(annotation: object, said: str) -> None:
    assert type_name(annotation) == said


def test_the_schema_is_printed_or_written_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = printed(capsys, "schema")
    assert json.loads(text)["type"] == "object" and text.endswith("}\n")
    target = tmp_path / "deep" / "er" / "schema.json"
    assert printed(capsys, "schema", "--to", str(target)) == ""
    assert target.read_text(encoding="utf-8") == text


def test_studies_of_files_come_first_and_one_can_be_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.cli import catalogue

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "known_studies", lambda results: ["finished", "b", "a"])
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "b.yaml").write_text("study: b\n", encoding="utf-8")
    assert [line.split(maxsplit=1) for line in printed(capsys, "studies", "--results", "there").splitlines()] == [
        ["b", "studies/b.yaml"],
        ["a", "known to there"],
        ["finished", "known to there"],
    ]
    assert printed(capsys, "studies", "finished").split() == ["finished", "known", "to", "results"]


@pytest.mark.parametrize(("kind", "name"), [("estimators", "knn"), ("methods", "fine_tune")])
def test_what_an_estimator_or_method_reads_is_told(capsys: pytest.CaptureFixture[str], kind: str, name: str) -> None:
    from harness.registry import ESTIMATORS, METHODS

    entry = (ESTIMATORS if kind == "estimators" else METHODS).entry(name)
    lines = printed(capsys, kind, name).splitlines()
    assert lines[0] == f"{kind[:-1]} {name}: {entry.value.summary}"
    assert lines[1] == f"defined in {entry.module}"
    assert lines[2] == f"reads {', '.join(entry.value.reads)}"
