"""Every malformed study of the corpus gives exactly its sentences, each with its file and line.

The first lines of a file say what is expected: ``# expect: LINE: sentence``, one a problem, in order.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.study import StudyError, load_study

CORPUS = Path(__file__).resolve().parent / "malformed"
FILES = sorted(CORPUS.glob("*.yaml"))


def expected(path: Path) -> list[tuple[str, int, str]]:
    found = re.findall(r"^# expect: (\d+): (.*)$", path.read_text(), flags=re.MULTILINE)
    return [(path.name, int(line), message) for line, message in found]


def test_the_corpus_is_large_and_says_what_it_expects():
    assert len(FILES) >= 60
    assert all(expected(path) for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_malformed_study_gives_its_sentences(path, monkeypatch):
    monkeypatch.chdir(CORPUS)
    with pytest.raises(StudyError) as caught:
        load_study(path.name)
    error = caught.value
    found = [(problem.file, problem.line, problem.message) for problem in error.problems]
    assert found == expected(path)
    assert str(error) == "\n".join(f"{file}:{line}: {message}" for file, line, message in expected(path))
    assert error.exit_status == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sentence_is_one_line_without_a_trace_of_the_machinery(path):
    for _, _, message in expected(path):
        assert "\n" not in message and len(message) < 200
        assert not re.search(r"pydantic|omegaconf|Traceback|Error\b|ctx|<[a-z]+>|loc\b", message, re.IGNORECASE)
        assert not message.endswith(".")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"study: caf\xe9\n", "bad.yaml:1: the file is not UTF-8 text"),
        (b"study: a\nplugins: [\x00]\n", "bad.yaml:2: the file holds a control character that YAML forbids"),
        (b"", "bad.yaml:1: the study is empty"),
        (b"a: " + b"[" * 2000, "bad.yaml:1: the values are nested too deeply"),
    ],
)
def test_files_that_are_no_text(content, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_bytes(content)
    with pytest.raises(StudyError) as caught:
        load_study("bad.yaml")
    assert str(caught.value) == sentence


def test_a_missing_file_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError) as caught:
        load_study("nowhere.yaml")
    assert str(caught.value) == "nowhere.yaml: there is no such study file"
    Path("folder.yaml").mkdir()
    with pytest.raises(StudyError) as caught:
        load_study("folder.yaml")
    assert str(caught.value) == "folder.yaml: this is a folder, not a study file"


def test_aliases_that_blow_up_are_refused(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(StudyError, match="holds more than 250,000 values"):
        load_study(path)
