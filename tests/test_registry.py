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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("raise SystemExit(3)", "fails to import: SystemExit: 3"),
        ("import sys\nsys.exit()", "fails to import: SystemExit"),
        ('raise ValueError("one\\n  two")', "fails to import: ValueError: one two"),
        ("assert False", "fails to import: AssertionError"),
    ],
)
def test_a_plugin_that_ends_the_program_or_shouts_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    plugin(tmp_path, "rude_plugin", text)
    with pytest.raises(HarnessError) as caught:
        load_plugins(["./rude_plugin.py"], tmp_path)
    assert str(caught.value).endswith(sentence) and "\n" not in str(caught.value)
    assert "harness_plugin_rude_plugin" not in sys.modules


def test_ctrl_c_while_a_plugin_loads_is_no_fault_of_the_plugin(tmp_path: Path) -> None:
    plugin(tmp_path, "waiting", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins(["./waiting.py"], tmp_path)
    assert "harness_plugin_waiting" not in sys.modules


def test_a_sentence_of_a_plugin_comes_through_as_it_is(tmp_path: Path) -> None:
    text = 'from harness.errors import HarnessError\nraise HarnessError("fetch the data first")\n'
    plugin(tmp_path, "frank", text)
    with pytest.raises(HarnessError, match=r"^fetch the data first$"):
        load_plugins(["./frank.py"], tmp_path)
    assert "harness_plugin_frank" not in sys.modules
    plugin(tmp_path, "frank", "value = 1")  # put right, it can be loaded
    assert load_plugins(["./frank.py"], tmp_path) == ["harness_plugin_frank"]


def test_a_dot_in_the_name_of_a_plugin_file_makes_no_package(tmp_path: Path) -> None:
    from harness.graph.code import CodeDigests

    path = plugin(tmp_path, "probe.v2", "def score():\n    return 1\n")
    (name,) = load_plugins(["./probe.v2.py"], tmp_path)
    assert name == "harness_plugin_probe_v2"
    before = CodeDigests([name]).of([name])
    assert name in before.files, "its code counts"
    path.write_text("def score():\n    return 2\n")
    assert CodeDigests([name]).of([name]).changed_since(before.files) == [name]


@pytest.mark.parametrize("name", ["", ".", "..up", "a b", "my-plugin", "plugin.yaml/", "a..b", "1st"])
def test_what_is_no_module_name_is_told_so(name: str) -> None:
    with pytest.raises(HarnessError, match=r"neither a file ending in \.py nor the dotted name") as caught:
        load_plugins([name], Path())
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import no_such_library_here", "fails to import: ModuleNotFoundError: No module named 'no_such_library_here'"),
        ("raise SystemExit('stop')", "fails to import: SystemExit: stop"),
        ("{}['x']", "fails to import: KeyError: 'x'"),
    ],
)
def test_a_module_that_is_there_but_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "failing_module.py").write_text(text)
    with pytest.raises(HarnessError) as caught:
        load_plugins(["failing_module"], Path())
    assert str(caught.value) == f"plugin 'failing_module' {sentence}"


def test_modules_and_files_are_loaded_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "dotted_pkg").mkdir()
    for path in ("dotted_pkg/__init__.py", "dotted_pkg/inner.py", "filed.py"):
        (tmp_path / path).write_text(f"import sys\nsys.order = [*getattr(sys, 'order', []), {path!r}]\n")
    try:
        assert load_plugins(["dotted_pkg.inner", "filed.py"], tmp_path) == ["dotted_pkg.inner", "harness_plugin_filed"]
        assert sys.order == ["dotted_pkg/__init__.py", "dotted_pkg/inner.py", "filed.py"]  # type: ignore[attr-defined]
    finally:
        del sys.order  # type: ignore[attr-defined]  # set by the plugins


def test_entries_keep_their_module_and_attributes(registry: Registry[int]) -> None:
    registry.register("b", 2, "home", family="digits", rank=3)
    registry.register("a", 1, "elsewhere")
    assert registry.names() == ["a", "b"]
    assert [(entry.name, entry.value, entry.module) for entry in registry.items()] == [
        ("a", 1, "elsewhere"),
        ("b", 2, "home"),
    ]
    assert registry.entry("b").attributes == {"family": "digits", "rank": 3}
    assert "a" in registry and "c" not in registry


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with an installed distribution that declares `installed_plugin` as a plugin."""
    from harness import registry as module

    described = tmp_path / "someones_work-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-work\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[harness.plugins]\ntheirs = installed_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "_loaded_entry_points", False)
    monkeypatch.delitem(sys.modules, "installed_plugin", raising=False)
    return tmp_path


def test_installed_plugins_are_loaded_once(installed: Path) -> None:
    from harness.registry import load_entry_points

    (installed / "installed_plugin.py").write_text("import sys\nsys.runs = getattr(sys, 'runs', 0) + 1\n")
    load_entry_points()
    sys.modules.pop("installed_plugin")
    load_entry_points()
    assert sys.runs == 1  # type: ignore[attr-defined]  # set by the plugin
    del sys.runs  # type: ignore[attr-defined]  # set by the plugin


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("raise SystemExit(1)", "SystemExit: 1"),
    ],
)
def test_an_installed_plugin_that_fails_is_named(installed: Path, text: str, sentence: str) -> None:
    from harness.registry import load_entry_points

    (installed / "installed_plugin.py").write_text(text)
    with pytest.raises(HarnessError) as caught:
        load_entry_points()
    assert str(caught.value) == f"installed plugin 'theirs' (installed_plugin) fails to import: {sentence}"


def test_a_registry_fills_itself_from_every_module_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").write_text(
        "from harness.registry import Registry\nSHELF = Registry('book', 'shelf')\n"
    )
    for name in ("first", "second"):
        (tmp_path / "shelf" / f"{name}.py").write_text(
            f"from shelf import SHELF\nSHELF.register({name!r}, {len(name)}, __name__)\n"
        )
    import importlib

    shelf: Registry[int] = importlib.import_module("shelf").SHELF
    assert "shelf.first" not in sys.modules, "importing the package alone loads nothing"
    assert "second" in shelf
    assert [(entry.name, entry.value, entry.module) for entry in shelf.items()] == [
        ("first", 5, "shelf.first"),
        ("second", 6, "shelf.second"),
    ]
    with pytest.raises(UnknownNameError, match=r"unknown book 'frist' \(did you mean 'first'\?\)"):
        shelf.entry("frist")
