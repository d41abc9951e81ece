"""``harness data leakage``, and what ``plan`` and ``prepare`` say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.planning.leakage import leakage_path

STUDY = """\
study: small
sources: [digits_upright, digits_transpose]
targets: [digits_upright]
backbones: [mlp]
methods: [linear_probe]
"""

DOUBLED = '''\
"""Digits whose test examples are the first of those for training."""

from __future__ import annotations

import dataclasses
import functools

from harness.tasks.base import Split, Task, choose, task
from harness.tasks.digits import digits_upright


@task("doubled")
def doubled(count: int = 540) -> Task:
    """Test examples that are training examples."""
    whole = digits_upright()
    data = {"of": dict(whole.identity()), "count": count}
    return dataclasses.replace(whole, data=data, load=functools.partial(load, whole, count))


def load(whole: Task, count: int, name: str) -> Split:
    import torch

    found, train = whole.split(name), whole.split("train")
    if name != "test":
        return found
    inputs = torch.cat([train.inputs[:count], found.inputs[count:]])
    return Split(inputs, torch.cat([train.labels[:count], found.labels[count:]]))
'''


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "doubled_digits.py").write_text(DOUBLED, encoding="utf-8")
    doubled = STUDY.replace("study: small", "study: twice\nplugins: [./doubled_digits.py]")
    (tmp_path / "twice.yaml").write_text(doubled.replace("digits_transpose]", "doubled(count=7)]"), encoding="utf-8")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0, capsys.readouterr()
    return capsys.readouterr().out


def test_tasks_are_compared_with_each_other_and_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "data", "leakage", "digits_upright", "digits_invert", "--json"))
    names = ("digits_upright", "digits_invert")
    assert {(one["source"], one["target"]) for one in found} == {(a, b) for a in names for b in names}
    assert "4 pairs of tasks compared" in said(capsys, "data", "leakage", "digits_upright", "digits_invert")


def test_references_are_tasks_too(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(said(capsys, "data", "leakage", "at_most(of=digits_upright, n=3)", "--json"))
    assert found["of"] == 30


def test_a_study_is_written_down_and_its_plan_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "2 pairs of tasks not checked: run `harness data leakage small`" in said(capsys, "plan", "small.yaml")
    told = said(capsys, "data", "leakage", "small.yaml")
    assert "2 pairs of tasks compared" in told and leakage_path("small", place / "results").is_file()
    assert "shared examples: of 2 pairs of tasks" in said(capsys, "plan", "small.yaml")
    planned = json.loads(said(capsys, "plan", "small.yaml", "--json"))
    assert planned["leakage"]["pairs"] == planned["leakage"]["compared"] == 2


def test_prepare_looks_too(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "prepare", "small.yaml")
    assert "locked 2 tasks" in told and "shared examples: of 2 pairs of tasks" in told


def test_planted_duplicates_are_found_listed_and_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    # Seven examples of `doubled`; its own test split is not used by the study, and digits_upright has none of them.
    task = "doubled(count=7)"
    assert main(["tasks", task, "--plugin", "./doubled_digits.py", "--json"]) == 0
    capsys.readouterr()
    sheet = place / "pairs.png"
    told = said(capsys, "data", "leakage", task, "--show", str(sheet))
    row = next(line for line in told.splitlines() if line.startswith(task)).removeprefix(f"{task}  {task}").split()
    assert row[0] == "7" and row[2] == "540"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert "2 pairs of tasks compared" in said(capsys, "data", "leakage", "twice.yaml")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["digits_upwrite"], "neither a study nor a task 'digits_upwrite' (did you mean the task 'digits_upright'?)"),
        (["nowhere.yaml"], "there is no study file nowhere.yaml"),
        (["digits_upright", "digits_upwrite"], "'digits_upright'"),
        (["half"], "needs the parameter 'of'"),
        (["mnist"], "harness data fetch mnist"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "leakage", *words]) == 2
    assert sentence in capsys.readouterr().err
