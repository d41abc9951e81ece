"""One file with all that a co-author or reviewer needs of a study; on request without names of people and machines."""

from __future__ import annotations

from harness.bundle.archive import Verified, verify
from harness.bundle.build import Bundled, bundle

__all__ = ["Bundled", "Verified", "bundle", "verify"]
