"""Transfer studies: sources x targets, what the cells share, run on Ray, kept in Parquet.

The names below are loaded when they are first used, so that ``import harness`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import check as check
    from harness.api import export as export
    from harness.api import load_study as load_study
    from harness.api import plan as plan
    from harness.api import prepare as prepare
    from harness.api import report as report
    from harness.api import run as run
    from harness.api import show as show
    from harness.api import status as status
    from harness.backbones.base import backbone as backbone
    from harness.errors import HarnessError as HarnessError
    from harness.estimators.base import estimator as estimator
    from harness.graph import stage as stage
    from harness.methods.base import Trial as Trial
    from harness.methods.base import method as method
    from harness.tasks.base import task as task

__version__ = "0.1.0"

_HOMES = {
    "HarnessError": "harness.errors",
    "Trial": "harness.methods.base",
    "backbone": "harness.backbones.base",
    "check": "harness.api",
    "estimator": "harness.estimators.base",
    "export": "harness.api",
    "load_study": "harness.api",
    "method": "harness.methods.base",
    "plan": "harness.api",
    "prepare": "harness.api",
    "report": "harness.api",
    "run": "harness.api",
    "show": "harness.api",
    "stage": "harness.graph",
    "status": "harness.api",
    "task": "harness.tasks.base",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import an exported name from its home on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names, loaded or not."""
    return sorted({*globals(), *_HOMES})
