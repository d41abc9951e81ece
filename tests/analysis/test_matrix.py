"""Transfer matrices against plain loops; nothing averaged silently; every gap with its reason."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis import transfer_matrix
from harness.errors import HarnessError


def test_values_spread_and_counts_against_a_loop(grid_frame):
    rows = grid_frame()
    matrix = transfer_matrix(rows, filter={"method": "tune"})
    for source, target in itertools.product("abcde", repeat=2):
        chosen = rows[(rows.role == "outcome") & (rows.source == source) & (rows.target == target)]
        chosen = chosen[chosen.method == "tune"]
        cell = matrix.cell(source, target)
        assert cell.value == pytest.approx(chosen.value.mean())
        assert cell.spread == pytest.approx(statistics.stdev(chosen.value))
        assert (cell.seeds, cell.count, cell.reason) == (3, 3, "")
        assert cell.trial_ids == tuple(chosen.trial_id)
    assert matrix.frame().shape == (5, 5)
    assert matrix.warnings == ()


def test_any_two_axes_can_be_rows_and_columns(grid_frame):
    matrix = transfer_matrix(grid_frame(), "method", "target", over=["source"])
    assert matrix.row_labels == ("probe", "tune")
    assert (matrix.seeds == 3).all() and (matrix.count == 15).all()
    by_seed = transfer_matrix(grid_frame(), "method", "seed", over=["source", "target"])
    assert by_seed.col_labels == ("0", "1", "2")
    assert (by_seed.seeds == 1).all()


def test_over_axes_are_averaged_within_each_seed_first(frame):
    values = {(0, "x"): 0.1, (0, "y"): 0.3, (1, "x"): 0.6}
    rows = frame([{"source": s, "seed": seed, "value": v} for (seed, s), v in values.items()])
    matrix = transfer_matrix(rows, "method", "target", over=["source"])
    assert matrix.values[0, 0] == pytest.approx((0.2 + 0.6) / 2)
    assert matrix.spread[0, 0] == pytest.approx(statistics.stdev([0.2, 0.6]))
    assert (matrix.seeds[0, 0], matrix.count[0, 0]) == (2, 3)


def test_an_axis_that_varies_inside_a_cell_is_refused_by_name(grid_frame):
    with pytest.raises(HarnessError, match=r"'method' varies \(probe, tune\)"):
        transfer_matrix(grid_frame())
    shots = pd.concat([grid_frame(methods=["m"], shots=n).assign(shots=n) for n in (1, 20)])
    with pytest.raises(HarnessError, match=r"'shots' varies \(1, 20\)"):
        transfer_matrix(shots.assign(trial_id=[f"n{i}" for i in range(len(shots))]))


def test_two_studies_are_not_mixed(grid_frame):
    both = pd.concat([grid_frame(methods=["m"], study=name) for name in ("one", "two")])
    with pytest.raises(HarnessError, match=r"'study' varies \(one, two\)"):
        transfer_matrix(both)


def test_several_values_of_one_trial_are_refused(frame):
    rows = frame([{"trial_id": "t", "source": "a", "value": v, "step": s} for s, v in ((1, 0.4), (2, 0.5))])
    with pytest.raises(HarnessError, match="Trial t has several values of 'accuracy'"):
        transfer_matrix(rows)
    assert transfer_matrix(rows, filter={"step": 2}).values[0, 0] == 0.5


def test_an_unknown_metric_split_axis_or_baseline_names_the_nearest(grid_frame):
    rows = grid_frame(methods=["m"])
    for arguments, message in (
        ({"value": "acuracy"}, "'acuracy'.*'accuracy'"),
        ({"split": "tset"}, "'tset'.*'test'"),
        ({"rows": "sources"}, "'sources'.*'source'"),
        ({"over": ["methd"]}, "'methd'.*'method'"),
        ({"relative_to": "onw"}, "'onw'.*'own'"),
        ({"rows": "target"}, "both 'target'"),
        ({"relative_to": "own", "how": "diference"}, "'diference'.*'difference'"),
    ):
        with pytest.raises(HarnessError, match=message):
            transfer_matrix(rows, **arguments)


def test_two_splits_are_never_mixed(frame):
    rows = frame([{"source": "a", "value": v, "split": s, "trial_id": "t"} for s, v in (("val", 0.9), ("test", 0.5))])
    assert transfer_matrix(rows).values[0, 0] == 0.5
    assert transfer_matrix(rows, split="val").values[0, 0] == 0.9
    with pytest.raises(HarnessError, match=r"several splits \(test, val\)"):
        transfer_matrix(rows, split=None)


def test_one_seed_has_no_spread(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=["m"], seeds=[7]))
    assert np.isnan(matrix.spread).all()
    assert matrix.spread_note == "Spread over seeds: not estimable (one seed)."
    assert "±" not in matrix.text(0, 0)


def test_some_cells_with_one_seed_are_said_to_have_none(grid_frame):
    rows = grid_frame(methods=["m"])
    few = rows[~((rows.source == "a") & (rows.target == "b") & (rows.seed > 0))]
    matrix = transfer_matrix(few)
    assert "not estimable where there is one seed" in matrix.spread_note
    assert np.isnan(matrix.cell("a", "b").spread)
    assert any(w.startswith("Unbalanced: cells rest on 1 to 3 trials (1 of 25") for w in matrix.warnings)


def test_missing_cells_say_why(frame, trials_of):
    rows = frame(
        [
            {"source": "ok", "value": 0.5},
            {"source": "oom", "status": "oom", "reason": "out of memory"},
            {"source": "nan", "status": "diverged"},
            {"source": "skip", "status": "skipped", "reason": "its source was not trained"},
            {"source": "loss", "value": 1.5, "metric": "loss"},
            {"source": "inf", "value": float("inf")},
        ]
    )
    planned = pd.concat(
        [
            trials_of(rows),
            pd.DataFrame(
                {"trial_id": ["x1", "x2"], "role": "outcome", "source": ["no", "later"], "target": "a"}
            ).assign(method="probe", state=["excluded", "pending"], reason=["licence", None]),
        ]
    )
    matrix = transfer_matrix(rows, trials=planned)
    reasons = {source: matrix.cell(source, "a").reason for source in matrix.row_labels}
    assert reasons == {
        "ok": "",
        "oom": "failed",
        "nan": "diverged",
        "skip": "skipped",
        "loss": "not measured",
        "inf": "undefined",
        "no": "excluded",
        "later": "not run",
    }
    assert matrix.cell("oom", "a").detail == "1 of 1 trials failed: out of memory"
    assert matrix.cell("no", "a").detail.endswith("licence")
    assert np.isnan(matrix.values[[r != "ok" for r in matrix.row_labels]]).all()
    assert matrix.text(matrix.row_labels.index("oom"), 0) == "failed"


def test_a_cell_nobody_planned_is_told_from_one_not_run(frame, trials_of):
    rows = frame([{"source": "a", "target": "a", "value": 0.5}, {"source": "b", "target": "b", "value": 0.5}])
    assert transfer_matrix(rows).cell("a", "b").reason == "not run"
    assert transfer_matrix(rows, trials=trials_of(rows)).cell("a", "b").reason == "not planned"


def test_a_graver_reason_hides_a_lesser_one(frame):
    rows = frame(
        [{"source": "a", "seed": s, "status": status} for s, status in enumerate(("skipped", "failed", "diverged"))]
    )
    cell = transfer_matrix(rows).cell("a", "a")
    assert (cell.reason, cell.detail) == ("failed", "1 of 3 trials failed")


def test_cells_that_lack_some_trials_are_warned_of(grid_frame):
    rows = grid_frame(methods=["m"])
    hit = (rows.source == "a") & (rows.target == "b") & (rows.seed == 1)
    rows.loc[hit, ["value", "metric", "split", "task"]] = None
    rows.loc[hit, "status"] = "failed"
    matrix = transfer_matrix(rows)
    assert matrix.cell("a", "b").count == 2
    assert any("lack trials (1 failed)" in w and "a, b" in w for w in matrix.warnings)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("device", "cuda", "devices"), ("precision", "bfloat16", "precisions"), ("width", 16, "batch widths")],
)
def test_mixed_circumstances_are_warned_of(grid_frame, column, value, words):
    rows = grid_frame(methods=["m"])
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[1], column] = value
    warning = next(w for w in transfer_matrix(rows).warnings if w.startswith("Mixed"))
    assert words in warning and f"{value} (1 values)" in warning


def test_a_baseline_on_another_device_is_warned_of(grid_frame):
    rows = grid_frame(methods=["m"])
    rows.loc[rows.role == "baseline", "device"] = "cuda"
    assert not transfer_matrix(rows).warnings
    assert "Mixed devices" in transfer_matrix(rows, relative_to="own").warnings[0]


def test_flagged_values_are_marked_or_left_out(grid_frame):
    rows = grid_frame(methods=["m"])
    rows.loc[(rows.source == "a") & (rows.target == "b"), "flags"] = "not_trained"
    one = (rows.source == "c") & (rows.target == "d") & (rows.seed == 0)
    rows.loc[one, "flags"] = "not_trained"
    kept, dropped = transfer_matrix(rows), transfer_matrix(rows, flagged="drop")
    assert kept.cell("a", "b").flags == "not_trained" and kept.cell("a", "b").reason == ""
    assert dropped.cell("a", "b").reason == "flagged"
    assert (kept.cell("c", "d").count, dropped.cell("c", "d").count) == (3, 2)
    assert any("2 of 25 cells contain flagged values (not_trained)" in w for w in kept.warnings)


def test_the_declared_order_of_labels_is_kept(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=["m"]), order={"source": ["e", "zz", "b"]})
    assert matrix.row_labels == ("e", "b", "a", "c", "d")
    assert matrix.col_labels == ("a", "b", "c", "d", "e")


def test_marginals_are_means_over_measured_cells(grid_frame):
    rows = grid_frame(methods=["m"])
    matrix = transfer_matrix(rows[~((rows.source == "a") & (rows.target == "b"))])
    means, n = matrix.marginal("rows")
    assert list(n) == [4, 5, 5, 5, 5]
    assert means[0] == pytest.approx(np.nanmean(matrix.values[0]))
    assert matrix.marginal("cols")[0][1] == pytest.approx(np.nanmean(matrix.values[:, 1]))


def test_an_unknown_cell_names_the_nearest(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=["m"], tasks=["digits", "letters"]))
    with pytest.raises(HarnessError, match=r"no source 'digit'.*'digits'"):
        matrix.cell("digit", "letters")
    assert len(list(matrix.cells())) == 4


def test_when_everything_failed_the_matrix_is_all_reasons(frame):
    rows = frame([{"source": s, "status": "failed", "reason": "boom"} for s in "ab"])
    matrix = transfer_matrix(rows)
    assert (matrix.reasons == "failed").all()
    assert matrix.spread_note == "No cell has a value."


def test_nothing_to_show_is_an_error(frame):
    rows = frame([{"source": "a", "value": 0.5, "role": "estimator"}])
    with pytest.raises(HarnessError, match="No outcome fits"):
        transfer_matrix(rows)
    assert transfer_matrix(rows, role="estimator").shape == (1, 1)


def test_titles_and_quantities(grid_frame):
    rows = grid_frame()
    assert transfer_matrix(rows, filter={"method": "tune"}).title == "source → target, method = tune"
    matrix = transfer_matrix(rows, filter={"method": ["tune"]}, relative_to="own")
    assert matrix.quantity == "test accuracy: difference from 'own' (percentage points)"
    assert transfer_matrix(rows, filter={"method": "tune"}, title="mine").title == "mine"


def test_lower_is_better_by_name_unless_told(frame):
    rows = frame([{"source": "a", "value": 0.5, "metric": "loss"}])
    assert not transfer_matrix(rows, value="loss").higher_is_better
    assert transfer_matrix(rows, value="loss", higher_is_better=True).higher_is_better


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 2), st.floats(0, 1)),
        min_size=1,
        max_size=20,
        unique_by=lambda r: r[:3],
    )
)
def test_random_grids_against_brute_force(cells):
    rows = pd.DataFrame(cells, columns=["source", "target", "seed", "value"]).assign(
        trial_id=[f"t{k}" for k in range(len(cells))], metric="accuracy", split="test", status="ok"
    )
    matrix = analysis.transfer_matrix(rows)
    for source, target in itertools.product(matrix.row_labels, matrix.col_labels):
        values = [v for s, t, _, v in cells if (s, t) == (source, target)]
        cell = matrix.cell(source, target)
        assert cell.count == len(values)
        assert (cell.reason == "") == bool(values)
        if values:
            assert cell.value == pytest.approx(statistics.mean(values))
        if len(values) > 1:
            assert cell.spread == pytest.approx(statistics.stdev(values), abs=1e-12)
        else:
            assert np.isnan(cell.spread)


def test_a_hundred_thousand_rows_take_seconds_at_most(frame):
    import time

    n, rng = 60, np.random.default_rng(0)
    source, target, seed = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(n), np.arange(33), indexing="ij"))
    rows = pd.DataFrame({"source": source, "target": target, "seed": seed}).astype(str)
    rows = rows.assign(
        trial_id=np.arange(len(rows)).astype(str), metric="accuracy", split="test", status="ok", flags=""
    )
    rows = rows.assign(value=rng.uniform(size=len(rows)), role="outcome", method="m")
    start = time.process_time()
    matrix = transfer_matrix(rows)
    assert time.process_time() - start < 6  # measured 0.4 s
    assert matrix.shape == (n, n) and (matrix.count == 33).all()
