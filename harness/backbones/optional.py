"""Libraries that only some backbones need: imported when used, with one clear sentence when they cannot be."""

from __future__ import annotations

import importlib
from types import ModuleType

from harness.errors import HarnessError


def optional_module(name: str, wanted_by: str) -> ModuleType:
    """Import and return a module that is no requirement of this distribution.

    Raises HarnessError, naming what to install, when it or something that it needs is absent.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing.split(".")[0] == name.split(".")[0]:
            raise HarnessError(f"{wanted_by} needs the package {name!r}, which is not installed") from error
        raise HarnessError(f"{wanted_by} needs the package {name!r}, which needs {missing!r}: not installed") from error
    except (ImportError, RuntimeError) as error:
        raise HarnessError(f"{wanted_by} needs the package {name!r}, which fails to import here: {error}") from error
