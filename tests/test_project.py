"""Bars that the whole source tree is held to."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "analysis")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CASES = sorted((ROOT / "tests").rglob("*.yaml"))
"""Studies that are tests: each says in its head what must be found in it."""
TEXTS = sorted(
    path
    for path in ROOT.rglob("*")
    if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".html", ".css", ".json", ".csv", ".svg"}
    or path.name in {"Makefile", ".gitignore", "run"}
    if path.is_file()
    if not {".git", ".venv", "store", "build", "dist", "__pycache__"} & set(path.relative_to(ROOT).parts)
    if not any(part.endswith((".egg-info", "_cache")) for part in path.relative_to(ROOT).parts)
)
HEAVY = ("torch", "ray", "pandas", "scipy", "sklearn", "matplotlib", "seaborn")
LIGHT_PACKAGES = (
    "graph", "study", "planning", "registry", "tasks", "backbones", "methods", "estimators", "cli", "api", "errors",
)  # fmt: skip


def lines_of_code(paths: list[Path]) -> int:
    """Count lines that are neither blank nor only a comment."""
    lines = (line.strip() for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function that a file defines, methods and nested ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function, from ``def`` to its last."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_function_is_long() -> None:
    found = [(path, function.name, length(function)) for path in SOURCES for function in functions(path)]
    assert [entry for entry in found if entry[2] > 100] == []
    assert sum(1 for entry in found if entry[2] > 50) <= len(found) // 50, "at most 2 % over fifty lines"


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    if "corpus" in path.parts or path.stat().st_size == 0:
        pytest.skip("a file that is itself test data")
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_there_are_tests_for_what_there_is() -> None:
    assert lines_of_code(TESTS + CASES) >= 0.8 * lines_of_code(SOURCES)


def test_no_file_names_a_machine_or_a_registry() -> None:
    # Put together here so that this file does not find itself.
    forbidden = re.compile(
        "|".join(["/" + "work/", "/" + "root/", "/" + "home/[a-z]", "pypi" + r"\.org", "/opt/" + "wheels"])
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    word = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    assert [str(path) for path in SOURCES + TESTS if word.search(path.read_text(encoding="utf-8"))] == []


def light_modules() -> list[str]:
    """Return the dotted names of the modules whose import must cost next to nothing."""
    names = []
    for path in (ROOT / "harness").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if len(parts) > 1 and parts[1] in LIGHT_PACKAGES and parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def test_plan_time_modules_import_nothing_heavy() -> None:
    code = (
        f"import importlib, sys\nfor name in {light_modules()!r}:\n    importlib.import_module(name)\n"
        f"    found = sorted(set({HEAVY!r}) & set(sys.modules))\n    assert not found, (name, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_exported_names_exist_and_load_lazily() -> None:
    code = (
        "import sys, harness, analysis\n"
        "assert not {'harness.api', 'torch', 'pandas'} & set(sys.modules), 'import harness is not lazy'\n"
        "for module in (harness, analysis):\n"
        "    for name in module.__all__:\n        assert getattr(module, name) is not None, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_distribution_says_what_it_supports() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "transfer-harness"
    assert project["requires-python"] == ">=3.11,<3.14"
    assert project["scripts"] == {"harness": "harness.cli:main"}
    pins = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    named = {re.sub(r"[-_.]+", "-", re.split(r"[><=\[]", name)[0]).lower() for name in wanted}
    assert named - {project["name"]} <= pinned
