"""Models that lie in a folder as the transformers library writes them: a config, safetensors, perhaps a tokeniser.

A folder is known by the sha256 of these files, never by where it lies; a hub name by the revision that pins it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.backbones.base import file_sha256
from harness.backbones.optional import optional_module
from harness.errors import HarnessError

PATTERNS: Final = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")
"""The files that make a model; everything else in a folder, pickles among it, is never opened."""


@dataclass(frozen=True)
class ModelFolder:
    """A model named by a local folder (a path) or by a hub name with its revision.

    Raises HarnessError for a folder that does not exist and for a hub name without a revision.
    """

    named: str
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.local and not Path(self.named).expanduser().is_dir():
            raise HarnessError(f"there is no model folder {self.named!r}")
        if not self.local and self.revision is None:
            raise HarnessError(f"the hub model {self.named!r} needs a revision, so that it stays what it is")

    @property
    def local(self) -> bool:
        """Whether it is named by a path."""
        return self.named.startswith((".", "/", "~")) or Path(self.named).is_dir()

    def identity(self) -> Mapping[str, Any]:
        """Name and revision, or one digest of the folder's files."""
        if not self.local:
            return {"hub": self.named, "revision": self.revision}
        return {"sha256": folder_digest(Path(self.named).expanduser())}

    def fetch(self, wanted_by: str) -> Path:
        """Return the folder; a hub model is fetched into the hub library's own cache first, and copied from there to
        the node's own disk where there is one.

        Raises HarnessError when the hub cannot be reached and its cache does not have the model.
        """
        if self.local:
            return Path(self.named).expanduser()
        from harness.data.node_copies import local_copy

        hub = optional_module("huggingface_hub", wanted_by)
        try:
            found = hub.snapshot_download(self.named, revision=self.revision, allow_patterns=list(PATTERNS))
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise HarnessError(f"the model {self.named!r} at {self.revision} cannot be fetched: {reason}") from error
        return local_copy(Path(found))


def folder_digest(folder: Path) -> str:
    """Return one sha256 of the names and bytes of the files that make the model in `folder`."""
    files = sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name} {file_sha256(str(path))}\n".encode())
    return total.hexdigest()


def read_json(path: Path) -> Mapping[str, Any]:
    """Return the mapping that a JSON file holds, an empty one when the file does not exist.

    Raises HarnessError when it holds anything else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HarnessError(f"{path.name} of the model is no JSON file: {error}") from error
    if not isinstance(content, Mapping):
        raise HarnessError(f"{path.name} of the model is not a mapping")
    return content
