"""Joined axes, and scores that do not read all axes: each value stands in every cell that it belongs to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import correlate, rank_correlation, transfer_matrix
from analysis.conditions import condition
from analysis.joined_axes import parts_of, with_joined
from analysis.score_matrices import read_parts, score_matrix
from harness.errors import HarnessError

ROWS = "backbone+source"
SIZES = {"large": 9.0, "small": 3.0}


def values(backbone: str, source: str, target: str) -> float:
    return {"large": 0.2, "small": 0.1}[backbone] + {"a": 0.0, "b": 0.3}[source] + {"x": 0.0, "y": 0.05}[target]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Two networks of two sources on two targets, two seeds; a score of all axes, one of sources, one of backbones."""
    rows: list[dict[str, object]] = []
    for backbone in ("large", "small"):
        rows.append({"role": "estimator", "method": "size", "backbone": backbone, "value": SIZES[backbone]})
        for source in "ab":
            own = {"a": 0.9, "b": 0.5}[source] + SIZES[backbone]
            rows.append({
                "role": "estimator", "method": "own", "backbone": backbone, "source": source, "value": own,
            })  # fmt: skip
            for target in "xy":
                cell = {"backbone": backbone, "source": source, "target": target}
                known = values(**cell)
                rows.append({**cell, "role": "estimator", "method": "score", "value": -known})
                rows += [
                    {**cell, "role": "outcome", "method": "tune", "seed": seed, "value": known + seed / 100}
                    for seed in (0, 1)
                ]
    made = pd.DataFrame(rows)
    return made.assign(
        study="s", trial_id=[f"t{k}" for k in range(len(made))], status="ok", split="test",
        metric=np.where(made["role"] == "outcome", "accuracy", "score"), baseline=None, task=made["target"],
    )  # fmt: skip


def scores(frame: pd.DataFrame, name: str):
    return score_matrix(frame, condition(frame, name, "accuracy"), ROWS, "target", filter={})


def test_a_joined_axis_has_the_pairs_that_occur(frame):
    made = with_joined(frame, [ROWS, "source", None, "target"])
    assert set(made.loc[made.role == "outcome", ROWS]) == {f"{b} / {s}" for b in ("large", "small") for s in "ab"}
    assert with_joined(made, [ROWS]) is made and parts_of(ROWS) == ("backbone", "source")
    matrix = transfer_matrix(made, ROWS, "target")
    assert matrix.shape == (4, 2) and matrix.cell("small / b", "y").value == pytest.approx(0.455)
    with pytest.raises(HarnessError, match="'surce'"):
        with_joined(frame, ["backbone+surce"])


def test_what_a_score_reads_is_what_it_has_values_of(frame):
    of = {name: frame[frame.method == name] for name in ("size", "own", "score")}
    assert [read_parts(of[name], ROWS) for name in of] == ["backbone", ROWS, ROWS]
    assert [read_parts(of[name], "target") for name in of] == ["", "", "target"]


def test_a_score_of_all_axes_is_as_it_was(frame):
    found = scores(frame, "score")
    assert found.cell("large / b", "x").value == pytest.approx(-0.5) and found.shape == (4, 2)


def test_a_score_that_knows_no_target_stands_in_every_column(frame):
    found = scores(frame, "own")
    assert (found.rows, found.cols) == (ROWS, "target")
    assert found.col_labels == ("x", "y") and (found.values[:, 0] == found.values[:, 1]).all()
    assert found.cell("small / a", "y").value == pytest.approx(3.9)


def test_a_score_that_knows_the_backbone_only_stands_in_all_its_rows(frame):
    found = scores(frame, "size")
    assert {row: found.cell(row, "x").value for row in found.row_labels} == {
        f"{backbone} / {source}": SIZES[backbone] for backbone in SIZES for source in "ab"
    }
    outcome = scores(frame, "tune")
    per_target = correlate(found, outcome, "pearson", n_resamples=0).per_target["x"]
    order = [(row, outcome.cell(row, "x").value) for row in outcome.row_labels]
    wanted = rank_correlation([SIZES[row.split(" / ")[0]] for row, _ in order], [v for _, v in order], "pearson")
    assert per_target.estimate == pytest.approx(wanted.estimate) and per_target.n == 4


def test_plain_axes_work_alike(frame):
    large = frame[(frame.backbone == "large") | frame.backbone.isna()]
    found = score_matrix(large, condition(large, "own", "accuracy"), "source", "target", filter={})
    assert found.cell("a", "x").value == pytest.approx(9.9) and found.shape == (2, 2)
