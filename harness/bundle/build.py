"""Making a bundle: one moment of a study's results, drawn, written, checked for names, and packed."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import harness
from harness.bundle.anonymous import Anonymiser
from harness.bundle.archive import pack, write_sums
from harness.bundle.extract import acquaint, read_extract, without_names, write_extract
from harness.bundle.members import write_json, write_logs, write_rows, write_runs, write_weights
from harness.bundle.readme import Facts, readme
from harness.bundle.sources import plugin_modules, source_files, write_sources
from harness.errors import HarnessError
from harness.store.places import STUDY_FILES, fetch_study_files, local_folder

if TYPE_CHECKING:
    from harness.bundle.extract import Extract
    from harness.store import Store
    from harness.study import Study

FORMAT = 1
LOCK = "study.lock.json"
_BINARY = {".png", ".pdf", ".parquet", ".safetensors"}
_ATTRIBUTES = ("task_attributes", "task_sets")


@dataclass(frozen=True)
class Bundled:
    """What became of it. ``replaced``: how many users, hosts and paths; ``notes``: sentences for the user."""

    path: Path
    members: int
    nbytes: int
    rows: Mapping[str, int]
    weights: int
    replaced: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass
class _Work:
    """The pieces that the members are made from."""

    extract: Extract
    small: Store
    results: Path
    study: Study | None
    anonymiser: Anonymiser | None
    notes: list[str]


def bundle(
    name: str,
    results: str | Path,
    to: Path,
    study: Study | None = None,
    *,
    anonymous: bool = False,
    hide: Sequence[str] = (),
    weights: bool = False,
) -> Bundled:
    """Write all that a store knows of a study into one zip file; equal content gives equal bytes.

    Args:
        name: the study's name. results: the results folder. to: the file.
        study: the study as its file says, if at hand.
        anonymous: take out users, machines, mail addresses and absolute paths; with ``hide``, further words.
        weights: put the artifacts in, too.

    Raises:
        HarnessError: there is no such study, the file cannot be written, or a name could not be taken out.
    """
    from harness.store import Store

    store = Store.open(results)
    with tempfile.TemporaryDirectory(prefix="hb-") as temporary:
        folder, small = Path(temporary) / "b", Path(temporary) / "r"
        folder.mkdir()
        work = _extract(store, name, results, small, study, _anonymiser(results, study, hide) if anonymous else None)
        facts = _write(work, store, folder, weights)
        if work.anonymiser is not None:
            _refuse_names(folder, work.anonymiser)
        write_sums(folder)
        members = pack(folder, work.extract.study, to)
    known = work.anonymiser
    replaced = {} if known is None else {
        "users": len(known.users), "hosts": len(known.hosts), "paths": len(known.paths)
    }  # fmt: skip
    return Bundled(to, members, to.stat().st_size, facts.rows, facts.weights, replaced, tuple(work.notes))


def _anonymiser(results: str | Path, study: Study | None, hide: Sequence[str]) -> Anonymiser:
    package = Path(harness.__file__ or ".").resolve().parent.parent
    folders = [
        local_folder(results),
        package,
        *(file.parent for file in (source_files(study) if study is not None else ())),
    ]
    return Anonymiser(hide, folders)


def _extract(
    store: Store, name: str, results: str | Path, small: Path, study: Study | None, anonymiser: Anonymiser | None
) -> _Work:
    """Take the study out of the store, and what lies beside its reports out of its folder."""
    extract = read_extract(store, name)
    fetch_study_files(results, name)
    files = local_folder(results)
    beside = {file: files / name / file for file in STUDY_FILES if (files / name / file).is_file()}
    texts = {file: path.read_text(encoding="utf-8") for file, path in beside.items()}
    if anonymiser is not None:
        acquaint(anonymiser, store, extract)
        written = [] if study is None else [file.read_text(encoding="utf-8") for file in source_files(study)]
        for text in (*texts.values(), *written):
            anonymiser.learn(text)
        extract = without_names(extract, anonymiser)
        texts = {file: anonymiser.text(text) for file, text in texts.items()}
    made = write_extract(extract, small)
    (small / extract.study).mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (small / extract.study / file).write_text(text, encoding="utf-8")
    if (files / "published").is_dir():
        with contextlib.suppress(OSError):
            (small / "published").symlink_to((files / "published").resolve(), target_is_directory=True)
    return _Work(extract, made, small, study, anonymiser, [])


def _write(work: _Work, store: Store, folder: Path, weights: bool) -> Facts:
    """Write all members; return what the README told of them."""
    from collections import Counter

    from harness.store import trial_states

    name = work.extract.study
    recorded = _recorded(work)
    rows = write_rows(work.small, name, folder / "rows")
    python = write_runs(work.extract, folder)
    write_logs(work.extract, folder)
    sources = [] if work.study is None else write_sources(source_files(work.study), folder / "study", work.anonymiser)
    _write_resolved(recorded, folder / "resolved.yaml")
    lock = work.results / name / LOCK
    if lock.is_file():
        shutil.copyfile(lock, folder / LOCK)
    _draw(work, recorded, folder / "report")
    count = write_weights(store, work.extract, folder / "weights", work.anonymiser) if weights else 0
    states = Counter(trial_states(work.small, name).column("state").to_pylist())
    facts = Facts(
        name, _a_method(work.extract), str(recorded.get("description") or "").strip(),
        harness.__version__, python, rows,
        dict(sorted(states.items())), sources, [] if work.study is None else plugin_modules(work.study),
        lock.is_file(), len(work.extract.logs), count, work.anonymiser is not None, work.notes,
    )  # fmt: skip
    (folder / "README.md").write_text(readme(facts), encoding="utf-8")
    head = {"format": FORMAT, "study": name, "harness": harness.__version__, "rows": rows, "weights": count,
            "anonymous": facts.anonymous}  # fmt: skip
    write_json(folder / "bundle.json", head)
    return facts


def _a_method(extract: Extract) -> str:
    """Return one of the study's methods, for an example."""
    return str(min(filter(None, extract.trials.column("method").to_pylist()), default="METHOD"))


