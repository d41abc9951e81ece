"""The README of a bundle: what is in it, how to read it, how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TEXT = """\
# {study}
{description}
Results of a transfer study made with transfer-harness {version}{python}: {counts}.{anonymous}

| | |
|---|---|
| `rows/outcomes` | a row for each trial, evaluation task, split and metric; as `.parquet` and `.csv`, like all rows |
| `rows/trials` | a row for each planned trial: done, failed, skipped, diverged, pending or excluded, and why |
| `rows/stages` | the pieces of work behind the trials: what their key is the hash of, seconds, memory, device |
| `rows/curves` | training curves of these, by `key` |
| `rows/attempts` | what went wrong on the way, and second executions of the same work |
| `report/report.html` | tables, matrices and heatmaps on one page; beside it the same as files |
| `study/` | {sources} |
| `resolved.yaml` | the study with everything that it extends or sets, as it was run |
{lock}| `provenance.json` | versions, hardware, code digests of each run; `requirements.txt`: versions of the newest |
{logs}{weights}| `SHA256SUMS` | the sha256 of every file |

Check: `sha256sum -c SHA256SUMS` in this folder, or `harness bundle --verify` on the file that it came in.

Read:

```python
import pandas
outcomes = pandas.read_parquet("rows/outcomes.parquet")
```

Draw other figures from the rows: `harness heatmap rows/outcomes.parquet --where method={method} --to heatmap.png`.
Bring them into results of your own: `harness import rows/outcomes.parquet --name {study}`.

Run again: {rerun}
{notes}"""

_ANONYMOUS = (
    " The names of users and machines that the results had recorded, mail addresses and absolute paths were replaced, "
    "each by the same word everywhere (`user1`, `host1`, `path1`), and so were words that were given to be hidden"
)


@dataclass(frozen=True)
class Facts:
    """What the README tells.

    Attributes:
        method: one of its methods, for an example. rows: numbers of rows by table. states: of trials by state.
        sources: files under ``study/``, the study's own first. modules: plugins that are no files.
    """

    study: str
    method: str
    description: str
    version: str
    python: str
    rows: Mapping[str, int]
    states: Mapping[str, int]
    sources: Sequence[str]
    modules: Sequence[str]
    lock: bool
    logs: int
    weights: int
    anonymous: bool
    notes: Sequence[str]


def readme(facts: Facts) -> str:
    """Return the text."""
    states = ", ".join(f"{count:,} {state}" for state, count in facts.states.items() if count) or "no trial"
    notes = [*facts.notes]
    if facts.modules:
        notes.append(f"The study needs the plugins {', '.join(facts.modules)}, installed packages not included here.")
    return _TEXT.format(
        study=facts.study,
        method=shlex.quote(facts.method),
        description=f"\n{facts.description}\n" if facts.description else "",
        version=facts.version,
        python=f" on Python {facts.python}" if facts.python else "",
        counts=f"{states}, {facts.rows['outcomes']:,} rows",
        anonymous=f"{_ANONYMOUS}." if facts.anonymous else "",
        sources="its files as written: " + ", ".join(f"`{name}`" for name in facts.sources)
        if facts.sources else "(its files were not at hand)",
        lock="| `study.lock.json` | identities of the data and weights that it stands on |\n" if facts.lock else "",
        logs=f"| `logs/` | the last 64 KiB of {_files(facts.logs)} of workers in which something failed |\n"
        if facts.logs else "",
        weights=f"| `weights/` | {_files(facts.weights)}: tensors of `rows/stages`, by kind and key |\n"
        if facts.weights else "",
        rerun=_rerun(facts),
        notes="".join(f"\n{note}\n" for note in notes),
    )  # fmt: skip


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _rerun(facts: Facts) -> str:
    file = shlex.quote(f"study/{facts.sources[0]}") if facts.sources else "resolved.yaml"
    lock = (
        f" Put `study.lock.json` into `results/{facts.study}/` first, to be held to the same data."
        if facts.lock
        else ""
    )
    return (
        "install transfer-harness and, for equal numbers, the versions in `requirements.txt`, then\n"
        f"`harness run {file}`.{lock}"
    )
