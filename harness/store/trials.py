"""The newest plan of every study: its trials, and the keys of all its stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import suggest
from harness.store.errors import StoreError, StoreWriteError

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.store.store import Store

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def write_trials(
    store: Store, study: str, table: pa.Table | Mapping[str, Sequence[Any]], stages: Iterable[str] | None
) -> bool:
    """Replace the plan of ``study``; see :meth:`harness.store.Store.write_trials`."""
    if not _NAME.fullmatch(study):
        raise StoreError(f"study name {study!r} may hold only letters, digits, '_' and '-'")
    trials = _trials_table(study, table)
    written = _write_stages(store, study, trials, stages)
    plans = set(trials.column("plan").to_pylist())
    if plans and None not in plans:
        stored = read_trials(store, study, ["plan"], missing_ok=True)
        if stored.num_rows == trials.num_rows and set(stored.column("plan").to_pylist()) == plans:
            return written
    _replace_partition(store, "trials", study, trials)
    return True


def add_trials(store: Store, study: str, table: pa.Table) -> bool:
    """Write the plan of a study that has none yet; return False, and change nothing, when it has one."""
    return _replace_partition(store, "trials", study, _trials_table(study, table), only_if_absent=True)


def add_stages(store: Store, study: str, trials: pa.Table, stages: Iterable[str]) -> None:
    """Write the keys of the stages of a study's plan, unless there are some."""
    rows = _stages_table(study, set(stages) - set(trials.column("key").to_pylist()))
    _replace_partition(store, "stages", study, rows, only_if_absent=True)


def read_trials(
    store: Store, study: str | None = None, columns: Sequence[str] | None = None, missing_ok: bool = False
) -> pa.Table:
    """Return the trials of the newest plan of ``study``, or of all studies.

    Raises:
        StoreError: there is no plan of ``study`` and ``missing_ok`` is false.
    """
    from harness.store.reading import Where

    where = None if study is None else Where("study", [study])
    found = store.table("trials").read(columns, where)
    if study is not None and found.num_rows == 0 and not missing_ok and study not in studies(store):
        raise StoreError(
            f"there are no results of study {study!r} under '{store.results}'{suggest(study, studies(store))}"
        )
    return found


def studies(store: Store) -> list[str]:
    """Return the names of the studies that have a plan, sorted."""
    from harness.store.reading import partition_of

    table = store.table("trials")
    table.refresh()
    return sorted({partition_of(file) for file in table.files()})


def stage_keys(store: Store) -> dict[str, set[str]]:
    """Return the keys of all stages of each study's newest plan, for the studies whose plan stated them."""
    from harness.store.reading import partition_of

    table = store.table("stages")
    rows = table.read()
    found: dict[str, set[str]] = {partition_of(file): set() for file in table.files()}
    for name, key in zip(rows.column("study").to_pylist(), rows.column("key").to_pylist(), strict=True):
        if key is not None:
            found.setdefault(name, set()).add(key)
    return found


def _trials_table(study: str, table: pa.Table | Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return the given columns in the order and types of the trials table."""
    import pyarrow as pa

    from harness.store.schemas import TRIALS

    names = table.column_names if isinstance(table, pa.Table) else list(table)
    unknown = [name for name in names if name not in TRIALS.schema.names]
    if unknown:
        raise StoreError(f"the trials table has no column {unknown[0]!r}{suggest(unknown[0], TRIALS.schema.names)}")
    rows = len(table["trial_id"])
    arrays = []
    for column in TRIALS.schema:
        if column.name == "study":
            arrays.append(pa.repeat(pa.scalar(study, column.type), rows))
        elif column.name not in names:
            arrays.append(pa.nulls(rows, column.type))
        elif isinstance(table, pa.Table):
            arrays.append(table[column.name].cast(column.type))
        else:
            arrays.append(pa.array(table[column.name], column.type))
    return pa.table(arrays, schema=TRIALS.schema)


def _write_stages(store: Store, study: str, trials: pa.Table, stages: Iterable[str] | None) -> bool:
    """Store the keys of the stages other than the terminal ones, which the trials name."""
    if stages is None:
        return False
    keys = set(stages) - set(trials.column("key").to_pylist())
    if stage_keys(store).get(study) == keys:
        return False
    _replace_partition(store, "stages", study, _stages_table(study, keys))
    return True


def _stages_table(study: str, keys: Iterable[str]) -> pa.Table:
    """Return the rows of the stages table; one says that the plan was stated, even when it has no further stages."""
    import pyarrow as pa

    from harness.store.schemas import STAGES

    names: list[str | None] = [*sorted(keys)] or [None]
    return pa.table([pa.array([study] * len(names), pa.string()), pa.array(names, pa.string())], schema=STAGES.schema)


def _replace_partition(store: Store, name: str, study: str, rows: pa.Table, only_if_absent: bool = False) -> bool:
    """Put ``rows`` in the place of a study's partition; of two drivers, the later one's plan stands.

    With ``only_if_absent`` the earlier one's stands, and the later one is told so by False.
    """
    from harness.store.reading import partition_of
    from harness.store.schemas import LAYOUT
    from harness.store.tables import TRIES, Conflict

    table = store.table(name)
    for _ in range(TRIES):
        table.refresh()
        old = [file for file in table.files() if partition_of(file) == study]
        if old and only_if_absent:
            return False
        layout = table.number(LAYOUT)
        add = [table.write_part(rows)] if rows.num_rows else []
        try:
            if table.replace(old, add, store.writer, layout):
                return True
        except Conflict:
            pass
        except StoreWriteError:
            table.discard([action.path for action in add])
            raise
        table.refresh()
        table.discard([action.path for action in add if action.path not in table.files()])
    raise StoreWriteError(f"the plan of study {study!r} could not be stored: other drivers keep changing it")
