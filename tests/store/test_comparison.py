"""Two executions compared: what makes them differ, and what does not."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from harness.store import ArtifactRef, CurveRow, MeasurementRow
from harness.store.comparison import Difference, Outcome, difference, plan_difference

from .samples import measured, record

SHA = "0123456789abcdef" * 4


def outcome(value: float = 0.5, metric: str = "accuracy", **fields: object) -> Outcome:
    row = record("x", **fields)
    return Outcome(row, [measured(row, value, metric)], [CurveRow(row.key, row.attempt, "loss", 1, 2.0)])


def test_when_where_and_how_fast_do_not_count() -> None:
    when = datetime(2020, 1, 1, tzinfo=UTC)
    slow = outcome(seconds=9.0, device="cuda", threads=4, writer="w", finished_at=when, memory_bytes=7)
    assert difference(outcome(), slow) is None


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e-320, math.inf, -math.inf, math.nan])
def test_a_number_equals_itself(value: float) -> None:
    assert difference(outcome(value), outcome(value)) is None


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (0.1, math.nextafter(0.1, 1)), (math.nan, 0.0), (1.0, 2.0)])
def test_one_bit_makes_a_difference(one: float, other: float) -> None:
    found = difference(outcome(one), outcome(other))
    assert found == Difference("accuracy on digits/test", repr(one), repr(other))


def test_a_measurement_that_one_lacks_differs() -> None:
    mine, yours = outcome(), outcome(metric="loss")
    assert difference(mine, yours) == Difference("accuracy on digits/test, and 1 more", "0.5", "absent")


def test_counts_steps_and_flags_belong_to_a_measurement() -> None:
    def one(**fields: object) -> Outcome:
        row = record("x")
        return Outcome(row, [MeasurementRow(row.key, row.attempt, "digits", "test", "f1", 0.5, **fields)], [])  # type: ignore[arg-type]  # fields of several types

    assert difference(one(n_eval=3), one(n_eval=4)) == Difference("f1 on digits/test", "0.5 of 3", "0.5 of 4")
    assert difference(one(step=3), one(step=4)) is not None
    assert difference(one(flags=("not_trained",)), one()) is not None


def test_the_order_of_measurements_does_not_count() -> None:
    row = record("x")
    pair = [measured(row, 0.1, "a"), measured(row, 0.2, "b")]
    assert difference(Outcome(row, pair, []), Outcome(row, pair[::-1], [])) is None


def test_status_value_and_artifact_count() -> None:
    ref = ArtifactRef("artifacts/x", "x", SHA, 4)
    other = replace(ref, sha256=SHA[::-1])
    assert difference(outcome(), outcome(status="diverged")) == Difference("status", "ok", "diverged")
    assert difference(outcome(value=0.5), outcome(value=0.5)) is None
    assert difference(outcome(artifact=ref), outcome(artifact=other)) == Difference(
        "artifact", "sha256 0123456789ab", "sha256 fedcba987654"
    )
    assert difference(outcome(artifact=ref), outcome(artifact=replace(ref, location="elsewhere"))) is None
    assert difference(outcome(artifact=ref), outcome()) is None, "what one did not keep is no disagreement"


def test_values_are_compared_as_json() -> None:
    def one(value: str) -> Outcome:
        return Outcome(record("x", value=value), [], [])

    assert difference(one('{"a": 1, "b": 2}'), one('{"b":2,"a":1}')) is None
    assert difference(one('{"a": 1}'), one('{"a": 2}')) == Difference("value", '{"a": 1}', '{"a": 2}')


def plan(trials: dict[str, str], name: str | None = None) -> pa.Table:
    return pa.table(
        {"study": ["s"] * len(trials), "trial_id": list(trials), "key": list(trials.values()),
         "plan": pa.array([name] * len(trials), pa.string())}
    )  # fmt: skip


def test_plans_are_compared_by_their_trials() -> None:
    assert plan_difference(plan({"a": "1", "b": "2"}), plan({"b": "2", "a": "1"})) is None
    assert plan_difference(plan({"a": "1"}, "p"), plan({"a": "1"}, "q")) is None
    changed = plan_difference(plan({"a": "1", "b": "2"}), plan({"a": "9", "c": "3", "d": "4"}))
    assert changed == Difference("1 of their common trials", "2 trials, 1 only here", "3 trials, 2 only here")
