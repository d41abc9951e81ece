"""Tables of layer transfer: what is printed, in full precision in the CSV, and what is left empty."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from analysis.clustered import Estimate
from analysis.layer_effects import boost, curve, drop_parts
from analysis.layer_runs import layer_runs
from analysis.layer_tables import boost_table, controls_table, drop_table, estimate_cell, values_table
from tests.analysis.layers import RANDOM, outcomes, published

RANGES = [(1, 7), (3, 7), (5, 7)]


def records(table):
    return list(csv.DictReader(io.StringIO(table.to_csv())))


def texts(table, row):
    return [cell.text for cell in table.rows[row]]


def test_table_1_stands_pooled_and_paired_side_by_side():
    table = boost_table(published(), RANDOM, RANGES, "Table 1")
    assert table.header == ("layers copied", "over base, pooled", "over BnB+, pooled", "over base, paired",
                            "over BnB+, paired", "runs AnB+", "runs BnB+")  # fmt: skip
    shown = [[t.split(" ±")[0] for t in texts(table, k)] for k in range(3)]
    assert shown == [
        ["1-7", "+1.60", "+1.38", "+0.97", "0.00", "10", "10"],
        ["3-7", "+1.80", "+1.40", "+1.17", "+0.06", "7", "8"],
        ["5-7", "+2.06", "+1.73", "+1.16", "+0.15", "3", "5"],
    ]
    assert "±" not in " ".join(texts(table, 2))  # one split
    rows = records(table)
    pooled = {r["layers"]: float(r["over base"]) for r in rows if r["reading"] == "pooled"}
    assert pooled == pytest.approx({"1-7": 0.01598, "3-7": 0.01804, "5-7": 0.02061}, abs=5e-6)
    assert [r["over base low"] == "" for r in rows if r["layers"] == "5-7"] == [True, True]


def test_ranges_without_runs_are_left_out_and_none_without_any():
    assert [row[0].text for row in boost_table(published(), RANDOM, [(1, 7), (8, 9)], "t").rows] == ["1-7"]
    assert boost_table(published(), "whole", RANGES, "t") is None


def test_the_drop_and_its_parts():
    table = drop_table(published(), RANDOM, "Drop")
    assert texts(table, 6)[:4] == ["7", "+8.26 ± 0.31", "+0.19 ± 0.80", "+8.08 ± 0.90"]
    for row in records(table):
        found = drop_parts(published(), RANDOM, float(row["layers"]), row["reading"] == "paired")
        for part in ("drop", "co-adaptation", "specificity"):
            assert float(row[part]) == found[part].value and float(row[f"{part} high"]) == found[part].high
    assert len(records(table)) == 14
    assert drop_table(published(), "dissimilar", "t") is None


def test_values_of_every_treatment_with_both_differences():
    table = values_table(published(), RANDOM, "Accuracy")
    names = [row[0].text for row in table.rows]
    assert names[:3] == ["BnB", "BnB, pooled difference", "BnB, paired difference"] and len(names) == 12
    by_name = dict(zip(names, table.rows, strict=True))
    assert by_name["AnB"][7].text.startswith("54.25 ±") and by_name["AnB, pooled difference"][7].text.startswith(
        "-8.26"
    )
    assert (
        by_name["BnB+"][1].text == "61.77" and by_name["BnB+"][1].detail == "1 runs; interval not estimable: one group"
    )
    assert "base: 62.51 %, mean of 8 runs." in table.notes
    rows = records(table)
    assert len(rows) == 28
    one = next(r for r in rows if r["treatment"] == "AnB+" and r["layers"] == "3")
    point = curve(published(), "AnB+", RANDOM)[2]
    assert (float(one["value"]), float(one["paired"]), one["runs"]) == (point.value.value, point.paired.value, "2")
    assert len(one["trial_ids"].split()) == 2


def test_cells_of_flagged_runs_are_marked_and_cells_not_run_are_empty():
    frame = outcomes()
    frame.loc[(frame.source == "untrained") & (frame.layers == 2), "flags"] = "not_trained"
    frame = frame[~((frame.source == "untrained") & (frame.layers == 3))]
    table = values_table(layer_runs(frame), "", "t")
    row = next(r for r in table.rows if r[0].text == "random")
    assert ("†" in row[1].text, "†" in row[2].text, row[3].text, row[3].missing) == (False, True, "", True)
    assert [r["flagged"] for r in records(table) if r["treatment"] == "random"] == ["0", "12"]


def test_a_value_is_printed_with_half_its_interval_or_without():
    data = published()
    sure = estimate_cell(data, Estimate(0.0123, 0.0023, 0.0223, 4, 8))
    assert (sure.text, sure.detail) == ("+1.23 ± 1.00", "8 runs; 4 independent groups")
    alone = estimate_cell(data, Estimate(0.5, np.nan, np.nan, 1, 3, "one group"), signed=False, flagged=2)
    assert (alone.text, alone.missing) == ("50.00†", False)
    nothing = estimate_cell(data, Estimate(np.nan, np.nan, np.nan, 0, 0, "no value"))
    assert nothing.missing and nothing.text == ""


def test_controls_stand_beside_the_base():
    frame = outcomes()
    longer = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"])
    longer = longer.assign(baseline="longer", trial_id="l" + longer.trial_id, value=longer.value + 0.04)
    data = layer_runs(pd.concat([frame, longer], ignore_index=True), relative_to="base")
    table = controls_table(data, "", "t")
    assert texts(table, 0)[0] == "longer" and texts(table, 0)[2].startswith("+4.00") and texts(table, 0)[4] == "12"
    assert controls_table(layer_runs(frame), "", "t") is None


@pytest.mark.parametrize("metric", ["loss", "score"])
def test_metrics_that_are_no_fractions_keep_their_unit(metric):
    frame = outcomes().assign(metric=metric, value=lambda f: f.value * 10)
    table = boost_table(layer_runs(frame, metric), "", [(1, 3)], "t")
    found = boost(layer_runs(frame, metric), "", (1, 3), paired=False).over_base.value
    assert float(table.rows[0][1].text.split()[0]) == pytest.approx(found, abs=0.006)
    assert "units of" in table.notes[0]
