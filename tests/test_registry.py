"""Names, nearest names, plugins by file and by module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError, nearest, suggest
from harness.registry import BACKBONES, METHODS, TASKS, Registry, UnknownNameError, load_plugins


@pytest.fixture
def registry() -> Registry[int]:
    found: Registry[int] = Registry("number", "harness.tasks")
    found._filled = True
    return found


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("fine_tun", ["fine_tune", "linear_probe"], "fine_tune"),
        ("Digits_Upright", ["digits_upright", "digits_flip"], "digits_upright"),
        ("zzz", ["fine_tune"], None),
        ("x", [], None),
    ],
)
def test_nearest(word: str, known: list[str], expected: str | None) -> None:
    assert nearest(word, known) == expected


def test_suggest_falls_back_to_a_short_list() -> None:
    assert suggest("fine_tun", ["fine_tune"]) == " (did you mean 'fine_tune'?)"
    assert suggest("zzz", ["b", "a"]) == " (known: a, b)"
    assert suggest("zzz", [f"name_{i}" for i in range(50)]) == ""


def test_unknown_names_are_told_with_the_nearest(registry: Registry[int]) -> None:
    registry.register("seven", 7, "m")
    assert registry.get("seven") == 7
    with pytest.raises(UnknownNameError, match=r"unknown number 'sevn' \(did you mean 'seven'\?\)"):
        registry.get("sevn")


def test_a_module_may_register_again_but_another_may_not(registry: Registry[int]) -> None:
    registry.register("seven", 7, "m")
    registry.register("seven", 8, "m")
    assert registry.get("seven") == 8
    with pytest.raises(HarnessError, match="number 'seven' of other is already registered by m"):
        registry.register("seven", 9, "other")


def test_built_in_content_is_found() -> None:
    assert {"fine_tune", "linear_probe", "from_scratch", "noop"} <= set(METHODS.names())
    assert {"mlp", "small_cnn"} <= set(BACKBONES.names())
    assert sum(name.startswith("digits_") for name in TASKS.names()) == 8


def plugin(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_plugin_file_is_loaded_once_under_a_name_without_its_folder(tmp_path: Path) -> None:
    plugin(tmp_path, "once_only", "import sys\nsys.once_only = getattr(sys, 'once_only', 0) + 1\n")
    assert load_plugins(["./once_only.py"], tmp_path) == ["harness_plugin_once_only"]
    assert load_plugins(["once_only.py"], tmp_path) == ["harness_plugin_once_only"]
    assert sys.once_only == 1  # type: ignore[attr-defined]  # set by the plugin


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist"),
        ("import no_such_thing_at_all", "ModuleNotFoundError: No module named 'no_such_thing_at_all'"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_gives_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        plugin(tmp_path, "broken_plugin", text)
    with pytest.raises(HarnessError) as caught:
        load_plugins(["./broken_plugin.py"], tmp_path)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert "harness_plugin_broken_plugin" not in sys.modules


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plugin(tmp_path / "a", "same_name", "")
    plugin(tmp_path / "b", "same_name", "")
    load_plugins(["a/same_name.py"], tmp_path)
    with pytest.raises(HarnessError, match=r"two plugin files have the name same_name\.py"):
        load_plugins(["b/same_name.py"], tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("no_such_package.module", "cannot be found"), ("harness_missing", "cannot be found as a Python module")],
)
def test_a_plugin_module_that_is_missing(name: str, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        load_plugins([name], Path())
