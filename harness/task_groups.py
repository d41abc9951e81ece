"""Groups of tasks in a file: an analysis suggests them, a second study takes them as its sets of tasks.

The file is YAML with ``groups``, lists of task references, and ``digest``, the sha256 of the groups alone: it stays the
same when a report is drawn again, and tells a file that was changed from one that was written. What the groups hold is
in the keys of the stages that train on them, so that other groups are other work.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TaskGroups:
    """Groups as a file gives them. digest: of these groups, worked out anew."""

    groups: Groups
    digest: str


def groups_digest(groups: Sequence[Sequence[str]]) -> str:
    """Sha256 of the groups; neither the order of the groups nor that of the tasks in them matters."""
    plain = sorted(sorted(group) for group in groups)
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def read_groups(path: Path) -> TaskGroups:
    """Read a file of groups. A digest is checked where the file has one.

    Raises HarnessError when there is no such file, it is no such file, a task stands twice, or the digest is another.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(
            f"there is no file of groups {path.name!r}: `harness report` of the study that suggests them writes it"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path.name!r} cannot be read: {str(error).splitlines()[0]}") from None
    groups = found.get("groups") if isinstance(found, Mapping) else None
    if not isinstance(groups, list) or not groups or not all(_is_group(group) for group in groups):
        raise HarnessError(f"{path.name!r} must hold groups: a list of lists of tasks")
    tasks = [task for group in groups for task in group]
    twice = next((task for task in tasks if tasks.count(task) > 1), None)
    if twice is not None:
        raise HarnessError(f"{path.name!r} has the task {twice!r} in its groups twice")
    made = tuple(tuple(group) for group in groups)
    digest = groups_digest(made)
    if found.get("digest") not in (None, digest):
        raise HarnessError(
            f"the groups of {path.name!r} are not those that its digest is of; if they were changed on purpose, take "
            "the line out"
        )
    return TaskGroups(made, digest)


def random_groups(groups: Groups, draw: int, seed: int) -> Groups:
    """Return groups of the same sizes with the same tasks dealt out at random; each draw has a generator of its own."""
    dealt = sorted(task for group in groups for task in group)
    random.Random(f"random groups {seed} {draw}").shuffle(dealt)
    made, start = [], 0
    for group in groups:
        made.append(tuple(dealt[start : start + len(group)]))
        start += len(group)
    return tuple(made)


def _is_group(group: object) -> bool:
    return isinstance(group, list) and bool(group) and all(isinstance(task, str) for task in group)
