"""Gathering rows into cells: seeds collapse the same way as a loop would, gaps have the reason that weighs most."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.cautions import flags_noted, mixed, partial, unbalanced
from analysis.cells import Grid
from analysis.matrix import REASONS

ROWS, COLS = ("a", "b", "c"), ("x", "y")
GRID = Grid("source", "target", ROWS, COLS)
MEASURED = st.lists(
    st.tuples(st.sampled_from(ROWS), st.sampled_from(COLS), st.integers(0, 3), st.integers(0, 16)), max_size=30
)


def table(rows):
    """Measured rows (source, target, seed, sixteenths) as a textual frame with trial ids."""
    frame = pd.DataFrame(rows, columns=["source", "target", "seed", "value"])
    return frame.assign(
        value=frame["value"] / 16, seed=frame["seed"].astype(str), trial_id=[f"t{k}" for k in range(len(frame))]
    )


@settings(max_examples=80, deadline=None)
@given(rows=MEASURED)
def test_collapsing_is_a_mean_over_seeds_of_means_within(rows):
    frame = table(rows)
    found = GRID.collapse(frame)
    for i, row in enumerate(ROWS):
        for j, col in enumerate(COLS):
            cell = frame[(frame.source == row) & (frame.target == col)]
            per_seed = cell.groupby("seed")["value"].mean()
            assert found.count[i, j] == len(cell) and found.seeds[i, j] == len(per_seed)
            assert found.values[i, j] == pytest.approx(per_seed.mean(), nan_ok=True)
            assert found.spread[i, j] == pytest.approx(per_seed.std(), nan_ok=True, abs=1e-12)
            assert found.trial_ids[i, j] == tuple(cell.trial_id)


@settings(max_examples=40, deadline=None)
@given(rows=MEASURED, examples=st.lists(st.sampled_from([None, 0, 10, 200]), min_size=30, max_size=30))
def test_the_fewest_examples_are_known_only_when_all_are(rows, examples):
    frame = table(rows)
    frame["n_eval"] = pd.Series(examples[: len(frame)], index=frame.index, dtype=object)
    found = GRID.collapse(frame).n_eval
    for i, row in enumerate(ROWS):
        for j, col in enumerate(COLS):
            numbers = list(frame.loc[(frame.source == row) & (frame.target == col), "n_eval"])
            known = numbers and all(n for n in numbers)
            assert found[i, j] == min(numbers) if known else np.isnan(found[i, j])


def test_cells_are_numbered_row_by_row_and_named():
    frame = table([("a", "y", 0, 1), ("c", "x", 0, 1)])
    assert list(GRID.locate(frame)) == [1, 4]
    assert [GRID.name(k) for k in (0, 1, 5)] == ["a, x", "a, y", "c, y"]
    assert GRID.shape == (3, 2)


def test_flags_of_a_cell_are_joined_and_sorted():
    frame = table([("a", "x", 0, 1), ("a", "x", 1, 2), ("b", "y", 0, 3)])
    frame["flags"] = ["odd, not_trained", "odd", ""]
    found = GRID.collapse(frame)
    assert found.flags[0, 0] == "not_trained, odd" and found.flags[1, 1] == ""
    assert flags_noted(found) == ["1 of 2 cells contain flagged values (not_trained, odd); marked †."]


def test_an_empty_frame_has_empty_cells():
    found = GRID.collapse(table([]))
    assert np.isnan(found.values).all() and (found.count == 0).all() and unbalanced(found) == []


@pytest.mark.parametrize(("states", "shown"), [
    (["skipped", "failed", "skipped"], "failed"), (["not run", "excluded"], "excluded"), (["diverged"], "diverged"),
    (["not planned", "not run"], "not run"),
])  # fmt: skip
def test_the_reason_that_weighs_most_explains_a_gap(states, shown):
    missing = pd.DataFrame(
        {"source": "a", "target": "x", "state": states, "reason": [f"because {s}" for s in states], "trial_id": "t"}
    )
    empty = np.ones((3, 2), dtype=bool)
    reasons, details = GRID.explain(missing, empty, "not planned")
    same = states.count(shown)
    assert reasons[0, 0] == shown and shown in REASONS
    assert details[0, 0] == f"{same} of {len(states)} trials {shown}: because {shown}"
    assert set(reasons.ravel()[1:]) == {"not planned"}


def test_measured_cells_need_no_reason():
    missing = pd.DataFrame({"source": ["a"], "target": ["x"], "state": ["failed"], "reason": [None], "trial_id": "t"})
    empty = np.ones((3, 2), dtype=bool)
    empty[0, 0] = False
    reasons, details = GRID.explain(missing, empty, "not run")
    assert reasons[0, 0] == details[0, 0] == "" and reasons[1, 0] == "not run"
    nothing = GRID.explain(missing.iloc[:0], empty, "not run")[0]
    assert (nothing == reasons).all()


def test_mixed_circumstances_are_counted():
    frame = pd.DataFrame({"device": ["cpu", "cpu", "cuda", None], "width": [8, 8, 8, 8], "precision": "float32"})
    assert mixed(frame) == ["Mixed devices: cpu (2 values), cuda (1 values)."]
    many = pd.DataFrame({"threads": range(9)})
    (text,) = mixed(many)
    assert text.startswith("Mixed thread counts: 0 (1 values)") and text.endswith("and 3 more.")
    assert mixed(pd.DataFrame({"device": ["cpu"], "width": [None]})) == []


def test_uneven_cells_are_said():
    even = GRID.collapse(table([("a", "x", 0, 1), ("b", "y", 0, 1)]))
    assert unbalanced(even) == []
    uneven = GRID.collapse(table([("a", "x", 0, 1), ("a", "x", 1, 1), ("b", "y", 0, 1)]))
    assert unbalanced(uneven) == ["Unbalanced: cells rest on 1 to 2 trials (1 of 2 on fewer)."]


def test_cells_that_lack_trials_are_named():
    cells = GRID.collapse(table([(r, c, 0, 1) for r in ROWS for c in COLS]))
    missing = pd.DataFrame([(r, c, "failed") for r in ROWS for c in COLS][:5], columns=["source", "target", "state"])
    (text,) = partial(GRID, cells, missing)
    assert "(5 failed)" in text and "a, x; a, y; b, x; and 2 more" in text
    nothing_there = GRID.collapse(table([("a", "x", 0, 1)]))
    assert partial(GRID, nothing_there, missing.iloc[1:]) == []
    assert partial(GRID, cells, missing.iloc[:0]) == []