def _recorded(work: _Work) -> Mapping[str, Any]:
    """Return the resolved study: as recorded by the run, else as its file says."""
    from harness.api import recorded_study
    from harness.study import task_attributes

    written: dict[str, Any] | None = None
    if work.study is not None:
        written = json.loads(json.dumps({**task_attributes(work.study), **work.study.resolved()}, default=str))
        if work.anonymiser is not None:
            written = json.loads(work.anonymiser.text(json.dumps(written, ensure_ascii=False)))
    try:
        recorded = json.loads(json.dumps(recorded_study(work.extract.study, work.results)))
    except HarnessError:
        if written is None:
            raise
        return written
    if written is not None and _without_execution(written) != _without_execution(recorded):
        work.notes.append("The study's file is not, or not alone, what was run (resolved.yaml is): it was changed, or "
                          "set on the command line.")  # fmt: skip
    return dict(recorded)


def _without_execution(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a study says what is run and how it is drawn."""
    return {name: value for name, value in study.items() if name not in ("execution", *_ATTRIBUTES)}


def _write_resolved(recorded: Mapping[str, Any], path: Path) -> None:
    plain = {name: value for name, value in recorded.items() if name not in _ATTRIBUTES}
    ordered = {"study": plain.pop("study"), **plain}
    path.write_text(yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")


def _draw(work: _Work, recorded: Mapping[str, Any], folder: Path) -> None:
    """Draw the report from the extract, so that it shows what the rows say."""
    import analysis

    try:
        paths = analysis.report(recorded, work.results, folder)
    except HarnessError as error:
        work.notes.append(f"No report was drawn: {error}")
        return
    work.notes += [f"Not drawn: {problem}" for problem in paths.problems]


def _refuse_names(folder: Path, anonymiser: Anonymiser) -> None:
    """Look for names in all that was written: better no bundle than one that tells.

    Raises:
        HarnessError: a member still holds one.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        text = "" if path.is_dir() or path.suffix in _BINARY else path.read_text(encoding="utf-8", errors="replace")
        for word in anonymiser.left(f"{name}\n{text}"):
            raise HarnessError(f"the bundle was not written: {name} would still hold {word!r}; nothing else is wrong")
