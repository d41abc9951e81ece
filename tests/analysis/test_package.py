"""The package as a whole: quick to import, and every public name is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import analysis

FOLDER = Path(analysis.__file__).parent


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, analysis; print(sorted({m.split('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    heavy = ["pandas", "numpy", "scipy", "matplotlib", "seaborn", "pyarrow", "torch", "ray", "jinja2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, cwd=FOLDER.parent
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(analysis, name)
    assert value.__doc__ and value.__module__.startswith("analysis.")


def test_functions_are_not_hidden_by_modules_of_their_name():
    modules = {path.stem for path in FOLDER.glob("*.py")}
    assert not modules & set(analysis.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="heatmapp"):
        analysis.heatmapp  # noqa: B018  # reading it is the test


def test_nothing_of_ours_but_the_store_and_the_errors_is_imported():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = str(name).split(".")[0]
                assert top not in ("torch", "ray")
                assert top != "harness" or name in ("harness.store", "harness.errors", "harness.task_groups"), path
