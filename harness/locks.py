"""The lock file of a study: the data and weights it stands on, read once and written down by identity.

`harness prepare` writes it; a later run compares what it is about to use with it, so that a study prepared on one
machine does not quietly run on other data on the next.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backbones.base import Backbone, Checkpoint
from harness.errors import HarnessError
from harness.tasks.base import Task, TaskSet

if TYPE_CHECKING:
    from harness.study import Expansion, Study

FORMAT = 1
Identities = dict[str, dict[str, Any]]


def lock_path(study: str, results: str | Path) -> Path:
    """Return where the lock file of a study lies."""
    from harness.store import local_folder

    return local_folder(results) / study / "study.lock.json"


def prepare(study: Study, expansion: Expansion, results: str | Path) -> Path:
    """Read every split and every checkpoint that the study names, then write its lock file.

    Raises HarnessError when data cannot be read or are not what their task declares.
    """
    values = list(named_values(expansion))
    for value in values:
        if isinstance(value, Task):
            _read(value)
    path = lock_path(study.name, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "study": study.name, **identities(values)}
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def verify(study: Study, expansion: Expansion, results: str | Path) -> None:
    """Compare what a study is about to use with its lock file, if it has one.

    Raises HarnessError naming what differs from the lock file or is not in it.
    """
    path = lock_path(study.name, results)
    if not path.exists():
        return
    locked = _load(path)
    for kind, found in identities(named_values(expansion)).items():
        known = locked.get(kind, {})
        missing = sorted(set(found) - set(known))
        if missing:
            raise HarnessError(f"{missing[0]!r} is not in {path}: run `harness prepare` again")
        changed = sorted(name for name in found if found[name] != known[name])
        if changed:
            raise HarnessError(
                f"{changed[0]!r} is no longer what {path} says: restore it, or run `harness prepare` again to accept it"
            )


def named_values(expansion: Expansion) -> Iterator[Any]:
    """Yield every task, backbone and checkpoint that a study names, once; task sets are taken apart."""
    seen: set[str] = set()
    for value in _all_values(expansion):
        for item in value.tasks if isinstance(value, TaskSet) else (value,):
            if isinstance(item, (Task, Backbone, Checkpoint)):
                text = json.dumps(_plain(item.identity()), sort_keys=True)
                if text not in seen:
                    seen.add(text)
                    yield item


def identities(values: Iterable[Any]) -> Identities:
    """Return identities by kind and by a name that is unique within the kind."""
    found: Identities = {"tasks": {}, "backbones": {}, "checkpoints": {}}
    for value in values:
        identity = _plain(value.identity())
        if isinstance(value, Task):
            found["tasks"][value.name] = identity
        elif isinstance(value, Checkpoint):
            found["checkpoints"][str(value)] = identity
        else:
            options = ", ".join(f"{key}={option}" for key, option in sorted(value.options.items()))
            found["backbones"][f"{value.name}({options})"] = identity
    return found


def _all_values(expansion: Expansion) -> Iterator[Any]:
    for block in expansion.blocks:
        for axis in block.axes:
            yield from axis.values
        for settings in block.settings:
            yield from settings.params.values()


def _read(task: Task) -> None:
    for split in task.sizes:
        try:
            task.split(split)
        except HarnessError:
            raise
        except Exception as error:
            raise HarnessError(
                f"task {task.name!r}: split {split!r} cannot be read: {type(error).__name__}: {error}"
            ) from error


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HarnessError(f"{path} is not a lock file ({error}): remove it or run `harness prepare` again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise HarnessError(f"{path} is of a format that this version does not read: run `harness prepare` again")
    return content


def _plain(identity: Mapping[str, Any]) -> Any:
    """Return an identity as JSON gives it back (tuples as lists), so that it compares equal after a round trip."""
    return json.loads(json.dumps(identity))
