"""What is known of a packaged task without its data: archives, classes, sizes, splits, and a digest of all examples.

One small JSON file a task, made by ``python -m harness.tasks.manifest`` from the real data and committed. It is the
task's identity at plan time; what is read later must agree with it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from harness.data.items import SPLITS, Item, SplitName, items_digest
from harness.errors import HarnessError

FOLDER: Final = Path(__file__).parent / "manifests"


@dataclass(frozen=True)
class Manifest:
    """One task's data in numbers.

    packages: sha256 of each archive by our name; rule: version of the rule that reads them; split: how the splits are
    made, in words; counts: domain -> split -> examples of each class; groups: split -> number of groups;
    joined: groups that are one because they hold the same picture or text; items: sha256 over all examples
    (`harness.data.items.items_digest`).
    """

    task: str
    rule: int
    packages: Mapping[str, str]
    split: str
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, tuple[int, ...]]]
    groups: Mapping[str, int]
    joined: tuple[tuple[str, ...], ...]
    items: str

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, sorted."""
        return tuple(self.counts)

    def class_sizes(self, domain: str | None = None) -> dict[str, tuple[int, ...]]:
        """Return the examples of each class in each split, of one domain or (None) of all; empty splits left out.

        Raises HarnessError for an unknown domain.
        """
        if domain is not None and domain not in self.counts:
            raise HarnessError(f"task {self.task!r} has no domain {domain!r} (known: {', '.join(self.counts)})")
        chosen = list(self.counts.values()) if domain is None else [self.counts[domain]]
        sizes = {split: tuple(map(sum, zip(*(by[split] for by in chosen), strict=True))) for split in SPLITS}
        return {split: counts for split, counts in sizes.items() if sum(counts)}

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> str:
        """Return the text of the file: one line a class or domain at most."""
        lines = [f"  {json.dumps(key)}: {_short(value)}" for key, value in asdict(self).items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def summarise(
    task: str,
    rule: int,
    packages: Mapping[str, str],
    split: str,
    classes: Sequence[str],
    items: Sequence[Item],
    splits: Mapping[str, SplitName],
    joined: Sequence[Sequence[str]] = (),
) -> Manifest:
    """Make the manifest of items whose groups lie in these splits."""
    place = {name: number for number, name in enumerate(classes)}
    domains = sorted({item.domain for item in items})
    counts = {domain: {name: [0] * len(classes) for name in SPLITS} for domain in domains}
    groups: dict[str, set[str]] = {name: set() for name in SPLITS}
    for item in items:
        where = item.split or splits[item.group]
        counts[item.domain][where][place[item.label]] += 1
        groups[where].add(item.group)
    return Manifest(
        task=task,
        rule=rule,
        packages=dict(packages),
        split=split,
        classes=tuple(classes),
        counts={domain: {name: tuple(sizes) for name, sizes in by.items()} for domain, by in counts.items()},
        groups={name: len(members) for name, members in groups.items()},
        joined=tuple(tuple(names) for names in joined),
        items=items_digest(items, splits),
    )


@functools.cache
def load(task: str) -> Manifest:
    """Return the committed manifest of a task. Raises HarnessError when there is none."""
    path = FOLDER / f"{task}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(
            f"task {task!r} has no manifest {path.name}: run `python -m harness.tasks.manifest`"
        ) from None
    except ValueError as error:
        raise HarnessError(f"the manifest {path} is damaged: {error}") from error
    counts = {
        domain: {split: tuple(sizes) for split, sizes in by.items()} for domain, by in content.pop("counts").items()
    }
    joined = tuple(tuple(names) for names in content.pop("joined"))
    return Manifest(classes=tuple(content.pop("classes")), counts=counts, joined=joined, **content)


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values()):
        rows = [f"    {json.dumps(key, ensure_ascii=False)}: {json.dumps(inner)}" for key, inner in value.items()]
        return "{\n" + ",\n".join(rows) + "\n  }"
    return json.dumps(value, ensure_ascii=False)
