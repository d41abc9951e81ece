"""What can go wrong with a store, each as one sentence for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.store.places import Place


class StoreError(HarnessError):
    """The store cannot be read or written as asked."""


class NoStoreError(StoreError):
    """There is no store under the results directory."""

    def __init__(self, results: Place) -> None:
        """Name the directory that holds no store."""
        super().__init__(f"there are no results under '{results}' yet: run a study first, or name another --results")


class NewerStoreError(StoreError):
    """A table was written by a later version of this program."""


class StoreWriteError(StoreError):
    """A write failed (disk full, file size limit, permissions); everything committed before is intact."""


class ArtifactDamaged(StoreError):
    """An artifact file is missing, cut short or holds other bytes than were recorded.

    Attributes:
        path: the file.
        key: the key of the stage that left the artifact.
    """

    def __init__(self, path: Place, key: str, what: str) -> None:
        """Say which file is damaged, how, and whose artifact it was."""
        super().__init__(f"artifact of stage {key} in '{path}' is damaged: {what}")
        self.path = path
        self.key = key
        self.what = what

    def __reduce__(self) -> tuple[type[ArtifactDamaged], tuple[Place, str, str]]:
        """Survive the way from a worker to the driver."""
        return type(self), (self.path, self.key, self.what)
