"""Where a results folder lies: on a file system, or in object storage; and what stays on this machine then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.store.errors import StoreError
from harness.store.objects import SCHEME, ObjectPath

Place = Path | ObjectPath
"""A file or folder, on a file system or in object storage."""

STUDY_FILES = ("study.lock.json", "leakage.json")
"""What other machines than the one that wrote it must see of a study's folder."""


def place_of(results: str | Path | ObjectPath) -> Place:
    """Return the place that ``results`` names: `s3://bucket/prefix` is in object storage, all else a path.

    Raises:
        StoreError: an address of object storage without a bucket, or of a kind that is not supported.
    """
    if isinstance(results, ObjectPath):
        return results
    text = str(results)
    scheme = text.partition(":/")[0]
    if scheme == SCHEME:
        return ObjectPath.parse(text)
    if scheme in ("gs", "gcs", "az", "abfs", "abfss", "r2", "http", "https"):
        raise StoreError(f"results cannot lie at {text!r}: name a folder, or s3://BUCKET/PREFIX")
    return Path(results)


def local_folder(results: str | Path | ObjectPath) -> Path:
    """Return the folder for what is a file on this machine: reports, lock files, logs, states of long stages.

    That is ``results`` itself; of results in object storage, a folder of the cache.
    """
    from harness.store.cache import cache_root

    place = place_of(results)
    if isinstance(place, Path):
        return place
    return cache_root() / "results" / place.bucket / place.key


def fetch_study_files(results: str | Path, study: str) -> None:
    """Bring what other machines wrote into a study's folder (lock file, shared examples) onto this one.

    Raises:
        StoreError: the object storage cannot be read.
    """
    place = place_of(results)
    if isinstance(place, Path):
        return
    folder = local_folder(place) / study
    try:
        for name in STUDY_FILES:
            _fetch(place / study / name, folder / name)
    except OSError as error:
        raise StoreError(f"the files of study {study!r} cannot be read: {error}") from error


def _fetch(source: ObjectPath, target: Path) -> None:
    """Make a file of this machine what an object is; without the object, delete it."""
    if not source.exists():
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    try:
        source.download(draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def publish_study_files(results: str | Path, study: str) -> None:
    """Put a study's folder (report, lock file, shared examples) into object storage, when the results lie there.

    Raises:
        StoreError: the object storage does not take it.
    """
    place = place_of(results)
    if isinstance(place, Path):
        return
    folder = local_folder(place) / study
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            (place / study / file.relative_to(folder).as_posix()).upload(file)
        except OSError as error:
            raise StoreError(f"the files of study {study!r} cannot be stored: {error}") from error


def name_in(folder: Place, file: Place) -> str:
    """Return the name of a file relative to a folder that it lies in."""
    return file.as_posix()[len(folder.as_posix()) + 1 :]


def names_after(folder: Place, name: str) -> list[str]:
    """Return the names of files in a folder; in object storage only those after ``name``, which may spare requests."""
    return folder.names_after(name) if isinstance(folder, ObjectPath) else os.listdir(folder)


def readable(file: Place) -> Any:
    """Return what pyarrow's reader of Parquet files takes: a path, or the content. Raises FileNotFoundError."""
    if isinstance(file, Path):
        return file
    import pyarrow as pa

    return pa.BufferReader(file.read_bytes())
