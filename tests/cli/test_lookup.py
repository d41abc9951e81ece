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


@pytest.mark.parametrize("name", ["box.yaml", "box.yml"])
def test_a_folder_that_is_called_like_a_file(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    with pytest.raises(HarnessError, match=rf"^{name} is a folder, not a study file$"):
        lookup.find(name, "results")
    (folder / "studies" / name).mkdir()
    assert "box" not in lookup.study_files()


def test_a_link_to_nothing_is_not_suggested_for_itself(folder: Path) -> None:
    (folder / "lost.yaml").symlink_to("nowhere")
    with pytest.raises(HarnessError) as caught:
        lookup.find("lost.yaml", "results")
    assert "'lost.yaml'?" not in str(caught.value)


def test_a_file_of_any_name_is_taken_and_goes_before_a_study_of_that_name(folder: Path) -> None:
    (folder / "quickstart").write_text("study: mine\n", encoding="utf-8")
    assert lookup.find("quickstart", "results") == lookup.Found(Path("quickstart"), "mine")
    (folder / "nameless.txt").write_text("seeds: [0]\n", encoding="utf-8")
    assert lookup.find("nameless.txt", "results").name == "nameless"


def test_the_results_are_asked_last_and_by_the_folder_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def known(results: str) -> list[str]:
        asked.append(results)
        return ["quickstart", "old"]

    monkeypatch.setattr(lookup, "known_studies", known)
    assert lookup.find("quickstart", "there").file is not None and asked == []
    assert lookup.find("old", "there") == lookup.Found(None, "old") and asked == ["there"]
    with pytest.raises(HarnessError, match="study 'old' is known to there, but its file is not here"):
        lookup.find_file("old", "there")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"study: a-b_1\n", "a-b_1"),
        (b'study: "quoted"\n', "quoted"),
        (b"# study: no\nstudy:\ttab\n", "tab"),
        (b"study:glued\n", "glued"),
        (b"  study: indented\n", None),
        (b"study:\n  - list\n", None),
        (b"study: \xff\n", None),
        (b"", None),
    ],
)
def test_the_name_that_a_file_declares(folder: Path, text: bytes, name: str | None) -> None:
    (folder / "x.yaml").write_bytes(text)
    assert lookup.declared_name(folder / "x.yaml") == name
    assert lookup.declared_name(folder) is None and lookup.declared_name(folder / "absent") is None
