"""Which study a word means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import lookup
from harness.errors import HarnessError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some studies in it, and nothing in its results."""
    for name, text in {
        "studies/quickstart.yaml": "study: quickstart\n",
        "studies/prompts/mini.yaml": "description: small\nstudy: prompts-mini\n",
        "studies/prompts/paper.yaml": "study: 'prompts-paper'\n",
        "studies/lone/mini.yaml": "study: single\n",
        "studies/common.yaml": "seeds: [0]\n",
        "elsewhere.yaml": "study: elsewhere\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lookup, "known_studies", lambda results: ["finished"])
    return tmp_path


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("elsewhere.yaml", "elsewhere.yaml", "elsewhere"),
        ("studies/prompts/mini.yaml", "studies/prompts/mini.yaml", "prompts-mini"),
        ("quickstart", "studies/quickstart.yaml", "quickstart"),
        ("prompts/mini", "studies/prompts/mini.yaml", "prompts-mini"),
        ("prompts-paper", "studies/prompts/paper.yaml", "prompts-paper"),
        ("lone", "studies/lone/mini.yaml", "single"),
    ],
)
def test_files_and_names(text: str, file: str, name: str) -> None:
    assert lookup.find(text, "results") == lookup.Found(Path(file), name)


def test_a_study_that_only_the_results_know() -> None:
    assert lookup.find("finished", "results") == lookup.Found(None, "finished")
    with pytest.raises(HarnessError, match="give the file"):
        lookup.find_file("finished", "results")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("quikstart", "did you mean 'quickstart'?"),
        ("finishd", "did you mean 'finished'?"),
        ("elsewere.yaml", "there is no study file elsewere.yaml (did you mean 'elsewhere.yaml'?)"),
        ("prompts", "'prompts' could be any of prompts/mini, prompts/paper"),
    ],
)
def test_what_cannot_be_found_names_the_nearest(text: str, sentence: str) -> None:
    with pytest.raises(HarnessError) as caught:
        lookup.find(text, "results")
    assert sentence in str(caught.value)


def test_fragments_without_a_name_are_no_studies() -> None:
    assert sorted(lookup.study_files()) == ["lone/mini", "prompts/mini", "prompts/paper", "quickstart"]
