"""What the command line does, as functions: load, plan, run, prepare, check, and read what came of it.

A study may be given as a `Study` or as the path of its file; those functions that only read results also take its
name. `results` is the results folder. Everything a user can put right raises HarnessError.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from analysis import ReportPaths
    from harness.execution import RunSummary
    from harness.leakage import Compared
    from harness.planning import Plan, Shards
    from harness.planning.leakage import LeakageSummary
    from harness.rehearsal import Rehearsed
    from harness.store import Store
    from harness.study import Expansion, Study
    from harness.trial_view import TrialView

RESULTS = "results"
STATES = ("done", "failed", "skipped", "diverged", "pending", "excluded")
CANDIDATE = "candidate"
"""Role of the rows that selection within a cell tries; they are no trials of their own."""


def load_study(path: str | Path, sets: Sequence[str] = (), only: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    sets: changes, each `key=value`. only: parts of the grid, each `axis=value,...`.
    Raises StudyError, holding every problem with its file and line.
    """
    from harness.study import load_study as load

    return load(Path(path), sets, only)


def plan(study: Study | str | Path, results: str | Path = RESULTS, *, rerun_stale: bool = False) -> Plan:
    """Work out what a study still needs, given what these results know. Writes nothing."""
    study = _loaded(study)
    return _plan(study, _expand(study), _open(results), rerun_stale)


def run(
    study: Study | str | Path, results: str | Path = RESULTS, *, shard: tuple[int, Path] | None = None, **options: Any
) -> RunSummary:
    """Run what a study still needs and return how many trials are done, failed and skipped.

    shard: the number of one of the shards in a file that `cut_shards` wrote, 0 for what they share; the others are left
    alone and not counted.  options: fields of `harness.execution.RunOptions` (workers, address, in_process, dashboard,
    on_failure, stale, ...).
    """
    from harness.execution import RunOptions, execute
    from harness.locks import verify
    from harness.planning import Shards, nodes_of
    from harness.store import Store, fetch_study_files
    from harness.trackers.alongside import trackers_beside

    study = _loaded(study)
    expansion = _expand(study)
    fetch_study_files(results, study.name)
    verify(study, expansion, results)
    chosen = RunOptions(**options)
    planned = _plan(study, expansion, _open(results), chosen.stale == "rerun")
    store = Store.open(results, create=True)
    store.write_trials(study.name, planned.trial_columns(), planned.graph.nodes)
    nodes = None if shard is None else nodes_of(planned, Shards.read(Path(shard[1])), shard[0])
    # One process at a time may write to a tracker: shards, which may run at once, leave it to `harness track`.
    with trackers_beside(study.name, str(results), study.execution.trackers if shard is None else ()):
        return execute(planned, store, chosen, nodes)


def cut_shards(study: Study | str | Path, number: int, to: str | Path, results: str | Path = RESULTS) -> Shards:
    """Cut a study's trials into at most `number` shards of about equal expected cost and write the cut to a file."""
    from harness.planning import cut

    found = cut(plan(study, results), number)
    found.write(Path(to))
    return found


def status(study: Study | str | Path, results: str | Path = RESULTS) -> dict[str, int]:
    """Count the trials of a study's newest plan by state; of a study not run yet all are pending."""
    from harness.store import trial_states

    name = study_name(study)
    if name in known_studies(results):
        table = trial_states(Path(results), name)
        pairs = zip(table.column("state").to_pylist(), table.column("role").to_pylist(), strict=True)
        counts = Counter(state for state, role in pairs if role != CANDIDATE)
    else:
        fresh = plan(study, results)
        counts = Counter(pending=fresh.trials, excluded=sum(fresh.excluded.values()))
    return {state: counts[state] for state in STATES}


def prepare(study: Study | str | Path, results: str | Path = RESULTS, say: Callable[[str], None] | None = None) -> Path:
    """Read all data and weights that a study names and write its lock file; a later `run` holds to it.

    Test examples that are among training examples are counted too, as `leakage` does. say: told what that reads.
    """
    from harness import locks
    from harness.store import publish_study_files

    study = _loaded(study)
    path = locks.prepare(study, _expand(study), results)
    publish_study_files(results, study.name)
    leakage(study, results, say)
    return path


def leakage(
    study: Study | str | Path, results: str | Path = RESULTS, say: Callable[[str], None] | None = None
) -> list[Compared]:
    """Count the test examples that are among training examples, for all pairs of tasks that a study uses.

    The counts are written into the study's results folder, where plan and report find them. say: told what is read.
    """
    from harness.leakage import check_leakage
    from harness.store import fetch_study_files, publish_study_files

    study = _loaded(study)
    fetch_study_files(results, study.name)
    found = check_leakage(study, _expand(study), results, say)
    publish_study_files(results, study.name)
    return found


