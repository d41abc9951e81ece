"""What past runs cost, read from a real store, against the standard library's statistics."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.planning import PastRuns, StoreHistory
from harness.planning.demand import NoRecords
from harness.planning.plan import NothingRecorded
from harness.store import ArtifactRef, Group, StageRecord, Store


class Columns:
    """Records as columns only, for histories without a disk."""

    def __init__(self, rows: list[tuple[str, float | None, int | None]]) -> None:
        self.rows = rows

    def column(self, name: str) -> list[object]:
        if name == "device":
            return [None if row[1] is None else "cpu" for row in self.rows]
        return [row[("kind", "seconds", "nbytes").index(name)] for row in self.rows]

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: None


class Shelf:
    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def records(self) -> Columns:
        return self.columns

    def code_files(self, digest: str) -> dict[str, str]:
        return {"read": digest}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["train", "evaluate", "embed"]),
        st.none() | st.floats(0, 1e4),
        st.none() | st.integers(0, 10**9),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_means_and_variances_of_each_kind(rows: list[tuple[str, float | None, int | None]]) -> None:
    past = StoreHistory(Shelf(Columns(rows))).past_runs()  # type: ignore[arg-type]  # of what is read, enough
    assert set(past) == {kind for kind, seconds, _ in rows if seconds is not None}
    for kind, found in past.items():
        seconds = [one for name, one, _ in rows if name == kind and one is not None]
        sizes = [one for name, timed, one in rows if name == kind and timed is not None and one is not None]
        assert found.n == len(seconds)
        assert found.mean_seconds == pytest.approx(statistics.fmean(seconds))
        expected = statistics.variance(seconds) if len(seconds) > 1 else 0.0
        assert found.variance == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert found.mean_bytes == (pytest.approx(sum(sizes) / len(seconds)) if sizes else None)


def test_a_store_is_asked_for_the_records_that_count(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    ref = ArtifactRef("artifacts/aa/x.safetensors", "k", "0" * 64, 500)
    rows = [
        StageRecord("1" * 32, "train", seconds=1.0, artifact=ref, code="c", flags=("not_trained",), value='{"a": 1}'),
        StageRecord("2" * 32, "train", seconds=3.0, device="cuda (a card)"),
        StageRecord("3" * 32, "train", seconds=100.0),
        StageRecord("4" * 32, "evaluate", status="diverged"),
    ]
    store.commit(Group(rows))
    store.withdraw(["3" * 32], "stale")
    history = StoreHistory(store)
    assert history.past_runs() == {"train": PastRuns(2, 2.0, 2.0, 250.0)}
    assert history.past_runs(device="cuda") == {"train": PastRuns(1, 3.0, 0.0, None)}
    records = history.records()
    assert [records.status(key * 32) for key in "12345"] == ["ok", "ok", None, "diverged", None]
    assert [records.kind(key * 32) for key in "1345"] == ["train", None, "evaluate", None]
    assert records.flags("1" * 32) == ("not_trained",) and records.flags("2" * 32) == ()
    assert records.value("1" * 32) == '{"a": 1}' and records.code("1" * 32) == "c"
    artifact = records.artifact("1" * 32)
    assert artifact is not None and artifact.nbytes == 500 and records.artifact("2" * 32) is None
    assert history.code_files("unknown") is None
    store.provenance(code={"c": {"a.module": "d1"}})
    assert history.code_files("c") == {"a.module": "d1"}


def test_nothing_recorded_knows_nothing() -> None:
    nothing = NothingRecorded()
    assert nothing.past_runs() == {} and nothing.code_files("x") is None
    records = nothing.records()
    assert isinstance(records, NoRecords)
    asked = [getattr(records, name)("k") for name in ("status", "value", "artifact", "code", "kind", "flags")]
    assert asked == [None, None, None, None, None, ()]
