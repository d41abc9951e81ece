"""The choice among candidates, against a brute-force reading of the same rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.graph import Measurement, Measurements
from harness.planning.selection import select


def measured(*values: float | None) -> tuple[Measurements | None, ...]:
    return tuple(
        None if value is None else Measurements((Measurement("accuracy", value, "val", "digits"),)) for value in values
    )


def chosen(scores: tuple[Measurements | None, ...], candidates: int, higher: bool = True) -> int:
    return int(select(scores, candidates, "accuracy", higher).data["index"])  # type: ignore[arg-type]  # None: diverged


def test_the_mean_over_trials_decides() -> None:
    assert chosen(measured(0.9, 0.1, 0.6, 0.6), candidates=2) == 1
    assert chosen(measured(0.9, 0.1, 0.6, 0.6), candidates=2, higher=False) == 0


def test_ties_go_to_the_earlier_candidate() -> None:
    assert chosen(measured(0.5, 0.5, 0.5), candidates=3) == 0
    assert chosen(measured(0.5, 0.5, 0.5), candidates=3, higher=False) == 0


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_candidate_that_diverged_anywhere_is_never_chosen(lost: float | None) -> None:
    scores = measured(1.0, lost, 0.2, 0.2)
    found = select(scores, 2, "accuracy").data  # type: ignore[arg-type]  # None: diverged
    assert found["index"] == 1 and found["scores"][0] is None


def test_no_candidate_left_and_no_such_metric_are_sentences() -> None:
    with pytest.raises(HarnessError, match="none of 2 candidates has a finite accuracy"):
        chosen(measured(None, None), candidates=2)
    with pytest.raises(HarnessError, match="measured no 'f1'"):
        select(measured(0.5), 1, "f1")  # type: ignore[arg-type]  # all are measured


@given(
    st.integers(1, 4).flatmap(
        lambda trials: st.lists(
            st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=trials, max_size=trials), min_size=1, max_size=6
        )
    ),
    st.booleans(),
)
def test_against_brute_force(table: list[list[float]], higher: bool) -> None:
    means = [sum(row) / len(row) for row in table]
    best = max(means) if higher else min(means)
    scores = measured(*(value for row in table for value in row))
    assert chosen(scores, len(table), higher) == means.index(best)