def known_leakage(study: Study | str | Path, results: str | Path = RESULTS) -> LeakageSummary:
    """Return what is known of shared examples; compares nothing and reads no data."""
    from harness.planning.leakage import summarise_leakage, used_pairs
    from harness.store import fetch_study_files

    study = _loaded(study)
    fetch_study_files(results, study.name)
    return summarise_leakage(study.name, used_pairs(_expand(study).blocks), results)


def check(study: Study | str | Path, results: str | Path = RESULTS) -> list[Rehearsed]:
    """Run two steps of each distinct kind of stage at its largest target; keeps nothing."""
    from harness.rehearsal import rehearse

    study = _loaded(study)
    return rehearse(study, _expand(study))


def export(study: Study | str | Path, to: str | Path, results: str | Path = RESULTS) -> int:
    """Write a study's outcomes to a .parquet or .csv file as one long table; return the number of rows."""
    from harness.store import export as write

    return write(Path(results), _known(study_name(study), results), Path(to))


def report(study: Study | str | Path, results: str | Path = RESULTS) -> ReportPaths:
    """Draw a study's analyses from its outcomes; return where the page and its figures are."""
    import analysis
    from harness.store import fetch_study_files, publish_study_files

    name = _known(study_name(study), results)
    specification = _specification(_loaded(study)) if _is_described(study) else recorded_study(name, results)
    fetch_study_files(results, name)
    made = analysis.report(specification, Path(results))
    publish_study_files(results, name)
    return made


def _specification(study: Study) -> Mapping[str, Any]:
    """Return what a report is made from: the resolved study, and what its tasks say about themselves."""
    from harness.study import task_attributes

    return {**study.resolved(), **task_attributes(study)}


def show(trial: str, results: str | Path = RESULTS) -> TrialView:
    """Return all that is known of the trial whose id begins with ``trial``."""
    from harness.store import Store
    from harness.trial_view import view_trial

    return view_trial(trial, Store.open(results))


def known_studies(results: str | Path = RESULTS) -> list[str]:
    """Return the names of the studies that these results have a plan of."""
    from harness.store import Store

    return Store.open(results).studies() if Store.exists(results) else []


def study_name(study: Study | str | Path) -> str:
    """Return the name of a study given as such, as a file, or by its name."""
    return _loaded(study).name if _is_described(study) else str(study)


def schema() -> str:
    """Return the JSON schema of study files as text."""
    from harness.study import study_schema

    return json.dumps(study_schema(), indent=2) + "\n"


def _is_described(study: Study | str | Path) -> bool:
    """Say whether a study is given with its content, not only by its name."""
    return not isinstance(study, (str, Path)) or Path(study).is_file()


def _loaded(study: Study | str | Path) -> Study:
    return load_study(study) if isinstance(study, (str, Path)) else study


def _expand(study: Study) -> Expansion:
    from harness.study import expand

    return expand(study)


def _open(results: str | Path) -> Store | None:
    from harness.store import Store

    return Store.open(results) if Store.exists(results) else None


def _plan(study: Study, expansion: Expansion, store: Store | None, rerun_stale: bool) -> Plan:
    from harness.planning import build_plan
    from harness.planning.history import StoreHistory

    history = None if store is None else StoreHistory(store)
    return build_plan(study, expansion, history, plugins=study.plugins, rerun_stale=rerun_stale)


def _known(name: str, results: str | Path) -> str:
    """Return the name of a study that the results know; raises HarnessError with the nearest one otherwise."""
    from harness.store import Store

    known = Store.open(results).studies()
    if name not in known:
        raise HarnessError(f"{results} has no results of study {name!r} yet: run it first{suggest(name, known)}")
    return name


def recorded_study(name: str, results: str | Path) -> Mapping[str, Any]:
    """Return a study as the run resolved it that its newest outcomes come from."""
    from harness.store import Store

    store = Store.open(results)
    records = store.records()
    keys = [key for key in store.trials(name, ["key"]).column("key").to_pylist() if key in records]
    runs = {str(records.field(key, "provenance")): records.field(key, "finished_at") for key in keys}
    for run_id in sorted(runs, key=lambda one: runs[one], reverse=True):
        run = store.provenance_of(run_id) or {}
        found: Mapping[str, Any] = run.get("study", {})
        if found.get("study") == name:
            return {**run.get("extra", {}), **found}
    raise HarnessError(f"{results} does not hold the text of study {name!r}: give its file")
