"""Artifacts: safetensors files under the store, named by their content, published only where none is yet.

Workers write them directly; only the driver commits the records that name them. Two workers that made the same artifact
write the same name, and the later one drops its copy. In object storage they are objects, created only where none is
yet; what is read from there is kept on this node for a while, in files that may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store import tensorfile
from harness.store.cache import DEFAULT_BUDGET, node_root
from harness.store.errors import ArtifactDamaged, StoreWriteError
from harness.store.file_cache import FileCache
from harness.store.objects import ObjectPath
from harness.store.places import Place
from harness.store.rows import ArtifactRef, new_id
from harness.store.tensorfile import Member

if TYPE_CHECKING:
    import torch

PACK_LIMIT = 16 * 2**20
"""Members of more bytes than this get a file of their own, so that they can be pruned one by one."""

FOLDER = "artifacts"
_DRAFTS = "drafts"


@dataclass(frozen=True)
class ArtifactStore:
    """The artifact files of the store at ``root``. Small, picklable, and needs no open table."""

    root: Place

    @property
    def copies(self) -> FileCache:
        """What this node keeps of artifacts in object storage."""
        return FileCache(node_root() / "objects", DEFAULT_BUDGET)

    def put(
        self, key: str, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any] | None = None
    ) -> ArtifactRef:
        """Publish one artifact; see :meth:`put_many`."""
        return self.put_many({key: (tensors, header or {})})[key]

    def put_many(self, artifacts: Mapping[str, Member]) -> dict[str, ArtifactRef]:
        """Publish artifacts by stage key; small ones are packed into one file.

        Args:
            artifacts: for each stage key its tensors by name, and a JSON-able header.

        Raises:
            StoreWriteError: the disk does not take them; no partial file is left.
            StoreError: a value is no dense tensor, or a header no JSON.
        """
        settled = {key: (tensorfile.settle(tensors), header) for key, (tensors, header) in artifacts.items()}
        small = {key: member for key, member in settled.items() if tensorfile.size(member[0]) <= PACK_LIMIT}
        files = [small] if small else []
        files += [{key: member} for key, member in settled.items() if key not in small]
        refs: dict[str, ArtifactRef] = {}
        for members in files:
            refs |= self._publish(members)
        return {key: refs[key] for key in artifacts}

    def get(self, ref: ArtifactRef, verify: bool = True) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Load one artifact, reading only its own part of the file.

        Args:
            verify: compare what was read with the recorded sha256.

        Raises:
            ArtifactDamaged: the file is missing, cut short, or holds other bytes.
        """
        try:
            tensors, header, found = self._read(ref)
        except tensorfile.Damaged as error:
            raise ArtifactDamaged(self.path(ref), ref.name, str(error)) from error
        if verify and found != ref.sha256:
            raise ArtifactDamaged(self.path(ref), ref.name, "it holds another artifact than was recorded")
        return tensors, header

    def digest_of(self, ref: ArtifactRef) -> str:
        """Return the sha256 of an artifact as it is stored now.

        Raises:
            tensorfile.Damaged: the file is missing, cut short, or holds other bytes than it states.
        """
        if isinstance(self.root, ObjectPath):
            self.copies.drop(ref.location)
        return self._read(ref)[2]

    def path(self, ref: ArtifactRef) -> Place:
        """Return the file that holds an artifact."""
        return self.root / ref.location

    def files(self) -> Iterable[Place]:
        """Iterate over all artifact files of the store."""
        return (self.root / FOLDER).glob("??/*.safetensors")

    def drafts(self) -> Iterable[Place]:
        """Iterate over files that a writer has not published (yet)."""
        return (self.root / FOLDER / _DRAFTS).glob("*")

    def _read(self, ref: ArtifactRef) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
        """Read a member from the store, or from this node's copy of its object, which is replaced when it is bad."""
        place = self.path(ref)
        if isinstance(place, Path):
            return tensorfile.read(place, ref.name)
        copies = self.copies
        for last in (False, True):
            try:
                return tensorfile.read(copies.get(ref.location, place.download), ref.name)
            except FileNotFoundError:
                raise tensorfile.Damaged("the file is missing") from None
            except OSError as error:
                raise tensorfile.Damaged(f"the file cannot be read ({error})") from error
            except tensorfile.Damaged:
                copies.drop(ref.location)
                if last:
                    raise
        raise AssertionError("not reached")

    def _publish(self, members: Mapping[str, Member]) -> dict[str, ArtifactRef]:
        digests = {key: tensorfile.digest(tensors, header) for key, (tensors, header) in members.items()}
        listing = "\n".join(f"{key} {digests[key]}" for key in sorted(digests))
        content = hashlib.sha256(listing.encode()).hexdigest()
        location = f"{FOLDER}/{content[:2]}/{content}.safetensors"
        target = self.root / location
        try:
            if isinstance(target, ObjectPath):
                self._write_object(target, location, members, digests)
            else:
                _write_file(target, members, digests)
        except OSError as error:
            raise StoreWriteError(f"artifact '{target}' could not be written: {error.strerror or error}") from error
        return {
            key: ArtifactRef(location, key, digests[key], tensorfile.size(tensors))
            for key, (tensors, _) in members.items()
        }

    def _write_object(
        self, target: ObjectPath, location: str, members: Mapping[str, Member], digests: Mapping[str, str]
    ) -> None:
        """Create an object unless an intact one bears its name; what was sent stays here as this node's copy."""
        copies = self.copies
        draft, other = copies.draft(), copies.draft()
        try:
            tensorfile.write(draft, members, digests)
            try:
                target.upload(draft, create=True)
            except FileExistsError:
                target.download(other)
                if not _intact(other, digests):
                    target.upload(draft)
            copies.adopt(location, draft)
        finally:
            draft.unlink(missing_ok=True)
            other.unlink(missing_ok=True)


def _write_file(target: Path, members: Mapping[str, Member], digests: Mapping[str, str]) -> None:
    """Create a file unless an intact one bears its name."""
    draft = target.parent.parent / _DRAFTS / new_id()
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(exist_ok=True)
        if not _intact(target, digests):
            tensorfile.write(draft, members, digests)
            _move(draft, target, digests)
    finally:
        with suppress(OSError):
            draft.unlink()


def _move(draft: Path, target: Path, digests: Mapping[str, str]) -> None:
    """Give a finished draft its name unless an intact file bears it; a damaged one is replaced."""
    try:
        os.link(draft, target)
    except FileExistsError:
        if not _intact(target, digests):
            os.replace(draft, target)
    except OSError:  # a file system without hard links; equal names mean equal content, so replacing is harmless
        os.replace(draft, target)


def _intact(path: Path, digests: Mapping[str, str]) -> bool:
    """Whether a file exists and holds exactly the members with these digests."""
    if not path.exists():
        return False
    try:
        return all(tensorfile.read(path, key)[2] == digest for key, digest in digests.items())
    except tensorfile.Damaged:
        return False
