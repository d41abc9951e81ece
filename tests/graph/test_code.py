"""The code digest: moved by code two imports away, not by comments, docstrings or layout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.graph.code import CodeDigests

FILES = {
    "studypkg/__init__.py": "",
    "studypkg/stages.py": "def f():\n    from studypkg.middle import g\n    return g()\n",
    "studypkg/middle.py": "from . import deep\nimport numpy\n\ndef g():\n    return deep.h()\n",
    "studypkg/deep.py": 'def h():\n    """Says one."""\n    return 1\n',
    "studypkg/unrelated.py": "x = 1\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("studypkg", None)
    return tmp_path / "studypkg"


def digest() -> str:
    return CodeDigests(["studypkg.stages"]).of(["studypkg.stages"]).digest


def test_all_project_modules_that_are_imported_count_and_no_others(package: Path) -> None:
    files = CodeDigests(["studypkg.stages"]).of(["studypkg.stages"]).files
    assert set(files) == {
        "studypkg", "studypkg.stages", "studypkg.middle", "studypkg.deep", "harness.graph.seeds",
    }  # fmt: skip


def test_nothing_is_imported_to_find_out(package: Path) -> None:
    digest()
    assert not {"studypkg.stages", "studypkg.middle", "studypkg.deep"} & set(sys.modules)


@pytest.mark.parametrize(
    "text",
    [
        'def h():\n    """Says one, in other words."""\n    return 1\n',
        "# a comment\ndef h():\n\n    return (1)  # another\n",
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package: Path, text: str) -> None:
    before = digest()
    (package / "deep.py").write_text(text)
    assert digest() == before


@pytest.mark.parametrize(
    "text", ["def h():\n    return 2\n", "def h(x=0):\n    return 1\n", "def k():\n    return 1\n"]
)
def test_a_helper_two_imports_away_counts_and_is_named(package: Path, text: str) -> None:
    before = CodeDigests(["studypkg.stages"]).of(["studypkg.stages"])
    (package / "deep.py").write_text(text)
    after = CodeDigests(["studypkg.stages"]).of(["studypkg.stages"])
    assert after.digest != before.digest
    assert after.changed_since(before.files) == ["studypkg.deep"]


def test_a_module_that_is_not_reached_does_not_count(package: Path) -> None:
    before = digest()
    (package / "unrelated.py").write_text("x = 2\n")
    assert digest() == before


def test_a_string_that_is_no_docstring_counts(package: Path) -> None:
    (package / "deep.py").write_text("def h():\n    x = 'one'\n    return x\n")
    before = digest()
    (package / "deep.py").write_text("def h():\n    x = 'two'\n    return x\n")
    assert digest() != before


def test_the_engine_does_not_count_but_content_does() -> None:
    files = CodeDigests().of(["harness.planning.plan", "harness.tasks.base", "harness.planning.selection"]).files
    assert "harness.tasks.base" in files and "harness.planning.selection" in files
    engine = ("harness.store", "harness.execution", "harness.planning.plan")
    assert not [name for name in files if name.startswith(engine)]


def test_how_data_are_decoded_counts_but_not_how_they_are_fetched() -> None:
    files = CodeDigests().of(["harness.data.pictures", "harness.data.decoded", "harness.data.fetch"]).files
    assert {"harness.data.pictures", "harness.data.decoded"} <= set(files)
    assert not {"harness.data.fetch", "harness.data.clients"} & set(files)


def test_a_syntax_error_is_one_sentence(package: Path) -> None:
    (package / "deep.py").write_text("def h(:\n")
    with pytest.raises(HarnessError, match=r"deep\.py:1: "):
        digest()
