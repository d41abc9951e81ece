"""One matrix, one table of correlations: what the command line asks for."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import transfer_matrix
from analysis.gallery import synthetic
from analysis.single import correlation_of, matrix_of
from harness.errors import HarnessError


@pytest.fixture
def rows(grid_frame):
    rows = grid_frame(tasks="abcde")
    knn = rows[(rows.role == "outcome") & (rows.method == "tune") & (rows.seed == 0)]
    knn = knn.assign(role="estimator", method="knn", metric="score", seed=None, trial_id=lambda f: "e" + f.trial_id)
    return pd.concat([rows, knn], ignore_index=True)


def test_a_matrix_by_metric_or_by_estimator(rows):
    plain = matrix_of(rows, filter={"method": "tune"})
    assert (plain.values == transfer_matrix(rows, filter={"method": "tune"}).values).all()
    knn = matrix_of(rows, "knn")
    assert knn.metric == "score" and knn.shape == (5, 5)
    assert (matrix_of(rows, "score").values == knn.values).all()
    with pytest.raises(HarnessError, match=r"'kn'.*'knn'"):
        matrix_of(rows, "kn")


def test_all_estimators_or_one_against_a_method(rows):
    table = correlation_of(rows, None, "tune", kind="kendall")
    assert [r[0].text for r in table.rows] == ["knn", "mean on the other targets (baseline)", "noise ceiling"]
    assert correlation_of(rows, "knn", "tune").rows[0][0].text == "knn"


def test_one_target_has_its_column_and_no_interval_over_targets(rows):
    one = correlation_of(rows, "probe", "tune", filter={"target": "a"})
    assert one.header[:3] == ("", "a", "mean τ_w") and one.rows[0][0].text == "probe"
    whole = correlation_of(rows, "probe", "tune")
    assert one.rows[0][1].text == whole.rows[0][whole.header.index("a")].text


def test_one_source_can_only_be_told_to_have_no_order(rows):
    one = correlation_of(rows, "probe", "tune", filter={"source": "a"})
    assert one.stubs == 2 and all(row[2].text.startswith("undefined") for row in one.rows)
    assert "one source" in one.notes[0]


def test_the_synthetic_grid_has_its_planted_structure():
    frame = synthetic(12, 3, 4)
    matrix = transfer_matrix(frame, relative_to="untrained")
    kin = [[int(r[4:]) // 4 == int(c[4:]) // 4 for c in matrix.col_labels] for r in matrix.row_labels]
    inside = matrix.frame().where(pd.DataFrame(kin, matrix.row_labels, matrix.col_labels)).stack().mean()
    assert inside == pytest.approx(0.06, abs=0.02) and (matrix.reasons == "failed").sum() == 4
