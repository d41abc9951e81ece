"""Plan-time modules import no heavy library, so that planning and `--help` start at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

PACKAGES = ("tasks", "backbones", "training", "methods", "estimators")
HEAVY = ("torch", "numpy", "scipy", "sklearn", "pandas", "ray", "matplotlib", "safetensors", "pyarrow")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_every_module_loads_no_heavy_library(package: str) -> None:
    program = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module('harness.{package}')\n"
        "names = [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.')]\n"
        "assert names\n"
        "for name in names: importlib.import_module(name)\n"
        f"print(*[heavy for heavy in {HEAVY!r} if heavy in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""


def test_describing_a_trial_loads_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from harness.registry import BACKBONES, ESTIMATORS, METHODS, TASKS\n"
        "from harness.methods.base import Trial\n"
        "trial = Trial(TASKS.get('digits_upright')(), TASKS.get('digits_flip')(), BACKBONES.get('small_cnn')())\n"
        "for name in ('fine_tune', 'linear_probe', 'from_scratch', 'noop', 'noop_chain'):\n"
        "    assert METHODS.get(name)(trial).group() is not False\n"
        "for name in ('knn', 'source_accuracy'):\n"
        "    assert len(ESTIMATORS.get(name)(trial).key) == 32\n"
        f"print(*[heavy for heavy in {HEAVY!r} if heavy in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
