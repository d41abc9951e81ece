"""Weights that lie in packages of a registry: where their files are once fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WeightsFile:
    """One file of a data package: `package` is its name for `harness data fetch`, `path` is inside it.

    sha256: of the file's bytes, for whoever reads it to check.
    """

    package: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """Return where the file lies.

        Raises HarnessError, naming the command that fetches it, when the package is not on this machine.
        """
        from harness.data.fetch import require

        return require(self.package) / self.path
