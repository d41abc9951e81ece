"""Places in object storage, `s3://bucket/prefix/...`, with the part of `pathlib.Path` that the store uses.

Requests go through obstore, which has the same Rust library underneath as Delta Lake, so that both read the same
variables of the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...). Nothing of these is ever kept.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from harness.store.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME: Final = "s3"
RETRIES: Final = 6
RETRY_SECONDS: Final = 30
"""A request that fails is tried again for so long; the library's own default of three minutes looks like a hang."""

LARGE: Final = 64 * 2**20
"""Files of more bytes are sent in pieces."""

_ADDRESS = re.compile(r"s3:/{1,2}(?P<bucket>[^/]+)(?:/(?P<key>.*))?")
_ANSWER = re.compile(r"<Code>(?P<code>[^<]*)</Code>\s*<Message>(?P<message>[^<]*?)\.?</Message>")


@dataclass(frozen=True)
class ObjectState:
    """What a listing says of an object: bytes, and when it was written (seconds since 1970)."""

    st_size: int
    st_mtime: float


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object or a folder of objects. Folders exist while something lies in them.

    ``state`` is what the listing said in which this object was found, so that looking again costs no request.
    """

    bucket: str
    key: str
    state: ObjectState | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, address: str) -> ObjectPath:
        """Read `s3://bucket/prefix`, also after it went through `pathlib.Path`, which drops a slash.

        Raises:
            StoreError: it names no bucket.
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise StoreError(f"{address!r} names no bucket: write s3://BUCKET/PREFIX")
        return cls(match["bucket"], (match["key"] or "").strip("/"))

    # --- names ----------------------------------------------------------------------------------------------------

    def __truediv__(self, name: str | PurePosixPath) -> ObjectPath:
        """Return the place ``name`` below this one."""
        return ObjectPath(self.bucket, f"{self.key}/{name}".strip("/"))

    def __str__(self) -> str:
        """Return the address."""
        return f"{SCHEME}://{self.bucket}/{self.key}".rstrip("/")

    def as_posix(self) -> str:
        """Return the address."""
        return str(self)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The folder that this lies in."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Return the way from ``other`` to here."""
        return PurePosixPath(self.key).relative_to(other.key)

    # --- looking --------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether there is an object of this name."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether anything lies below this place."""
        return next(self._list(chunk=1), None) is not None

    def stat(self) -> ObjectState:
        """Return size and time. Raises FileNotFoundError when there is no such object."""
        if self.state is not None:
            return self.state
        import obstore

        with _plain_errors(self):
            return _state(obstore.head(_client(self.bucket), self.key))

    def iterdir(self) -> Iterator[ObjectPath]:
        """Iterate over the objects in this folder."""
        return self.glob("*")

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Iterate over the objects whose names below this folder match, part by part."""
        wanted = pattern.split("/")
        for found in self._list():
            parts = found.relative_to(self).parts
            if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
                yield found

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        """Iterate over the objects at any depth whose own names match."""
        return (found for found in self._list() if fnmatchcase(found.name, pattern))

    def names_after(self, name: str) -> list[str]:
        """Return the names in this folder that come after ``name`` in the order of the alphabet."""
        return [found.name for found in self._list(offset=f"{self.key}/{name}")]

    def _list(self, chunk: int = 1000, offset: str | None = None) -> Iterator[ObjectPath]:
        import obstore

        with _plain_errors(self):
            for page in obstore.list(_client(self.bucket), f"{self.key}/", offset=offset, chunk_size=chunk):
                for entry in page:
                    yield ObjectPath(self.bucket, entry["path"], _state(entry))

    # --- reading and writing --------------------------------------------------------------------------------------

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder exists once something lies in it."""

    def read_bytes(self) -> bytes:
        """Return the content. Raises FileNotFoundError when there is none."""
        import obstore

        with _plain_errors(self):
            return bytes(obstore.get(_client(self.bucket), self.key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes, create: bool = False) -> None:
        """Write an object at once, whole or not at all.

        Args:
            create: only where there is none yet.

        Raises:
            FileExistsError: there is one, and ``create`` was asked for.
            OSError: it was not written.
        """
        import obstore

        with _plain_errors(self):
            obstore.put(
                _client(self.bucket), self.key, content, mode="create" if create else "overwrite", use_multipart=False
            )

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Write an object of text."""
        self.write_bytes(text.encode(encoding))

    def upload(self, file: Path, create: bool = False) -> None:
        """Write a file of this machine as one object; see :meth:`write_bytes`.

        Large files go in pieces, for which there is no condition that all services know: whether there is one already
        is then asked before.
        """
        if file.stat().st_size <= LARGE:
            self.write_bytes(file.read_bytes(), create)
            return
        if create and self.exists():
            raise FileExistsError(f"{self} exists")
        import obstore

        with _plain_errors(self):
            obstore.put(_client(self.bucket), self.key, file, use_multipart=True)

    def download(self, target: Path) -> None:
        """Write the content into a file of this machine. Raises FileNotFoundError when there is none."""
        import obstore

        with _plain_errors(self):
            answer = obstore.get(_client(self.bucket), self.key)
            with target.open("wb") as file:
                for piece in answer.stream(min_chunk_size=2**20):
                    file.write(piece)

    def unlink(self, missing_ok: bool = True) -> None:
        """Delete the object; services do not say whether there was one."""
        import obstore

        with _plain_errors(self):
            obstore.delete(_client(self.bucket), self.key)


def storage_options() -> dict[str, str]:
    """Return what Delta Lake is told beyond the environment."""
    return {"max_retries": str(RETRIES), "retry_timeout": f"{RETRY_SECONDS}s"}


def refuse_without_conditions(folder: ObjectPath) -> None:
    """Write an object twice, the second time only if there is none, and see that this fails.

    Raises:
        StoreError: the service ignores the condition: two drivers would then overwrite each other's commits.
        OSError: the service cannot be reached or does not take writes.
    """
    from harness.store.rows import new_id

    probe = folder / f"probe-{new_id()}"
    probe.write_bytes(b"1", create=True)
    try:
        probe.write_bytes(b"2", create=True)
    except FileExistsError:
        return
    finally:
        probe.unlink()
    raise StoreError(
        f"the object storage of {folder} overwrites what it was told to create only (no conditional put, "
        "`If-None-Match: *`): commits of two drivers could be lost there; use another service or a shared folder"
    )


@functools.lru_cache(maxsize=8)
def _client(bucket: str) -> S3Store:
    """Return this process's connection to a bucket."""
    try:
        from obstore.store import S3Store
    except ImportError:
        raise StoreError(
            "results on object storage need the package obstore: pip install 'transfer-harness[s3]'"
        ) from None
    return S3Store(bucket, retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)})


def _state(entry: Any) -> ObjectState:
    return ObjectState(entry["size"], entry["last_modified"].timestamp())


@contextmanager
def _plain_errors(place: ObjectPath) -> Iterator[None]:
    """Raise what goes wrong as the errors of files do; callers then need not know where a place lies."""
    _client(place.bucket)
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError(f"{place} exists") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{place}: {_cause(error)}") from error
    except (BaseError, PermissionError) as error:
        raise OSError(f"{place}: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """Return what the service answered, or else what the library says first, in one line."""
    answered = _ANSWER.search(str(error))
    if answered is not None:
        return f"{answered['message']} ({answered['code']})"
    return " ".join(str(error).partition("Debug source:")[0].split())[:300]
